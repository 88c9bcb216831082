"""A worker's end of what joins it to its supervisor: how it is goes out, and the end comes in.

Its standard output carries a line each few seconds: `ready`, or why it is not. Its standard
input carries nothing, and ends with the supervisor, however that ends: then the worker leaves.
"""

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

_log = logging.getLogger("triolet.worker")

READY: Final = "ready"
STARTING: Final = "starting"
# How it is shows so soon, and is told so often even if it stays so.
_LOOK_S: Final = 0.2
_TELL_S: Final = 5.0


@asynccontextmanager
async def supervised(how: Callable[[], str], *, look_in: int, tell_to: int) -> AsyncIterator[None]:
    """Tell the supervisor how this worker is, and leave when it is gone, as at SIGTERM.

    Args:
        how: says how it is: `READY`, or why not.
        look_in: the descriptor that ends with the supervisor.
        tell_to: the descriptor where it listens.
    """
    async with (
        trio.lowlevel.FdStream(os.dup(look_in)) as lifeline,
        trio.lowlevel.FdStream(os.dup(tell_to)) as report,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_watch, lifeline)
        nursery.start_soon(_tell, report, how)
        yield
        nursery.cancel_scope.cancel()


async def _watch(lifeline: trio.lowlevel.FdStream) -> None:
    while await lifeline.receive_some():
        pass
    _log.warning("the supervisor is gone: leaving")
    os.kill(os.getpid(), signal.SIGTERM)


async def _tell(report: trio.lowlevel.FdStream, how: Callable[[], str]) -> None:
    told, told_at = "", 0.0
    while True:
        now, word = trio.current_time(), how()
        if word != told or now - told_at >= _TELL_S:
            told, told_at = word, now
            try:
                await report.send_all(f"{word}\n".encode())
            except trio.BrokenResourceError:
                return  # gone: the other end of it says so, too
        await trio.sleep(_LOOK_S)
