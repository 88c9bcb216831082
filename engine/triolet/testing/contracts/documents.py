"""The contract of documents: what is written is read, all of a write or nothing, and once."""

from collections.abc import Iterable
from functools import partial

import pytest
import trio

from ...ports.documents import (
    CHANGES_MAX,
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    Change,
    Document,
    Documents,
)
from .home import Contract, Home

_WRITERS = 10
# No key can be one of these: nothing, no text, no text in PostgreSQL, and too long.
_NO_KEYS = ("", "a\ud800", "a\0b", "a" * (KEY_BYTES_MAX + 1), "ä" * (KEY_BYTES_MAX // 2 + 1))
_TOO_LARGE = 1 << 63


async def put(documents: Documents, key: str, value: bytes = b"", expires_at: int = 0) -> Document:
    """Write a document, whatever is there, and return it as it is read."""
    assert await documents.write([Change(key, value, expires_at=expires_at)])
    return await present(documents, key)


async def present(documents: Documents, key: str) -> Document:
    """Return a document that is there."""
    (found,) = await documents.read([key])
    assert found is not None, key
    return found


async def values(documents: Documents, *keys: str) -> list[bytes | None]:
    """Return values by key, None where there is none."""
    return [one and one.value for one in await documents.read(keys)]


def keys_of(found: Iterable[Document]) -> list[str]:
    """Return the keys of documents."""
    return [one.key for one in found]


class DocumentContract(Contract):
    """Documents are read as they were written, and bounded."""

    async def test_documents_are_read_as_they_were_written(self, home: Home) -> None:
        """In the order of the keys, None where there is none; a value is any bytes."""
        async with self.open_store(home) as store:
            kept = {"a": b"", "b/ä": b"\0\xff\0", "C": bytes(range(256)) * 8, "🙂": b"{}"}
            assert await store.documents.write([Change(*one) for one in kept.items()])
            found = await store.documents.read(["C", "none", "a", "🙂", "C", "b/ä"])
            assert ["C", None, "a", "🙂", "C", "b/ä"] == [one and one.key for one in found]
            assert all(one is None or kept[one.key] == one.value for one in found)
            assert {0} == {one.expires_at for one in found if one is not None}
            assert [] == await store.documents.read([])

    async def test_a_value_takes_the_place_of_another(self, home: Home) -> None:
        """Without a version a change is made whatever there is; so is a removal."""
        async with self.open_store(home) as store:
            await put(store.documents, "a", b"1")
            await put(store.documents, "a", b"2", home.clock.ms + 9)
            await put(store.documents, "b", b"3")
            assert [b"2", b"3"] == await values(store.documents, "a", "b")
            assert 0 == (await put(store.documents, "a", b"4")).expires_at
            for _ in range(2):
                assert await store.documents.write([Change("a", None), Change("none", None)])
                assert [None, b"3"] == await values(store.documents, "a", "b")

    async def test_documents_survive(self, home: Home) -> None:
        """What was written and removed is so when the store is opened again; versions go on."""
        self.require_durable()
        async with self.open_store(home) as store:
            kept = await put(store.documents, "a", b"1", home.clock.ms + 9)
            removed = await put(store.documents, "b", b"2")
            await store.documents.write([Change("b", None)])
        async with self.open_store(home) as store:
            assert [kept, None] == await store.documents.read(["a", "b"])
            assert (await put(store.documents, "b")).version > removed.version

    async def test_a_document_may_be_as_large_as_the_bounds(self, home: Home) -> None:
        """Keys by their bytes in UTF-8, values, and changes of one write."""
        async with self.open_store(home) as store:
            large = bytes(VALUE_BYTES_MAX)
            for key in ("a" * KEY_BYTES_MAX, "ä" * (KEY_BYTES_MAX // 2)):
                assert large == (await put(store.documents, key, large)).value
            many = [f"many/{number:04}" for number in range(CHANGES_MAX)]
            assert await store.documents.write([Change(key, key.encode()) for key in many])
            assert [key.encode() for key in many] == await values(store.documents, *many)
            found = await store.documents.scan("many/", limit=CHANGES_MAX)
            assert many == keys_of(found)

    async def test_what_is_beyond_the_bounds_is_refused(self, home: Home) -> None:
        """`ValueError`, and nothing is changed."""
        async with self.open_store(home) as store:
            bad = [
                *(Change(key, b"") for key in _NO_KEYS),
                Change("b", bytes(VALUE_BYTES_MAX + 1)),
                Change("b", b"", version=-1),
                Change("b", b"", version=_TOO_LARGE),
                Change("b", b"", expires_at=-1),
                Change("b", b"", expires_at=_TOO_LARGE),
                Change("a", b"again"),
            ]
            for change in bad:
                with pytest.raises(ValueError, match=r"."):
                    await store.documents.write([Change("a", b""), change])
            with pytest.raises(ValueError, match=str(CHANGES_MAX)):
                await store.documents.write(
                    [Change(str(number), b"") for number in range(CHANGES_MAX + 1)]
                )
            with pytest.raises(ValueError, match=str(CHANGES_MAX)):
                await store.documents.read(["a"] * (CHANGES_MAX + 1))
            assert [None, None, None] == await store.documents.read(["a", "b", "0"])

    async def test_what_can_be_no_key_names_nothing(self, home: Home) -> None:
        """Reading it is no error: whoever asks may have the name from somebody else."""
        async with self.open_store(home) as store:
            await put(store.documents, "a", b"1")
            found = await values(store.documents, *_NO_KEYS, "a")
            assert [*(None for _ in _NO_KEYS), b"1"] == found


class CompareAndSetContract(Contract):
    """All changes of a write or none, and only on the versions they were decided on."""

    async def test_a_version_must_be_the_one_that_was_read(self, home: Home) -> None:
        """Another one → False, and nothing is changed; 0: there is nothing."""
        async with self.open_store(home) as store:
            first = await put(store.documents, "a", b"1")
            second = await put(store.documents, "a", b"2")
            for version in (0, first.version, second.version + 1):
                assert not await store.documents.write([Change("a", b"3", version)])
                assert not await store.documents.write([Change("a", None, version)])
            assert second == await present(store.documents, "a")
            assert await store.documents.write([Change("a", b"3", second.version)])
            third = await present(store.documents, "a")
            assert b"3" == third.value
            assert await store.documents.write([Change("a", None, third.version)])
            assert not await store.documents.write([Change("a", b"4", third.version)])
            assert not await store.documents.write([Change("a", None, third.version)])
            assert [None] == await store.documents.read(["a"])
            assert await store.documents.write([Change("a", None, 0)])
            assert await store.documents.write([Change("a", b"5", 0)])
            assert b"5" == (await present(store.documents, "a")).value

    async def test_all_changes_are_made_or_none(self, home: Home) -> None:
        """One version that is another one keeps all the others from happening."""
        async with self.open_store(home) as store:
            kept = [await put(store.documents, key, b"old") for key in ("a", "b", "c")]
            a, b, c = (one.version for one in kept)
            changes = [Change("a", b"new", a), Change("b", None, b), Change("c", b"new", c)]
            for wrong in range(3):
                mixed = [
                    Change(one.key, one.value, a - 1) if at == wrong else one
                    for at, one in enumerate(changes)
                ]
                assert not await store.documents.write([*mixed, Change("d", b"new")])
            assert not await store.documents.write([*changes, Change("a2", None, c)])
            assert [*kept, None] == await store.documents.read(["a", "b", "c", "d"])
            assert await store.documents.write([*changes, Change("d", b"new", 0)])
            found = await values(store.documents, "a", "b", "c", "d")
            assert [b"new", None, b"new", b"new"] == found

    async def test_versions_are_never_used_again(self, home: Home) -> None:
        """Greater than every earlier one of the key, also after a removal, by whatever cause."""
        async with self.open_store(home) as store:
            versions = []
            for number in range(12):
                expires_at = home.clock.ms + 1 if number % 3 == 1 else 0
                versions.append((await put(store.documents, "a", b"", expires_at)).version)
                assert [False] * number == [
                    await store.documents.write([Change("a", b"lost", version)])
                    for version in versions[:-1]
                ]
                if number % 3 == 0:
                    await store.documents.write([Change("a", None)])
                if number % 3 == 1:
                    home.clock.ms += 1
                    assert 1 == await store.documents.prune(now=home.clock.ms, limit=9)
            assert sorted(set(versions)) == versions
            assert versions[0] > 0

    async def test_of_racing_writers_one_wins(self, home: Home) -> None:
        """Two who decided on the same version cannot both succeed; nor can two who make it."""
        async with self.open_store(home) as store:
            won: list[int] = []

            async def race(version: int, number: int) -> None:
                if await store.documents.write([Change("a", b"%d" % number, version)]):
                    won.append(number)

            version = 0
            for _ in range(8):
                won.clear()
                async with trio.open_nursery() as nursery:
                    for number in range(_WRITERS):
                        nursery.start_soon(race, version, number)
                (winner,) = won
                document = await present(store.documents, "a")
                assert b"%d" % winner == document.value
                version = document.version

    async def test_no_increment_is_lost(self, home: Home) -> None:
        """Who reads, writes on that version, and tries again on False, has counted once."""
        async with self.open_store(home) as store:

            async def count() -> None:
                for _ in range(5):
                    is_done = False
                    while not is_done:
                        (found,) = await store.documents.read(["n"])
                        value, version = (found.value, found.version) if found else (b"0", 0)
                        change = Change("n", b"%d" % (int(value) + 1), version)
                        is_done = await store.documents.write([change])

            async with trio.open_nursery() as nursery:
                for _ in range(_WRITERS):
                    nursery.start_soon(count)
            assert b"%d" % (5 * _WRITERS) == (await present(store.documents, "n")).value

    async def test_writers_of_the_same_keys_do_not_block_each_other(self, home: Home) -> None:
        """In whatever order each names them: all succeed, and each write is whole."""
        async with self.open_store(home) as store:
            keys = [f"k/{number}" for number in range(8)]

            async def write(number: int) -> None:
                mine = keys[number % 8 :] + keys[: number % 8]
                for turn in range(6):
                    value = b"%d.%d" % (number, turn)
                    if turn == 3:
                        assert await store.documents.write([Change(key, None) for key in mine])
                    else:
                        turned = mine if turn % 2 else mine[::-1]
                        assert await store.documents.write([Change(key, value) for key in turned])

            async with trio.open_nursery() as nursery:
                for number in range(_WRITERS):
                    nursery.start_soon(write, number)
            found = await store.documents.scan("k/", limit=99)
            assert keys == keys_of(found)
            assert 1 == len({one.value for one in found})

    async def test_a_cancelled_write_is_whole_or_nothing(self, home: Home) -> None:
        """Whoever is cancelled may have written; never a part of it."""
        async with self.open_store(home) as store:
            pair = [Change("a", b"1"), Change("b", b"1")]
            for wait_s in (0, 0.0005, 0.001, 0.002):
                with trio.move_on_after(wait_s):
                    while True:
                        await store.documents.write(pair)
                        await store.documents.write([Change("a", None), Change("b", None)])
                one, other = await store.documents.read(["a", "b"])
                assert (one is None) == (other is None)

    async def test_a_read_sees_no_half_write(self, home: Home) -> None:
        """Neither `read` nor `scan` sees a part of a write."""
        async with self.open_store(home) as store:
            documents = store.documents
            done = trio.Event()

            async def write() -> None:
                for number in range(40):
                    value = b"%d" % number
                    assert await documents.write([Change(key, value) for key in ("p/a", "p/b")])
                done.set()

            read = partial(documents.read, ["p/b", "p/a"])
            scan = partial(documents.scan, "p/", limit=9)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                while not done.is_set():
                    for found in (await read(), await scan()):
                        assert len({one and one.value for one in found}) <= 1
