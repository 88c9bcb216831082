"""The contract of `ports.transfer`: a store that took another one's rows answers as it does."""

from contextlib import AbstractAsyncContextManager

import pytest

from ..._model.entries import Record
from ..._model.errors import ConfigurationError, ErrorCode
from ...adapters._transfers import only
from ...copying import sum_of, transfer
from ...ports.documents import Change, Document
from ...ports.jobs import JobState
from ...ports.store import Appended, Duplicate
from ...ports.transfer import TAKEN, Page, Place, Row, Section, Source, Target
from . import drafting as d
from . import jobbing as j
from .filling import ROOMS, everything, fill
from .home import Contract, Home


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
        async with self.open_source(home) as source:
            last_job = (await source.origin()).last_job
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
                # Its version is none that the removed document ever had.
                assert await store.documents.write([Change("gone", b"again", 0)])
                assert not await store.documents.write([Change("gone", b"", 3)])
                assert await store.documents.write([Change("name/ä", b"", 3)])
                # Its id is none that the withdrawn job ever had.
                assert [True, False] == await store.jobs.add(
                    [j.new("new"), j.new("done")], now=now_ms
                )
                job, *_ = await store.jobs.listed(JobState.WAITING, limit=1)
                assert ("new", True) == (job.key, job.id > last_job)
        assert outcomes[0] == outcomes[1]
        judged = outcomes[0][0]
        assert isinstance(judged[6], Duplicate)
        assert isinstance(judged[7], Duplicate)
        assert isinstance(judged[8], Appended)
        assert d.is_rejected(judged[10], ErrorCode.ALREADY_EXISTS)
        assert isinstance(judged[11], Duplicate)

    async def test_a_store_whose_jobs_are_all_gone_gives_no_id_that_the_other_gave(
        self, home: Home
    ) -> None:
        """It is empty, though it has given ids of its own."""
        there = home.another()
        async with self.open_store(there) as store:
            await store.jobs.add([j.new("early")], now=there.clock.ms)
            (early,) = await store.jobs.listed(JobState.WAITING, limit=1)
            assert await store.jobs.withdraw(early.kind, [early.key]) == 1
        async with self.open_store(home) as store:
            await fill(store, home)
        async with self.open_source(home) as source:
            last_job = (await source.origin()).last_job
        await self.copy(home, there)
        async with self.open_store(there) as store:
            await store.jobs.add([j.new("late")], now=there.clock.ms)
            job, *_ = await store.jobs.listed(JobState.WAITING, limit=1)
            assert ("late", True) == (job.key, job.id > max(last_job, early.id))

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
            whole = await pages(source, Section.DOCUMENTS, rows_max=d.ALL, bytes_max=d.ALL)
            for bytes_max in (1, 100, 333):
                parts = await pages(source, Section.DOCUMENTS, rows_max=d.ALL, bytes_max=bytes_max)
                assert [row for page in whole for row in page.rows] == [
                    row for page in parts for row in page.rows
                ]
                for documents in (only(page.rows, Document) for page in parts):
                    size = sum(len(document.value) for document in documents)
                    assert size <= bytes_max or len(documents) == 1

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

    async def test_a_document_is_something_and_a_change(self, home: Home) -> None:
        """A store with one is not empty; one that is written, or removed, is another state."""
        used, begun = home.another(), home.another()
        async with self.open_store(home) as store, self.open_store(used) as other:
            assert await other.documents.write([Change("a", b"")])
            assert await store.documents.write([Change("a", b"")])
        await self._is_refused(home, used, "not empty")
        async with self.open_source(home) as source, self.open_target(begun) as target:
            await target.begin(await source.origin())
        async with self.open_store(home) as store:
            assert await store.documents.write([Change("a", b"other")])
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
