"""Laws of rights on several nodes: what is lost on one is refused on all, rung or not."""

import msgspec
import pytest
import trio
from scene import NOW_MS, settled
from stage import open_stage

from triolet._model.errors import OutcomeUnknown, StoreUnavailable
from triolet.ports.people import Revocation


@pytest.fixture
async def stage():
    async with open_stage(2) as stage:
        yield stage


async def tea(stage, *, on_b="bc", **fields):
    """Anna, who owns the room, on the first node; the others on the second; all follow it."""
    anna = await stage[0].enter("a")
    others = [await stage[1].enter(user) for user in on_b]
    await stage.room("tea", anna, *others, **fields)
    return anna, *others


# --- kicks -------------------------------------------------------------------------------------


async def test_who_is_kicked_on_one_node_is_closed_and_refused_on_the_other(stage):
    anna, ben, _ = await tea(stage)
    await anna.ask("kick", room="tea", user="b")
    assert (await ben.next("closed"))["reason"] == "removed"
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    assert await ben.refused("history", room="tea") == "no_such_room"
    assert await ben.refused("subscribe", room="tea") == "no_such_room"


async def test_a_kick_that_nobody_heard_of_is_refused_by_the_store(stage):
    """The other node still thinks that he is a member; what it decides on that is stale."""
    anna, ben, _ = await tea(stage)
    stage.bus.lose()
    await anna.ask("kick", room="tea", user="b")
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    assert (await ben.next("closed"))["reason"] == "removed"


async def test_rights_read_for_one_are_not_taken_for_anothers(stage):
    """Carl's send is stale, too, and decided again; that says nothing of Ben's rights."""
    anna, ben, carl = await tea(stage)
    stage.bus.lose()
    await anna.ask("kick", room="tea", user="b")
    await carl.send("tea", "still here")
    stage[1].store.calls.clear()
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    assert stage[1].store.count("append") == 1
    assert (await stage.store.room("tea")).n == 1


async def test_a_kick_that_nobody_heard_of_ends_what_is_followed_in_time(stage):
    """Reading, too: within the comparison of heads."""
    anna, ben, _ = await tea(stage)
    stage.bus.lose()
    await anna.ask("kick", room="tea", user="b")
    await anna.send("tea", "not for ben")
    began = trio.current_time()
    assert (await ben.next("closed"))["reason"] == "removed"
    assert trio.current_time() - began <= stage[1].limits.head_check_s
    assert ben.all("entry", kind="message") == []


async def test_a_kick_that_comes_before_its_predecessors_takes_no_effect_too_late(stage):
    """An entry is missing before the kick: nothing of who is kicked is stored meanwhile."""
    anna, ben, _ = await tea(stage)
    stage.bus.lose("Entries")
    await anna.send("tea", "lost")
    await settled()
    stage.bus.fate = None
    held = stage[1].store.script("page", before=True)
    await anna.ask("kick", room="tea", user="b")
    await trio.sleep(0.01)
    await held.entered.wait()
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    held.release()
    await settled()
    assert len(anna.all("entry", kind="message")) == 1


async def test_a_kick_by_a_node_that_is_behind_binds_that_node_too(stage):
    """Its own kick waits for an entry of the other node; who is kicked cannot use that."""
    anna, ben, _ = await tea(stage)
    carl = await stage[0].enter("c")
    dora = await stage[0].enter("d")
    await anna.ask("invite", room="tea", user="d")
    await settled()
    stage.bus.lose("Entries")
    await ben.send("tea", "lost")
    await settled()
    stage.bus.fate = None
    held = stage[0].store.script("page", before=True)
    await anna.ask("kick", room="tea", user="d")
    assert await dora.refused("send", room="tea", body={}) == "no_such_room"
    held.release()
    await settled()
    assert await dora.refused("send", room="tea", body={}) == "no_such_room"
    del carl


async def test_a_decision_on_a_target_that_is_not_what_it_was_is_taken_again(stage):
    """Ben was kicked elsewhere; an admin here, who knows her own rights, cannot promote him."""
    anna, ben, carl = await tea(stage)
    await anna.ask("role", room="tea", user="c", role="admin")
    await settled()
    stage.bus.lose()
    await anna.ask("kick", room="tea", user="b")
    await carl.send("tea", "carl's rights are read")
    assert await carl.refused("role", room="tea", user="b", role="reader") == "not_a_member"
    membership = await stage.store.membership("tea", "b")
    assert membership is None
    del ben


async def test_an_admin_who_was_demoted_elsewhere_can_kick_nobody(stage):
    anna, ben, carl = await tea(stage)
    await anna.ask("role", room="tea", user="c", role="admin")
    await settled()
    stage.bus.lose()
    await anna.ask("role", room="tea", user="c", role="member")
    assert await carl.refused("kick", room="tea", user="b") == "forbidden"
    await ben.send("tea", "still here")


async def test_a_room_that_becomes_private_closes_its_visitors_elsewhere(stage):
    anna, *_ = await tea(stage, public=True)
    visitor = await stage[1].enter("v")
    await visitor.ask("subscribe", room="tea")
    await anna.ask("meta", room="tea", public=False)
    assert (await visitor.next("closed"))["reason"] == "removed"


# --- memberships without entries ---------------------------------------------------------------


async def test_joining_and_leaving_without_entries_is_known_elsewhere(stage):
    """In a public room: no entry is written, so a doorbell tells it, and the store how."""
    _, ben, _ = await tea(stage, public=True)
    eva, same_eva = await stage[0].enter("e"), await stage[1].enter("e", device="laptop")
    await same_eva.ask("subscribe", room="tea")
    await eva.ask("join", room="tea")
    await settled()
    assert stage[1].loaded("tea").seats["e"].role == "member"
    assert stage[1].loaded("tea").members == 4
    await same_eva.send("tea", "hello")
    await eva.ask("leave", room="tea")
    await settled()
    assert stage[1].loaded("tea").seats["e"].role is None
    assert await same_eva.refused("send", room="tea", body={}) == "not_a_member"
    del ben


async def test_what_is_rung_of_a_membership_is_never_believed(stage):
    """Joined here, left there, heard in the wrong order: the store says how it is."""
    anna, *_ = await tea(stage, public=True)
    eva = await stage[0].enter("e")
    stage.bus.fate = lambda kind, _: [2] if kind == "Seated" else [0]
    await eva.ask("join", room="tea")
    await settled()
    stage.bus.fate = None
    await eva.ask("leave", room="tea")
    await trio.sleep(3)
    assert "e" not in stage[1].loaded("tea").member_seats
    del anna


async def test_a_membership_that_cannot_be_read_is_asked_for_by_whoever_writes(stage, caplog):
    """The store is away in that moment; nothing ends, and the store refuses what is stale."""
    _, ben, _ = await tea(stage, public=True)
    eva, same_eva = await stage[0].enter("e"), await stage[1].enter("e", device="laptop")
    await eva.ask("join", room="tea")
    await same_eva.ask("subscribe", room="tea")
    stage[1].store.script("membership", error=StoreUnavailable("away"))
    await eva.ask("leave", room="tea")
    await settled()
    assert "could not be read" in caplog.text
    assert await same_eva.refused("send", room="tea", body={}) == "not_a_member"
    del ben


# --- revoked tokens ----------------------------------------------------------------------------


async def let_in(scene, token, user, *, issued_at):
    scene.gate.knows(token, user, issued_at=issued_at)
    return await hello(scene, token)


async def hello(scene, token):
    stranger = scene.stranger()
    await stranger.pipe.send(msgspec.msgpack.encode({"op": "hello", "token": token}))
    await stranger.next("welcome")
    return stranger


async def test_revoking_on_one_node_ends_the_sessions_on_the_other(stage):
    ben = await let_in(stage[1], "old", "b", issued_at=NOW_MS - 5)
    carl = await let_in(stage[1], "carl", "c", issued_at=NOW_MS - 5)
    await stage[0].engine.revoke("b")
    await settled()
    assert await ben.ended() == 4001
    await carl.ask("ping")


async def test_who_is_revoked_is_gone_though_whoever_asked_for_it_has_left(stage):
    """Whose browser was closed while the store took it, say."""
    here, there = [await let_in(one, "old", "b", issued_at=NOW_MS - 5) for one in stage]
    stored = stage[0].store.script("revoke", after=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage[0].engine.revoke, "b")
        await stored.entered.wait()
        nursery.cancel_scope.cancel()
        stored.release()
    assert [await one.ended() for one in (here, there)] == [4001, 4001]


@pytest.mark.parametrize(
    ("error", "is_over"), [(StoreUnavailable("away"), False), (OutcomeUnknown("lost"), True)]
)
async def test_who_may_have_been_revoked_is_gone_and_who_has_not_stays(stage, error, is_over):
    here, there = [await let_in(one, "old", "b", issued_at=NOW_MS - 5) for one in stage]
    stage[0].store.script("revoke", error=error)
    with pytest.raises(type(error)):
        await stage[0].engine.revoke("b")
    await settled()
    assert [one.closed.is_set() for one in (here, there)] == [is_over, is_over]


async def test_a_family_ends_alone_on_every_node(stage):
    """Its sessions end; those of the user's other sign-ins, and by other tokens, stay."""
    for family in ("f1", "f2", ""):
        stage[1].gate.knows(f"by {family}", "b", issued_at=NOW_MS - 5, family=family)
    lost, *kept = [await hello(stage[1], f"by {family}") for family in ("f1", "f2", "")]
    await stage[0].engine.revoke("b", family="f1")
    await settled()
    assert await lost.ended() == 4001
    for one in kept:
        await one.ask("ping")
    assert await stage.store.revoked("b") == 0
    again = stage[1].stranger()
    await again.pipe.send(msgspec.msgpack.encode({"op": "hello", "token": "by f1"}))
    assert await again.ended() == 4001


async def test_a_family_that_nobody_heard_of_is_found(stage):
    """Also where the node that issued the token has a clock that is ahead."""
    stage[1].gate.knows("ahead", "b", issued_at=NOW_MS + 30_000, family="f1")
    ben = await hello(stage[1], "ahead")
    stage.bus.lose()
    await stage[0].engine.revoke("b", family="f1")
    assert await ben.ended() == 4001


async def test_what_was_revoked_long_ago_is_remembered_no_more(stage):
    for number in range(3):
        await stage[0].engine.revoke("b", family=f"f{number}")
    await trio.sleep(600)
    await stage[0].engine.revoke("b", family="last")
    lately = stage[0].engine.admission._revocations._lately
    assert list(lately) == ["sid:b:last"]


async def test_a_revocation_that_nobody_heard_of_is_found(stage):
    """Within the interval of the sweep; whoever has a new token stays."""
    ben = await let_in(stage[1], "old", "b", issued_at=NOW_MS - 5)
    stage.bus.lose()
    await stage[0].engine.revoke("b")
    again = await let_in(stage[1], "new", "b", issued_at=NOW_MS + 60_000)
    began = trio.current_time()
    assert await ben.ended() == 4001
    assert trio.current_time() - began <= stage[1].limits.revocations_check_s
    await trio.sleep(20)
    await again.ask("ping")


async def test_who_comes_back_by_their_hosts_word_stays(stage):
    """A revocation ends sessions once: who is vouched for has no token that could be old."""
    ben = await stage[1].enter("b")
    await stage[0].engine.revoke("b")
    assert await ben.ended() == 4001
    again = await stage[1].enter("b")
    await trio.sleep(100)
    await again.ask("ping")


async def test_a_token_that_was_revoked_elsewhere_while_it_was_looked_at_admits_nobody(stage):
    stage[1].gate.knows("old", "b", issued_at=NOW_MS - 5)
    admit, asked, go_on = stage[1].gate.admit, trio.Event(), trio.Event()

    async def slow(token, opening):
        identity = await admit(token, opening)
        asked.set()
        await go_on.wait()
        return identity

    stage[1].gate.admit = slow
    ben = stage[1].stranger()
    await ben.pipe.send(msgspec.msgpack.encode({"op": "hello", "token": "old"}))
    await asked.wait()
    await stage[0].engine.revoke("b")
    await settled()
    go_on.set()
    assert await ben.ended() == 4001


async def test_a_token_revoked_while_its_user_is_about_to_be_followed_admits_nobody(
    stage,
):
    """The gate has looked, and the bus has not confirmed yet; there is no session to be ended."""
    stage[1].gate.knows("old", "b", issued_at=NOW_MS - 5)
    relay, asked, go_on = stage[1].engine.relay, trio.Event(), trio.Event()
    come = relay.come

    async def slow(session, user):
        await come(session, user)
        asked.set()
        await go_on.wait()

    relay.come = slow
    ben = stage[1].stranger()
    await ben.pipe.send(msgspec.msgpack.encode({"op": "hello", "token": "old"}))
    await asked.wait()
    await stage[0].engine.revoke("b")
    await settled()
    go_on.set()
    assert await ben.ended() == 4001


async def test_many_revocations_are_swept_page_by_page(stage, caplog):
    """And a sweep that fails is done again."""
    for number in range(2500):
        await stage.store.revoke(Revocation(f"user-{number:04}", NOW_MS + 1))
    last = await let_in(stage[1], "old", "user-2499", issued_at=NOW_MS - 5)
    stage[1].store.script("revocations", error=StoreUnavailable("away"))
    assert await last.ended() == 4001
    assert "cannot be asked for" in caplog.text
    assert stage[1].store.count("revocations") >= 4


async def hang():
    await trio.sleep_forever()


@pytest.mark.parametrize("how", [{"error": StoreUnavailable("away")}, {"hook": hang}])
async def test_a_node_that_cannot_ask_who_is_banned_is_not_ready(stage, how):
    """Others are, and it is again as soon as it can ask."""
    for _ in range(5):
        stage[1].store.script("revocations", **how)
    await trio.sleep(stage[1].limits.revocations_check_s * 2)
    assert [scene.engine.why_not_ready() for scene in stage] == ["", "store"]
    assert stage[1].engine.statistics().not_ready == "store"
    await trio.sleep(20)
    assert [scene.engine.ready() for scene in stage] == [True, True]


# --- deleted rooms -----------------------------------------------------------------------------


async def test_a_deleted_room_is_closed_on_the_other_node_at_once(stage):
    anna, ben, _ = await tea(stage)
    await anna.ask("delete_room", room="tea")
    assert (await ben.next("closed"))["reason"] == "deleted"
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    await trio.sleep(2)
    assert "tea" in [room for feed in ben.all("feed") for room in feed.get("removed", ())]


async def test_a_deletion_that_nobody_heard_of_is_found_in_time(stage):
    """Within the comparison of heads; who writes finds it at once."""
    anna, ben, carl = await tea(stage)
    stage.bus.lose()
    await anna.ask("delete_room", room="tea")
    began = trio.current_time()
    assert (await ben.next("closed"))["reason"] == "deleted"
    assert trio.current_time() - began <= stage[1].limits.head_check_s
    assert (await carl.next("closed"))["reason"] == "deleted"


async def test_whoever_writes_where_a_deletion_was_not_heard_of_is_refused(stage):
    anna, ben, _ = await tea(stage)
    stage.bus.lose()
    await anna.ask("delete_room", room="tea")
    began = trio.current_time()
    assert await ben.refused("send", room="tea", body={}) == "no_such_room"
    assert (await ben.next("closed"))["reason"] == "deleted"
    assert trio.current_time() - began < 0.1


async def test_what_a_node_that_crashed_has_left_is_cleared_by_another():
    """It deleted the room and ended; nothing of it could be read, and now nothing is there."""
    async with open_stage(2, inspect=False) as stage:
        anna = await stage[1].enter("a")
        await stage.room("tea", anna, await stage[0].enter("b"))
        stage[1].store.script("clear_deleted", error=StoreUnavailable("it ends"))
        await anna.ask("delete_room", room="tea")
        await settled()
        assert stage.store.held.leftovers
        await stage[1].end()
        await trio.sleep(61)
        assert not stage.store.held.leftovers
