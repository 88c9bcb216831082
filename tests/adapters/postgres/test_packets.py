"""Laws of `adapters.postgres.packets`: what was rung is what is heard, in its order."""

from hypothesis import given
from hypothesis import strategies as st

from triolet.adapters.postgres.packets import PACKED_BYTES_MAX, Kept, Unpacking, pack
from triolet.ports.bus import Doorbell

CHANNELS = st.sampled_from(["tea", "grüße", "r:a"])
SIZES = st.integers(0, 40) | st.integers(5_900, 18_100) | st.just(PACKED_BYTES_MAX + 1)
BATCHES = st.lists(st.tuples(CHANNELS, SIZES), max_size=12)
WANTED = {b"tea": "tea", "grüße".encode(): "grüße"}


def doorbells(batch):
    return [Doorbell(channel, bytes([i]) * size) for i, (channel, size) in enumerate(batch)]


def carried(payloads, frames, ids):
    """What the server makes of them: the number of the row behind each that has one."""
    for payload, frame in zip(payloads, frames, strict=True):
        yield (payload if frame is None else f"{payload}{ids[frame]}").encode()


@given(st.lists(BATCHES, max_size=3))
def test_what_is_rung_is_heard(batches):
    """All that is wanted, nothing else, in order; long frames as the number of their row."""
    unpacking, heard, expected, number = Unpacking(), [], [], 0
    for batch in batches:
        rung = doorbells(batch)
        ids = {one.frame: 100 + i for i, one in enumerate(rung)}
        payloads, frames = pack(number, rung)
        number += len(rung)
        for payload in carried(payloads, frames, ids):
            heard += unpacking.feed(1, payload, WANTED)
        expected += [
            (
                one.channel.encode(),
                Kept(ids[one.frame]) if len(one.frame) > PACKED_BYTES_MAX else one.frame,
            )
            for one in rung
            if one.channel.encode() in WANTED
        ]

    assert expected == heard


@given(BATCHES)
def test_notifications_fit_and_differ(batch):
    """PostgreSQL refuses 8,000 bytes, and drops one that is like another of its transaction."""
    payloads, frames = pack(7, doorbells(batch))
    ids = dict.fromkeys(filter(None, frames))
    for i, frame in enumerate(ids):
        ids[frame] = 2**63 - 1 - i
    carried_ = list(carried(payloads, frames, ids))

    assert all(len(payload) < 8000 for payload in carried_)
    assert len(carried_) == len(set(carried_))


def test_pieces_of_two_senders_do_not_mix():
    """Whose beginning was not heard, or who breaks off, is not heard; the next call is."""
    long, _ = pack(0, [Doorbell("tea", bytes(9000))])
    short, _ = pack(1, [Doorbell("tea", b"1")])
    unpacking = Unpacking()

    heard = [
        unpacking.feed(sender, payload.encode(), WANTED)
        for sender, payload in [
            (1, long[1]),
            (1, long[0]),
            (2, long[1]),
            (1, short[0]),
            (1, long[0]),
            (1, long[1]),
        ]
    ]

    assert [[], [], [], [(b"tea", b"1")], [], [(b"tea", bytes(9000))]] == heard


@given(st.binary(max_size=60) | st.from_regex(rb"[A-Za-z0-9+/.=]{0,40}", fullmatch=True))
def test_what_is_no_packet_gives_nothing_wrong(payload):
    """Anybody who may use the database may notify; what comes of it is bytes, or nothing."""
    for channel, frame in Unpacking().feed(1, payload, WANTED):
        assert channel in WANTED
        assert isinstance(frame, bytes | Kept)
