"""Laws of who may see whom: as they wish it, at once, on every node, and nothing leaks after it."""

from itertools import pairwise

import pytest
import trio
from scene import open_scene, settled
from stage import open_stage

from triolet._model.commands import SetPresence
from triolet._model.errors import OutcomeUnknown, Refusal, StoreUnavailable
from triolet.ports.gate import FOREVER, Action, Identity


def seen(watcher):
    """What a watcher was told, in order."""
    return [tuple(row) for event in watcher.all("presence") for row in event["users"]]


async def watched(who, *users):
    return [row[0] for row in (await who.ask("watch", users=list(users)))["users"]]


async def friends(scene, *more):
    """Anna and Ben share a room; Eve shares none with anybody."""
    people = [await scene.enter(user) for user in ("anna", "ben", "eve", *more)]
    await scene.room("tea", *people[:2])
    return people


async def test_unless_said_otherwise_those_of_shared_rooms_see_somebody(scene):
    anna, ben, eve = await friends(scene)

    assert await watched(ben, "anna") == ["anna"]
    assert await watched(eve, "anna") == []
    assert await watched(anna, "anna") == ["anna"]


@pytest.mark.parametrize(
    ("visible_to", "by"),
    [("everyone", ["anna", "ben", "eve"]), ("shared", ["anna", "ben"]), ("nobody", ["anna"])],
)
async def test_who_may_watch_somebody_is_theirs_to_say(scene, visible_to, by):
    """Themselves always; it is kept, and said without a status it leaves that as it was."""
    people = await friends(scene)
    await people[0].ask("presence", status="dnd")
    await people[0].ask("presence", visible_to=visible_to)

    found = {who.user: await watched(who, "anna") for who in people}
    assert [user for user, rows in found.items() if rows] == by
    (person,) = await scene.store.real.people(["anna"])
    assert person.visible_to == visible_to
    if visible_to != "nobody":
        answer = await people[1].ask("watch", users=["anna"])
        assert answer["users"] == [["anna", "dnd", 0]]


async def test_the_gate_opens_what_is_shared_and_forbids_what_is_open(scene):
    anna, ben, eve = await friends(scene)
    scene.gate.verdicts["eve", Action.WATCH, "anna"] = True
    scene.gate.verdicts["ben", Action.WATCH, "anna"] = False
    assert await watched(eve, "anna") == ["anna"]
    await anna.ask("presence", visible_to="everyone")
    assert await watched(ben, "anna") == []
    await anna.ask("presence", visible_to="nobody")
    assert await watched(eve, "anna") == []


async def test_who_may_see_no_more_is_told_offline_once_and_nothing_after(scene):
    """Whatever changes later, and also when they are visible again: until they watch again."""
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    await watched(anna, "anna")
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(1)
    assert seen(ben) == [("anna", "offline", 0)]
    await anna.ask("presence", status="away")
    await anna.ask("presence", visible_to="shared")
    await anna.ask("presence", status="dnd")
    await trio.sleep(2)
    anna.pipe.hang_up()
    await trio.sleep(20)
    assert seen(ben) == [("anna", "offline", 0)]
    assert (await watched(ben, "anna")) == ["anna"]


async def test_strangers_are_let_go_and_friends_stay(scene):
    anna, ben, eve = await friends(scene)
    await anna.ask("presence", visible_to="everyone")
    for one in (ben, eve):
        assert await watched(one, "anna") == ["anna"]
    await anna.ask("presence", visible_to="shared")
    await anna.ask("presence", status="away")
    await trio.sleep(2)

    assert seen(eve) == [("anna", "offline", 0)]
    assert seen(ben) == [("anna", "away", 0)]


async def test_a_status_on_its_way_is_not_told_to_who_may_see_no_more(scene):
    """It waits for the next telling; then the wish has changed."""
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    await anna.ask("presence", status="dnd")
    await settled()
    await anna.ask("presence", status="away")
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(2)

    assert seen(ben) == [("anna", "dnd", 0), ("anna", "offline", 0)]


async def test_nothing_said_is_refused(scene):
    anna, *_ = await friends(scene)
    assert await anna.refused("presence") == "invalid_field"
    assert await anna.refused("presence", visible_to="friends") == "invalid_field"


async def test_both_are_said_at_once(scene):
    anna, ben, _ = await friends(scene)
    await anna.ask("presence", status="dnd", visible_to="everyone")
    assert (await ben.ask("watch", users=["anna"]))["users"] == [["anna", "dnd", 0]]


async def test_what_the_store_does_not_keep_is_not_so(scene):
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    scene.store.script("show_to", error=StoreUnavailable("away"))
    assert await anna.refused("presence", visible_to="nobody") == "store_unavailable"
    await anna.ask("presence", status="away")
    await trio.sleep(1)
    assert seen(ben) == [("anna", "away", 0)]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), OutcomeUnknown("lost")])
async def test_what_was_kept_holds_though_it_failed_on_the_way(scene, error):
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    if isinstance(error, OutcomeUnknown):
        scene.store.script("show_to", error_after=error)
    else:
        scene.store.script("people", error=error)
    with pytest.raises(type(error)):
        await scene.engine.sight.show_to("anna", "nobody")
    await trio.sleep(2)
    ben.forget()
    await anna.ask("presence", status="away")
    await trio.sleep(1)
    assert seen(ben) == []


@pytest.mark.parametrize("name", ["show_to", "people"])
async def test_what_was_kept_holds_though_whoever_said_so_has_left(scene, name):
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    held = scene.store.script(name, after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.engine.sight.show_to, "anna", "nobody")
        await held.entered.wait()
        nursery.cancel_scope.cancel()
        held.release()
    await trio.sleep(2)
    ben.forget()
    await anna.ask("presence", status="away")
    await trio.sleep(1)
    assert seen(ben) == []


async def test_a_change_while_somebody_begins_to_watch_is_seen(scene):
    """What was decided on before is decided again, before the answer."""
    anna, ben, _ = await friends(scene)
    held = scene.store.script("acquainted", after=True)
    ref = await ben.say("watch", users=["anna"])
    await held.entered.wait()
    await settled()
    await anna.ask("presence", visible_to="nobody")
    held.release()
    answer = await ben.answer(ref)
    await anna.ask("presence", status="away")
    await trio.sleep(1)

    assert answer["users"] == []
    assert [row for row in seen(ben) if row[1] != "offline"] == []


# --- without a session -------------------------------------------------------------------------


def identity(user):
    return Identity(user=user, expires_at=FOREVER)


async def test_it_is_said_without_a_session_too(scene):
    anna, ben, _ = await friends(scene)
    await watched(ben, "anna")
    await scene.engine.ask(identity("anna"), SetPresence(visible_to="nobody"))
    await trio.sleep(1)
    assert seen(ben) == [("anna", "offline", 0)]
    await scene.engine.ask(identity("zoe"), SetPresence(visible_to="everyone", status="dnd"))
    (zoe,) = await scene.store.real.people(["zoe"])
    assert (zoe.visible_to, zoe.status) == ("everyone", "dnd")
    with pytest.raises(Refusal, match="needs"):
        await scene.engine.ask(identity("anna"), SetPresence())
    del anna


async def test_who_is_asked_for_is_told_by_the_same_rules(scene):
    """Each once, in the order asked; when somebody was last seen only to who may know."""
    anna, *_ = await friends(scene)
    await anna.ask("presence", status="away")
    asked = ["eve", "anna", "anna", "ben", "nobody"]

    async def rows(user):
        return await scene.engine.presence_of(identity(user), asked)

    assert await rows("ben") == (("anna", "away", 0), ("ben", "online", 0))
    assert await rows("eve") == (("eve", "online", 0),)
    await anna.ask("presence", visible_to="everyone")
    assert await rows("eve") == (("eve", "online", 0), ("anna", "away", 0))
    anna.pipe.hang_up()
    await trio.sleep(15)
    assert (await rows("eve"))[1][:2] == ("anna", "offline")
    assert (await rows("eve"))[1][2] > 0
    await scene.engine.ask(identity("anna"), SetPresence(visible_to="nobody"))
    assert await rows("eve") == (("eve", "online", 0),)


# --- several nodes -----------------------------------------------------------------------------


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def apart(stage):
    anna, ben = await stage[0].enter("anna"), await stage[1].enter("ben")
    await stage.room("tea", anna, ben)
    assert await watched(ben, "anna") == ["anna"]
    return anna, ben


async def test_watchers_on_other_nodes_are_let_go_at_once(stage):
    anna, ben = await apart(stage)
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(0.5)
    assert seen(ben) == [("anna", "offline", 0)]
    await anna.ask("presence", status="away")
    await trio.sleep(5)
    assert seen(ben) == [("anna", "offline", 0)]


async def test_a_change_that_nobody_heard_of_is_found_in_time(stage):
    anna, ben = await apart(stage)
    stage.bus.lose()
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(stage[1].limits.revocations_check_s + 0.5)
    assert seen(ben) == [("anna", "offline", 0)]


async def test_whoever_asks_finds_a_change_that_nobody_heard_of(stage):
    """What is read for one is known of the others, too: their watching ends."""
    anna, ben = await apart(stage)
    stage.bus.lose()
    await anna.ask("presence", visible_to="nobody")
    await stage[1].engine.presence_of(identity("carl"), ["anna"])
    await trio.sleep(0.5)
    assert seen(ben) == [("anna", "offline", 0)]


async def test_whom_a_node_cannot_ask_about_it_asks_again(stage, caplog):
    anna, ben = await apart(stage)
    stage[1].store.script("people", error=StoreUnavailable("away"))
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(2)
    assert "is not known" in caplog.text
    assert seen(ben) == [("anna", "offline", 0)]


async def test_a_sweep_that_fails_is_followed_by_another(stage, caplog):
    anna, ben = await apart(stage)
    stage.bus.lose()
    stage[1].store.script("people", error=StoreUnavailable("away"))
    await anna.ask("presence", visible_to="nobody")
    await trio.sleep(2 * stage[1].limits.revocations_check_s + 1)
    assert "cannot be asked for" in caplog.text
    assert seen(ben) == [("anna", "offline", 0)]


async def test_many_are_looked_at_some_at_a_time(stage):
    """Each once in the time of a sweep, and no more of them at once than one query asks for."""
    scene = stage[0]
    sight, check_s = scene.engine.sight, scene.limits.revocations_check_s
    users = [f"u{number}" for number in range(1200)]
    scene.engine.presence.watchers.by_user.update({user: {} for user in users})
    sight._wishes.update(dict.fromkeys(users, "shared"))
    await trio.sleep(check_s + 0.1)
    for user in (users[0], users[-1]):
        await scene.store.real.show_to(user, "nobody")
    before, asked = len(scene.store.calls), []
    for _ in range(round(check_s)):
        await trio.sleep(1)
        calls = [args[0] for name, args, _ in scene.store.calls[before:] if name == "people"]
        asked.append(sum(len(some) > 2 for some in calls))

    assert max(map(len, calls)) == 500
    steps = [later - earlier for earlier, later in pairwise([0, *asked])]
    assert max(steps) == 1
    assert sum(steps) == 3
    assert {user for some in calls if len(some) > 2 for user in some} == set(users)
    await trio.sleep(check_s)
    assert [sight._wishes[user] for user in (users[0], users[1], users[-1])] == [
        "nobody", "shared", "nobody"
    ]  # fmt: skip
    scene.engine.presence.watchers.by_user.clear()


async def test_wishes_of_who_is_watched_by_nobody_are_forgotten():
    async with open_scene() as scene:
        anna = await scene.enter("anna")
        for start in range(0, 3000, 500):
            users = [f"u{number}" for number in range(start, start + 500)]
            await scene.engine.presence_of(identity("anna"), users)
        assert len(scene.engine.sight._wishes) <= 1500
        del anna
