"""Waiting for libpq's sockets as Trio waits for all others."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from psycopg.pq import PollingStatus


class Polled(Protocol):
    """What libpq does step by step: a connection that is made, or one that cancels."""

    @property
    def socket(self) -> int:
        """The descriptor to wait for; it may be another after each step."""
        ...


async def poll(polled: Polled, step: Callable[[], int]) -> bool:
    """Take steps until libpq is done; return whether it succeeded."""
    while True:
        match step():
            case PollingStatus.OK:
                return True
            case PollingStatus.READING:
                await trio.lowlevel.wait_readable(polled.socket)
            case PollingStatus.WRITING:
                await trio.lowlevel.wait_writable(polled.socket)
            case _:
                return False


async def wait_either(fd: int) -> None:
    """Wait until a socket can be written or read.

    A server that has something to say while we send much reads no more until we listen.
    """

    async def wait(one: Callable[[int], Awaitable[None]]) -> None:
        await one(fd)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, trio.lowlevel.wait_readable)
        nursery.start_soon(wait, trio.lowlevel.wait_writable)
