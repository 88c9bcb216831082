"""Laws of bans: who is banned is gone within a second on every node, and comes in on none."""

import msgspec
import pytest
import trio
from scene import NOW_MS, ScriptedStore, open_scene, settled
from stage import open_stage

from triolet._domain.addresses import AddressRules
from triolet._domain.bans import Ban
from triolet._model.errors import ErrorCode, OutcomeUnknown, Refusal, StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet.ports.documents import Change
from triolet.ports.gate import Opening


@pytest.fixture
async def scene():
    async with open_scene() as scene:
        yield scene


async def refused(scene, *, token="t", address="192.0.2.1"):
    """Return why somebody with a good token is not admitted, None: they are."""
    scene.gate.knows(token, "ben")
    try:
        await scene.engine.admission.admit(token, Opening(address=address))
    except Refusal as refusal:
        return refusal.code
    return None


def placed(participant, address):
    """Have somebody be connected from an address."""
    participant.session.opening = Opening(address=address)
    return participant


async def hello_of(scene, user):
    participant = scene.pipe(user)
    await participant.say("hello", device="phone")
    return await participant.ended()


# --- one node ----------------------------------------------------------------------------------


async def test_sessions_of_a_banned_user_have_ended_when_it_is_done_and_no_others(scene):
    phone, laptop = await scene.enter("ben"), await scene.enter("ben", device="laptop")
    anna = await scene.enter("anna")
    kept = await scene.engine.bans.add(Ban(user="ben", reason="spam", by="root"))
    await settled()

    assert kept == Ban(user="ben", reason="spam", by="root", at=scene.engine.clock.now_ms())
    assert [await one.ended() for one in (phone, laptop)] == [4003, 4003]
    assert not anna.closed.is_set()


async def test_a_banned_user_is_refused_also_where_the_host_vouches_for_them(scene):
    await scene.engine.bans.add(Ban(user="ben"))

    assert await refused(scene) is ErrorCode.BANNED
    assert await hello_of(scene, "ben") == 4003


async def test_a_hello_is_refused_with_the_wires_word(scene):
    await scene.engine.bans.add(Ban(user="ben"))
    ben = scene.pipe("ben")
    await ben.say("hello", device="phone")
    error = await ben.next("error")

    assert (error["code"], error["reason"]) == (1004, "banned")


async def test_sessions_from_a_banned_network_end_and_those_in_process_do_not(scene):
    ben = placed(await scene.enter("ben"), "198.51.100.7")
    mapped = placed(await scene.enter("carl"), "::ffff:198.51.100.8")
    near = placed(await scene.enter("dora"), "198.51.101.7")
    inside = await scene.enter("anna")
    await scene.engine.bans.add(Ban(network="198.51.100.0/24"))
    await scene.engine.bans.add(Ban(network="::/0"))
    await settled()

    assert [await one.ended() for one in (ben, mapped)] == [4003, 4003]
    assert not near.closed.is_set()
    assert not inside.closed.is_set()
    assert await refused(scene, address="198.51.100.200") is ErrorCode.BANNED
    assert await refused(scene, address="2001:db8::1") is ErrorCode.BANNED
    assert await refused(scene, address="198.51.101.200") is None


async def test_who_has_said_no_hello_yet_is_hung_up_on_too(scene):
    stranger = placed(scene.stranger(), "198.51.100.7")
    await scene.engine.bans.add(Ban(network="198.51.100.7"))

    assert await stranger.ended() == 4003


async def test_a_ban_ends_by_itself_and_can_be_lifted(scene):
    now = scene.engine.clock.now_ms()
    await scene.engine.bans.add(Ban(user="ben", until=now + 5000))
    await scene.engine.bans.add(Ban(network="192.0.2.0/24"))
    assert await refused(scene) is ErrorCode.BANNED
    assert await scene.engine.bans.lift(network="192.0.2.0/24")
    assert await refused(scene) is ErrorCode.BANNED
    await trio.sleep(5)

    assert await refused(scene) is None
    assert scene.engine.bans.of(user="ben") is None
    assert await scene.engine.bans.list(limit=10) == []
    assert not await scene.engine.bans.lift(user="ben")
    assert not await scene.engine.bans.lift(network="192.0.2.0/24")


async def test_bans_are_listed_page_by_page_and_found_by_whom_they_are_of(scene):
    bans = scene.engine.bans
    for ban in (Ban(user="ben"), Ban(user="carl"), Ban(network="10.0.0.0/8")):
        await bans.add(ban)
    first = await bans.list(limit=2)
    rest = await bans.list(after=first[-1].key, limit=2)

    assert ["10.0.0.0/8", "ben"] == [one.network or one.user for one in first]
    assert ["carl"] == [one.user for one in rest]
    assert bans.of(address="10.2.3.4").network == "10.0.0.0/8"
    assert bans.of(user="carl").user == "carl"
    assert bans.of(address="11.2.3.4") is None


@pytest.mark.parametrize(
    "ban",
    [
        Ban(),
        Ban(user="ben", network="10.0.0.0/8"),
        Ban(user="b/../n"),
        Ban(network="10.0.0.1/8"),
        Ban(user="ben", until=NOW_MS),
        Ban(user="ben", reason="x" * 501),
    ],
)
async def test_a_ban_of_nothing_is_refused(scene, ban):
    with pytest.raises(Refusal) as raised:
        await scene.engine.bans.add(ban)
    assert raised.value.code is ErrorCode.INVALID_FIELD


async def test_there_are_so_many_bans_and_no_more():
    async with open_scene(bans_max=2) as scene:
        bans = scene.engine.bans
        await bans.add(Ban(user="a", until=NOW_MS + 100_000))
        await bans.add(Ban(user="b"))
        with pytest.raises(Refusal) as raised:
            await bans.add(Ban(user="c"))
        await bans.add(Ban(user="b", reason="again"))
        await trio.sleep(101)
        await bans.add(Ban(user="c"))

        assert raised.value.code is ErrorCode.TOO_LARGE


async def test_allowed_networks_cannot_be_banned_by_their_address(scene):
    engine = Engine(
        store=scene.store.real,
        gate=scene.gate,
        clock=scene.engine.clock,
        entropy=scene.engine.entropy,
        limits=Limits(),
        addresses=AddressRules(allow=["192.0.2.0/24"]),
    )
    async with engine:
        await engine.bans.add(Ban(network="0.0.0.0/0"))

        assert not engine.bans.is_banned("192.0.2.1")
        assert engine.bans.is_banned("192.0.3.1")


# --- the store ---------------------------------------------------------------------------------


async def test_bans_outlive_the_engine(scene):
    await scene.engine.bans.add(Ban(user="ben"))
    engine = Engine(
        store=scene.store.real,
        gate=scene.gate,
        clock=scene.engine.clock,
        entropy=scene.engine.entropy,
        limits=Limits(),
    )
    async with engine:
        scene.gate.knows("t", "ben")
        with pytest.raises(Refusal) as raised:
            await engine.admission.admit("t", Opening())
        assert raised.value.code is ErrorCode.BANNED


async def test_nobody_is_let_in_before_the_store_has_told_who_is_banned(scene):
    store = ScriptedStore(scene.store.real)
    store.documents = Failing(scene.store.real.documents)
    engine = Engine(
        store=store,
        gate=scene.gate,
        clock=scene.engine.clock,
        entropy=scene.engine.entropy,
        limits=Limits(),
    )
    async with engine:
        scene.gate.knows("t", "ben")
        with pytest.raises(Refusal) as raised:
            await engine.admission.admit("t", Opening())
        assert raised.value.code is ErrorCode.STORE_UNAVAILABLE
        assert engine.why_not_ready() == "store"
        store.documents.error = None
        await trio.sleep(2)

        assert engine.why_not_ready() == ""
        assert (await engine.admission.admit("t", Opening())).user == "ben"


class Failing:
    """Documents whose every call fails, as long as there is an error."""

    def __init__(self, real, error=None):
        self.real = real
        self.error = error or StoreUnavailable("down")
        self.after = False

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            if (error := self.error) is not None and not self.after:
                await trio.lowlevel.checkpoint()
                raise error
            found = await getattr(self.real, name)(*args, **kwargs)
            if self.error is not None and name == "write":
                raise self.error
            return found

        return call


async def test_a_ban_whose_outcome_is_unknown_comes_into_force_if_it_was_stored(scene):
    bans = scene.engine.bans
    ben = await scene.enter("ben")
    bans._documents = Failing(scene.store.real.documents, OutcomeUnknown("lost"))
    bans._documents.after = True
    with pytest.raises(OutcomeUnknown):
        await bans.add(Ban(user="ben"))

    assert await ben.ended() == 4003


async def test_a_ban_whose_maker_has_gone_comes_into_force_if_it_was_stored(scene):
    """An administrator whose browser has left, say, while the store took it."""
    ben = await scene.enter("ben")
    carl = placed(await scene.enter("carl"), "198.51.100.7")
    for ban in (Ban(user="ben"), Ban(network="198.51.100.0/24")):
        stored = scene.store.script("documents.write", after=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.engine.bans.add, ban)
            await stored.entered.wait()
            nursery.cancel_scope.cancel()
            stored.release()

    assert [await one.ended() for one in (ben, carl)] == [4003, 4003]
    assert await refused(scene) is ErrorCode.BANNED


async def test_many_bans_are_taken_in_a_little_at_a_time(scene):
    """Others have their turns meanwhile, and whoever looks does not begin again for that."""
    bans, documents = scene.engine.bans, scene.store.real.documents
    ben = await scene.enter("user999")
    many = [Ban(user=f"user{n}", at=NOW_MS) for n in range(1000)]
    await documents.write([Change(ban.key, msgspec.msgpack.encode(ban)) for ban in many])
    await documents.write([Change("ban-changes", msgspec.msgpack.encode(1))])
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_turns)
        await bans.sweep()
        nursery.cancel_scope.cancel()

    assert turns > 20
    assert all(bans.of(user=ban.user) == ban for ban in many)
    await bans.add(Ban(user="another"))
    assert await ben.ended() == 4003


# --- several nodes -----------------------------------------------------------------------------


async def test_a_ban_reaches_other_nodes_within_a_second():
    async with open_stage(2) as stage:
        ben = await stage[1].enter("ben")
        carl = placed(await stage[1].enter("carl"), "198.51.100.7")
        began = trio.current_time()
        await stage[0].engine.bans.add(Ban(user="ben"))
        await stage[0].engine.bans.add(Ban(network="198.51.100.0/24"))

        assert [await one.ended() for one in (ben, carl)] == [4003, 4003]
        assert trio.current_time() - began < 1
        assert await refused(stage[1]) is ErrorCode.BANNED


async def test_what_no_doorbell_has_told_is_found_by_the_sweep():
    async with open_stage(2) as stage:
        stage.bus.lose("BansMoved")
        ben = await stage[1].enter("ben")
        began = trio.current_time()
        await stage[0].engine.bans.add(Ban(user="ben"))

        assert await ben.ended() == 4003
        assert trio.current_time() - began <= stage[1].limits.revocations_check_s
        await stage[0].engine.bans.lift(user="ben")
        await trio.sleep(stage[1].limits.revocations_check_s + 0.1)
        assert await refused(stage[1]) is None


async def test_a_node_that_is_asked_to_lift_what_another_has_lifted_looks_at_once():
    """Whoever is told that there is no ban may rely on it, there too."""
    async with open_stage(2) as stage:
        await stage[0].engine.bans.add(Ban(user="ben"))
        await settled()
        stage.bus.lose("BansMoved")
        await stage[0].engine.bans.lift(user="ben")
        assert await refused(stage[1]) is ErrorCode.BANNED
        assert not await stage[1].engine.bans.lift(user="ben")
        await settled()

        assert await refused(stage[1]) is None


async def test_a_ban_is_carried_out_though_the_look_for_it_has_taken_too_long():
    """It is known then, so no later look finds anything new."""
    async with open_stage(2) as stage:
        ben = placed(await stage[1].enter("ben"), "198.51.100.7")
        stage[1].engine.bans._documents = Busy(stage.store.documents)
        await stage[0].engine.bans.add(Ban(network="198.51.100.0/24"))

        assert await ben.ended() == 4003


async def test_doorbells_out_of_order_and_twice_end_with_what_the_store_has():
    async with open_stage(2) as stage:
        fates = iter([[0.5, 0.6], [0.1], [0.3, 0.4]])
        there = stage[1].node
        stage.bus.fate = lambda kind, to: (
            next(fates) if kind == "BansMoved" and to is there else [0]
        )
        bans = stage[0].engine.bans
        await bans.add(Ban(user="ben"))
        await bans.lift(user="ben")
        await bans.add(Ban(network="192.0.2.1"))
        await trio.sleep(1)

        assert stage[1].engine.bans.of(user="ben") is None
        assert stage[1].engine.bans.of(address="192.0.2.1") is not None


async def test_both_nodes_ban_at_once_and_both_know_both():
    async with open_stage(2) as stage:
        async with trio.open_nursery() as nursery:
            for number, scene in enumerate(stage):
                for user in "abc":
                    nursery.start_soon(scene.engine.bans.add, Ban(user=f"{user}{number}"))
        await trio.sleep(0.5)
        for scene in stage:
            users = [f"{user}{number}" for user in "abc" for number in range(2)]
            assert all(scene.engine.bans.of(user=user) for user in users)


async def test_a_node_that_cannot_ask_for_bans_is_not_ready_and_still_refuses_whom_it_knows():
    async with open_stage(2) as stage:
        engine = stage[1].engine
        await stage[0].engine.bans.add(Ban(user="ben"))
        await settled()
        engine.bans._documents = Failing(stage.store.documents)
        await trio.sleep(stage[1].limits.revocations_check_s + 1)
        assert engine.why_not_ready() == "store"
        assert await refused(stage[1]) is ErrorCode.BANNED
        engine.bans._documents.error = None
        await trio.sleep(2)

        assert engine.why_not_ready() == ""


async def test_as_long_as_nothing_changes_one_document_is_read():
    async with open_stage(2) as stage:
        documents = Counting(stage.store.documents)
        stage[1].engine.bans._documents = documents
        await trio.sleep(3 * stage[1].limits.revocations_check_s + 0.1)
        assert documents.calls == ["read"] * 3
        await stage[0].engine.bans.add(Ban(user="ben"))
        await trio.sleep(0.1)

        assert documents.calls == ["read"] * 5, "the ban, and the count"


class Busy:
    """Documents, of which the first answer finds the event loop busy for three seconds."""

    def __init__(self, real):
        self.real = real
        self.is_new = True

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            found = await getattr(self.real, name)(*args, **kwargs)
            if self.is_new:
                self.is_new = False
                trio.lowlevel.current_clock().jump(3)
            return found

        return call


class Counting:
    def __init__(self, real):
        self.real = real
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append(name)
            return getattr(self.real, name)(*args, **kwargs)

        return call
