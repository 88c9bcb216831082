"""The contract of `ports.transfer`: a store that took another one's rows answers as it does."""

from contextlib import AbstractAsyncContextManager

import pytest

from ..._model.entries import Message, Meta, Record
from ..._model.errors import ConfigurationError, ErrorCode
from ...adapters._transfers import only
from ...copying import sum_of, transfer
from ...ports.people import Person, Revocation
from ...ports.store import Appended, Duplicate, Mark, RoomSpec, Store
from ...ports.transfer import TAKEN, Page, Place, Row, Section, Source, Target
from . import drafting as d
from .home import Contract, Home

USERS = ("anna", "ben", "cleo", "dora")
ROOMS = ("a", "big", "cut", "empty", "gone", "mine:odd", "zoo")
# Whose retries are compared: cids of entries that are there, that retention removed, and none.
CIDS = [
    *(("a", user, f"{user}-{number}") for user in USERS for number in range(6)),
    *(("a", "anna", cid) for cid in ("create", "e2", "m1", "m2", "never")),
    *(("big", "anna", f"big-{number}") for number in (0, 7, 199)),
    *(("cut", "anna", f"cut-{number}") for number in range(20)),
    *(("gone", "anna", f"gone-{number}") for number in range(5)),
    *(("ended", "anna", cid) for cid in ("create", "end")),
]


async def fill(store: Store, home: Home) -> None:
    """Write something of everything there is, in several generations."""
    await _lose_the_oldest(store, home)
    await store.new_generation()
    await _talk(store, home)
    await store.new_generation()
    await d.append(store, d.founding("big", "anna", spec=RoomSpec(kind="channel", public=True)))
    await d.append(store, *(d.say("big", "anna", f"big-{n}", "x" * n) for n in range(200)))
    for number in range(30):
        seat = d.seat("big", "anna", f"q{number}", f"user-{number:02}", "reader", logged=False)
        await d.append(store, seat)
    await d.append(store, d.seat("big", "anna", "q99", "user-07", None, logged=False, revokes=True))
    await d.append(store, d.draft("empty", "ben", "c", op="create", create=RoomSpec(kind="group")))
    await _end_one(store)
    await store.new_generation()
    await d.append(store, d.founding("mine:odd", "anna", "ben", spec=RoomSpec(kind="direct")))
    await d.append(store, d.founding("zoo", "dora"), d.say("zoo", "dora", "z", "last"))
    await store.put_marks([Mark(room="a", user="ben", delivered=9, read=8, read_n=4)])
    await store.put_people([Person("ben", "dnd", 7), Person("eve:x", "", 9)])
    await store.show_to("eve:x", "nobody")
    await store.revoke(Revocation("ben", 5))
    await store.revoke(Revocation("zed", home.clock.ms))


async def _end_one(store: Store) -> None:
    """Delete a room, and with it the greatest number that a room has."""
    await d.append(store, d.founding("ended", "anna", "ben"), d.say("ended", "ben", "1", "gone"))
    await d.append_one(store, d.draft("ended", "anna", "end", op="delete_room", deletes=True))
    while await store.clear_deleted(limit=100) is not None:
        pass


async def _lose_the_oldest(store: Store, home: Home) -> None:
    """A room that retention has emptied, and one whose beginning is gone with what was changed."""
    await d.append(store, d.founding("gone", "anna", "ben"))
    await d.append(store, *(d.say("gone", "anna", f"gone-{n}") for n in range(5)))
    home.clock.ms += 1000
    await _prune(store, older_than=home.clock.ms, entries_max=0)
    await d.append(store, d.founding("cut", "anna", "dora"))
    await d.append(store, *(d.say("cut", "anna", f"cut-{n}", str(n)) for n in range(20)))
    await d.append(
        store,
        d.edit("cut", "anna", "e1", 5, "of one that goes"),
        d.edit("cut", "anna", "e2", 20, "of one that stays"),
        d.react("cut", "dora", "r1", 6),
        d.react("cut", "dora", "r2", 21),
        d.delete("cut", "anna", "x1", 22),
    )
    await _prune(store, older_than=0, entries_max=15)


async def _prune(store: Store, *, older_than: int, entries_max: int) -> None:
    while await store.prune(older_than=older_than, entries_max=entries_max, limit=1000):
        pass


async def _talk(store: Store, home: Home) -> None:
    """Messages, and all that can be done to them."""
    await d.append(store, d.founding("a", *USERS[:3], spec=RoomSpec(kind="group", title="Tea")))
    for number in range(6):
        home.clock.ms += 1000
        batch = [d.say("a", user, f"{user}-{number}", f"{user} {number}") for user in USERS]
        await d.append(store, *batch)
    await d.append(
        store,
        d.edit("a", "anna", "e1", 5, "better"),
        d.edit("a", "anna", "e2", 5, "best"),
        d.edit("a", "ben", "e3", 6, "secret"),
        d.delete("a", "ben", "x1", 6),
        d.delete("a", "cleo", "x2", 7),
        *(d.react("a", user, f"r{user}", 5, "🙂") for user in reversed(USERS)),
        d.react("a", "ben", "r9", 5, "🙂", on=False),
        d.react("a", "ben", "r10", 5, "🙂"),
        d.react("a", "ben", "r11", 8, "+1"),
        d.react("a", "ben", "r12", 8, "+1", on=False),
        d.draft("a", "anna", "m1", Meta(title="Cake", public=True), op="meta"),
        d.draft("a", "anna", "m2", Message({"text": "two"}), Message({"n": 2}, reply_to=5)),
        d.seat("a", "anna", "s1", "dora", "reader"),
        d.seat("a", "anna", "s2", "cleo", None, revokes=True),
    )


async def everything(store: Store) -> dict[str, object]:
    """Return what each read of a store says."""
    said: dict[str, object] = {
        "rooms": await store.rooms([*ROOMS, "none"], members_max=d.ALL),
        "heads": await store.heads(ROOMS),
        "people": await store.people([*USERS, "eve:x", "none"]),
        "revocations": await store.revocations(since=0, after=None, limit=d.ALL),
        "acquainted": [await store.acquainted(user, USERS) for user in USERS],
        "cids": [await store.find(*cid) for cid in CIDS],
    }
    for room in ROOMS:
        said[f"log {room}"] = await store.page(
            room, after=0, upto=d.ALL, limit=d.ALL, bytes_max=d.ALL
        )
        for user in USERS:
            said[f"history {room} {user}"] = await d.history(store, room, user)
            said[f"membership {room} {user}"] = await store.membership(room, user)
        said[f"members {room}"] = await store.members(room, after=None, limit=d.ALL)
        said[f"marks {room}"] = await store.marks(room, seq=3, after=None, limit=d.ALL)
        said[f"n {room}"] = [await store.n_at(room, seq) for seq in range(45)]
    for user in (*USERS, "user-03", "user-07"):
        said[f"inbox {user}"] = await store.inbox(user, after=None, limit=d.ALL)
        said[f"positions {user}"] = await store.positions(user, limit=d.ALL)
        said[f"revoked {user}"] = await store.revoked(user)
    return said


async def pages(source: Source, section: Section, *, rows_max: int, bytes_max: int) -> list[Page]:
    """Return all pages of a section."""
    found: list[Page] = []
    after: str | None = ""
    while after is not None:
        page = await source.rows(section, after=after, rows_max=rows_max, bytes_max=bytes_max)
        found.append(page)
        after = page.after
    return found


async def rows(source: Source, section: Section) -> list[Row]:
    """Return all rows of a section, read in pages of three."""
    found = await pages(source, section, rows_max=3, bytes_max=d.ALL)
    return [row for page in found for row in page.rows]


class TransferContract(Contract):
    """What one store holds, another one holds after it."""

    def open_source(
        self, home: Home, *, may_be_unfinished: bool = False
    ) -> AbstractAsyncContextManager[Source]:
        """Open the store at `home` to read its rows."""
        raise NotImplementedError

    def open_target(self, home: Home) -> AbstractAsyncContextManager[Target]:
        """Open the store at `home` to take rows."""
        raise NotImplementedError

    async def copy(self, home: Home, there: Home, to: "TransferContract | None" = None) -> None:
        """Copy the store at `home` to another home, and finish it."""
        async with self.open_source(home) as source, (to or self).open_target(there) as target:
            await transfer(source, target)
            await target.finish()

    async def test_a_copy_answers_each_read_as_the_store_does(self, home: Home) -> None:
        """Positions, epochs, marks and rights are the same; a cid is a duplicate with its seq."""
        there = home.another()
        async with self.open_store(home) as store:
            await fill(store, home)
            said = await everything(store)
        await self.copy(home, there)
        async with self.open_store(there) as store:
            assert said == await everything(store)

    async def test_sums_are_equal_and_count_all_rows(self, home: Home) -> None:
        """Both stores read back the same rows, in any order, and `origin` counts them."""
        there = home.another()
        async with self.open_store(home) as store:
            await fill(store, home)
        await self.copy(home, there)
        async with self.open_source(home) as source, self.open_source(there) as copy:
            counts = (await source.origin()).counts
            for section in Section:
                ours = await sum_of(source, section)
                assert ours == await sum_of(copy, section), section
                assert ours.rows > 0
                if section in TAKEN:
                    assert ours.rows == counts[section], section

    async def test_a_copy_goes_on_as_the_store_would(self, home: Home) -> None:
        """What is written next gets the same place, and is judged by the same rights."""
        there = home.another()
        async with self.open_store(home) as store:
            await fill(store, home)
        await self.copy(home, there)
        outcomes = []
        now_ms = home.clock.ms + 1
        for place in (home, there):
            async with self.open_store(place) as store:
                place.clock.ms = now_ms
                drafts = [
                    d.say("a", "anna", "next"),
                    d.say("a", "anna", "next", acl_ver=1),
                    d.edit("a", "anna", "next-e", 5, "once more", acl_ver=1),
                    d.react("cut", "anna", "next-r", 6),
                    d.react("cut", "anna", "next-s", 21),
                    d.say("gone", "anna", "next"),
                    d.say("gone", "anna", "gone-3"),
                    d.say("big", "anna", "big-3", acl_ver=1),
                    d.founding("new", "anna"),
                    d.founding("zoo", "anna"),
                    d.founding("ended", "anna", cid="other"),
                    d.draft("ended", "anna", "end", op="delete_room", deletes=True),
                ]
                outcomes.append((await store.append(drafts), await everything(store)))
        assert outcomes[0] == outcomes[1]
        judged = outcomes[0][0]
        assert isinstance(judged[6], Duplicate)
        assert isinstance(judged[7], Duplicate)
        assert isinstance(judged[8], Appended)
        assert d.is_rejected(judged[10], ErrorCode.ALREADY_EXISTS)
        assert isinstance(judged[11], Duplicate)

    async def test_a_copy_can_be_copied(self, home: Home) -> None:
        """Of a cid whose entry is gone, its digest is all that is known, and enough."""
        there, back = home.another(), home.another()
        async with self.open_store(home) as store:
            await fill(store, home)
            said = await everything(store)
        await self.copy(home, there)
        await self.copy(there, back)
        async with self.open_store(back) as store:
            assert said == await everything(store)

    async def test_old_cids_are_forgotten_in_a_copy_as_well(self, home: Home) -> None:
        """Cids keep their times."""
        there = home.another()
        async with self.open_store(home) as store:
            await fill(store, home)
        await self.copy(home, there)
        counts = []
        for place in (home, there):
            async with self.open_store(place) as store:
                first = await store.find("a", "anna", "anna-3")
                assert first is not None
                counts.append(await store.prune_cids(older_than=first.at, limit=d.ALL))
                found = [await store.find("a", "anna", f"anna-{n}") for n in range(6)]
                assert [None] * 3 == found[:3]
                assert None not in found[3:]
                assert 0 == await store.prune_cids(older_than=first.at, limit=d.ALL)
        assert counts[0] == counts[1] > 0

    async def test_pages_are_bounded(self, home: Home) -> None:
        """At most `rows_max` rows and `bytes_max` of facts, or one; together they are all."""
        async with self.open_store(home) as store:
            await fill(store, home)
        async with self.open_source(home) as source:
            for section in Section:
                whole = await pages(source, section, rows_max=d.ALL, bytes_max=d.ALL)
                parts = await pages(source, section, rows_max=7, bytes_max=d.ALL)
                assert all(len(page.rows) <= 7 for page in parts)
                assert [row for page in whole for row in page.rows] == [
                    row for page in parts for row in page.rows
                ]
            whole = await pages(source, Section.ENTRIES, rows_max=d.ALL, bytes_max=d.ALL)
            for bytes_max in (1, 100, 333):
                parts = await pages(source, Section.ENTRIES, rows_max=d.ALL, bytes_max=bytes_max)
                assert [row for page in whole for row in page.rows] == [
                    row for page in parts for row in page.rows
                ]
                for records in (only(page.rows, Record) for page in parts):
                    size = sum(len(record.packed) for record in records)
                    assert size <= bytes_max or len(records) == 1

    async def test_a_transfer_goes_on_where_it_stopped(self, home: Home) -> None:
        """Whatever call was the last one, or is done twice: the copy is the same."""
        async with self.open_store(home) as store:
            await fill(store, home)
            said = await everything(store)
        there = home.another()
        for stop in (0, 1, 2, 5, 9, 14, 30, 60, 1000):
            async with self.open_source(home) as source, self.open_target(there) as target:
                place = await target.begin(await source.origin())
                for _ in range(stop):
                    if place.section == Section.FOLDED:
                        break
                    page = await source.rows(
                        place.section, after=place.after, rows_max=4, bytes_max=d.ALL
                    )
                    upto = place.following(page)
                    await target.take(page.rows, after=place, upto=upto)
                    await target.take(page.rows, after=place, upto=upto)
                    place = upto
        async with self.open_source(home) as source, self.open_target(there) as target:
            await transfer(source, target)
            await target.settle()
            await target.finish()
        async with self.open_store(there) as store:
            assert said == await everything(store)

    async def test_rows_come_in_their_turn(self, home: Home) -> None:
        """Rows after another place are refused: somebody else copies into the same target."""
        async with self.open_store(home) as store:
            await fill(store, home)
        async with (
            self.open_source(home) as source,
            self.open_target(home.another()) as target,
        ):
            await target.begin(await source.origin())
            with pytest.raises(ConfigurationError, match="another copy"):
                await target.take((), after=Place(Section.MEMBERS), upto=Place(Section.PEOPLE))

    async def test_an_unfinished_copy_is_no_store(self, home: Home) -> None:
        """No server opens it, and no source, before it is finished."""
        self.require_durable()
        async with self.open_store(home) as store:
            await fill(store, home)
        there = home.another()
        async with self.open_source(home) as source, self.open_target(there) as target:
            await transfer(source, target)
        with pytest.raises(ConfigurationError, match="unfinished copy"):
            async with self.open_store(there):
                pass
        with pytest.raises(ConfigurationError, match="unfinished copy"):
            async with self.open_source(there):
                pass
        async with self.open_source(there, may_be_unfinished=True) as copy:
            assert (await copy.origin()).counts[Section.ROOMS] == len(ROOMS)

    async def test_a_target_that_holds_something_is_refused(self, home: Home) -> None:
        """Other data, a finished copy, a copy of another store or of an earlier state."""
        async with self.open_store(home) as store:
            await fill(store, home)
        used, done, begun, other = (home.another() for _ in range(4))
        async with self.open_store(used) as store:
            await d.append(store, d.founding("mine", "anna"))
        await self._is_refused(home, used, "not empty")
        await self.copy(home, done)
        await self._is_refused(home, done, "finished copy of the source already")
        async with self.open_source(home) as source, self.open_target(begun) as target:
            await target.begin(await source.origin())
        async with self.open_store(other) as store:
            await d.append(store, d.founding("mine", "anna"))
        await self._is_refused(other, begun, "unfinished copy of another store")
        async with self.open_store(home) as store:
            await d.append(store, d.say("zoo", "dora", "meanwhile"))
        await self._is_refused(home, begun, "has changed")

    async def _is_refused(self, home: Home, there: Home, words: str) -> None:
        async with self.open_source(home) as source, self.open_target(there) as target:
            with pytest.raises(ConfigurationError, match=words):
                await transfer(source, target)

    async def test_an_empty_store_can_be_copied(self, home: Home) -> None:
        """Its salt and its epoch are all there is, and the copy has them."""
        there = home.another()
        async with self.open_store(home):
            pass
        await self.copy(home, there)
        async with self.open_source(home) as source, self.open_source(there) as copy:
            assert await source.origin() == await copy.origin()
