"""A client that reads slowly, or never, costs its byte budget and nothing more.

Nobody else is harmed, the server's memory stays bounded, who never takes a byte is closed with
4008, and who does read gets every entry once, in order.
"""

import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from e2e_scene import COUNTED, TIMEOUT_S, Raw, frame

from triolet._model.limits import Limits

OUTBOX_BYTES = Limits().outbox_bytes_high
OUTBOX_KIB = OUTBOX_BYTES // 1024
# One read of a connection.
READ_BYTES = 16 * 1024
# Linux's loopback takes 2.8 MB for somebody who does not read; the rest is the server's.
TEXT = "x" * 16_000
# An entry with it, as a frame.
ENTRY_BYTES = len(TEXT) + 200
FLOOD = 600
FLOOD_KIB = FLOOD * len(TEXT) // 1024
IDLERS = 16
LAST = "that was all"


class Follower:
    """Somebody in the room, and what they have read."""

    def __init__(self, server, name, room, *, since=None, **how):
        self.raw = Raw.open(server, name, **how)
        granted = self.raw.ask(op="subscribe", room=room, since=since)
        self.epoch = granted["epoch"]
        self.seqs = [since[1] if since else granted["head"]]
        self.others = []

    def read(self, *, pause=None):
        """Read up to the last entry."""
        while True:
            message = self.raw.next()
            if pause is not None:
                pause()
            if message["op"] != "entry":
                self.others.append(message["op"])
                continue
            self.seqs.append(message["seq"])
            if message.get("body") == {"text": LAST}:
                return

    @property
    def is_contiguous(self):
        return self.seqs == list(range(self.seqs[0], self.seqs[0] + len(self.seqs)))


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(make_server):
    return make_server(command=COUNTED)


@pytest.fixture
def owner(server, stack):
    return stack.enter_context(Raw.open(server, "owner"))


@pytest.fixture
def room(owner):
    return owner.ask(op="create", kind="group", public=True)["room"]


@pytest.fixture
def follow(server, stack, room):
    def follow(name, **how):
        follower = Follower(server, name, room, **how)
        stack.callback(follower.raw.close)
        return follower

    return follow


def flood(owner, room, *, half_done=None):
    for number in range(FLOOD):
        if half_done is not None and number == FLOOD // 2:
            half_done.set()
        assert owner.ask(op="send", room=room, body={"text": TEXT})["op"] == "ok"
    owner.ask(op="send", room=room, body={"text": LAST})


def is_writable(sock, server):
    """Whether the server reads on: not if there is no room, and its outbox is full."""
    until = time.monotonic() + TIMEOUT_S
    while not select.select([], [sock], [], 1)[1]:
        if server.counts()["outbox_bytes_most"] > OUTBOX_BYTES:
            return bool(select.select([], [sock], [], 1)[1])
        assert time.monotonic() < until, "it does not read, and has nothing to send"
    return True


def grown_kib(server, before):
    return server.counts()["resident_kib"] - before["resident_kib"]


def test_who_never_reads_costs_a_budget_and_who_reads_slowly_gets_everything(
    server, owner, room, follow, bystander
):
    quick = follow("quick")
    half_done = threading.Event()
    with ThreadPoolExecutor() as threads:
        # What a flood and its replay cost once is there then: the room's ring, what the
        # connections that read keep of the database.
        reading = threads.submit(quick.read)
        flood(owner, room)
        reading.result()
        follow("late", since=(quick.epoch, 0)).read()
        before = server.counts()
        idlers = [follow(f"idler-{number}", receive_buffer=4096) for number in range(IDLERS)]
        slow = follow("slow", receive_buffer=4096)

        def read_slowly():
            # By then more has been written than all buffers hold.
            assert half_done.wait(TIMEOUT_S)
            slow.read(pause=lambda: time.sleep(0.001))

        reading = [threads.submit(quick.read), threads.submit(read_slowly)]
        flood(owner, room, half_done=half_done)
        bystander.talk()
        for one in reading:
            one.result()
    # Filled, and above the mark by one entry at most: the pump looks before it adds, too.
    most = server.counts()["outbox_bytes_most"]
    assert Limits().outbox_bytes_low < most <= OUTBOX_BYTES + ENTRY_BYTES
    # SQLite keeps the flood's pages; without a bound each idler would hold 6 MB besides.
    assert grown_kib(server, before) < FLOOD_KIB + 2 * OUTBOX_KIB * (IDLERS + 1)
    assert server.counts()["cursors"] == before["cursors"] + IDLERS + 1
    assert len(quick.seqs) == 2 * (FLOOD + 1) + 1
    assert len(slow.seqs) == FLOOD + 1 + 1
    assert quick.is_contiguous
    assert slow.is_contiguous
    # They were not given up either: whoever reads at last has missed nothing.
    idlers[0].read()
    assert idlers[0].seqs == slow.seqs


def test_who_takes_no_byte_for_stall_s_is_closed_with_4008(make_server, stack):
    server = make_server(
        "impatient",
        command=COUNTED,
        # Whoever reads may be kept from it for a second or two by a busy machine.
        TRIOLET_LIMIT_STALL_S="5",
        # So long the close frame waits for the reader to come to it.
        TRIOLET_LIMIT_CLOSE_TIMEOUT_S="20",
    )
    owner = stack.enter_context(Raw.open(server, "owner"))
    room = owner.ask(op="create", kind="group", public=True)["room"]
    quick, idler = (Follower(server, name, room, receive_buffer=4096) for name in ("quick", "idle"))
    stack.callback(quick.raw.close)
    stack.callback(idler.raw.close)
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(quick.read)
        flood(owner, room)
        reading.result()
    until = time.monotonic() + TIMEOUT_S
    while server.counts()["sessions"] > 2:
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.05)
    # It has let go of everything but what is on its way.
    assert server.counts()["cursors"] == 1
    code, messages = idler.raw.wait_close()
    assert code == 4008
    idler.seqs += [message["seq"] for message in messages if message["op"] == "entry"]
    assert 1 < len(idler.seqs) < FLOOD
    assert idler.is_contiguous
    assert quick.is_contiguous


def test_who_asks_again_and_again_without_reading_is_read_no_more(
    server, owner, room, follow, bystander
):
    """Law: above the outbox's high mark the socket is not read; then all is answered in order."""
    for _ in range(14):
        owner.ask(op="send", room=room, body={"text": TEXT})
    asker = follow("asker", receive_buffer=4096).raw
    answer = asker.ask(op="history", room=room, limit=200)
    assert len(answer["messages"]) == 14
    before = server.counts()
    first_ref, sent, unsent = asker.ref + 1, 0, memoryview(b"")
    # An unknown key is ignored; it fills the buffers between us sooner.
    padding = "x" * 30_000
    asker.socket.setblocking(False)
    while is_writable(asker.socket, server):
        if not unsent:
            asker.ref, sent = asker.ref + 1, sent + 1
            asked = {"op": "history", "ref": asker.ref, "room": room, "limit": 200, "pad": padding}
            unsent = memoryview(frame(asker.pack(asked)))
        unsent = unsent[asker.socket.send(unsent) :]
    asker.socket.settimeout(TIMEOUT_S)
    # 220 KiB each, so that answered without a bound they would be twice what is allowed.
    assert sent > 40
    assert grown_kib(server, before) < 16 * OUTBOX_KIB
    # The answer that passed the mark is the last one until the outbox is low again.
    assert OUTBOX_BYTES < server.counts()["outbox_bytes_most"] <= OUTBOX_BYTES + 15 * ENTRY_BYTES
    bystander.talk()
    with ThreadPoolExecutor() as threads:
        rest = threads.submit(asker.socket.sendall, unsent)
        answers = [asker.next() for _ in range(sent)]
        rest.result()
    assert [one["ref"] for one in answers] == list(range(first_ref, first_ref + sent))
    assert all(one["messages"] == answer["messages"] for one in answers)


def test_who_sends_pings_and_never_reads_the_pongs_is_read_no_more(server, follow, bystander):
    """Law: controls are answered within the same bound; then every pong comes, in order."""
    pinger = follow("pinger", receive_buffer=4096).raw
    before = server.counts()
    pings = [frame(b"%0125d" % number, opcode=9) for number in range(200_000)]
    unsent = memoryview(b"".join(pings))
    whole = len(unsent)
    pinger.socket.setblocking(False)
    while unsent and is_writable(pinger.socket, server):
        unsent = unsent[pinger.socket.send(unsent) :]
    most = OUTBOX_BYTES + READ_BYTES + len(pings[0])
    assert unsent, "a flood of 26 MB was read to its end"
    assert OUTBOX_BYTES < server.counts()["outbox_bytes_most"] <= most
    assert grown_kib(server, before) < 8 * OUTBOX_KIB
    bystander.talk()

    pinger.socket.settimeout(TIMEOUT_S)
    sent = -(-(whole - len(unsent)) // len(pings[0]))
    rest = bytes(unsent[: sent * len(pings[0]) - (whole - len(unsent))])
    with ThreadPoolExecutor() as threads:
        sending = threads.submit(pinger.socket.sendall, rest)
        expected = b"".join(b"\x8a\x7d%0125d" % number for number in range(sent))
        pongs = bytearray()
        while len(pongs) < len(expected):
            pongs += pinger.socket.recv(1 << 16)
        sending.result()
    assert pongs == expected
