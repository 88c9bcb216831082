"""The contract of `page` and `n_at`: the log as it is."""

from . import drafting as d
from .home import Contract, Home


class PageContract(Contract):
    """Records in ascending order, bounded by seqs, by count and by bytes."""

    async def test_a_page_is_bounded_by_seqs(self, home: Home) -> None:
        """`after < seq <= upto`, of all kinds, ascending."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            for i in range(2, 20, 2):
                await d.append(store, d.say("a", "anna", f"s{i}"), d.react("a", "anna", f"r{i}", i))
            for after, upto in (
                (0, 19),
                (0, 99),
                (4, 5),
                (5, 5),
                (7, 3),
                (3, 11),
                (18, 19),
                (19, 99),
            ):
                page = await store.page("a", after=after, upto=upto, limit=99, bytes_max=d.ALL)
                assert list(range(after + 1, min(upto, 19) + 1)) == d.seqs(page)

    async def test_a_page_is_bounded_by_count(self, home: Home) -> None:
        """At most `limit` records, the first ones; page by page they are the log."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna", "ben", "cleo"))
            await d.append(store, *(d.say("a", "anna", str(i)) for i in range(20)))
            for limit in (1, 2, 3, 7, 23, 24):
                seqs: list[int] = []
                after = 0
                while page := await store.page(
                    "a", after=after, upto=99, limit=limit, bytes_max=d.ALL
                ):
                    assert len(page) <= limit
                    seqs += d.seqs(page)
                    after = seqs[-1]
                assert list(range(1, 24)) == seqs

    async def test_a_page_is_bounded_by_bytes(self, home: Home) -> None:
        """Facts of at most `bytes_max` packed bytes, but at least one record if there is any."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, *(d.say("a", "anna", str(i), "x" * 100) for i in range(9)))
            (size,) = {
                len(record.packed)
                for record in await store.page("a", after=1, upto=99, limit=99, bytes_max=d.ALL)
            }
            for bytes_max, count in (
                (0, 1),
                (size, 1),
                (2 * size - 1, 1),
                (2 * size, 2),
                (9999, 9),
            ):
                page = await store.page("a", after=1, upto=99, limit=99, bytes_max=bytes_max)
                assert list(range(2, 2 + count)) == d.seqs(page)

    async def test_there_are_no_pages_of_no_room(self, home: Home) -> None:
        """A room that does not exist has no records and no messages."""
        async with self.open_store(home) as store:
            assert [] == await store.page("none", after=0, upto=9, limit=9, bytes_max=9)
            assert 0 == await store.n_at("none", 5)

    async def test_messages_up_to_a_seq(self, home: Home) -> None:
        """`n_at` is the `n` of the entry there; at the head beyond it."""
        async with self.open_store(home) as store:
            await d.append(store, d.founding("a", "anna"))
            await d.append(store, d.say("a", "anna", "1"), d.say("a", "anna", "2"))
            await d.append(store, d.react("a", "anna", "3", 2), d.say("a", "anna", "4"))
            await d.append(store, d.react("a", "anna", "5", 3))
            counts = [await store.n_at("a", seq) for seq in range(9)]
            assert [0, 0, 1, 2, 2, 3, 3, 3, 3] == counts
