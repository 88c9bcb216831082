"""A client over the network whose history is recorded."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from ...client import Backoff, Client, ClientLimits, WebSocketDialer, open_client
from .. import history
from ..recorder import Recorder

# A restart takes a second; the usual ceiling of 30 s is for servers that stay away.
BACKOFF: Final = Backoff(base_s=0.1, ceiling_s=0.4)
# A silent server is found out two heartbeats and this later; a closed one costs no farewell.
LIMITS: Final = ClientLimits(silence_margin_s=1, close_timeout_s=0.2, dial_timeout_s=5)


@asynccontextmanager
async def open_recorded(
    url: str, token: str, *, name: str, user: str, write: Callable[[history.Event], None]
) -> AsyncIterator[Client]:
    """Have a client for the length of a block; it need not be connected when that begins.

    Args:
        url: where it connects.
        token: what it greets with.
        name: its name, in the history and as a device.
        user: for whom it acts.
        write: takes the events, timed by the machine's monotonic clock, whatever Trio's says.
    """
    recorder = Recorder(name, user, write, clock=time.monotonic)
    async with trio.open_nursery() as links:
        dialer = recorder.dialer(WebSocketDialer(url, "msgpack", links, LIMITS))
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
