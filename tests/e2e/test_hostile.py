"""Whatever clients do to a server, two people go on talking, and afterwards nothing is left of it.

One real server, a small limit of connections, and one attack after the other. Beside each attack
two ordinary people talk: what one says reaches the other within a second or two, as on a machine
that has more to do. After it the server's connections, sessions, tasks and file descriptors are
what they were before, and its memory is what it was, but for a little.
"""

import socket
import sys
import threading
import time
import zlib
from pathlib import Path

import msgpack
import pytest
from e2e_scene import COUNTED, TIMEOUT_S, Bystander, Raw, frame, running, token

# Of the server's own; what a busy machine gives to others before it lets the server or us go on
# is not the attack's. A server that an attack holds up takes more.
LATENCY_S_MAX = 5.0
# What caches and the allocator keep of a flood: 4 MiB of that of unread pages, else 0.2.
GROWN_KIB_MAX = 24 * 1024
CONNECTIONS_MAX = 60
HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: triolet.v1.msgpack\r\n\r\n"
)
SAME = ("tasks", "connections", "sessions", "watched_sockets", "cursors", "open_files", "pins")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    limits = {
        "TRIOLET_LIMIT_CONNECTIONS_MAX": str(CONNECTIONS_MAX),
        "TRIOLET_LIMIT_GRACE_S": "0.2",
    }
    with running(tmp_path_factory.mktemp("hostile") / "data", command=COUNTED, **limits) as server:
        yield server


@pytest.fixture(scope="module")
def people(server):
    people = Bystander(server)
    for _ in range(20):
        people.talk()
    yield people
    people.close()


def dial(server):
    sock = socket.create_connection(("127.0.0.1", server.port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def say(**message):
    return frame(msgpack.packb(message))


def enter(server, user="mallory"):
    raw = Raw(server)
    raw.send(op="hello", token=token(user))
    assert raw.next()["op"] == "welcome"
    return raw


def push(sock, data, seconds=0.5):
    """Send as much of `data` as the server takes within a time."""
    sock.settimeout(seconds)
    try:
        sock.sendall(data)
    except OSError:
        return


# --- attacks: each returns the sockets it leaves open ------------------------------------------


def slow_heads(server):
    socks = [dial(server) for _ in range(20)]
    for at in range(20):
        for sock in socks:
            push(sock, HEAD[at : at + 1])
    return socks


def slow_frames(server):
    clients = [enter(server) for _ in range(5)]
    request = say(op="ping", ref=1)
    for byte in request[:-1]:
        for client in clients:
            client.send_bytes(bytes([byte]))
    return [client.socket for client in clients]


def never_read(server):
    clients = [enter(server) for _ in range(5)]
    room = clients[0].ask(op="create", kind="group")["room"]
    for _ in range(20):
        clients[0].ask(op="send", room=room, body={"text": "x" * 30_000})
    for client in clients:
        push(client.socket, say(op="history", room=room, limit=200, ref=1) * 200)
    return [client.socket for client in clients]


def huge_frames(server):
    clients = [enter(server) for _ in range(5)]
    for client in clients:
        push(client.socket, frame(bytes(4 << 20)))
    return [client.socket for client in clients]


def endless_fragments(server):
    client = enter(server)
    push(client.socket, frame(b"", fin=False) + frame(b"", opcode=0, fin=False) * 100_000)
    return [client.socket]


def compressed_bombs(server):
    """Nobody has agreed to compression: it is refused, before a hello and after it."""
    # 64 MiB of zeros in 64 KiB. Made before anybody connects: it takes longer than a hello may.
    bomb = zlib.compress(bytes(64 << 20), 9)[2:-4]
    offer = ["Sec-WebSocket-Extensions: permessage-deflate"]
    clients = [Raw(server, headers=offer) for _ in range(2)]
    clients[0].send(op="hello", token=token("mallory"))
    assert clients[0].next()["op"] == "welcome"
    for client in clients:
        push(client.socket, frame(bomb, rsv=0x40))
        client.socket.settimeout(TIMEOUT_S)
        assert client.wait_close() == (1002, [])
    return [client.socket for client in clients]


def control_flood(server):
    client = enter(server)
    push(client.socket, frame(b"x" * 125, opcode=9) * 100_000)
    return [client.socket]


def connection_flood(server):
    """More than there may be: who is above the limit is hung up on, and the others stay."""
    socks = []
    for _ in range(5 * CONNECTIONS_MAX):
        try:
            socks.append(dial(server))
        except OSError:
            break
    return socks


def hello_flood(server):
    clients = []
    for _ in range(20):
        raw = Raw(server)
        push(raw.socket, say(op="hello", token="forged") * 50)
        clients.append(raw.socket)
    return clients


def command_flood(server):
    client = enter(server)
    room = client.ask(op="create", kind="group")["room"]
    flood = b"".join(
        [
            say(op="typing", room=room, on=True, ref=1),
            say(op="subscribe", room=room, ref=2),
            say(op="signal", room=room, kind="x", data={"x": "y" * 500}, ref=3),
            say(op="watch", users=["bystander-anna"], ref=4),
            say(op="presence", status="away", ref=5),
        ]
    )
    push(client.socket, flood * 5_000)
    return [client.socket]


def half_closed(server):
    client = enter(server)
    client.send(op="ping", ref=1)
    client.socket.shutdown(socket.SHUT_WR)
    return [client.socket]


def garbage(server):
    socks = []
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET /ws HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"\0" * 50_000,
        HEAD + b"\xff" * 50_000,
        HEAD + frame(b"\xff\xfe", opcode=1),
        HEAD + frame(b"x", rsv=0x70),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    ):
        socks.append(dial(server))
        push(socks[-1], data)
    return socks


def pipelined_requests(server):
    """Hundreds of plain requests at once, by somebody who reads no answer to the end."""
    socks = [dial(server) for _ in range(3)]
    for sock in socks:
        push(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
    return socks


ATTACKS = (
    slow_heads, slow_frames, never_read, huge_frames, endless_fragments, compressed_bombs,
    control_flood, connection_flood, hello_flood, command_flood, half_closed, garbage,
    pipelined_requests,
)  # fmt: skip


class Talking:
    """Two people who talk until they are told to stop; what took longest is kept."""

    def __init__(self, people, server):
        self._people = people
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self.times = 0
        self.most_s = 0.0

    def _talk(self):
        while not self._over.is_set():
            began, kept_waiting_s = time.monotonic(), self._kept_waiting_s()
            self._people.talk()
            kept_waiting_s = self._kept_waiting_s() - kept_waiting_s
            self.most_s = max(self.most_s, time.monotonic() - began - kept_waiting_s)
            self.times += 1
            self._over.wait(0.01)

    def _kept_waiting_s(self):
        """Return for how long both processes could have gone on and others had the processors."""
        mine = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        paths = (mine, f"/proc/{self._server.pid}/schedstat")
        return sum(int(Path(path).read_text().split()[1]) for path in paths) / 1e9

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._over.set()
        self._thread.join(TIMEOUT_S)


def at_rest(server, before):
    """Wait until the server holds no more than before; return what it holds."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        counts = server.counts()
        if all(counts[what] <= before[what] for what in SAME) or time.monotonic() > until:
            return counts
        time.sleep(0.1)


def settled(server):
    """Wait until only the two people are there; return what the server holds then.

    Two more sockets are watched: the port, and the one in the data folder.
    """
    until = time.monotonic() + TIMEOUT_S
    while (counts := server.counts())["watched_sockets"] > 4 or counts["connections"] > 2:
        assert time.monotonic() < until, counts
        time.sleep(0.1)
    time.sleep(0.3)
    return server.counts()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_two_people_talk_beside_an_attack_and_nothing_is_left_of_it(server, people, attack):
    before = settled(server)
    with Talking(people, server) as talking:
        socks = attack(server)
        time.sleep(0.3)
    for sock in socks:
        sock.close()
    after = at_rest(server, before)

    assert talking.times >= 1
    assert talking.most_s < LATENCY_S_MAX
    assert {what: after[what] for what in SAME if after[what] > before[what]} == {}
    assert after["resident_kib"] - before["resident_kib"] < GROWN_KIB_MAX
    people.talk()


def test_without_file_descriptors_those_who_are_there_talk_on_and_later_others_come(tmp_path):
    """The process may open few files more: who knocks waits, and comes in when some are free."""
    limits = {"TRIOLET_LIMIT_MARKS_INTERVAL_S": "0.005"}
    limited = ["bash", "-c", 'ulimit -n 80; exec "$0" -m triolet_api "$@"', sys.executable]
    with running(tmp_path / "data", command=limited, **limits) as server:
        people = Bystander(server)
        people.talk()
        began = time.monotonic()
        socks = [dial(server) for _ in range(200)]
        for number in range(50):
            # What was read is written beside what is sent: two writes wait at once.
            people.ben.send(op="receipt", room=people.room, read=number, ref=0)
            people.talk()
        assert server.open_files() > 70
        for sock in socks:
            sock.close()
        late = Raw.open(server, "late")
        assert late.ask(op="ping")["op"] == "ok"
        late.close()
        people.close()
    # Tried again ten times a second, and told every five seconds.
    told_most = 2 + (time.monotonic() - began) / 5
    assert 1 <= server.said.count("no more connections can be taken") <= told_most
    assert server.said.count("connections are taken again") == 1
