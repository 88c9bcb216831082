"""What nodes are backed by, and can be struck like them: a database, a Redis server."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeAlias, final

import trio

from .process import ProcessFailed
from .proxy import Proxy

Role: TypeAlias = str
STORE: Final[Role] = "store"
BUS: Final[Role] = "bus"
# The ways of one node, by what is at their end.
Links: TypeAlias = Mapping[Role, tuple[Proxy, ...]]

_FLUSH_TIMEOUT_S: Final = 10


class Server(Protocol):
    """A server of `triolet.testing.services`; its methods block."""

    @property
    def pid(self) -> int:
        """Its first process; 0: there is none."""
        ...

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1; the same after each start."""
        ...

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ...


@final
class Backing:
    """One server that nodes are backed by.

    Args:
        name: its name, in the history.
        role: `STORE` or `BUS`.
        server: what is struck.
        end: ends it at once, as a crash would.
    """

    def __init__(self, name: str, role: Role, server: Server, end: Callable[[], None]) -> None:
        self.name = name
        self.role = role
        self._server = server
        self._end = end
        self._paused: list[int] = []

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._server.port

    async def kill(self) -> None:
        """End it at once."""
        await trio.to_thread.run_sync(self._end)

    async def start(self) -> None:
        """Start it again, and wait until it answers."""
        await trio.to_thread.run_sync(self._server.start)

    def family(self) -> Iterator[int]:
        """Yield its processes: those of a database are many."""
        return _family(self._server.pid)

    def pause(self) -> None:
        """Stop it where it is, with all its children: SIGSTOP."""
        self._paused = list(self.family())
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT."""
        self._signal(signal.SIGCONT)
        self._paused = []

    def _signal(self, which: signal.Signals) -> None:
        for pid in self._paused:
            # A child may have ended by itself.
            with suppress(ProcessLookupError):
                os.kill(pid, which)

    async def flush(self) -> None:
        """Have a Redis server forget everything.

        Raises:
            ProcessFailed: it does not.
        """
        with trio.move_on_after(_FLUSH_TIMEOUT_S):
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                await stream.send_all(b"*1\r\n$8\r\nFLUSHALL\r\n")
                if await stream.receive_some(64) == b"+OK\r\n":
                    return
        raise ProcessFailed(f"{self.name} does not flush")


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants; parents first, for they would make more."""
    yield pid
    # A process that ends meanwhile has no children.
    with suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))
