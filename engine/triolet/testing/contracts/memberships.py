"""The contract of members, marks and the room's own facts."""

from ..._model.entries import Meta
from ...ports.store import Mark, Membership, RoomSpec
from . import drafting as d
from .home import Contract, Home


def _mark(user: str, delivered: int, read: int, read_n: int, room: str = "a") -> Mark:
    return Mark(room=room, user=user, delivered=delivered, read=read, read_n=read_n)


class MembershipContract(Contract):
    """`Member` sets or ends a membership; `Meta` changes the room."""

    async def test_founders_have_read_the_making(self, home: Home) -> None:
        """Memberships made with the room start with all of its making read."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "anna", "1"))
            for user, role in (("anna", "owner"), ("ben", "member")):
                membership = await store.membership("a", user)
                assert membership is not None
                assert role == membership.role
                assert (2, 2, 0) == (membership.delivered, membership.read, membership.read_n)

    async def test_a_new_members_marks_start_at_the_head(self, home: Home) -> None:
        """A new member's marks start at the head, this entry included."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            await d.append(
                store, d.seat("a", "anna", "2", "ben", "member"), d.say("a", "anna", "3")
            )
            expected = Membership(user="ben", role="member", delivered=3, read=3, read_n=1)
            assert expected == await store.membership("a", "ben")
            await d.append(store, d.seat("a", "c", "4", "cleo", "reader", logged=False))
            expected = Membership(user="cleo", role="reader", delivered=4, read=4, read_n=2)
            assert expected == await store.membership("a", "cleo")

    async def test_rooms_come_with_their_members(self, home: Home) -> None:
        """Those that exist, each as `room` and `members` say, whatever names are made of."""
        names = ["anna", 'ben "\\ \u2028', "zoë \U0001f600"]
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", *names), d.say("a", "anna", "1"))
            await d.append(store, d.founding("b", "ben"))
            await store.put_marks([_mark("anna", 4, 3, 0)])
            found = await store.rooms(["b", "none", "a"], members_max=3)
            assert ["a", "b"] == sorted(found)
            for name, stored in found.items():
                assert await store.room(name) == stored.state
                assert await store.members(name, after=None, limit=9) == stored.members
            assert {} == await store.rooms([], members_max=3)

    async def test_rooms_with_too_many_members_come_without_them(self, home: Home) -> None:
        """`members_max` of them are not too many."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "anna"))
            found = await store.rooms(["a", "b"], members_max=1)
            assert found["a"].members is None
            assert 2 == found["a"].state.members
            assert ["anna"] == [one.user for one in found["b"].members or ()]

    async def test_all_rooms_are_named_in_order(self, home: Home) -> None:
        """Page by page, each once; `after` need not be a room's name."""
        rooms = ["a", "a.1", "b", "dm:anna:ben", "z"]
        async with self.open_store(home) as store:
            assert [] == await store.room_names(after=None, limit=9)
            await d.append(store, *(d.founding(room, "anna") for room in reversed(rooms)))
            assert rooms == await store.room_names(after=None, limit=9)
            assert rooms[:2] == await store.room_names(after=None, limit=2)
            assert rooms[2:4] == await store.room_names(after="a.1", limit=2)
            assert rooms[4:] == await store.room_names(after="e", limit=9)
            assert [] == await store.room_names(after="z", limit=9)

    async def test_a_members_marks_stay(self, home: Home) -> None:
        """Another role leaves the marks as they were."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "anna", "1"))
            await d.append(store, d.seat("a", "anna", "2", "ben", "admin"))
            expected = Membership(user="ben", role="admin", delivered=2, read=2, read_n=0)
            assert expected == await store.membership("a", "ben")
            assert 2 == (await d.state(store, "a")).members

    async def test_a_membership_ends_and_begins_anew(self, home: Home) -> None:
        """Who returns is a new member; ending what is not there changes nothing."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.say("a", "anna", "1"))
            await d.append(store, d.seat("a", "anna", "2", "ben", None))
            await d.append(store, d.seat("a", "anna", "3", "ben", None))
            assert await store.membership("a", "ben") is None
            assert [] == await store.inbox("ben", after=None, limit=9)
            assert 1 == (await d.state(store, "a")).members
            await d.append(store, d.seat("a", "anna", "4", "ben", "member"))
            expected = Membership(user="ben", role="member", delivered=6, read=6, read_n=1)
            assert expected == await store.membership("a", "ben")

    async def test_members_come_by_name_in_pages(self, home: Home) -> None:
        """Members by user name, those after `after`, at most `limit`."""
        async with self.open_store(home) as store:
            users = ["anna", "B", "ben", "b.", "cleo", "dora", "9", "_x"]
            await d.append(store, d.founding("a", *users))
            found: list[str] = []
            after = None
            while members := await store.members("a", after=after, limit=3):
                found += [member.user for member in members]
                after = found[-1]
            assert sorted(users) == found
            assert [] == await store.members("none", after=None, limit=9)
            assert await store.membership("none", "anna") is None
            assert await store.membership("a", "zoe") is None

    async def test_meta_changes_what_it_names(self, home: Home) -> None:
        """`Meta` changes title or visibility; what is absent stays as it was."""
        async with self.open_store(home) as store:
            spec = RoomSpec(kind="group", title="Old", public=False)
            await d.append(store, d.founding("a", "anna", spec=spec))
            await d.append(store, d.draft("a", "anna", "1", Meta(title="New"), op="meta"))
            state = await d.state(store, "a")
            assert ("New", False) == (state.title, state.public)
            await d.append(store, d.draft("a", "anna", "2", Meta(public=True), op="meta"))
            state = await d.state(store, "a")
            assert ("New", True) == (state.title, state.public)


class MarksContract(Contract):
    """Marks only move forward."""

    async def test_marks_only_move_forward(self, home: Home) -> None:
        """A smaller mark changes nothing; each of the two moves by itself, `read_n` with `read`."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, *(d.say("a", "anna", str(i)) for i in range(9)))
            steps = (
                (_mark("anna", 5, 4, 3), (5, 4, 3)),
                (_mark("anna", 4, 3, 2), (5, 4, 3)),
                (_mark("anna", 7, 2, 1), (7, 4, 3)),
                (_mark("anna", 2, 6, 5), (7, 6, 5)),
                (_mark("anna", 7, 6, 5), (7, 6, 5)),
            )
            for mark, expected in steps:
                await store.put_marks([mark])
                member = await store.membership("a", "anna")
                assert member is not None
                assert expected == (member.delivered, member.read, member.read_n)

    async def test_who_is_no_member_has_no_marks(self, home: Home) -> None:
        """Marks of strangers, and in rooms that do not exist, are not kept; others are."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            await store.put_marks(
                [_mark("ben", 2, 2, 1), _mark("anna", 2, 2, 1, "none"), _mark("anna", 2, 2, 1)]
            )
            assert [_mark("anna", 2, 2, 1)] == await store.marks("a", seq=0, after=None, limit=9)
            await store.put_marks([])

    async def test_who_got_or_read_that_far(self, home: Home) -> None:
        """Marks with `delivered >= seq` or `read >= seq`, by user, those after `after`."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben", "cleo", "dora"))
            await d.append(store, *(d.say("a", "anna", str(i)) for i in range(4)))
            await store.put_marks(
                [_mark("dora", 8, 0, 0), _mark("anna", 4, 7, 3), _mark("ben", 6, 6, 2)]
            )
            got = await store.marks("a", seq=7, after=None, limit=9)
            assert [_mark("anna", 4, 7, 3), _mark("dora", 8, 4, 0)] == got
            assert got[:1] == await store.marks("a", seq=7, after=None, limit=1)
            assert got[1:] == await store.marks("a", seq=7, after="anna", limit=9)
            assert 4 == len(await store.marks("a", seq=4, after=None, limit=9))
            assert [] == await store.marks("none", seq=0, after=None, limit=9)
