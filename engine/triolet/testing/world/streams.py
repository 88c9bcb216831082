"""A client's end of a simulated connection, as the stream that its link runs over."""

from typing import final

import trio

from ..._runtime.poller import READ, WRITE
from .sockets import Endpoint


@final
class SimulatedStream(trio.abc.Stream):
    """Trio's stream over a non-blocking endpoint."""

    def __init__(self, end: Endpoint) -> None:
        self.end = end
        self._waiting = trio.lowlevel.ParkingLot()
        end.on_ready = self._stir

    def _stir(self) -> None:
        self._waiting.unpark_all()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting for room where there is none.

        Raises:
            BrokenResourceError: the connection was reset.
            ClosedResourceError: the stream was closed on this side.
        """
        await trio.lowlevel.checkpoint()
        rest = bytes(data)
        while rest:
            try:
                rest = rest[self.end.send(rest) :]
            except BlockingIOError:
                await self._wait(WRITE)
            except OSError as error:
                raise self._failure() from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until some bytes would be taken."""
        await trio.lowlevel.checkpoint()
        await self._wait(WRITE)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, empty at the end; errors as in `send_all`."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.end.recv(max_bytes or 65536)
            except BlockingIOError:
                await self._wait(READ)
            except OSError as error:
                raise self._failure() from error

    async def aclose(self) -> None:
        """Close it, and wake whoever waits."""
        self.end.close()
        self._waiting.unpark_all()
        await trio.lowlevel.checkpoint()

    async def _wait(self, event: int) -> None:
        while not self.end.is_closed and not self.end.readiness() & event:
            await self._waiting.park()

    def _failure(self) -> Exception:
        if self.end.is_closed:
            return trio.ClosedResourceError("closed on this side")
        return trio.BrokenResourceError("the connection was reset")
