"""The client that plays the cases, against any server of the protocol."""

import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self, final
from urllib.parse import urlsplit

from ..client_frames import CLOSE, CONT, PING, PONG, TEXT, frame
from ..violation import Violation
from .cases import ROOM, Case, close, hi

TIMEOUT_S: Final = 20.0
# What is offered and must be declined: the engine agrees to no extension.
_OFFER: Final = "permessage-deflate; client_max_window_bits"
_LAST: Final = "and still here"
# Ways to cut what is sent; byte by byte only what is short.
CHOPS: Final = ("whole", "frame by frame", "two at once", "byte by byte")
_BY_BYTE_MAX: Final = 700


def pieces(frames: Sequence[bytes], chop: str) -> Iterator[bytes]:
    """Cut what is sent.

    >>> list(pieces([b"ab", b"c", b"d"], "two at once"))
    [b'abc', b'd']
    """
    stream = b"".join(frames)
    if chop == "whole" or (chop == "byte by byte" and len(stream) > _BY_BYTE_MAX):
        yield stream
    elif chop == "byte by byte":
        yield from (stream[at : at + 1] for at in range(len(stream)))
    else:
        count = 2 if chop == "two at once" else 1
        for at in range(0, len(frames), count):
            yield b"".join(frames[at : at + count])


@final
class Player:
    """One connection to the server, with a room whose entries come back.

    Args:
        url: `ws://HOST:PORT/PATH`.
        token: of somebody who may create a room.

    Raises:
        Violation: the server does not open as it should.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 80)
        self._sock = socket.create_connection(address, TIMEOUT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        try:
            self._upgrade(parts.netloc, parts.path or "/ws")
            self._ask(op="hello", token=token)
            self._ask(op="create", ref=1, room=ROOM, kind="group")
            self._ask(op="subscribe", ref=2, room=ROOM)
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._sock.close()

    def _upgrade(self, host: str, path: str) -> None:
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: triolet.v1.json",
            f"Sec-WebSocket-Extensions: {_OFFER}",
        )
        self._sock.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._data:
            self._receive()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Violation(f"the upgrade is answered with {head[:40]!r}")
        if b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in head:
            raise Violation("the accept key is not RFC 6455's, 1.3")
        if b"sec-websocket-extensions" in head.lower():
            raise Violation("an extension is agreed to")

    def _ask(self, **message: object) -> None:
        """Say something, and take its answer."""
        self._sock.sendall(frame(TEXT, json.dumps(message).encode()))
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                raise Violation(f"{message['op']} is answered with a close")
            if opcode == TEXT and json.loads(payload)["op"] in ("welcome", "ok", "error"):
                return

    def _receive(self) -> None:
        data = self._sock.recv(65_536)
        if not data:
            raise EOFError
        self._data += data

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._receive()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload; EOFError at the end."""
        first, second = self._take(2)
        if first & 0x70 or second & 0x80 or not first & 0x80 or first & 0x0F == CONT:
            raise Violation("the server's frame is masked, in fragments, or has reserved bits")
        size = second
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first & 0x0F, self._take(size)

    def send(self, data: bytes) -> bool:
        """Send; return whether the server still takes bytes."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True


def play(case: Case, url: str, token: str, chop: str, *, is_patient: bool = False) -> None:
    """Play one case.

    Args:
        case: what is played.
        url: the server.
        token: for it.
        chop: one of `CHOPS`.
        is_patient: also a server is right that closes before it has told what was said last: a
            message may be on its way to a disk then.

    Raises:
        Violation: something else comes than the case says.
    """
    heard = _Heard()
    with Player(url, token) as player:
        for piece in pieces(case.frames, chop):
            if not player.send(piece):
                break
        if case.close is None:
            player.send(hi(_LAST))
        heard.listen(player)
    texts, pongs, code = heard.texts, heard.pongs, heard.code
    if case.close is None and texts[-1:] == [_LAST]:
        texts.pop()
    wanted = case.texts
    if is_patient and case.close is not None:
        wanted = wanted[: len(texts)]
    if (tuple(texts), tuple(pongs)) != (wanted, case.pongs):
        raise Violation(f"{len(texts)} messages and {len(pongs)} pongs come back, or others")
    expected = 1000 if case.close is None else case.close
    if code != expected and code not in case.also:
        raise Violation(f"closed with {code} instead of {expected}")


@final
class _Heard:
    """What comes from the server, to the end."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.pongs: list[bytes] = []
        self.code: int | None = None

    def listen(self, player: Player) -> None:
        """Read to the end; when the last message is back, close."""
        while True:
            try:
                opcode, payload = player.frame()
            except (EOFError, ConnectionResetError):
                return
            except TimeoutError:
                raise Violation("neither an answer nor an end comes") from None
            if self.code is not None:
                raise Violation("something comes after the close frame")
            self._take(opcode, payload)
            if opcode == TEXT and self.texts[-1:] == [_LAST]:
                player.send(close(1000))
            elif opcode == CLOSE:
                # So that it need not wait for the answer to its own.
                player.send(close(None))

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == TEXT:
            message: dict[str, Any] = json.loads(payload)
            if message["op"] == "entry":
                self.texts.append(message["body"]["text"])
        elif opcode != PING:
            raise Violation(f"a frame of opcode {opcode}")
