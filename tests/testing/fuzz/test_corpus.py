"""Laws of `fuzz.corpus`: what coverage begins with is understood, and is of the whole protocol."""

import json

import pytest

from triolet._wire.codec import decode_command, encode_command
from triolet.testing.conformance.vectors import RECORDED
from triolet.testing.fuzz.corpus import seeds
from triolet.testing.fuzz.table import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_seed_fails_and_a_seed_decides_them(name):
    inputs = seeds(name, 1)

    assert inputs == seeds(name, 1)
    assert inputs != seeds(name, 2)
    assert TARGETS[name]().judge(inputs) > 0


def test_every_command_of_the_vectors_is_among_them():
    """As itself for the codec, and within a frame for the edge, behind a hello."""
    of_codec, of_edge = seeds("codec", 1), b"".join(seeds("edge", 1))
    ours = [one for one in json.loads(RECORDED.read_bytes()) if one["side"] == "client"]
    assert len(ours) > 20
    for vector in ours:
        packed = bytes.fromhex(vector["msgpack"])
        found = decode_command(packed, "msgpack")
        assert encode_command(found, "msgpack")
        assert b"\0" + packed in of_codec
        assert b"\1" + vector["json"].encode() in of_codec
        assert packed in of_edge
