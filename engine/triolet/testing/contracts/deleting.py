"""The contract of deleted rooms: nothing finds them, nothing is left of them, none comes again."""

from ..._model.errors import ErrorCode
from ...ports.store import Appended, Draft, Duplicate, Mark, RoomDeleted, RoomSpec, Stale, Store
from . import drafting as d
from .home import BEGINNING_MS, Contract, Home


def _delete(room: str = "a", sender: str = "anna", cid: str = "end", acl_ver: int = 0) -> Draft:
    return d.draft(room, sender, cid, op="delete_room", deletes=True, acl_ver=acl_ver)


async def _a_room(store: Store, home: Home) -> None:
    """Make a room "a" of anna and ben with seven entries, and "b" beside it."""
    await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "anna", "ben"))
    await d.append(
        store,
        d.say("a", "anna", "1", "secret one"),
        d.say("a", "ben", "2", "secret two"),
        d.edit("a", "anna", "3", 3, "secret three"),
        d.react("a", "ben", "4", 3),
        d.say("a", "anna", "5", "secret five"),
        d.say("b", "anna", "1", "stays"),
    )
    home.clock.ms += 1000


async def _clear(store: Store, *, limit: int = 3) -> list[tuple[str, str]]:
    """Clear all that is left, and return whose memberships went."""
    gone: list[tuple[str, str]] = []
    while (some := await store.clear_deleted(limit=limit)) is not None:
        gone += some
    return gone


async def _is_gone(store: Store, room: str, *users: str) -> None:
    """See that no read finds a room."""
    assert await store.room(room) is None
    assert {} == await store.rooms([room], members_max=9)
    assert {} == await store.heads([room])
    assert [] == await store.members(room, after=None, limit=9)
    assert [] == await store.page(room, after=0, upto=d.ALL, limit=9, bytes_max=d.ALL)
    assert [] == await store.marks(room, seq=0, after=None, limit=9)
    assert 0 == await store.n_at(room, 3)
    for user in users:
        assert await store.membership(room, user) is None
        found = await store.history(room, user, before=None, after=None, limit=9, bytes_max=d.ALL)
        assert found is None
        assert [] == await store.inbox_of(user, [room])
        assert room not in [row[0] for row in await store.positions(user, limit=9)]
        inbox = await store.inbox(user, after=None, limit=9)
        assert room not in [item.state.room for item in inbox]
    assert await store.search(room, users[0], "secret", before=None, limit=9, scan_max=9) is None


class DeletionContract(Contract):
    """A draft that `deletes` ends its room."""

    async def test_no_read_finds_a_deleted_room(self, home: Home) -> None:
        """At once, whatever it has left behind; other rooms stay as they were."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            other = await d.state(store, "b")
            outcome = await d.append_one(store, _delete())
            assert RoomDeleted(7, BEGINNING_MS + 1000) == outcome
            await _is_gone(store, "a", "anna", "ben")
            assert ["ben"] == await store.acquainted("anna", ["ben"])  # by the other room
            await _clear(store)
            await _is_gone(store, "a", "anna", "ben")
            assert other == await d.state(store, "b")
            assert ["stays"] == d.texts((await d.history(store, "b")).messages)

    async def test_every_later_draft_is_refused(self, home: Home) -> None:
        """`Rejected(NO_SUCH_ROOM)`, those behind it in its batch and retries of the past, too."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            late = d.say("a", "ben", "late")
            before, ended, after, other = await store.append(
                [d.say("a", "ben", "early"), _delete(), late, d.say("b", "ben", "late")]
            )
            assert isinstance(before, Appended)
            assert isinstance(ended, RoomDeleted)
            assert d.is_rejected(after, ErrorCode.NO_SUCH_ROOM)
            assert isinstance(other, Appended)
            again = [late, d.say("a", "anna", "1"), _delete(cid="other"), _delete(sender="ben")]
            for outcome in await store.append(again):
                assert d.is_rejected(outcome, ErrorCode.NO_SUCH_ROOM)

    async def test_a_retry_of_the_deletion_is_a_duplicate(self, home: Home) -> None:
        """Of all its cids this one stays known; for another op it is refused."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            await d.append_one(store, _delete())
            first = Duplicate(7, BEGINNING_MS + 1000, "delete_room")
            for _ in range(2):
                home.clock.ms += 1000
                assert first == await d.append_one(store, _delete())
                assert first == await store.find("a", "anna", "end")
                assert await store.find("a", "anna", "1") is None
                assert await store.find("a", "ben", "end") is None
                other = await d.append_one(store, d.say("a", "anna", "end"))
                assert d.is_rejected(other, ErrorCode.INVALID_FIELD)
                await _clear(store)

    async def test_a_name_is_never_given_again(self, home: Home) -> None:
        """`create` → `Rejected(ALREADY_EXISTS)`, before and after it is cleared."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            await d.append_one(store, _delete())
            for cid in ("create", "again"):
                outcome = await d.append_one(store, d.founding("a", "ben", cid=cid))
                assert d.is_rejected(outcome, ErrorCode.ALREADY_EXISTS)
                await _clear(store)
            await _is_gone(store, "a", "anna", "ben")

    async def test_a_deletion_is_judged_like_all_else(self, home: Home) -> None:
        """Other rights → `Stale`; a known cid → `Duplicate`; a room that never was is none."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            assert Stale() == await d.append_one(store, _delete(acl_ver=1))
            known = await d.append_one(store, _delete(cid="1"))
            assert d.is_rejected(known, ErrorCode.INVALID_FIELD)
            never = await d.append_one(store, _delete("never"))
            assert d.is_rejected(never, ErrorCode.NO_SUCH_ROOM)
            assert 7 == (await d.state(store, "a")).head

    async def test_a_new_room_has_nothing_of_a_deleted_one(self, home: Home) -> None:
        """Not its entries, nor members, nor reactions, nor cids, whoever made the last room."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            await d.append(store, d.founding("c", "anna", "eve"), d.say("c", "anna", "1", "secret"))
            await d.append(store, d.react("c", "eve", "2", 3))
            await d.append_one(store, _delete("c"))
            await d.append(store, d.founding("d", "anna"), d.say("d", "anna", "1", "new"))
            await _clear(store)
            assert [1, 2] == d.seqs(await d.log(store, "d"))
            (message,) = (await d.history(store, "d")).messages
            assert (["new"], {}) == (d.texts([message]), message.reactions)
            assert ["anna"] == [one.user for one in await store.members("d", after=None, limit=9)]
            assert await store.find("d", "anna", "2") is None

    async def test_what_is_left_is_cleared_in_bounded_steps(self, home: Home) -> None:
        """Each membership is told once, at most about `limit` in a call; then there is nothing."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            for number in range(7):
                await d.append(store, d.seat("a", "anna", f"m{number}", f"user-{number}", "member"))
            assert await store.clear_deleted(limit=9) is None
            await d.append_one(store, _delete())
            some = await store.clear_deleted(limit=3)
            assert some is not None
            assert len(some) <= 3
            gone = some + await _clear(store)
            users = ["anna", "ben", *(f"user-{number}" for number in range(7))]
            assert [("a", user) for user in users] == sorted(gone)
            assert await store.clear_deleted(limit=3) is None

    async def test_marks_and_prunings_of_a_deleted_room_are_harmless(self, home: Home) -> None:
        """Who flushes marks, or retention, may not have heard of it."""
        async with self.open_store(home) as store:
            await _a_room(store, home)
            await d.append_one(store, _delete())
            await store.put_marks([Mark(room="a", user="ben", delivered=9, read=8, read_n=4)])
            moved = await store.prune(older_than=0, entries_max=1, limit=100)
            assert ["b"] == [room for room, *_ in moved]
            await store.new_generation()
            await _clear(store)
            await _is_gone(store, "a", "anna", "ben")

    async def test_pages_of_rooms_are_full_beside_deleted_ones(self, home: Home) -> None:
        """What is left of deleted rooms takes no place in inboxes and positions."""
        async with self.open_store(home) as store:
            await d.append(store, *(d.founding(room, "anna") for room in ("a", "b", "c", "d")))
            await d.append_one(store, _delete("a"))
            await d.append_one(store, _delete("c"))
            assert ["b", "d"] == [row[0] for row in await store.positions("anna", limit=2)]
            items = await store.inbox("anna", after=None, limit=2)
            assert ["b", "d"] == [item.state.room for item in items]

    async def test_a_deletion_is_durable(self, home: Home) -> None:
        """What is reopened knows the tombstone, and goes on clearing."""
        self.require_durable()
        async with self.open_store(home) as store:
            await _a_room(store, home)
            await d.append_one(store, _delete())
            await store.clear_deleted(limit=1)
        async with self.open_store(home) as store:
            await _is_gone(store, "a", "anna", "ben")
            assert 1 == len(await _clear(store, limit=1))
            await d.append(store, d.founding("e", "anna", spec=RoomSpec(kind="channel")))
        async with self.open_store(home) as store:
            assert await store.clear_deleted(limit=9) is None
            assert Duplicate(7, BEGINNING_MS + 1000, "delete_room") == await d.append_one(
                store, _delete()
            )
            assert [1] == d.seqs(await d.log(store, "e"))
