"""Which channels this node follows: what many rooms and users want goes to the bus together."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, final

import trio

from .._model.errors import BusUnavailable
from .._model.limits import Limits
from ..ports.bus import Bus

_Call: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]

# Channels of one call of the bus.
_CHANNELS_AT_ONCE: Final = 1000


@final
class _Wish:
    """What is to become of a channel; the latest wish stands, whoever waits for it."""

    __slots__ = ("done", "is_wanted")

    def __init__(self, *, is_wanted: bool) -> None:
        self.is_wanted = is_wanted
        self.done = trio.Event()


@final
class Following:
    """See the module.

    Args:
        bus: what is told to follow.
        limits: how long it is waited for.
        failed: called when the bus could not do it; it will, once it is back.
    """

    def __init__(self, bus: Bus, limits: Limits, *, failed: Callable[[Exception], None]) -> None:
        self._bus = bus
        self._limits = limits
        self._failed = failed
        self._wishes: dict[str, _Wish] = {}
        self._wakeup = trio.Event()
        # What the bus was told to follow, whether or not it has confirmed it.
        self.channels: dict[str, None] = {}

    def want(self, channel: str) -> trio.Event:
        """Follow a channel; return what is set when it is confirmed, or known to fail."""
        return self._wish(channel, is_wanted=True).done

    def drop(self, channel: str) -> None:
        """Follow a channel no more."""
        self._wish(channel, is_wanted=False)

    def _wish(self, channel: str, *, is_wanted: bool) -> _Wish:
        wish = self._wishes.get(channel)
        if wish is None:
            wish = self._wishes[channel] = _Wish(is_wanted=is_wanted)
            self._wakeup.set()
        wish.is_wanted = is_wanted
        return wish

    async def run(self) -> None:
        """Pass wishes on, for as long as the engine lives."""
        while True:
            if not self._wishes:
                self._wakeup = trio.Event()
                await self._wakeup.wait()
                # Others of the same scheduler turn join this round.
                await trio.lowlevel.checkpoint()
            wishes, self._wishes = self._wishes, {}
            wanted = [channel for channel, wish in wishes.items() if wish.is_wanted]
            dropped = [channel for channel, wish in wishes.items() if not wish.is_wanted]
            for channel in dropped:
                self.channels.pop(channel, None)
            self.channels |= dict.fromkeys(wanted)
            await self._call(self._bus.unfollow, dropped)
            await self._call(self._bus.follow, wanted)
            for wish in wishes.values():
                wish.done.set()

    async def _call(self, call: _Call, channels: list[str]) -> None:
        for start in range(0, len(channels), _CHANNELS_AT_ONCE):
            try:
                with trio.fail_after(self._limits.bus_timeout_s):
                    await call(channels[start : start + _CHANNELS_AT_ONCE])
            except (BusUnavailable, trio.TooSlowError) as error:
                self._failed(error)

    async def leave(self) -> None:
        """Follow nothing any more."""
        channels, self.channels = list(self.channels), {}
        self._wishes.clear()
        await self._bus.unfollow(channels)
