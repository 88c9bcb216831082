"""Laws of `adapters.postgres.appending`: one order and once, whoever races, dies or forgets."""

import random
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from triolet._model.errors import ErrorCode, OutcomeUnknown, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.ports.store import Appended, Duplicate, Mark
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d
from triolet.testing.services.postgres import NoPostgres, run_postgres

ROOMS = tuple(f"room-{i}" for i in range(6))
USERS = tuple(f"user-{i}" for i in range(8))
TRIES = 20


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def url(postgres_server, postgres_template):
    name = postgres_server.create_database(postgres_template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@asynccontextmanager
async def open_nodes(url, home, count, **bounds):
    async with AsyncExitStack() as stack:
        limits = Limits(**{"head_check_s": 0, "postgres_connections_max": 3, **bounds})
        yield [
            await stack.enter_async_context(
                open_postgres_store(url, clock=home.clock, entropy=home.entropy, limits=limits)
            )
            for _ in range(count)
        ]


async def insist(store, batch, unsure):
    """Append as the sequencer does: the identical batch, until it is known what became of it."""
    while True:
        try:
            return await store.append(batch)
        except StoreUnavailable:
            await trio.sleep(0.02)
        except OutcomeUnknown:
            unsure.append(batch)


async def check_logs(store, stored):
    """See that each room's log runs without a gap, and holds each of `stored` at its place, once.

    `stored` is `{(room, sender, cid): seq}`.
    """
    found = {}
    for room in ROOMS:
        entries = await d.log(store, room)
        assert list(range(1, len(entries) + 1)) == d.seqs(entries)
        assert (await d.state(store, room)).head == len(entries)
        messages = 0
        for entry in entries:
            messages += type(entry.fact).__name__ == "Message"
            assert messages == entry.n
            if entry.cid != "create":
                assert (room, entry.sender, entry.cid) not in found
                found[room, entry.sender, entry.cid] = entry.seq
        members = await store.members(room, after=None, limit=99)
        assert (await d.state(store, room)).members == len(members)
    assert {key: found.get(key) for key in stored} == stored
    return found


# --- racing ------------------------------------------------------------------------------


def draft_of(rng, number, i, room):
    """Return any draft; half of the cids are the other nodes', too: whoever comes first has it."""
    sender, cid = rng.choice((("shared", f"{i}"), (USERS[number], f"{number}-{i}")))
    kind = rng.choice(("say", "say", "react", "seat"))
    if kind == "react":
        return d.react(room, sender, cid, 1 + len(USERS))
    if kind == "seat":
        return d.seat(room, sender, cid, rng.choice(USERS[4:]), rng.choice(("admin", None)))
    return d.say(room, sender, cid)


async def write(store, number, stored):
    """Found the rooms, and write batches over many of them in any order; and marks beside."""
    rng = random.Random(number)
    await store.append([d.founding(room, *USERS) for room in rng.sample(ROOMS, len(ROOMS))])
    first = [d.say(room, USERS[0], "first") for room in ROOMS]
    for outcome in await store.append(first):
        assert isinstance(outcome, Appended | Duplicate)
    for i in range(25):
        batch = [draft_of(rng, number, i, room) for room in rng.sample(ROOMS, 4)]
        for draft, outcome in zip(batch, await store.append(batch), strict=True):
            key = draft.room, draft.sender, draft.cid
            if isinstance(outcome, Appended):
                assert key not in stored
                stored[key] = outcome.records[0].seq
            else:
                assert draft.sender == "shared"
        marks = [
            Mark(room=room, user=user, delivered=i, read=i, read_n=0)
            for room in rng.sample(ROOMS, 3)
            for user in rng.sample(USERS, 3)
        ]
        await store.put_marks(marks)


async def test_nodes_that_race_keep_one_order(url, home, postgres_server):
    """Four nodes write to the same rooms in any order, and found them: no gap, no cid twice.

    None of them waits for another in a circle: the server has seen no deadlock.
    """
    stored = {}
    async with open_nodes(url, home, 4) as stores:
        async with trio.open_nursery() as nursery:
            for number, store in enumerate(stores):
                nursery.start_soon(write, store, number, stored)
        assert len(await check_logs(stores[0], stored)) == len(stored) + len(ROOMS)
    database = url.rsplit("/", 1)[1]
    seen = "SELECT deadlocks FROM pg_stat_database WHERE datname = "
    assert "0" == postgres_server.execute(f"{seen}'{database}'")


async def test_a_room_that_is_not_made_in_the_end_stays_free(url, home):
    """Two nodes make one room in one moment; the one whose draft is refused leaves nothing."""
    async with open_nodes(url, home, 2) as (one, other):
        for i in range(15):
            room = f"r{i}"
            bad = d.draft(room, "anna", "1", d.react_fact(5), create=d.RoomSpec(kind="group"))
            outcomes = []

            async def ask(store, draft, outcomes=outcomes):
                outcomes.append((draft, await d.append_one(store, draft)))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, one, bad)
                nursery.start_soon(ask, other, d.founding(room, "ben"))
            for draft, outcome in outcomes:
                assert isinstance(outcome, Appended) == (draft is not bad)
            assert 1 == (await d.state(one, room)).head


async def test_cancelled_tasks_leave_no_half_batches(url, home):
    """Tasks that read and write are cancelled at any moment; what was handed over is stored."""
    async with open_nodes(url, home, 2) as stores:
        await d.append(stores[0], *(d.founding(room, *USERS) for room in ROOMS))
        rng = random.Random(5)
        handed = []
        for i in range(60):
            store = stores[i % 2]
            batch = [d.say(room, "anna", f"{i}") for room in rng.sample(ROOMS, 3)]
            with trio.move_on_after(rng.random() * 0.01) as scope:
                if i % 3:
                    handed.append(batch)
                    await store.append(batch)
                else:
                    while True:
                        await d.history(store, rng.choice(ROOMS))
            del scope
        for batch in handed:
            for outcome in await stores[0].append(batch):
                assert isinstance(outcome, Duplicate)
        await check_logs(stores[1], {})


# --- lost sessions and servers -----------------------------------------------------------


async def test_sessions_that_are_killed_lose_and_repeat_nothing(url, home, postgres_server):
    """The server ends sessions all the time, in the middle of batches: what was answered counts.

    A batch whose answer was lost is repeated as it is, and is stored once.
    """
    stored, unsure = {}, []
    async with open_nodes(url, home, 2) as stores:
        await d.append(stores[0], *(d.founding(room, *USERS) for room in ROOMS))
        await d.append(stores[0], *(d.say(room, USERS[0], "first") for room in ROOMS))

        async def kill():
            kill_all = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                f" WHERE datname = '{url.rsplit('/', 1)[1]}' AND pid <> pg_backend_pid()"
            )
            while True:
                await trio.to_thread.run_sync(postgres_server.execute, kill_all)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            async with trio.open_nursery() as writers:
                for number, store in enumerate(stores):
                    writers.start_soon(keep_writing, store, number, stored, unsure)
            nursery.cancel_scope.cancel()
        await check_logs(stores[0], stored)
    # Else it has shown nothing.
    assert unsure


async def keep_writing(store, number, stored, unsure):
    seen = len(unsure)
    for i in range(400):
        batch = [d.say(room, USERS[number], f"{i}") for room in ROOMS]
        outcomes = await insist(store, batch, unsure)
        is_unsure, seen = len(unsure) > seen, len(unsure)
        for draft, outcome in zip(batch, outcomes, strict=True):
            assert isinstance(outcome, Appended | Duplicate if is_unsure else Appended)
            seq = outcome.records[0].seq if isinstance(outcome, Appended) else outcome.seq
            stored[draft.room, draft.sender, draft.cid] = seq
        if i >= 20 and len(unsure) > 2:
            return


async def test_a_server_that_crashed_is_known_again(url, home, postgres_server):
    """A crash and a restart begin no generation, and what was acknowledged is there."""
    async with open_nodes(url, home, 1) as (store,):
        await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
        before = await d.state(store, "a")
        postgres_server.crash()
        try:
            # The session may seem to be there still: then the answer is lost.
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                await store.append([d.say("a", "anna", "2")])
            with pytest.raises(StoreUnavailable):
                await store.room("a")
        finally:
            postgres_server.start()
        assert before.head == 2
        (outcome,) = await insist(store, [d.say("a", "anna", "2")], [])
        assert isinstance(outcome, Appended)
        after = await d.state(store, "a")
        assert (before.epoch, 3) == (after.epoch, after.head)


# --- another server, another generation --------------------------------------------------


async def test_a_log_written_elsewhere_goes_on_in_another_generation(url, home, postgres_server):
    """A server on another timeline begins a generation, once, and each node refuses first.

    What a node has in memory of its rooms may never have been stored.
    """
    async with open_nodes(url, home, 2) as (one, other):
        await d.append(one, d.founding("a", "anna"), d.founding("b", "anna"))
        old = (await d.state(one, "a")).epoch
        # As a standby that was promoted finds it.
        name = url.rsplit("/", 1)[1]
        postgres_server.execute("UPDATE triolet.store SET timeline = timeline - 1", name)
        for store in (one, other):
            with pytest.raises(StoreUnavailable, match="another generation"):
                await store.append([d.say("a", "anna", "1")])
        (record,) = await d.append(other, d.say("a", "anna", "1"))
        await d.append(one, d.say("a", "anna", "2"))
        new = (await d.state(one, "a")).epoch
        assert 2 == record.seq
        assert ((old, 1), (new, 2)) == (await d.state(other, "a")).lineage
        assert ((old, 1), (new, 2)) == (await d.state(other, "b")).lineage


async def test_a_standby_that_is_promoted_begins_a_generation(home):
    """A server that goes on from another one's log is on another timeline, and is known by it."""
    with run_postgres() as server:
        async with open_nodes(server.url(), home, 1) as (store,):
            await d.append(store, d.founding("a", "anna"))
            old = (await d.state(store, "a")).epoch
            server.stop()
            (server.folder / "data" / "standby.signal").touch()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, server.start)
                await promote(server)
            batch = [d.say("a", "anna", "1")]
            reasons = []
            while not reasons or "another generation" not in reasons[-1]:
                try:
                    reasons.append(str(await store.append(batch)))
                except (StoreUnavailable, OutcomeUnknown) as error:
                    # The session is lost first.
                    reasons.append(str(error))
                assert "Appended" not in reasons[-1]
            (outcome,) = await insist(store, batch, [])
            state = await d.state(store, "a")
            assert (2, 2) == (outcome.records[0].seq, state.head)
            assert ((old, 1), (state.epoch, 2)) == state.lineage


async def promote(server):
    """Promote a standby as soon as it answers; it answers to readers before it has started."""
    while True:
        try:
            await trio.to_thread.run_sync(server.execute, "SELECT pg_promote(false)")
        except NoPostgres:
            await trio.sleep(0.05)
        else:
            return


async def test_a_node_waits_until_its_rooms_were_compared(url, home):
    """After a change of generation nothing is appended for as long as comparing may take."""
    async with open_nodes(url, home, 2, head_check_s=0.2) as (one, other):
        await d.append(one, d.founding("a", "anna"))
        # On a busy machine the time may be over before it is asked again.
        for number in range(TRIES):
            refused_ms, began = [], trio.current_time()
            await other.new_generation()
            for _ in range(2):
                try:
                    await one.append([d.say("a", "anna", f"early {number}")])
                except StoreUnavailable as error:
                    refused_ms.append(error.retry_after_ms)
            if trio.current_time() - began < 0.4:
                break
        assert len(refused_ms) == 2
        assert 0 < refused_ms[1] <= 401
        await d.append(other, d.say("a", "anna", "1"))
        await trio.sleep(0.4)
        await d.append(one, d.say("a", "anna", "2"))


# --- one draft's fault -------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        d.say("a", "anna", "nul \0"),
        d.say("a", "\udc80", "half of a character"),
        d.react("a", "anna", "far", 2**63),
        d.say("a", "anna", "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))),
        d.founding("nul \0", "anna"),
    ],
    ids=["nul", "surrogate", "too great", "too long for an index", "a room"],
)
async def test_one_draft_that_cannot_be_kept_fails_alone(url, home, bad):
    """`Rejected(INTERNAL)`; the others of its batch are stored, in their order."""
    async with open_nodes(url, home, 1) as (store,):
        await d.append(store, d.founding("a", "anna"))
        good = [d.say("a", "anna", str(i)) for i in range(5)]
        outcomes = await store.append([*good[:2], bad, *good[2:]])
        assert d.is_rejected(outcomes.pop(2), ErrorCode.INTERNAL)
        assert [2, 3, 4, 5, 6] == [outcome.records[0].seq for outcome in outcomes]
        assert ["create", "0", "1", "2", "3", "4"] == [
            entry.cid for entry in await d.log(store, "a")
        ]
