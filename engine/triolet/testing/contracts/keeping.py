"""The contract of retention and of generations: what goes, and what a position means."""

from ..._model.errors import ErrorCode
from ...ports.store import Appended, Duplicate, Store
from . import drafting as d
from .home import BEGINNING_MS, Contract, Home


async def _prune(store: Store, **bounds: int) -> dict[str, tuple[int, int]]:
    """Prune until nothing is due; return where each room's floor then is."""
    floors: dict[str, tuple[int, int]] = {}
    bounds = {"older_than": 0, "entries_max": 0, "limit": 3, **bounds}
    while moved := await store.prune(**bounds):
        for room, floor, floor_n in moved:
            assert floors.get(room, (0, 0)) < (floor, floor_n)
            floors[room] = (floor, floor_n)
    return floors


async def _ten_messages(store: Store, home: Home, room: str = "a") -> None:
    """Make a room whose entry at seq s is written at `BEGINNING_MS + s`, from seq 2 messages."""
    home.clock.ms = BEGINNING_MS + 1
    await d.append(store, d.founding(room, "anna"))
    for seq in range(2, 12):
        home.clock.ms = BEGINNING_MS + seq
        await d.append(store, d.say(room, "anna", str(seq), str(seq)))


class RetentionContract(Contract):
    """Only prefixes go, and the floor says how far."""

    async def test_the_oldest_go_by_count(self, home: Home) -> None:
        """Entries beyond the newest `entries_max` of a room are removed."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _ten_messages(store, home, "b")
            await d.append(store, d.founding("small", "anna"))
            assert {"a": (7, 6), "b": (7, 6)} == await _prune(store, entries_max=4)
            assert {} == await _prune(store, entries_max=4)
            for room in ("a", "b"):
                state = await d.state(store, room)
                assert (11, 10, 7, 6) == (state.head, state.n, state.floor, state.floor_n)
                assert [8, 9, 10, 11] == d.seqs(await d.log(store, room))

    async def test_the_oldest_go_by_age(self, home: Home) -> None:
        """Entries with `at < older_than` are removed; 0 removes none by age."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            assert {} == await _prune(store)
            assert {"a": (4, 3)} == await _prune(store, older_than=BEGINNING_MS + 5)
            assert {"a": (6, 5)} == await _prune(store, older_than=BEGINNING_MS + 5, entries_max=5)
            assert {"a": (8, 7)} == await _prune(store, older_than=BEGINNING_MS + 9, entries_max=5)

    async def test_a_call_removes_about_limit(self, home: Home) -> None:
        """At most about `limit` entries in all; the caller asks again."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _ten_messages(store, home, "b")
            moved = await store.prune(older_than=0, entries_max=1, limit=4)
            assert 0 < sum(floor for _, floor, _ in moved) <= 8
            assert {"a": (10, 9), "b": (10, 9)} == {
                **{room: (floor, floor_n) for room, floor, floor_n in moved},
                **await _prune(store, entries_max=1),
            }

    async def test_below_the_floor_there_is_nothing(self, home: Home) -> None:
        """A page below the floor begins above it; `n_at` answers for the floor."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _prune(store, entries_max=4)
            for after in (0, 6, 7):
                page = await store.page("a", after=after, upto=9, limit=9, bytes_max=d.ALL)
                assert [8, 9] == d.seqs(page)
            assert [] == await store.page("a", after=0, upto=7, limit=9, bytes_max=d.ALL)
            assert [6, 6, 7, 10] == [await store.n_at("a", seq) for seq in (0, 7, 8, 99)]
            back = await d.history(store, "a", before=10)
            assert ([8, 9], False) == (d.seqs(back.messages), back.more)
            forward = await d.history(store, "a", after=0, limit=3)
            assert ([8, 9, 10], True) == (d.seqs(forward.messages), forward.more)
            assert ((), False) == (
                (gone := await d.history(store, "a", before=8)).messages,
                gone.more,
            )

    async def test_a_removed_message_is_no_target(self, home: Home) -> None:
        """What points below the floor → `Rejected(NO_SUCH_ENTRY)`."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _prune(store, entries_max=4)
            outcomes = await store.append(
                [d.edit("a", "anna", "e", 7, "x"), d.react("a", "anna", "r", 8)]
            )
            assert d.is_rejected(outcomes[0], ErrorCode.NO_SUCH_ENTRY)
            assert isinstance(outcomes[1], Appended)

    async def test_what_pointed_at_removed_messages_is_harmless(self, home: Home) -> None:
        """Edits, reactions and deletions outlive their target in the log, and fold to nothing."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, d.say("a", "anna", "1", "old"), d.say("a", "anna", "2", "kept"))
            await d.append(store, d.edit("a", "anna", "3", 2, "x"), d.react("a", "anna", "4", 2))
            await d.append(store, d.edit("a", "anna", "5", 3, "kept!"), d.react("a", "ben", "6", 3))
            await _prune(store, entries_max=5)
            assert [3, 4, 5, 6, 7] == d.seqs(await d.log(store, "a"))
            (message,) = (await d.history(store, "a")).messages
            assert (["kept!"], ["+1"]) == (d.texts([message]), list(message.reactions))
            await _prune(store, entries_max=4)
            assert () == (await d.history(store, "a")).messages
            (item,) = await store.inbox("anna", after=None, limit=9)
            assert item.last is None

    async def test_a_room_can_lose_all_and_go_on(self, home: Home) -> None:
        """A room without entries keeps its head, and the log goes on from there."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            home.clock.ms += 1000
            assert {"a": (11, 10)} == await _prune(store, older_than=home.clock.ms)
            assert [] == await d.log(store, "a")
            assert [10, 10] == [await store.n_at("a", seq) for seq in (5, 11)]
            (record,) = await d.append(store, d.say("a", "anna", "next"))
            assert (12, 11) == (record.seq, record.n)
            assert {} == await _prune(store, older_than=home.clock.ms)
            assert {"a": (12, 11)} == await _prune(store, older_than=home.clock.ms + 1)

    async def test_cids_outlive_their_entries(self, home: Home) -> None:
        """A retry is a duplicate for as long as cids are kept, whatever retention removed."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _prune(store, entries_max=1)
            outcome = await d.append_one(store, d.say("a", "anna", "3"))
            assert Duplicate(3, BEGINNING_MS + 3, "send") == outcome

    async def test_old_cids_are_forgotten(self, home: Home) -> None:
        """Cids of drafts older than `older_than` go, at most `limit` a call; then none do."""
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _ten_messages(store, home, "b")
            counts = []
            while count := await store.prune_cids(older_than=BEGINNING_MS + 7, limit=5):
                assert count <= 5
                counts.append(count)
            assert 12 == sum(counts)
            for room in ("a", "b"):
                assert await store.find(room, "anna", "6") is None
                assert await store.find(room, "anna", "7") is not None
                again = await d.append_one(store, d.say(room, "anna", "6"))
                assert isinstance(again, Appended)

    async def test_retention_is_durable(self, home: Home) -> None:
        """Floors, and cids whose entries are gone, are there when the store is reopened."""
        self.require_durable()
        async with self.open_store(home) as store:
            await _ten_messages(store, home)
            await _prune(store, entries_max=4)
            state, entries = await d.state(store, "a"), await d.log(store, "a")
        async with self.open_store(home) as store:
            assert (state, entries) == (await d.state(store, "a"), await d.log(store, "a"))
            assert Duplicate(3, BEGINNING_MS + 3, "send") == await store.find("a", "anna", "3")


class GenerationContract(Contract):
    """A position is (epoch, seq), and the lineage says which seqs an epoch covers."""

    async def test_rooms_begin_in_the_present_epoch(self, home: Home) -> None:
        """A new room's lineage is the present epoch from 1, the same for all rooms."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
            one, other = await d.state(store, "a"), await d.state(store, "b")
            assert one.epoch == other.epoch
            assert ((one.epoch, 1),) == one.lineage == other.lineage

    async def test_a_generation_begins_after_the_head(self, home: Home) -> None:
        """`new_generation` begins a new epoch in every room, from its head + 1."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.founding("b", "anna"))
            await d.append(store, d.say("a", "anna", "1"))
            old = (await d.state(store, "a")).epoch
            new = await store.new_generation()
            await d.append(store, d.founding("c", "anna"), d.say("a", "anna", "2"))
            assert old != new
            lineages = {
                "a": ((old, 1), (new, 3)),
                "b": ((old, 1), (new, 2)),
                "c": ((new, 1),),
            }
            for room, lineage in lineages.items():
                state = await d.state(store, room)
                assert (new, lineage) == (state.epoch, state.lineage)
            assert {"a": (new, 3), "b": (new, 1)} == await store.heads(["a", "b"])
            assert ("a", new, 3, 1) == (await store.positions("anna", limit=1))[0]
            assert new == (await d.history(store, "a")).epoch
            assert (
                lineages["a"] == (await store.inbox("anna", after=None, limit=1))[0].state.lineage
            )

    async def test_generations_may_be_empty(self, home: Home) -> None:
        """Two generations with nothing between them both stand in the lineage."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            old = (await d.state(store, "a")).epoch
            first, second = await store.new_generation(), await store.new_generation()
            expected = ((old, 1), (first, 2), (second, 2))
            assert expected == (await d.state(store, "a")).lineage

    async def test_the_epoch_stays_when_the_store_is_reopened(self, home: Home) -> None:
        """Opening an unharmed store begins no generation."""
        self.require_durable()
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await store.new_generation()
            state = await d.state(store, "a")
        async with self.open_store(home) as store:
            assert state == await d.state(store, "a")
            await d.append(store, d.founding("b", "anna"))
            assert state.epoch == (await d.state(store, "b")).epoch
