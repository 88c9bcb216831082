"""Laws of `adapters.sqlite.known`: never older than the file, and bounded."""

import pytest
import trio
import trio.testing

from triolet._model.limits import Limits
from triolet.adapters.sqlite import open_sqlite_store
from triolet.adapters.sqlite.known import KEYS_MAX, Known
from triolet.ports.documents import Change, Document
from triolet.testing.contracts import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def open_plain(home):
    return open_sqlite_store(
        home.path / "store.db", clock=home.clock, entropy=home.entropy, limits=Limits()
    )


def learn(known, key, value=b"", *, is_there=True):
    reading = known.begin([key])
    known.end(reading, {key: Document(key, value, 1)} if is_there else {})


def values(known, *keys):
    found = known.find(keys)
    return found and [one and one.value for one in found]


# --- the memory --------------------------------------------------------------------------


def test_what_was_read_is_known_and_that_there_is_nothing():
    known = Known()
    assert known.find(["a"]) is None
    learn(known, "a", b"1")
    learn(known, "none", is_there=False)

    assert values(known, "a", "none", "a") == [b"1", None, b"1"]
    assert known.find(["a", "b"]) is None


def test_a_read_from_before_a_write_is_not_taken_in():
    """It has begun before the commit, and ends before, while, or after what it read is old."""
    for is_settled in (False, True):
        known = Known()
        reading = known.begin(["a", "b"])
        known.doubt(["a"])
        if is_settled:
            known.settle()
        known.end(reading, {"a": Document("a", b"old", 1), "b": Document("b", b"kept", 1)})

        assert known.find(["a"]) is None
        assert values(known, "b") == [b"kept"]


def test_a_read_while_the_write_is_not_committed_is_not_taken_in():
    """It may have seen the state before."""
    known = Known()
    learn(known, "a", b"old")
    known.doubt(["a"])
    assert known.find(["a"]) is None
    reading = known.begin(["a"])
    known.settle()
    known.end(reading, {"a": Document("a", b"old", 1)})

    assert known.find(["a"]) is None
    learn(known, "a", b"new")
    assert values(known, "a") == [b"new"]


def test_of_two_reads_of_a_key_the_later_one_counts():
    known = Known()
    first, second = known.begin(["a"]), known.begin(["a"])
    known.end(second, {"a": Document("a", b"2", 2)})
    known.end(first, {"a": Document("a", b"1", 1)})

    assert values(known, "a") == [b"2"]


def test_a_read_that_failed_leaves_nothing():
    known = Known()
    known.end(known.begin(["a"]), None)

    assert known.find(["a"]) is None
    assert known._readings == {}


def test_it_is_bounded_and_keeps_what_is_asked_for():
    known = Known(bytes_max=10_000)
    for number in range(100):
        learn(known, f"key/{number}", bytes(100))
        assert known.find(["key/0"]) is not None
        assert known._bytes <= 10_000
    assert known.find(["key/99"]) is not None
    assert known.find(["key/1"]) is None
    known.doubt([f"key/{number}" for number in range(100)])

    assert (known._bytes, len(known._of)) == (0, 0)


def test_a_large_document_drives_nobody_out():
    known = Known()
    learn(known, "a", b"small")
    learn(known, "large", bytes(16 * 1024 + 1))

    assert values(known, "a") == [b"small"]
    assert known.find(["large"]) is None


# --- in the store ------------------------------------------------------------------------


async def test_the_file_is_read_once(home, monkeypatch):
    """Until the document is written, and from then on once more; a large read goes to the file."""
    async with open_plain(home) as store:
        assert await store.documents.write([Change("a", b"1")])
        reads, read = [], store._readers.read

        async def counted(work):
            reads.append(work)
            return await read(work)

        monkeypatch.setattr(store._readers, "read", counted)
        for _ in range(5):
            (found, nothing) = await store.documents.read(["a", "b"])
            assert (b"1", None) == (found.value, nothing)
        assert 1 == len(reads)
        assert not await store.documents.write([Change("a", b"2", 0)])
        await store.documents.read(["a"])
        assert 1 == len(reads)
        assert await store.documents.write([Change("b", b"2")])
        for _ in range(5):
            assert [b"1", b"2"] == [one.value for one in await store.documents.read(["a", "b"])]
        assert 2 == len(reads)
        await store.documents.read(["a"] * (KEYS_MAX + 1))
        assert 3 == len(reads)


async def test_a_cancelled_read_is_forgotten(home):
    async with open_plain(home) as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.documents.read(["a"])
        assert store.documents._known._readings == {}
        assert [None] == await store.documents.read(["a"])


async def test_nobody_hears_of_an_old_document_after_a_new_one(home):
    """Readers beside a writer see versions that only grow, and each write once it is answered."""
    async with open_plain(home) as store:
        documents, done = store.documents, trio.Event()

        async def write():
            for number in range(1, 150):
                assert await documents.write([Change("a", b"%d" % number)])
                (found,) = await documents.read(["a"])
                assert b"%d" % number == found.value
            done.set()

        async def look():
            last = 0
            while not done.is_set():
                (one,) = await documents.read(["a"])
                (other,) = await documents.scan("a", limit=1)
                assert last <= one.version <= other.version
                last = other.version

        assert await documents.write([Change("a", b"0")])
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(look)
            nursery.start_soon(write)


async def test_a_clock_that_is_set_back_finds_what_the_file_has(home):
    """What has expired is known as what it is; what was removed meanwhile is gone."""
    async with open_plain(home) as store:
        expires_at = home.clock.ms + 1
        assert await store.documents.write([Change("a", b"1", expires_at=expires_at)])
        for ahead_ms, is_there in ((1, False), (-1, True), (1, False)):
            home.clock.ms += ahead_ms
            (found,) = await store.documents.read(["a"])
            assert is_there == (found is not None)
        assert 1 == await store.documents.prune(now=home.clock.ms, limit=9)
        home.clock.ms -= 1
        assert [None] == await store.documents.read(["a"])
