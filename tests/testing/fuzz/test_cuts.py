"""Law of `triolet.testing.fuzz.cuts`: pieces join to the stream, and none is empty for nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet.testing.fuzz.cuts import pieces


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=2_000), st.integers(0, 2**24 - 1))
def test_pieces_join_to_the_stream(stream, seed):
    found = list(pieces(stream, seed))

    assert b"".join(found) == stream
    assert found == list(pieces(stream, seed))


def test_seeds_cut_in_every_way():
    stream = bytes(200)
    ways = {tuple(map(len, pieces(stream, seed))) for seed in range(100)}

    assert (200,) in ways
    assert (1,) * 200 in ways
    assert len(ways) > 40


def test_a_long_stream_has_few_pieces():
    assert max(len(list(pieces(bytes(1 << 20), seed))) for seed in range(40)) < 4_000
