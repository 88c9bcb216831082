"""A stream whose first bytes have been read already, for whom it turns out to belong to."""

from typing import final

import trio


@final
class PrefixedStream(trio.abc.HalfCloseableStream):
    """Delivers `prefix` first, then goes on as the stream itself.

    Attributes:
        socket: the stream's socket, which Hypercorn asks for addresses.
    """

    def __init__(self, stream: trio.SocketStream, prefix: bytes) -> None:
        self._stream = stream
        self._prefix = prefix
        self.socket = stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next bytes, empty at the end."""
        if self._prefix:
            await trio.lowlevel.checkpoint()
            end = len(self._prefix) if max_bytes is None else max_bytes
            data, self._prefix = self._prefix[:end], self._prefix[end:]
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until sending makes sense."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End the sending side."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
