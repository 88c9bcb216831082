"""A pinger counts answers to its own pings, each in its turn, and nothing else."""

import multiprocessing
import threading
import time
from array import array

import msgspec
import pytest
from bench.errors import Unexpected
from bench.load.frames import BINARY, PING, PONG, take_frames, unmasked
from bench.load.pinger import Client, _Pinging
from bench.peers.all import PEERS
from bench.peers.pings import WEBSOCKET_PING
from ends import framed

OURS, THEIRS = PEERS["triolet"].pings


def pong(ref: int, **changes: object) -> bytes:
    return framed(msgspec.msgpack.encode({"op": "ok", "ref": ref, "now": 1} | changes))


def websocket_pong(number: int) -> bytes:
    return unmasked(PONG, number.to_bytes(8, "big"))


def test_each_kind_is_sent_in_its_turn(ends):
    """The number is global, so that no two pings of a connection are the same."""
    connection, server = ends.connection()
    client = Client(connection, PEERS["triolet"].pings)
    for _ in range(3):
        client.ping(counts=True)
    sent = server.recv(1000)
    assert sent == THEIRS.frame(1) + OURS.frame(2) + THEIRS.frame(3)
    assert client.is_waiting


def heard(ends, *said: bytes, pings=PEERS["triolet"].pings) -> list[int]:
    """Return how many answers of each kind a client counted that had sent four pings."""
    connection, server = ends.connection()
    client = Client(connection, pings)
    for number in range(4):
        client.ping(counts=number > 0)
    latencies = [array("d") for _ in pings]
    for data in said:
        server.sendall(data)
        client.hear(latencies)
    assert client.is_waiting == (sum(map(len, latencies)) < 3)
    return [len(one) for one in latencies]


def test_answers_are_counted_whatever_their_order_among_kinds(ends):
    """The first ping did not count; a ping of the server's own is answered and no answer."""
    assert [2, 1] == heard(
        ends,
        pong(2) + unmasked(PING, b"?"),
        websocket_pong(1) + pong(4)[:3],
        pong(4)[3:] + websocket_pong(3),
    )


@pytest.mark.parametrize(
    "said",
    [
        pong(4),
        pong(2) + pong(2),
        pong(6),
        pong(2, op="error"),
        pong(2, now="then"),
        websocket_pong(3),
        websocket_pong(1) * 2,
        websocket_pong(5),
        unmasked(PONG, b""),
        framed(msgspec.msgpack.encode({"op": "entry"})),
        unmasked(0x88, b"\x03\xe8"),
    ],
)
def test_anything_else_is_an_error(ends, said):
    with pytest.raises(Unexpected):
        heard(ends, said)


def test_pongs_of_nats_have_no_number(ends):
    pings = PEERS["nats"].pings
    assert [3] == heard(ends, *[framed(b"PONG")] * 4, pings=pings)
    with pytest.raises(Unexpected):
        heard(ends, framed(b"+OK"), pings=pings)


def stretched(ends, answer, measured_s: float = 0.1):
    """Ping for a while on two connections; `answer` says what the server says to a payload."""
    pairs = [ends.connection(), ends.connection()]
    pipe, _ = multiprocessing.Pipe()

    def serve(server) -> None:
        data = b""
        while more := server.recv(1000):
            # What a client masks with zeros reads like a server's once the key is gone.
            data += more
            while len(data) >= 14:
                server.sendall(answer(data[6:14]))
                data = data[14:]

    threads = [threading.Thread(target=serve, args=(server,)) for _, server in pairs]
    for thread in threads:
        thread.start()
    try:
        pinging = _Pinging(pipe, [connection for connection, _ in pairs], [WEBSOCKET_PING])
        return pinging.stretch(0.02, measured_s, is_preferred=True)
    finally:
        for connection, _ in pairs:
            connection.sock.shutdown(2)
        for thread in threads:
            thread.join()
        pinging._epoll.close()
        pipe.close()


def test_a_stretch_pings_on_schedule_and_waits_for_the_last_answers(ends):
    """A ping each 5 to 10 ms of each client; what was due before the stretch does not count."""

    def answer(payload: bytes) -> bytes:
        time.sleep(0.002)
        return unmasked(PONG, payload)

    found = stretched(ends, answer)
    (latencies,) = found.latencies
    assert len(latencies) == len(found.late)
    assert 2 * 9 <= len(latencies) <= 2 * 20
    assert min(latencies) >= 0.002
    assert min(found.late) >= 0


def test_a_ping_that_is_not_answered_ends_the_run(ends, monkeypatch):
    monkeypatch.setattr("bench.load.pinger._DRAIN_S", 0)
    with pytest.raises(Unexpected, match="not answered"):
        stretched(ends, lambda _: b"", 0.01)


def test_the_frame_of_our_ping_is_the_op():
    payload = OURS.frame(7)[6:]
    assert {"op": "ping", "ref": 7} == msgspec.msgpack.decode(payload)
    assert take_frames(pong(7))[0] == [(BINARY, pong(7)[2:])]
