"""The contract of `append`: atomic, ordered, once."""

from ..._model.entries import Member, Message, Meta
from ..._model.errors import ErrorCode
from ..._wire.codec import pack_fact
from ...ports.store import Appended, Duplicate, Rejected, RoomSpec, Stale
from . import drafting as d
from .home import BEGINNING_MS, Contract, Home


class AppendContract(Contract):
    """A draft is stored whole or not at all, in its place, once."""

    async def test_seqs_of_each_room_run_without_a_gap(self, home: Home) -> None:
        """`seq` runs 1, 2, 3 … in each room; records come back in the order of their drafts."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.founding("b", "ben"))
            records = await d.append(
                store, d.say("a", "anna", "1"), d.say("b", "ben", "1"), d.say("a", "anna", "2")
            )
            records += await d.append(store, d.say("b", "ben", "2"))
            places = [(record.room, record.seq) for record in records]
            assert [("a", 2), ("b", 2), ("a", 3), ("b", 3)] == places

    async def test_a_record_is_what_the_draft_said(self, home: Home) -> None:
        """A record carries sender, cid, kind and fact as drafted, and the store's clock."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            (record,) = await d.append(store, d.say("a", "anna", "c-1", "hi"))
            assert ("anna", "c-1", "message") == (record.sender, record.cid, record.kind)
            assert BEGINNING_MS == record.at
            assert pack_fact(Message({"text": "hi"})) == record.packed
            assert [record] == await store.page("a", after=1, upto=9, limit=9, bytes_max=d.ALL)

    async def test_n_counts_messages_only(self, home: Home) -> None:
        """`n` is how many messages the room has had, this entry included."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            records = await d.append(
                store,
                d.say("a", "anna", "1"),
                d.react("a", "anna", "2", 2),
                d.seat("a", "anna", "3", "ben", "member"),
                d.say("a", "anna", "4"),
            )
            assert [1, 1, 1, 2] == [record.n for record in records]
            assert 2 == (await d.state(store, "a")).n

    async def test_time_never_goes_back(self, home: Home) -> None:
        """`at` is the greater of the clock and the room's last."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            home.clock.ms = BEGINNING_MS - 1000
            (early,) = await d.append(store, d.say("a", "anna", "1"))
            home.clock.ms = BEGINNING_MS + 1000
            (late,) = await d.append(store, d.say("a", "anna", "2"))
            assert (BEGINNING_MS, BEGINNING_MS + 1000) == (early.at, late.at)

    async def test_what_is_appended_now_is_appended(self, home: Home) -> None:
        """`append_now` does what `append` does, or nothing at all."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            batch = [d.say("a", "anna", "1"), d.say("b", "anna", "2"), d.say("a", "anna", "1")]
            now = store.append_now(batch)
            assert (1 if now is None else 2) == (await d.state(store, "a")).head
            if now is not None:
                assert [Appended, Rejected, Duplicate] == [type(outcome) for outcome in now]
                again = await store.append(batch)
                assert [Duplicate, Rejected, Duplicate] == [type(outcome) for outcome in again]

    async def test_a_failing_draft_leaves_no_trace(self, home: Home) -> None:
        """A draft that fails leaves no trace; the others of its batch are stored."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            bad = d.draft("a", "anna", "2", Message({"text": "no"}), Meta(title="no"), acl_ver=7)
            outcomes = await store.append(
                [d.say("a", "anna", "1", "one"), bad, d.say("a", "anna", "3", "two")]
            )
            assert [Appended, Stale, Appended] == [type(outcome) for outcome in outcomes]
            assert ["one", "two"] == d.texts((await d.history(store, "a")).messages)
            assert "" == (await d.state(store, "a")).title
            assert await store.find("a", "anna", "2") is None
            assert isinstance(await d.append_one(store, d.say("a", "anna", "2")), Appended)

    async def test_facts_of_a_draft_are_stored_together(self, home: Home) -> None:
        """A draft's facts are neighbours in the log, with one cid; all or none are stored."""
        async with self.open_store(home) as store:
            records = await d.append(store, d.founding("a", "anna", "ben", "cleo"))
            assert [1, 2, 3] == d.seqs(records)
            assert ["create"] * 3 == [record.cid for record in records]
            half = d.draft("a", "anna", "x", Message({"text": "x"}), d.react_fact(99))
            assert d.is_rejected(await d.append_one(store, half), ErrorCode.NO_SUCH_ENTRY)
            assert 3 == (await d.state(store, "a")).head

    async def test_an_empty_batch_or_draft_stores_nothing(self, home: Home) -> None:
        """Nothing to write is written."""
        async with self.open_store(home) as store:
            assert [] == await store.append([])
            await d.append(store, d.founding("a", "anna"))
            empty = d.draft("a", "anna", "1")
            assert Appended(()) == await d.append_one(store, empty)
            assert 1 == (await d.state(store, "a")).head
            assert await store.find("a", "anna", "1") is None

    async def test_a_room_must_exist(self, home: Home) -> None:
        """No such room → `Rejected(NO_SUCH_ROOM)`."""
        async with self.open_store(home) as store:
            outcome = await d.append_one(store, d.say("a", "anna", "1"))
            assert d.is_rejected(outcome, ErrorCode.NO_SUCH_ROOM)
            assert await store.room("a") is None

    async def test_a_room_is_made_with_its_first_entries(self, home: Home) -> None:
        """`create` makes the room; the next draft of the batch may use it."""
        async with self.open_store(home) as store:
            spec = RoomSpec(kind="channel", title="News", public=True)
            await d.append(
                store, d.founding("a", "anna", "ben", spec=spec), d.say("a", "anna", "1")
            )
            state = await d.state(store, "a")
            assert ("channel", "News", True) == (state.kind, state.title, state.public)
            assert (3, 1, 0, 0) == (state.head, state.n, state.floor, state.floor_n)
            assert (0, 2) == (state.acl_ver, state.members)

    async def test_a_room_is_made_once(self, home: Home) -> None:
        """`create` of a room that exists → `Rejected(ALREADY_EXISTS)`, also within a batch."""
        async with self.open_store(home) as store:
            first, second = await store.append([d.founding("a", "anna"), d.founding("a", "ben")])
            assert isinstance(first, Appended)
            assert d.is_rejected(second, ErrorCode.ALREADY_EXISTS)
            third = await d.append_one(store, d.founding("a", "cleo"))
            assert d.is_rejected(third, ErrorCode.ALREADY_EXISTS)
            assert ["anna"] == [one.user for one in await store.members("a", after=None, limit=9)]

    async def test_a_room_that_cannot_be_made_is_not(self, home: Home) -> None:
        """A failing `create` leaves no room."""
        async with self.open_store(home) as store:
            bad = d.draft(
                "a", "anna", "1", d.react_fact(5), op="create", create=RoomSpec(kind="group")
            )
            assert d.is_rejected(await d.append_one(store, bad), ErrorCode.NO_SUCH_ENTRY)
            early = d.draft("a", "anna", "1", create=RoomSpec(kind="group"), acl_ver=1)
            assert Stale() == await d.append_one(store, early)
            assert await store.room("a") is None
            assert isinstance(await d.append_one(store, d.founding("a", "anna")), Appended)

    # --- once ----------------------------------------------------------------------------

    async def test_a_known_cid_answers_with_the_first(self, home: Home) -> None:
        """`(room, sender, cid)` names one draft: a retry answers with its first record."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            (first,) = await d.append(store, d.say("a", "anna", "1"))
            home.clock.ms += 5
            expected = Duplicate(first.seq, first.at, "send")
            assert expected == await d.append_one(store, d.say("a", "anna", "1", "again"))
            assert expected == await store.find("a", "anna", "1")
            assert ["hello"] == d.texts((await d.history(store, "a")).messages)

    async def test_a_cid_is_known_within_its_batch(self, home: Home) -> None:
        """A draft is judged on the state its predecessors in the batch left."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            one = d.say("a", "anna", "1")
            outcomes = await store.append([one, one, d.say("a", "anna", "2"), one])
            repeated = Duplicate(2, BEGINNING_MS, "send")
            assert [repeated, repeated] == [outcomes[1], outcomes[3]]
            assert 3 == (await d.state(store, "a")).head

    async def test_a_cid_is_known_however_old(self, home: Home) -> None:
        """A cid is found among many others, however the store keeps them."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"))
            for start in range(0, 60, 7):
                batch = [d.say("a", "anna", f"c{start + i}") for i in range(7)]
                await d.append(store, *batch)
            outcomes = await store.append([d.say("a", "anna", f"c{i}") for i in range(63)])
            assert [Duplicate(3 + i, BEGINNING_MS, "send") for i in range(63)] == outcomes

    async def test_a_cid_belongs_to_a_room_and_a_sender(self, home: Home) -> None:
        """The same cid in another room or of another sender is another draft."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "anna"))
            await d.append(
                store, d.say("a", "anna", "1"), d.say("a", "ben", "1"), d.say("b", "anna", "1")
            )
            assert await store.find("a", "cleo", "1") is None
            assert await store.find("none", "anna", "1") is None

    async def test_a_cid_of_another_op_is_refused(self, home: Home) -> None:
        """The same cid for another op → `Rejected(INVALID_FIELD)`."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            outcomes = await store.append(
                [
                    d.edit("a", "anna", "1", 2, "x"),
                    d.say("a", "anna", "2"),
                    d.react("a", "anna", "2", 2),
                ]
            )
            assert d.is_rejected(outcomes[0], ErrorCode.INVALID_FIELD)
            assert d.is_rejected(outcomes[2], ErrorCode.INVALID_FIELD)

    async def test_a_repeated_creation_is_a_duplicate(self, home: Home) -> None:
        """A known cid is judged before the room's existence."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            outcome = await d.append_one(store, d.founding("a", "anna"))
            assert Duplicate(1, BEGINNING_MS, "create") == outcome

    async def test_several_facts_repeat_as_one(self, home: Home) -> None:
        """A duplicate names the first record of several."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            one = d.draft("a", "anna", "1", Message({}), Message({}), Message({}))
            await d.append(store, one)
            assert Duplicate(2, BEGINNING_MS, "send") == await d.append_one(store, one)

    # --- rights --------------------------------------------------------------------------

    async def test_rights_that_changed_make_a_draft_stale(self, home: Home) -> None:
        """Another `acl_ver` → `Stale`, and only a draft that revokes moves it, by one."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"))
            await d.append(store, d.seat("a", "anna", "1", "ben", "admin"))
            assert 0 == (await d.state(store, "a")).acl_ver
            await d.append(store, d.seat("a", "anna", "2", "ben", None, revokes=True))
            assert 1 == (await d.state(store, "a")).acl_ver
            assert Stale() == await d.append_one(store, d.say("a", "ben", "3"))
            await d.append(store, d.say("a", "anna", "4", acl_ver=1))

    async def test_a_revoking_draft_closes_its_rooms_part(self, home: Home) -> None:
        """Drafts after a revoking one in the same batch are stale, in that room alone."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "ben"))
            outcomes = await store.append(
                [
                    d.say("a", "ben", "1"),
                    d.seat("a", "anna", "2", "ben", None, revokes=True),
                    d.say("a", "ben", "3"),
                    d.say("b", "ben", "3"),
                ]
            )
            kinds = [Appended, Appended, Stale, Appended]
            assert kinds == [type(outcome) for outcome in outcomes]

    async def test_a_repeat_is_answered_after_the_right_is_lost(self, home: Home) -> None:
        """A known cid is judged before the rights."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "ben", "1"))
            await d.append(store, d.seat("a", "anna", "2", "ben", None, revokes=True))
            outcome = await d.append_one(store, d.say("a", "ben", "1"))
            assert Duplicate(3, BEGINNING_MS, "send") == outcome

    # --- without entries -----------------------------------------------------------------

    async def test_memberships_change_without_entries(self, home: Home) -> None:
        """`logged=False`: memberships change, no entry is written, no cid is kept."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            join = d.seat("a", "ben", "2", "ben", "member", logged=False)
            assert Appended(()) == await d.append_one(store, join)
            assert Appended(()) == await d.append_one(store, join)
            assert await store.find("a", "ben", "2") is None
            state = await d.state(store, "a")
            assert (2, 1, 2) == (state.head, state.n, state.members)
            kick = d.seat("a", "anna", "3", "ben", None, logged=False, revokes=True)
            await d.append(store, kick)
            state = await d.state(store, "a")
            assert (2, 1, 1) == (state.head, state.acl_ver, state.members)

    async def test_only_memberships_change_without_entries(self, home: Home) -> None:
        """`logged=False` with any other fact → `Rejected(INVALID_FIELD)`."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            silent = d.draft("a", "anna", "1", Member("ben", "member"), Message({}), logged=False)
            outcome = await d.append_one(store, silent)
            assert d.is_rejected(outcome, ErrorCode.INVALID_FIELD)
            assert 1 == (await d.state(store, "a")).members

    # --- durable -------------------------------------------------------------------------

    async def test_what_was_acknowledged_is_there_again(self, home: Home) -> None:
        """When `append` returns, what it reports as appended survives."""
        self.require_durable()
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"))
            await d.append(store, *(d.say("a", "anna", f"c{i}", f"t{i}") for i in range(9)))
            await d.append(store, d.edit("a", "anna", "e", 3, "new"))
            await d.append(store, d.react("a", "ben", "r", 4))
            state, entries = await d.state(store, "a"), await d.log(store, "a")
            slice_ = await d.history(store, "a")
        async with self.open_store(home) as store:
            assert state == await d.state(store, "a")
            assert entries == await d.log(store, "a")
            assert slice_ == await d.history(store, "a")
            (record,) = await d.append(store, d.say("a", "anna", "next"))
            assert state.head + 1 == record.seq

    async def test_cids_are_known_again(self, home: Home) -> None:
        """Once means once, also after the store was closed."""
        self.require_durable()
        drafts = [d.say("a", "anna", f"c{i}") for i in range(9)]
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), *drafts)
        async with self.open_store(home) as store:
            expected = [Duplicate(2 + i, BEGINNING_MS, "send") for i in range(9)]
            assert expected == await store.append(drafts)
            assert expected[4] == await store.find("a", "anna", "c4")
