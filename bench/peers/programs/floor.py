"""A bare epoll loop: the least that delivers a message at once in Python.

It has one room, believes every token, and parses no message: what follows the ref is passed on
as it came. A socket that takes less than a whole frame ends the program: it queues nothing.
"""

import base64
import hashlib
import itertools
import json
import select
import socket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = 0x88
BACKLOG = 4096

connections: dict[int, socket.socket] = {}
users: dict[int, str] = {}
joined: dict[int, socket.socket] = {}
tails: dict[int, bytes] = {}
numbers = itertools.count(1)


def frame(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


def send(sock: socket.socket, data: bytes) -> None:
    if sock.send(data) != len(data):
        raise SystemExit("a socket is full")


def upgrade(sock: socket.socket, head: bytes) -> None:
    key = next(
        line.split(b": ")[1]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    send(
        sock,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n",
    )


def unmask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


def handle(fd: int, sock: socket.socket, payload: bytes) -> None:
    if payload.startswith(b'{"op":"send"'):
        head, rest = payload.split(b',"room"', 1)
        seq = next(numbers)
        room = b',"from":"%b","room"%b' % (users[fd].encode(), rest)
        data = frame(b'{"op":"message","seq":%d%b' % (seq, room))
        for other in joined.values():
            if other is not sock:
                other.send(data)
        send(sock, frame(b'{"op":"ok","ref":%b,"seq":%d}' % (head[19:], seq)))
        return
    asked = json.loads(payload)
    if asked["op"] == "hello":
        claims = base64.urlsafe_b64decode(asked["token"].split(".")[1] + "==")
        users[fd] = json.loads(claims)["sub"]
        send(sock, frame(json.dumps({"op": "welcome", "user": users[fd]}).encode()))
    else:
        joined[fd] = sock
        send(sock, frame(json.dumps({"op": "joined", "room": asked["room"]}).encode()))


def receive(fd: int, sock: socket.socket, data: bytes) -> bytes:
    """Handle the whole frames of `data`; return the rest."""
    at = 0
    while len(data) - at >= 6:
        size, begin = data[at + 1] & 127, at + 2
        if size == 126:
            size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
        if begin + 4 + size > len(data):
            break
        key, payload = data[begin : begin + 4], data[begin + 4 : begin + 4 + size]
        if data[at] == CLOSE:
            send(sock, bytes((CLOSE, 0)))
            sock.shutdown(socket.SHUT_WR)
            return b""
        handle(fd, sock, unmask(payload, key))
        at = begin + 4 + size
    return data[at:]


def main() -> None:
    epoll = select.epoll()
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    epoll.register(listener, select.EPOLLIN)
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = sock
                epoll.register(sock, select.EPOLLIN)
                continue
            sock = connections[fd]
            data = sock.recv(65536)
            if not data:
                epoll.unregister(fd)
                for table in (connections, users, joined, tails):
                    table.pop(fd, None)
                sock.close()
            elif fd not in tails:
                head, _, rest = data.partition(b"\r\n\r\n")
                upgrade(sock, head)
                tails[fd] = rest
            else:
                tails[fd] = receive(fd, sock, tails[fd] + data)


main()
