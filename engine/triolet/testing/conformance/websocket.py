"""A server's end of one WebSocket, of which every frame can be chosen, and which can be cut."""

from typing import Final, final

import trio
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

_RECEIVE_BYTES: Final = 64 * 1024
_CLOSE_TIMEOUT_S: Final = 1.0
_SUBPROTOCOLS: Final = ("triolet.v1.msgpack", "triolet.v1.json")


@final
class Gone(Exception):
    """The client's side of the connection has ended."""


@final
class ServerSocket:
    """One connection; `websockets` judges what comes in, and frames what goes out."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._protocol = ServerProtocol(subprotocols=[Subprotocol(name) for name in _SUBPROTOCOLS])
        self._frames: list[Frame] = []
        self._message: list[bytes] = []
        # Payloads of pongs, in the order in which they came.
        self.pongs: list[bytes] = []
        self._sending = trio.Lock()
        self._over = trio.Event()
        self._pong = trio.lowlevel.ParkingLot()

    async def request(self) -> Request:
        """Return the request that opens the connection.

        Raises:
            Gone: there came none.
        """
        while True:
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    return event
            await self._receive()

    async def accept(self, request: Request) -> str:
        """Answer the upgrade, and return the subprotocol chosen, which may be empty.

        Raises:
            Gone: the upgrade was none, and was refused.
        """
        self._protocol.send_response(self._protocol.accept(request))
        await self._flush()
        if self._protocol.subprotocol is None and self._protocol.handshake_exc is not None:
            raise Gone(str(self._protocol.handshake_exc))
        return self._protocol.subprotocol or ""

    async def answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        """Answer over HTTP, and end the connection."""
        body = text.encode()
        fields = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        fields.update(headers or {})
        self._protocol.send_response(Response(status, "Answer", fields, body))
        await self._flush()
        await self.cut()

    async def message(self) -> bytes:
        """Return the next message; pings are answered meanwhile.

        Raises:
            Gone: there will be none.
        """
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.opcode is Opcode.PONG:
                    self.pongs.append(bytes(frame.data))
                    self._pong.unpark_all()
                elif frame.opcode is Opcode.CLOSE:
                    self._over.set()
                    raise Gone("closed by the client")
                elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    self._message.append(bytes(frame.data))
                    if frame.fin:
                        whole, self._message = b"".join(self._message), []
                        return whole
            await self._receive()
            await self._flush()
            self._frames += [e for e in self._protocol.events_received() if isinstance(e, Frame)]

    async def send(self, payload: bytes, *, is_text: bool, pieces: int = 1) -> None:
        """Send a message, in one frame or in several, with a ping between each two.

        Raises:
            Gone: the connection has ended.
        """
        size = max(1, -(-len(payload) // pieces))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        self._check_open()
        start = self._protocol.send_text if is_text else self._protocol.send_binary
        start(parts[0], fin=len(parts) == 1)
        for number, part in enumerate(parts[1:], 2):
            self._protocol.send_ping(b"between %d" % number)
            self._protocol.send_continuation(part, fin=number == len(parts))
        await self._flush()

    async def ping(self, payload: bytes) -> None:
        """Send a ping.

        Raises:
            Gone: the connection has ended.
        """
        self._check_open()
        self._protocol.send_ping(payload)
        await self._flush()

    async def wait_pong(self, payload: bytes) -> None:
        """Wait for a ping's answer; another task reads messages meanwhile."""
        while payload not in self.pongs:
            await self._pong.park()

    async def close(self, code: int, reason: str) -> None:
        """Close it, and leave the client a little time for its part of it."""
        try:
            self._check_open()
            self._protocol.send_close(code, reason)
            await self._flush()
            with trio.move_on_after(_CLOSE_TIMEOUT_S):
                await self._over.wait()
        except Gone:
            pass  # it was to end
        await self.cut()

    async def cut(self) -> None:
        """End the connection as a broken network does: without a word."""
        await trio.aclose_forcefully(self._stream)

    def _check_open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise Gone("the connection is about to end")

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(_RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone(str(error)) from error
        if not data:
            self._over.set()
            raise Gone("the client has ended the connection")
        self._protocol.receive_data(data)
        if self._protocol.parser_exc is not None:
            await self._flush()
            raise Gone(f"broken frames: {self._protocol.parser_exc}")

    async def _flush(self) -> None:
        # The reading task answers pings and closes while another one sends.
        async with self._sending:
            try:
                for data in self._protocol.data_to_send():
                    if data:
                        await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise Gone(str(error)) from error
