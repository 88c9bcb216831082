"""Things that change often and are told seldom: marked by key, handled together."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, final

import trio

Key = TypeVar("Key")


@final
class Coalescer(Generic[Key]):
    """Gathers keys, and hands them over together: at once after a silence, then at intervals.

    What waits is bounded by the number of different keys.
    """

    def __init__(
        self, handle: Callable[[list[Key]], Awaitable[None]], *, interval_s: float
    ) -> None:
        self._handle = handle
        self._interval_s = interval_s
        # A dict keeps the order in which keys were first marked.
        self._marked: dict[Key, None] = {}
        self._wakeup = trio.Event()
        # One round at a time: two writes of one key could reach the store in any order.
        self._round = trio.Lock()

    def mark(self, key: Key) -> None:
        """Have `key` handled in the next round."""
        if not self._marked:
            self._wakeup.set()
        self._marked[key] = None

    def unmark(self, key: Key) -> None:
        """Forget `key`, if it is marked."""
        self._marked.pop(key, None)

    async def run(self) -> None:
        """Handle what is marked, for as long as the engine lives."""
        while True:
            if not self._marked:
                self._wakeup = trio.Event()
                await self._wakeup.wait()
            # Others of the same scheduler turn join this round.
            await trio.lowlevel.checkpoint()
            await self.flush()
            await trio.sleep(self._interval_s)

    async def flush(self) -> None:
        """Handle what is marked now; a round that is under way is over then, too."""
        async with self._round:
            if not self._marked:
                return
            marked, self._marked = self._marked, {}
            try:
                await self._handle(list(marked))
            except BaseException:
                # Whoever flushed was cancelled: the next round does it again.
                for key in marked:
                    self.mark(key)
                raise
