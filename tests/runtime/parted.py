"""A bus of two parts, of which a test takes one away: nothing comes from it, and calls fail."""

from zlib import crc32

import trio

from triolet._model.errors import BusUnavailable
from triolet.ports.bus import Heard

LEFT, RIGHT = range(2)


def channel_in(part, of="{}"):
    """Return the first of the channels of some form that belongs to a part."""
    names = (of.format(number) for number in range(100))
    return next(name for name in names if crc32(name.encode()) % 2 == part)


class Parted:
    """One node's connection, over one to a bus of one piece.

    Attributes:
        dead: parts whose calls fail at once.
        hung: parts whose calls never end.
    """

    parts = ("left", "right")

    def __init__(self, node):
        self.node = node
        self.dead = set()
        self.hung = set()

    def __getattr__(self, name):
        return getattr(self.node, name)

    def part_of(self, channel):
        return crc32(channel.encode()) % 2

    def revive(self):
        """Have all parts back, and be told of it."""
        self.dead.clear()
        self.hung.clear()
        self.node.mend()

    async def ring(self, doorbells):
        await self.node.ring([one for one in doorbells if self._is_well(one.channel)])
        await self._complain([one.channel for one in doorbells])

    async def follow(self, channels):
        await self.node.follow(channels)
        await self._complain(channels)

    async def receive(self):
        while True:
            heard = await self.node.receive()
            found = [one for one in heard.doorbells if self._is_well(one.channel)]
            if found or heard.reconnected:
                return Heard(tuple(found), heard.reconnected)

    def _is_well(self, channel):
        return self.part_of(channel) not in self.dead | self.hung

    async def _complain(self, channels):
        if any(self.part_of(channel) in self.hung for channel in channels):
            await trio.sleep_forever()
        lost = [channel for channel in channels if self.part_of(channel) in self.dead]
        if lost:
            raise BusUnavailable("a part is gone", lost)
