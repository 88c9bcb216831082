"""What has come in and was not received yet: bounded, and honest about what was lost."""

from typing import Final, final

import trio

from ...ports.bus import Doorbell, Heard

# What waits for one node: a second of a busy bus, and less than its rings may hold.
QUEUE_DOORBELLS_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024


@final
class Inbox:
    """See the module. One task at a time takes.

    >>> inbox = Inbox()
    >>> inbox.put("tea", b"hello")
    >>> trio.run(inbox.take)
    Heard(doorbells=(Doorbell(channel='tea', frame=b'hello'),), reconnected=False)
    """

    __slots__ = ("_bytes", "_missed", "_news", "_queue")

    def __init__(self) -> None:
        self._queue: list[Doorbell] = []
        self._bytes = 0
        self._missed = False
        self._news = trio.Event()

    def put(self, channel: str, frame: bytes) -> None:
        """Take a doorbell in; if that is too much, forget all that waits, and say so."""
        self._queue.append(Doorbell(channel, frame))
        self._bytes += len(frame)
        if len(self._queue) > QUEUE_DOORBELLS_MAX or self._bytes > QUEUE_BYTES_MAX:
            self._queue, self._bytes = [], 0
            self.miss()
        elif len(self._queue) == 1:
            self._news.set()

    def miss(self) -> None:
        """Something may have been missed."""
        self._missed = True
        self._news.set()

    async def take(self) -> Heard:
        """Wait for something, and return all there is."""
        await trio.lowlevel.checkpoint()
        while not (self._queue or self._missed):
            self._news = trio.Event()
            await self._news.wait()
        heard = Heard(tuple(self._queue), self._missed)
        self._queue, self._bytes, self._missed = [], 0, False
        return heard
