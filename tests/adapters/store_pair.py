"""Whatever is done to both, a store and the store in memory say the same."""

from contextlib import AsyncExitStack

from hypothesis import strategies as st

from triolet._model.entries import Member, Message, Meta
from triolet.adapters.memory import MemoryStore
from triolet.ports.documents import Change
from triolet.ports.people import Person
from triolet.ports.store import Mark
from triolet.testing.contracts import CountingEntropy
from triolet.testing.contracts import drafting as d

ROOMS = ("a", "b", "c")
USERS = ("anna", "ben", "cleo")
KEYS = ("a", "a/1", "a/\ufffd", "a/😀", "b")
ALL = 10_000

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
# A key, what it is to be, on which version (the present one, none, an early one, any), and until
# when.
change_shapes = st.tuples(
    st.sampled_from(KEYS),
    st.sampled_from((None, b"", b"1", b"22" * 600)),
    st.sampled_from(("present", "nothing", "early", "any", "any")),
    st.sampled_from((0, 0, -10, 10, 30)),
)
steps = st.one_of(
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.just("batch"), st.lists(draft_shapes, min_size=1, max_size=6)),
    st.tuples(st.sampled_from(("marks", "prune", "age", "cids", "people")), st.integers(1, 9)),
    st.tuples(st.just("write"), st.lists(change_shapes, max_size=4, unique_by=lambda one: one[0])),
    st.tuples(st.sampled_from(("generation", "reopen", "copy", "tick")), st.integers(1, 9)),
    st.tuples(st.sampled_from(("expire", "tick")), st.integers(1, 9)),
)


class Pair:
    """A store in memory and another one, and what is done to both.

    Args:
        open_other: opens the other store, at the same place each time.
        check_copy: what is checked of a copy of the other store, if there can be one.
    """

    def __init__(self, home, open_other, check_copy=None):
        self.home = home
        self.open_other = open_other
        self.check_copy = check_copy
        self.count = 0
        self.memory = MemoryStore(clock=home.clock, entropy=CountingEntropy())
        self.stack = AsyncExitStack()

    async def open(self):
        self.other = await self.stack.enter_async_context(self.open_other())

    async def play(self, script):
        """Do the script to both, and see that they agree at each step and in the end."""
        async with self.stack:
            await self.open()
            await self.do("batch", [("create", room, USERS[i], 1) for i, room in enumerate("ab")])
            for what, value in script:
                await self.do(what, value)
            await compare(self.memory, self.other)

    def set_token(self, entropy):
        """Have the other store name its next epoch so."""
        self.other._entropy = entropy

    async def both(self, ask):
        """Ask both, and see that they agree."""
        expected = await ask(self.memory)
        assert expected == await ask(self.other)
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
        elif what == "write":
            found = await self.both(lambda store: store.documents.read(KEYS))
            versions = {one.key: one.version for one in found if one is not None}
            changes = [change(shape, versions, self.home.clock.ms) for shape in value]
            await self.both(lambda store: store.documents.write(changes))
        elif what == "expire":
            now = self.home.clock.ms
            await self.both(lambda store: store.documents.prune(now=now, limit=len(KEYS)))
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
            self.memory._entropy = CountingToken(self.count)
            self.set_token(CountingToken(self.count))
            self.count += 1
            await self.both(lambda store: store.new_generation())
        elif what == "reopen":
            await self.stack.aclose()
            await self.open()
        elif what == "copy" and self.check_copy is not None:
            await self.check_copy(self)


def change(shape, versions, now):
    """Return a document's change."""
    key, value, on, lives = shape
    version = {"present": versions.get(key, 0), "nothing": 0, "early": 1, "any": None}[on]
    return Change(key, value, version, now + lives if lives else 0)


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


async def found(store, room, words):
    """All that a search finds; how far each call goes is a store's own affair."""
    messages = []
    before = None
    while True:
        slice_ = await store.search(room, "anna", words, before=before, limit=2, scan_max=4)
        if slice_ is None:
            return None
        messages += slice_.messages
        before = slice_.next_before
        if before is None:
            return messages


async def compare(one, other):
    """See that two stores say the same of everything."""
    head = max(head for _, head in (await one.heads(ROOMS)).values())
    for name, args, bounds in questions(head):
        expected = await getattr(one, name)(*args, **bounds)
        assert expected == await getattr(other, name)(*args, **bounds), (name, args, bounds)
    for room in ROOMS:
        for number in (2, 5, 9):
            expected = await found(one, room, f"c{number}")
            assert expected == await found(other, room, f"c{number}"), (room, number)
    for after in ("", "a/1"):
        for descending in (False, True):
            bounds = {"after": after, "limit": 3, "descending": descending}
            expected = await one.documents.scan("a", **bounds)
            assert expected == await other.documents.scan("a", **bounds), bounds
