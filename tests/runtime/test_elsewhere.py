"""Laws of presence among nodes: one answer everywhere, and no ghost outlives grace and lease."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import NOW_MS, settled, virtually
from stage import open_stage

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet.ports.people import Person

LIMITS = Limits()
# News reach a watcher so soon: told, read and gathered for a moment each.
SOON_S = 1.0
# A dead node's users are seen offline by then, and never later.
GHOST_S = LIMITS.presence_lease_s + LIMITS.presence_heartbeat_s + SOON_S


async def hall(stage, *others):
    """Let others in on given nodes, and a watcher on each node; return others, and watchers."""
    guests = [await stage[node].enter(user, device=f"d{node}") for user, node in others]
    watchers = [await scene.enter(f"watcher{n}") for n, scene in enumerate(stage)]
    users = dict.fromkeys(one.user for one in [*guests, *watchers])
    owner = watchers[0]
    await owner.ask("create", room="hall", kind="group", members=list(users))
    await trio.sleep(SOON_S)
    for watcher in watchers:
        watcher.rows = {}
        answer = await watcher.ask("watch", users=[one.user for one in guests])
        watcher.rows = {user: (status, seen) for user, status, seen in answer["users"]}
        watcher.forget()
    return guests, watchers


def told(watcher):
    """Return what a watcher was told since it was last asked, in order, and take it in."""
    news = [tuple(row) for event in watcher.all("presence") for row in event["users"]]
    watcher.rows |= {user: (status, seen) for user, status, seen in news}
    watcher.forget()
    return [(user, status) for user, status, _ in news]


def status(watcher, user="ben"):
    told(watcher)
    return watcher.rows[user][0]


async def come(stage, node, user="ben"):
    return await stage[node].enter(user, device=f"d{node}")


async def test_a_status_is_seen_on_every_node_at_once():
    async with open_stage(3) as stage:
        (ben,), watchers = await hall(stage, ("ben", 0))
        assert [one.rows["ben"] for one in watchers] == [("online", 0)] * 3
        for wish, seen in (("away",) * 2, ("dnd",) * 2, ("invisible", "offline"), ("online",) * 2):
            await ben.ask("presence", status=wish)
            await trio.sleep(SOON_S)
            assert [told(one) for one in watchers] == [[("ben", seen)]] * 3
        assert [one.rows["ben"] for one in watchers] == [("online", 0)] * 3


async def test_who_left_is_seen_to_leave_after_the_grace_and_when():
    async with open_stage(2) as stage:
        (ben,), watchers = await hall(stage, ("ben", 0))
        await ben.leave()
        left = stage[0].engine.clock.now_ms()
        await trio.sleep(LIMITS.grace_s - 1)
        assert [told(one) for one in watchers] == [[], []]
        await trio.sleep(1 + SOON_S)

        assert [told(one) for one in watchers] == [[("ben", "offline")]] * 2
        assert [one.rows["ben"] for one in watchers] == [("offline", left)] * 2


async def test_the_best_of_several_devices_is_seen_wherever_they_are():
    async with open_stage(3) as stage:
        (one,), watchers = await hall(stage, ("ben", 0))
        await one.ask("presence", status="away")
        two = await come(stage, 1)
        await trio.sleep(SOON_S)
        assert [status(watcher) for watcher in watchers] == ["online"] * 3
        await two.ask("presence", status="away")
        await trio.sleep(SOON_S)
        assert [status(watcher) for watcher in watchers] == ["away"] * 3
        await one.leave()
        await trio.sleep(LIMITS.grace_s + SOON_S)
        assert [told(watcher) for watcher in watchers] == [[]] * 3
        await two.leave()
        await trio.sleep(LIMITS.grace_s + SOON_S)
        assert [status(watcher) for watcher in watchers] == ["offline"] * 3


async def test_who_comes_back_on_another_node_does_not_flicker():
    """Within the grace nobody is told anything, on any node, then or later."""
    async with open_stage(3) as stage:
        (ben,), watchers = await hall(stage, ("ben", 0))
        await ben.leave()
        await trio.sleep(LIMITS.grace_s - 1)
        await come(stage, 1)
        await trio.sleep(2 * LIMITS.grace_s)

        assert [told(one) for one in watchers] == [[]] * 3
        assert [one.rows["ben"][0] for one in watchers] == ["online"] * 3


async def test_a_dead_nodes_users_go_offline_together_and_were_last_seen_at_its_last_beat():
    async with open_stage(3) as stage:
        (ben, cleo, dan), watchers = await hall(stage, ("ben", 0), ("cleo", 0), ("dan", 1))
        await trio.sleep(LIMITS.presence_heartbeat_s)
        stage[0].node.cut()
        died = stage[0].engine.clock.now_ms()
        await trio.sleep(LIMITS.presence_lease_s - LIMITS.presence_heartbeat_s)
        assert [told(one) for one in watchers[1:]] == [[], []]
        await trio.sleep(GHOST_S - LIMITS.presence_lease_s + LIMITS.presence_heartbeat_s)

        for watcher in watchers[1:]:
            assert told(watcher) == [("ben", "offline"), ("cleo", "offline")]
            seen = watcher.rows["ben"][1]
            assert died - 1000 * LIMITS.presence_heartbeat_s <= seen <= died
        # It is stored, so that a fresh look agrees.
        await trio.sleep(SOON_S)
        assert [p.last_seen for p in await stage.store.people(["ben", "cleo"])] == [seen, seen]
        assert (await stage[1].engine.presence.rows(["ben"])) == (("ben", "offline", seen),)
        assert status(watchers[0], "dan") == "offline"  # a node cut off knows of nobody else
        assert ben.all("presence") == cleo.all("presence") == dan.all("presence") == []


async def test_the_stored_time_counts_where_it_is_later_than_the_last_beat():
    async with open_stage(2) as stage:
        (ben,), (_, watcher) = await hall(stage, ("ben", 0))
        stage[0].node.cut()
        later = NOW_MS + 10**6
        await stage.store.put_people([Person("ben", "", later)])
        await trio.sleep(GHOST_S)

        assert told(watcher) == [("ben", "offline")]
        assert watcher.rows["ben"] == ("offline", later)
        assert not ben.session.is_gone


async def test_a_node_that_was_cut_off_comes_back_under_another_lease():
    """Its users are seen again, and it sees the others again."""
    async with open_stage(2) as stage:
        (ben, cleo), (here, there) = await hall(stage, ("ben", 0), ("cleo", 1))
        before = stage.bus.living().copy()
        stage[0].node.cut()
        await trio.sleep(GHOST_S)
        assert (status(there), status(here, "cleo")) == ("offline", "offline")
        assert (status(there, "cleo"), status(here)) == ("online", "online")
        stage[0].node.mend()
        await trio.sleep(SOON_S)

        assert (status(there), status(here, "cleo")) == ("online", "online")
        lapsed = [lease for lease in before if lease not in stage.bus.living()]
        taken = [lease for lease in stage.bus.living() if lease not in before]
        assert [lease.rpartition(":")[0] for lease in lapsed] == [
            lease.rpartition(":")[0] for lease in taken
        ]
        assert not ben.session.is_gone
        assert not cleo.session.is_gone


async def test_a_short_cut_is_seen_by_nobody():
    """Shorter than a lease less a beat: nobody is told anything, then or when it is over."""
    async with open_stage(2) as stage:
        _, watchers = await hall(stage, ("ben", 0), ("cleo", 1))
        stage[0].node.cut()
        await trio.sleep(LIMITS.presence_lease_s - LIMITS.presence_heartbeat_s - 1)
        stage[0].node.mend()
        await trio.sleep(2 * LIMITS.presence_lease_s)

        assert [told(one) for one in watchers] == [[], []]


async def test_what_moved_during_a_cut_is_seen_when_it_is_over():
    async with open_stage(2) as stage:
        (ben, cleo), (here, there) = await hall(stage, ("ben", 0), ("cleo", 1))
        stage[0].node.cut()
        await ben.ask("presence", status="away")
        await cleo.ask("presence", status="dnd")
        await trio.sleep(4)
        assert [told(one) for one in (here, there)] == [[("ben", "away")], [("cleo", "dnd")]]
        stage[0].node.mend()
        await trio.sleep(SOON_S + 1)

        assert [told(one) for one in (here, there)] == [[("cleo", "dnd")], [("ben", "away")]]


class Slow:
    """A bus whose states arrive late, when they are held."""

    def __init__(self, node):
        self.node = node
        self.open = trio.Event()
        self.open.set()

    def __getattr__(self, name):
        return getattr(self.node, name)

    async def put_states(self, lease, states):
        with trio.CancelScope(shield=True):
            await self.open.wait()
        await self.node.put_states(lease, states)


async def test_what_is_told_under_a_lapsed_lease_brings_up_no_ghost():
    """A node stops for longer than its lease, and goes on in the middle of telling."""
    async with open_stage(2, buses=[Slow, lambda node: node], inspect=False) as stage:
        (ben,), (_, there) = await hall(stage, ("ben", 0))
        stage[0].node.open = trio.Event()
        await ben.ask("presence", status="away")
        await trio.sleep(GHOST_S)
        assert status(there) == "offline"
        await ben.leave()
        await trio.sleep(LIMITS.grace_s)
        stage[0].node.open.set()
        await trio.sleep(GHOST_S)

        assert told(there) == []
        assert await stage[1].node.states(["ben"]) == [{}]


async def test_users_of_a_node_that_ends_stay_until_their_grace_is_over():
    async with open_stage(2, inspect=False) as stage:
        _, (there, _) = await hall(stage, ("ben", 1))
        await stage[1].end()
        await trio.sleep(LIMITS.grace_s - 1)
        assert told(there) == []
        await trio.sleep(1 + LIMITS.presence_heartbeat_s + SOON_S)

        assert told(there) == [("ben", "offline")]
        assert there.rows["ben"][1] > NOW_MS


async def test_users_of_a_node_that_ends_come_back_on_another_unseen():
    async with open_stage(2, inspect=False) as stage:
        _, (there, _) = await hall(stage, ("ben", 1))
        await stage[1].end()
        await trio.sleep(LIMITS.grace_s - 1)
        await come(stage, 0)
        await trio.sleep(2 * LIMITS.presence_lease_s)

        assert told(there) == []
        assert there.rows["ben"] == ("online", 0)


async def test_a_node_without_users_leaves_no_lease():
    async with open_stage(1) as stage:
        bus = stage.bus
        assert len(bus.living()) == 1
    assert bus.living() == {}


async def test_invisible_holds_on_every_node_and_when_the_device_that_said_it_has_gone():
    async with open_stage(2) as stage:
        (one, two), watchers = await hall(stage, ("ben", 0), ("ben", 1))
        await one.ask("presence", status="invisible")
        await trio.sleep(SOON_S)
        assert [told(watcher) for watcher in watchers] == [[("ben", "offline")]] * 2
        assert [watcher.rows["ben"] for watcher in watchers] == [("offline", 0)] * 2
        for scene in stage:
            assert await scene.engine.presence.rows(["ben"]) == (("ben", "offline", 0),)
        await one.leave()
        await trio.sleep(LIMITS.grace_s + LIMITS.presence_lease_s)
        assert [told(watcher) for watcher in watchers] == [[]] * 2
        await two.leave()
        await trio.sleep(LIMITS.grace_s + LIMITS.presence_lease_s)

        assert [told(watcher) for watcher in watchers] == [[]] * 2
        (person,) = await stage.store.people(["ben"])
        assert person.status == "invisible"
        for scene in stage:
            assert await scene.engine.presence.rows(["ben"]) == (("ben", "offline", 0),)


async def test_the_latest_wish_counts_wherever_it_was_said():
    async with open_stage(2) as stage:
        (one, two), watchers = await hall(stage, ("ben", 0), ("ben", 1))
        for device, wish in ((one, "dnd"), (two, "online"), (two, "dnd"), (one, "online")):
            await device.ask("presence", status=wish)
            await trio.sleep(SOON_S)
            assert [status(watcher) for watcher in watchers] == [wish] * 2
        await one.leave()
        await two.leave()
        await trio.sleep(LIMITS.grace_s + SOON_S)
        assert (await stage.store.people(["ben"]))[0].status == ""


async def test_doorbells_that_get_lost_cost_time_only():
    async with open_stage(2) as stage:
        (ben,), (_, there) = await hall(stage, ("ben", 0))
        stage.bus.lose("PresenceMoved")
        await ben.ask("presence", status="away")
        await trio.sleep(LIMITS.presence_check_s + SOON_S)
        assert told(there) == [("ben", "away")]
        await ben.leave()
        await trio.sleep(LIMITS.grace_s + LIMITS.presence_check_s + SOON_S)
        assert told(there) == [("ben", "offline")]


async def test_who_is_not_watched_is_asked_for():
    """Also of who has a session here, and another one elsewhere."""
    async with open_stage(2) as stage:
        here, there = await come(stage, 0), await come(stage, 1)
        cleo = await come(stage, 1, "cleo")
        await trio.sleep(SOON_S)
        await here.ask("presence", status="away")
        await trio.sleep(SOON_S)
        rows = (("ben", "online", 0), ("cleo", "online", 0), ("dan", "offline", 0))
        for scene in stage:
            assert await scene.engine.presence.rows(["ben", "cleo", "dan"]) == rows
        stage[0].node.cut()
        # Without the bus what is known of those who are here is told, and nothing of others.
        assert await stage[0].engine.presence.rows(["ben", "cleo"]) == (
            ("ben", "online", 0),
            ("cleo", "offline", 0),
        )
        stage[0].node.mend()
        assert not there.session.is_gone
        assert not cleo.session.is_gone


async def test_nobody_hears_of_who_is_watched_no_more():
    async with open_stage(2) as stage:
        _, (here, there) = await hall(stage, ("ben", 0))
        assert list(stage.bus.followers["p:ben"]) == [stage[0].node, stage[1].node]
        await there.ask("unwatch", users=["ben"])
        await settled()
        assert list(stage.bus.followers["p:ben"]) == [stage[0].node]
        await here.leave()
        assert "p:ben" not in stage.bus.followers
        assert list(stage[1].engine.presence.elsewhere._known) == ["watcher1"]


async def test_a_store_that_fails_hides_nobodys_end():
    async with open_stage(2) as stage:
        (ben,), (_, there) = await hall(stage, ("ben", 0))
        await ben.leave()
        stage[1].store.always("people", StoreUnavailable("no"))
        await trio.sleep(LIMITS.grace_s + SOON_S)
        stage[1].store.always("people", None)

        assert told(there) == [("ben", "offline")]


async def test_states_of_a_later_version_are_left_out(caplog):
    async with open_stage(2) as stage:
        _, (here, _) = await hall(stage, ("ben", 0))
        await stage[1].node.take_lease("later:1", ttl_s=1000)
        await stage[1].node.put_states("later:1", {"ben": b"\xff", ":beat": b"soon"})
        await trio.sleep(LIMITS.presence_check_s + 1)

        assert told(here) == []
        assert "what later:1 tells of a user cannot be read" in caplog.text


NODES = 3
DEEDS = st.tuples(
    st.sampled_from(("come", "come", "leave", "show", "cut", "mend", "lose", "hear", "wait")),
    st.sampled_from(("ben", "cleo")),
    st.integers(0, NODES - 1),
    st.integers(0, 3),
)
WISHES = ("online", "away", "dnd", "invisible")


class People:
    """Who has which sessions where, and what is to be seen of them."""

    def __init__(self, stage):
        self.stage = stage
        self.sessions = {}
        self.statuses = {}
        self.wish = {"ben": "", "cleo": ""}

    async def act(self, what, user, node, which):
        key = (user, node)
        if what == "come" and key not in self.sessions:
            self.sessions[key] = await come(self.stage, node, user)
            self.statuses[key] = "online"
        elif what == "leave" and key in self.sessions:
            await self.sessions.pop(key).leave()
        elif what == "show" and key in self.sessions:
            await self.sessions[key].ask("presence", status=WISHES[which])
            self.wish[user] = WISHES[which] if which > 1 else ""
            if which < 2:
                self.statuses[key] = WISHES[which]
            # Two wishes within a moment, on nodes that do not hear each other, may go either way.
            await trio.sleep(0.01)
        elif what in ("cut", "mend"):
            getattr(self.stage[node].node, what)()
        elif what == "lose":
            self.stage.bus.lose("PresenceMoved", "PresenceReset")
        elif what == "hear":
            self.stage.bus.fate = None
        elif what == "wait":
            await trio.sleep((0.3, 4, 12, 30)[which])

    def seen(self, user):
        here = [self.statuses[key] for key in self.sessions if key[0] == user]
        if not here or self.wish[user] == "invisible":
            return "offline"
        return self.wish[user] or ("online" if "online" in here else "away")


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.lists(DEEDS, max_size=14))
@virtually
async def test_all_nodes_agree_in_the_end(deeds):
    """Whatever happened: when all hear each other, what is seen is what the sessions are."""
    async with open_stage(NODES, inspect=False) as stage:
        people = People(stage)
        for user in people.wish:
            await people.act("come", user, 0, 0)
        watchers = [await scene.enter(f"watcher{n}") for n, scene in enumerate(stage)]
        members = [*people.wish, *(watcher.user for watcher in watchers)]
        await watchers[0].ask("create", room="hall", kind="group", members=members)
        for watcher in watchers:
            rows = (await watcher.ask("watch", users=list(people.wish)))["users"]
            watcher.rows = {user: (status, seen) for user, status, seen in rows}
        for deed in deeds:
            await people.act(*deed)
        for scene in stage:
            scene.node.mend()
        stage.bus.fate = None
        await trio.sleep(LIMITS.grace_s + GHOST_S + LIMITS.presence_check_s)

        for user in people.wish:
            expected = people.seen(user)
            assert [status(watcher, user) for watcher in watchers] == [expected] * NODES
            for scene in stage:
                ((_, found, _),) = await scene.engine.presence.rows([user])
                assert found == expected


# --- what a user may do on all nodes together ----------------------------------------------------


async def admitted(session, tries=30):
    """How many commands of a burst are taken."""
    refs = [await session.say("ping") for _ in range(tries)]
    answers = [await session.answer(ref) for ref in refs]
    return sum(answer["op"] != "error" for answer in answers)


async def test_a_user_on_several_nodes_has_one_rate():
    """Each node admits its part; who has left, on whichever way, leaves theirs to the others."""
    async with open_stage(3, commands_rate=1, commands_burst=12) as stage:
        phone = await come(stage, 0)
        assert await admitted(phone) == 12
        laptop, tablet = await come(stage, 1), await come(stage, 2)
        await trio.sleep(LIMITS.presence_check_s + 12)  # and its burst is whole again
        assert [await admitted(one) for one in (phone, laptop, tablet)] == [4, 4, 4]
        await laptop.leave()
        stage[2].node.cut()
        await trio.sleep(GHOST_S + LIMITS.grace_s + LIMITS.presence_check_s)
        assert await admitted(phone) == 12
