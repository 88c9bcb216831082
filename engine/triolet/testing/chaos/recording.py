"""A client over the network whose history is recorded."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final, final

import trio

from ...client import Backoff, Client, ClientLimits, WebSocketDialer, open_client
from ...client._link import Dialer, Link
from .. import history
from ..recorder import Recorder

# A restart takes a second; the usual ceiling of 30 s is for servers that stay away.
BACKOFF: Final = Backoff(base_s=0.1, ceiling_s=0.4)
# A silent server is found out two heartbeats and this later; a closed one costs no farewell.
LIMITS: Final = ClientLimits(silence_margin_s=1, close_timeout_s=0.2, dial_timeout_s=5)


@final
class Roaming:
    """Dials several nodes in turn: whoever has lost one, or was not let in, tries the next."""

    def __init__(self, dialers: Sequence[Dialer]) -> None:
        self._next = cycle(dialers)

    async def dial(self) -> Link:
        """Return a new link.

        Raises:
            LinkClosed: this one cannot be had; the next time it is another node's.
        """
        return await next(self._next).dial()


@asynccontextmanager
async def open_recorded(
    urls: Sequence[str], token: str, *, name: str, user: str, write: Callable[[history.Event], None]
) -> AsyncIterator[Client]:
    """Have a client for the length of a block; it need not be connected when that begins.

    Args:
        urls: where it connects, in turn.
        token: what it greets with.
        name: its name, in the history and as a device.
        user: for whom it acts.
        write: takes the events, timed by the machine's monotonic clock, whatever Trio's says.
    """
    recorder = Recorder(name, user, write, clock=time.monotonic)
    async with trio.open_nursery() as links:
        dialers = [WebSocketDialer(url, "msgpack", links, LIMITS) for url in urls]
        dialer = recorder.dialer(Roaming(dialers))
        async with open_client(
            dialer,
            token=token,
            device=name,
            backoff=BACKOFF,
            limits=LIMITS,
            start_offline=True,
            witness=recorder.witness,
        ) as client:
            yield client
    recorder.left()
