"""Whatever is done to both, the store in SQLite and the store in memory say the same.

The SQLite store here folds every few entries in slices of one, keeps runs of two, carries its
log over all the time, and is reopened and copied in the middle.
"""

import shutil
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triolet._model.entries import Member, Message, Meta
from triolet._model.limits import Limits
from triolet.adapters.memory import MemoryStore
from triolet.adapters.sqlite import SqliteStore, runs, segments, upkeep
from triolet.adapters.sqlite.opening import opened
from triolet.ports.store import Mark, Person
from triolet.testing.contracts import CountingEntropy, Home
from triolet.testing.contracts import drafting as d

ROOMS = ("a", "b", "c")
USERS = ("anna", "ben", "cleo")
ALL = 10_000


@asynccontextmanager
async def open_restless(home, path, *, window_entries):
    # An opening draws a name for a first epoch; drawing it elsewhere keeps both in step.
    async with opened(
        path,
        entropy=CountingEntropy(),
        limits=Limits(),
        window_entries=window_entries,
        checkpoint_changes=10,
    ) as parts:
        yield SqliteStore(parts, clock=home.clock, entropy=home.entropy)


draft_shapes = st.tuples(
    st.sampled_from(
        (
            "create",
            "say",
            "say",
            "edit",
            "delete",
            "react",
            "unreact",
            "seat",
            "leave",
            "kick",
            "join",
            "meta",
            "two",
            "again",
        )
    ),
    st.sampled_from(ROOMS),
    st.sampled_from(USERS),
    st.integers(1, 12),
)
steps = st.one_of(
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.sampled_from(("marks", "prune", "age", "cids", "people")), st.integers(1, 9)),
    st.tuples(st.sampled_from(("generation", "reopen", "copy", "tick")), st.integers(1, 9)),
)


class Pair:
    """Both stores, and what is done to them."""

    def __init__(self, home, window_entries):
        self.home = home
        self.window_entries = window_entries
        self.copies = 0
        self.count = 0
        self.memory = MemoryStore(clock=home.clock, entropy=CountingEntropy())
        self.stack = AsyncExitStack()

    async def open(self):
        self.sqlite = await self.stack.enter_async_context(
            open_restless(self.home, self.home.path / "s.db", window_entries=self.window_entries)
        )

    async def both(self, ask):
        """Ask both, and see that they agree."""
        expected = await ask(self.memory)
        assert expected == await ask(self.sqlite)
        return expected

    def draft(self, shape, acl_ver):
        what, room, user, number = shape
        if what != "again":
            self.count += 1
        cid = f"c{self.count}"
        rest = {"acl_ver": acl_ver.get(room, 0)}
        if what == "create":
            return d.founding(room, user, *(o for o in USERS if o != user), cid=cid)
        if what == "edit":
            return d.edit(room, user, cid, number, cid, **rest)
        if what == "delete":
            return d.delete(room, user, cid, number, **rest)
        if what in ("react", "unreact"):
            one = d.react(room, user, cid, number, "🙂+"[number % 2], on=what == "react")
            return type(one)(**{f: getattr(one, f) for f in one.__struct_fields__} | rest)
        if what == "seat":
            return d.seat(room, user, cid, user, "member", **rest)
        if what == "leave":
            return d.seat(room, user, cid, user, None, revokes=True, **rest)
        if what == "kick":
            return d.seat(room, user, cid, user, None, logged=False, revokes=True, **rest)
        if what == "join":
            return d.seat(room, user, cid, user, "reader", logged=False, **rest)
        if what == "meta":
            fact = Meta(title=cid) if number % 2 else Meta(public=number > 6)
            return d.draft(room, user, cid, fact, op="meta", **rest)
        if what == "two":
            facts = (Message({"text": cid}), Member(user, "admin"), d.react_fact(number))
            return d.draft(room, user, cid, *facts, **rest)
        return d.say(room, user, cid, cid, **rest)

    async def do(self, what, value):
        if what == "batch":
            states = [await self.memory.room(room) for room in ROOMS]
            acl_ver = {state.room: state.acl_ver for state in states if state is not None}
            batch = [self.draft(shape, acl_ver) for shape in value]
            await self.both(lambda store: store.append(batch))
        elif what == "marks":
            marks = [
                Mark(room=room, user=user, delivered=value, read=value - 1, read_n=value // 2)
                for room in ROOMS
                for user in USERS[: value % 4]
            ]
            await self.both(lambda store: store.put_marks(marks))
        elif what == "people":
            people = [Person(user, "dnd" if value > 4 else "", value) for user in USERS]
            await self.both(lambda store: store.put_people(people))
        elif what == "prune":
            await self.both(lambda store: prune(store, older_than=0, entries_max=value))
        elif what == "age":
            age = self.home.clock.ms - 10 * value
            await self.both(lambda store: prune(store, older_than=age, entries_max=0))
        elif what == "cids":
            age = self.home.clock.ms - 10 * value
            await self.both(lambda store: prune_cids(store, age))
        elif what == "tick":
            self.home.clock.ms += 10 * (value - 2)
        elif what == "generation":
            # Both count tokens from the same beginning, one draws for both.
            self.memory._entropy = self.sqlite._entropy = CountingToken(self.count)
            self.count += 1
            await self.both(lambda store: store.new_generation())
        elif what == "reopen":
            await self.stack.aclose()
            await self.open()
        elif what == "copy":
            await self.check_copy()

    async def check_copy(self):
        """What a crash would leave, between two transactions, is opened and says the same."""
        self.copies += 1
        target = self.home.path / f"copy{self.copies}"
        target.mkdir()

        def copy():
            for path in self.home.path.glob("s.db*"):
                shutil.copy(path, target / path.name)

        await self.sqlite._writer.do(copy)
        async with open_restless(self.home, target / "s.db", window_entries=2) as store:
            await compare(self.memory, store)


class CountingToken:
    def __init__(self, count):
        self.count = count

    def token(self):
        return f"generation-{self.count}"


async def prune(store, **bounds):
    floors = {}
    while moved := await store.prune(**bounds, limit=4):
        floors.update({room: (floor, floor_n) for room, floor, floor_n in moved})
    return floors


async def prune_cids(store, older_than):
    total = 0
    while count := await store.prune_cids(older_than=older_than, limit=3):
        total += count
    return total


def questions(head):
    """Questions about everything, as a method's name, arguments and keywords."""
    for room in ROOMS:
        yield "room", (room,), {}
        yield "page", (room,), {"after": 0, "upto": ALL, "limit": ALL, "bytes_max": ALL}
        yield "page", (room,), {"after": 3, "upto": 9, "limit": 4, "bytes_max": 60}
        yield "members", (room,), {"after": None, "limit": 9}
        for user in USERS:
            for before, after in ((None, None), (6, None), (None, 4)):
                bounds = {"before": before, "after": after, "limit": 3, "bytes_max": ALL}
                yield "history", (room, user), bounds
        for seq in range(0, head + 2, 3):
            yield "n_at", (room, seq), {}
    for user in USERS:
        yield "inbox", (user,), {"after": None, "limit": 9}
        yield "acquainted", (user, USERS), {}
    yield "heads", (ROOMS,), {}
    yield "people", (USERS,), {}


async def compare(one, other):
    """See that two stores say the same of everything."""
    head = max(head for _, head in (await one.heads(ROOMS)).values())
    for name, args, bounds in questions(head):
        expected = await getattr(one, name)(*args, **bounds)
        assert expected == await getattr(other, name)(*args, **bounds), (name, args, bounds)


@pytest.fixture
def _small_runs(monkeypatch):
    monkeypatch.setattr(runs, "RUN_ENTRIES_MAX", 2)
    monkeypatch.setattr(segments, "FAN_IN", 2)
    monkeypatch.setattr(segments, "_ROW_RECORDS", 1)
    monkeypatch.setattr(upkeep, "_SLICE_MIN", 1)


@pytest.mark.usefixtures("_small_runs")
@settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(script=st.lists(steps, max_size=14), window_entries=st.integers(1, 12))
async def test_both_stores_say_the_same(tmp_path_factory, script, window_entries):
    pair = Pair(Home(tmp_path_factory.mktemp("pair")), window_entries)
    async with pair.stack:
        await pair.open()
        await pair.do("batch", [("create", room, USERS[i], 1) for i, room in enumerate(ROOMS[:2])])
        for what, value in script:
            await pair.do(what, value)
        await compare(pair.memory, pair.sqlite)
