"""What the parts of a bus's contract share: how a bus is joined, and listened to."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from ...ports.bus import Bus, Doorbell
from .home import Home

# In which whatever is rung has been heard, on a machine that is busy with other things.
PATIENCE_S = 60


class BusHome:
    """What the tests of a bus are given."""

    pytestmark: ClassVar[list[Any]] = [pytest.mark.trio]

    @pytest.fixture
    def home(self, tmp_path: Path) -> Home:
        """A deployment of its own for each test: nothing is heard of another one's."""
        return Home(tmp_path)

    def open_bus(self, home: Home) -> AbstractAsyncContextManager[Bus]:
        """Join the bus of this deployment as one more node."""
        raise NotImplementedError

    async def cut(self, bus: Bus) -> None:
        """Take a node's connection away, until `mend`; for adapters that can be cut off."""
        del bus
        pytest.skip("this suite cannot cut anybody off from this bus")

    async def mend(self, bus: Bus) -> None:
        """Give a node its connection back."""
        raise NotImplementedError


async def hear(bus: Bus, *, until: bytes) -> list[Doorbell]:
    """Return what is heard up to a frame, that one included; fail if something was missed."""
    heard: list[Doorbell] = []
    with trio.fail_after(PATIENCE_S):
        while not heard or heard[-1].frame != until:
            news = await bus.receive()
            assert not news.reconnected
            heard += news.doorbells
    return heard


async def hear_by_channel(bus: Bus, *, until: bytes, times: int) -> dict[str, list[bytes]]:
    """Return the frames heard of each channel, up to so many that end it.

    What is rung on one channel may come before what was rung on another one earlier, so each
    channel has an end of its own. Fail if something was missed.
    """
    heard: dict[str, list[bytes]] = {}
    with trio.fail_after(PATIENCE_S):
        while times > 0:
            news = await bus.receive()
            assert not news.reconnected
            for doorbell in news.doorbells:
                heard.setdefault(doorbell.channel, []).append(doorbell.frame)
                times -= doorbell.frame == until
    return heard


async def hear_again(bus: Bus) -> list[Doorbell]:
    """Wait until it is told that something was missed; return what came with it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            news = await bus.receive()
            if news.reconnected:
                return list(news.doorbells)
