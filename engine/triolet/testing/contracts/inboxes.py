"""The contract of what a user sees of all rooms, and of what is kept of people."""

from ...ports.people import Person, Revocation
from ...ports.store import Mark, RoomSpec
from . import drafting as d
from .home import BEGINNING_MS, Contract, Home


class InboxContract(Contract):
    """The user's rooms by name, each with its state, the membership and the last message."""

    async def test_rooms_come_by_name_in_pages(self, home: Home) -> None:
        """The user's rooms by name, those after `after`."""
        async with self.open_store(home) as store:
            names = ["b", "a:1", "Z", "a", "dm:anna:ben", "a-2"]
            await d.append(store, *(d.founding(name, "anna") for name in names))
            await d.append(store, d.founding("not-mine", "ben"))
            found: list[str] = []
            after = None
            while items := await store.inbox("anna", after=after, limit=2):
                found += [item.state.room for item in items]
                after = found[-1]
            assert sorted(names) == found
            assert [] == await store.inbox("zoe", after=None, limit=9)

    async def test_an_item_is_state_membership_and_last_message(self, home: Home) -> None:
        """An item says what `room`, `membership` and `history` say."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"), d.founding("b", "anna"))
            await d.append(store, d.say("a", "anna", "1", "one"), d.say("a", "anna", "2", "two"))
            await d.append(store, d.react("a", "ben", "3", 4), d.edit("a", "anna", "4", 4, "2!"))
            for user in ("anna", "ben"):
                item = (await store.inbox(user, after=None, limit=9))[0]
                assert await store.room("a") == item.state
                assert await store.membership("a", user) == item.membership
                (last,) = (await d.history(store, "a", user, limit=1)).messages
                assert last == item.last
                assert (user == "ben") == last.reactions["+1"].mine
            assert (await store.inbox("anna", after="a", limit=9))[0].last is None

    async def test_an_erased_message_can_be_the_last(self, home: Home) -> None:
        """`last` shows the last message, erased or not."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, d.say("a", "anna", "1"), d.say("a", "anna", "2"))
            await d.append(store, d.delete("a", "anna", "3", 3))
            (item,) = await store.inbox("anna", after=None, limit=9)
            assert item.last is not None
            assert (3, True) == (item.last.seq, item.last.erased)

    async def test_unread_follows_from_an_item(self, home: Home) -> None:
        """`state.n`, `membership.read_n` and `state.floor_n` are what unread is derived from."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben"))
            await d.append(store, *(d.say("a", "anna", str(i)) for i in range(5)))
            read_n = await store.n_at("a", 4)
            await store.put_marks([Mark(room="a", user="ben", delivered=4, read=4, read_n=read_n)])
            (item,) = await store.inbox("ben", after=None, limit=9)
            assert 3 == item.state.n - max(item.membership.read_n, item.state.floor_n)

    async def test_some_rooms_of_the_inbox(self, home: Home) -> None:
        """Those of `rooms` the user is a member of, by name, each once."""
        async with self.open_store(home) as store:
            await d.append(store, *(d.founding(name, "anna") for name in "dcba"))
            await d.append(store, d.founding("e", "ben"))
            every = await store.inbox("anna", after=None, limit=9)
            assert [every[1], every[3]] == await store.inbox_of(
                "anna", ["d", "none", "b", "e", "d"]
            )
            assert [] == await store.inbox_of("anna", [])
            many = [f"room-{i}" for i in range(998)] + ["c", "a"]
            assert [every[0], every[2]] == await store.inbox_of("anna", many)

    async def test_heads_of_many_rooms(self, home: Home) -> None:
        """`heads` knows rooms that exist, `positions` the user's and how far they read, by name."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("b", "anna", "ben"), d.founding("a", "anna"))
            await d.append(store, d.say("a", "anna", "1"), d.say("b", "ben", "1"))
            epoch = (await d.state(store, "a")).epoch
            asked = ["a", *(f"none-{i}" for i in range(600)), "b"]
            assert {"a": (epoch, 2), "b": (epoch, 3)} == await store.heads(asked)
            assert {} == await store.heads([])
            expected = [("a", epoch, 2, 1), ("b", epoch, 3, 2)]
            assert expected == await store.positions("anna", limit=9)
            assert expected[:1] == await store.positions("anna", limit=1)
            assert [] == await store.positions("zoe", limit=9)

    async def test_rooms_that_were_active_lately(self, home: Home) -> None:
        """By the last entry of any kind, by name, in pages."""
        async with self.open_store(home) as store:
            home.clock.ms = BEGINNING_MS + 1
            await d.append(store, *(d.founding(name, "anna") for name in ("d", "a", "c", "b")))
            await d.append(store, d.say("a", "anna", "1"))
            home.clock.ms = BEGINNING_MS + 5
            await d.append(store, d.say("c", "anna", "1"), d.edit("a", "anna", "2", 2, "hi"))
            home.clock.ms = BEGINNING_MS + 6
            await d.append(store, d.say("b", "anna", "1"))

            async def active(since: int, after: str | None = None, limit: int = 9) -> list[str]:
                since += BEGINNING_MS
                return await store.active_rooms(since=since, after=after, limit=limit)

            assert ["a", "b", "c", "d"] == await active(1)
            assert ["a", "b", "c"] == await active(5)
            assert ["b"] == await active(6)
            assert [] == await active(7)
            assert ["a", "b"] == await active(0, limit=2)
            assert ["c"] == await active(0, after="b", limit=1)
            assert [] == await active(0, after="d")


class PeopleContract(Contract):
    """What is kept of people: acquaintance, status, last seen, revocation."""

    async def test_who_shares_a_room_that_is_not_public(self, home: Home) -> None:
        """Those of `others`, in their order, who share a room that is not public."""
        async with self.open_store(home) as store:
            public = RoomSpec(kind="group", public=True)
            await d.append(
                store,
                d.founding("a", "anna", "cleo"),
                d.founding("b", "anna", "ben", spec=public),
                d.founding("c", "dora", "anna"),
                d.founding("d", "ben", "emil"),
            )
            others = ["zoe", "emil", "dora", "cleo", "ben"]
            assert ["dora", "cleo"] == await store.acquainted("anna", others)
            assert ["emil"] == await store.acquainted("ben", others[:2])
            assert [] == await store.acquainted("zoe", others[1:])
            assert [] == await store.acquainted("anna", [])
            await d.append(store, d.seat("a", "anna", "1", "cleo", None))
            assert ["dora"] == await store.acquainted("anna", others)

    async def test_what_is_kept_of_people(self, home: Home) -> None:
        """In their order; a default for the unknown."""
        async with self.open_store(home) as store:
            kept = [Person("anna", "dnd", 5), Person("ben", "", 7)]
            await store.put_people(kept)
            asked = await store.people(["zoe", "ben", "anna", "ben"])
            assert [Person("zoe"), kept[1], kept[0], kept[1]] == asked
            assert [] == await store.people([])
            many = [f"user-{i}" for i in range(600)]
            assert [Person(user) for user in many] == await store.people(many)

    async def test_last_seen_never_goes_back(self, home: Home) -> None:
        """Status is the latest given; `last_seen` the greatest."""
        async with self.open_store(home) as store:
            await store.put_people([Person("anna", "dnd", 5)])
            await store.put_people([Person("anna", "", 3)])
            assert [Person("anna", "", 5)] == await store.people(["anna"])
            await store.put_people([Person("anna", "invisible", 9), Person("anna", "", 8)])
            assert [Person("anna", "", 9)] == await store.people(["anna"])

    async def test_who_may_see_somebody_is_kept_by_itself(self, home: Home) -> None:
        """`shared` unless said otherwise; a status that is kept changes nothing of it."""
        async with self.open_store(home) as store:
            await store.put_people([Person("anna", "dnd", 5)])
            await store.show_to("anna", "nobody")
            await store.show_to("ben", "everyone")
            await store.put_people([Person("anna", "", 6), Person("ben", "dnd", 2, "shared")])
            await store.show_to("ben", "nobody")
            expected = [Person("anna", "", 6, "nobody"), Person("ben", "dnd", 2, "nobody")]
            assert [*expected, Person("zoe")] == await store.people(["anna", "ben", "zoe"])
            assert "shared" == Person("zoe").visible_to

    async def test_a_person_is_forgotten(self, home: Home) -> None:
        """All but the revocation: old tokens stay worthless."""
        async with self.open_store(home) as store:
            await store.put_people([Person("anna", "dnd", 5), Person("ben", "dnd", 5)])
            await store.show_to("anna", "nobody")
            await store.revoke(Revocation("anna", 5))
            for _ in range(2):
                await store.forget("anna")
            assert [Person("anna"), Person("ben", "dnd", 5)] == await store.people(["anna", "ben"])
            assert 5 == await store.revoked("anna")

    async def test_the_greatest_revocation_wins(self, home: Home) -> None:
        """`not_before` of a subject only grows; 0 if nothing is revoked; of several, the last."""
        async with self.open_store(home) as store:
            assert 0 == await store.revoked("anna")
            for not_before, expected in ((5, 5), (3, 5), (8, 8)):
                await store.revoke(Revocation("anna", not_before))
                assert expected == await store.revoked("anna")
            assert 0 == await store.revoked("ben")
            await store.revoke(Revocation("sid:ben:f", 6))
            assert 0 == await store.revoked("ben", "sid:ben:g")
            assert 6 == await store.revoked("ben", "sid:ben:f")
            assert 8 == await store.revoked("anna", "sid:ben:f")
            assert store.revoked_now("ben", "sid:ben:f") in (6, None)

    async def test_families_are_forgotten_and_users_are_not(self, home: Home) -> None:
        """Those revoked before a moment, at most so many at once; how many, until none is left."""
        async with self.open_store(home) as store:
            kept = [Revocation("anna", 1), Revocation("sid:ben:late", 5), Revocation("sie", 1)]
            old = [Revocation(f"sid:ben:{number}", 4) for number in range(5)]
            for one in (*kept, *old):
                await store.revoke(one)
            counts = [await store.forget_revocations(older_than=5, limit=3) for _ in range(3)]
            assert [3, 2, 0] == counts
            assert kept == await store.revocations(since=0, after=None, limit=9)
            assert 0 == await store.revoked("ben", "sid:ben:0")
            await store.revoke(old[0])
            assert 4 == await store.revoked("sid:ben:0")

    async def test_revocations_are_listed(self, home: Home) -> None:
        """Those since a moment, that one included, by user and page by page."""
        async with self.open_store(home) as store:
            for user, not_before in (("dora", 7), ("anna", 5), ("carl", 9), ("ben", 4)):
                await store.revoke(Revocation(user, not_before))
            await store.revoke(Revocation("ben", 8))
            found = await store.revocations(since=7, after=None, limit=2)
            assert [Revocation("ben", 8), Revocation("carl", 9)] == found
            rest = await store.revocations(since=7, after="carl", limit=2)
            assert [Revocation("dora", 7)] == rest
            assert [] == await store.revocations(since=10, after=None, limit=2)

    async def test_people_are_kept(self, home: Home) -> None:
        """Memberships, marks, people and revocations are there when the store is reopened."""
        self.require_durable()
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"), d.say("a", "anna", "1"))
            mark = Mark(room="a", user="anna", delivered=2, read=2, read_n=1)
            await store.put_marks([mark])
            await store.put_people([Person("anna", "dnd", 5)])
            await store.show_to("anna", "everyone")
            await store.revoke(Revocation("anna", 5))
        async with self.open_store(home) as store:
            assert [mark] == await store.marks("a", seq=0, after=None, limit=9)
            assert [Person("anna", "dnd", 5, "everyone")] == await store.people(["anna"])
            assert 5 == await store.revoked("anna")
