"""What each cid became is known for ever, however its records are merged and pruned."""

import random
import sqlite3

import pytest

from triolet.adapters._digests import digest, prefix
from triolet.adapters.sqlite import schema, segments
from triolet.adapters.sqlite.cids import found_in, record, split
from triolet.adapters.sqlite.forgetting import Forgetting
from triolet.adapters.sqlite.memtable import MEMTABLE_BITS, Memtable
from triolet.adapters.sqlite.segments import Segments, merged
from triolet.adapters.sqlite.sieve import Sieve, probe

AT = 1_700_000_000_000


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection, 0, schema.MIGRATIONS)
    yield connection
    connection.close()


def keys(count, seed=1):
    rnd = random.Random(seed)
    return [rnd.randbytes(12) for _ in range(count)]


def segment_of(made, connection, some, *, at=AT):
    """A window's segment, whose record number i has seq i + 1 and is of `at + i`."""
    table = Memtable(len(some))
    for i, key in enumerate(some):
        table.add(record(key, i + 1, at + i, 7), *probe(key))
    segment = made.begin(connection, bits=MEMTABLE_BITS, oldest_at=at, sieve=table.sieve)
    segment.write(connection, 0, table.buckets)
    made.finish(connection, segment)
    return segment


def test_a_digest_tells_room_sender_and_cid_apart():
    """No two of them meet, whatever is moved from one name to the next."""
    told = {
        digest(prefix("salt", room), sender, cid)
        for room in (1, 11)
        for sender in ("a", "a1")
        for cid in ("1", "11", "1 1", "a 1")
    }
    assert 16 == len(told)
    assert digest(prefix("pepper", 1), "a", "1") not in told


@pytest.mark.parametrize("value", [(1, 0, 0), (2**40 - 1, 2**48 - 1, 255)])
def test_a_record_keeps_what_a_cid_became(value):
    """Up to 2^40 entries of a room, the year 10889, and 256 ops."""
    key = keys(1)[0]
    assert value == found_in(record(key, *value), key)


def test_what_lies_across_two_records_is_not_found():
    """A digest is looked for where records begin, and nowhere else."""
    one, other = (record(key, 1, AT, 1) for key in keys(2))
    across = (one + other)[5:17]
    assert found_in(one + other, across) is None
    assert (9, AT, 2) == found_in(one + other + record(across, 9, AT, 2), across)
    assert [one, other] == split(one + other)


def test_a_sieve_lets_through_what_it_holds_and_little_else():
    """All that was added; of strangers less than one in fifty, also when read again."""
    some = keys(5000)
    one, other = Sieve(5000), Sieve(5000)
    one.add_all(some)
    for key in some:
        other.add(*probe(key))
    assert one.pack() == other.pack()
    again = Sieve.unpack(one.pack())
    assert all(again.lets_through(*probe(key)) for key in some)
    assert 100 > sum(again.lets_through(*probe(key)) for key in keys(5000, seed=2))


@pytest.mark.parametrize("row_records", [1, 16, 128])
def test_merging_loses_nothing_and_doubles_nothing(connection, monkeypatch, row_records):
    """After each part of a merge, and after it, each digest is found; strangers are not."""
    monkeypatch.setattr(segments, "_ROW_RECORDS", row_records)
    made = Segments()
    some = keys(2400)
    for start in range(0, 2400, 300):
        segment_of(made, connection, some[start : start + 300])
    for number, _ in enumerate(merged(made, connection, made.due())):
        for i in range(number % 50, 2400, 50):
            assert (i % 300 + 1, AT + i % 300, 7) == made.find(connection, some[i])
    (one,) = made.used
    assert (1, 2400) == (one.level, one.count)
    while made.unused:
        made.remove(connection)
    rows = connection.execute("SELECT packed FROM cids").fetchall()
    assert 2400 == sum(len(split(packed)) for (packed,) in rows)
    again = Segments()
    again.load(connection)
    for i, key in enumerate(some):
        assert i % 300 + 1 == again.find(connection, key)[0] == segments.find(connection, key)[0]
    for key in keys(300, seed=2):
        assert again.find(connection, key) is None


@pytest.mark.parametrize("parts", [0, 3, 16])
def test_old_cids_are_forgotten_once_also_while_they_are_merged(connection, parts):
    """What was merged already does not come back when the merge is done; each counts once."""
    made = Segments()
    some = keys(800)
    for start in range(0, 800, 100):
        segment_of(made, connection, some[start : start + 100])
    merge = merged(made, connection, made.due())
    for _ in range(parts):
        next(merge)
    forgetting, total, is_done = Forgetting(made), 0, False
    while not is_done:
        count, is_done = forgetting.step(connection, older_than=AT + 40, limit=7)
        assert count <= 7
        total += count
    assert 8 * 40 == total
    for _ in merge:
        pass
    while not forgetting.step(connection, older_than=AT + 40, limit=1000).is_done:
        pytest.fail("something old came back")
    for i, key in enumerate(some):
        assert (made.find(connection, key) is not None) == (i % 100 >= 40)
