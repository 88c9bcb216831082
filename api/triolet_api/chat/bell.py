"""A bell: many may ring it, one waits; what rings while nobody listens is heard once."""

from typing import final

import trio


@final
class Bell:
    """Says that there is something to look at, and not what."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake who waits, or spare them the next wait."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it has rung since the last wait."""
        await self._event.wait()
        self._event = trio.Event()
