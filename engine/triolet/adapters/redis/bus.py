"""The bus over Redis: doorbells spread over the servers by channel, leases on each of them."""

import zlib
from collections.abc import Sequence
from typing import final

from ..._model.limits import Limits
from ...ports.bus import FRAME_BYTES_MAX, Doorbell, Heard
from ...ports.clock import Entropy
from .address import Address
from .asking import gather, require_all
from .heard import Inbox
from .leases import Leases
from .link import Command
from .listening import Listener
from .server import Server


@final
class RedisBus:
    """One node's connections: two to each server, of which one listens. See `ports.bus.Bus`.

    A channel belongs to one server, the same for all nodes, as long as they are given the same
    servers in the same order. Where one of several is gone, what belongs to it fails, and says so;
    what belongs to the others is done.

    Args:
        addresses: the servers.
        entropy: names the connections, and spreads the attempts to connect.
        limits: how long is waited for what, and how much waits.
    """

    def __init__(self, addresses: Sequence[Address], entropy: Entropy, limits: Limits) -> None:
        name = f"triolet-{entropy.token()}"
        self._inbox = Inbox()
        self._listeners = [
            Listener(address, entropy, limits, name=f"{name}-hears", inbox=self._inbox)
            for address in addresses
        ]
        self._servers = [
            Server(address, entropy, limits, name=f"{name}-rings") for address in addresses
        ]
        self._leases = Leases(self._servers)
        self.take_lease = self._leases.take
        self.renew_lease = self._leases.renew
        self.end_lease = self._leases.end
        self.leases = self._leases.living
        self.put_states = self._leases.put
        self.states = self._leases.states

    @property
    def connections(self) -> list[Server]:
        """All connections, each to be run for as long as the bus lives."""
        return [*self._servers, *(listener.server for listener in self._listeners)]

    @property
    def parts(self) -> Sequence[str]:
        """See `Bus`: the servers."""
        return [str(server.address) for server in self._servers]

    def part_of(self, channel: str) -> int:
        """See `Bus`."""
        # Not `hash`: it differs between processes.
        return zlib.crc32(channel.encode()) % len(self._servers)

    # --- doorbells -----------------------------------------------------------------------

    async def ring(self, doorbells: Sequence[Doorbell]) -> None:
        """See `Bus`."""
        commands: dict[int, list[Command]] = {}
        channels: dict[int, dict[str, None]] = {}
        for doorbell in doorbells:
            if len(doorbell.frame) > FRAME_BYTES_MAX:
                raise ValueError(f"a frame has at most {FRAME_BYTES_MAX} bytes")
            index = self.part_of(doorbell.channel)
            name = self._listeners[index].name_of(doorbell.channel)
            commands.setdefault(index, []).append((b"PUBLISH", name, doorbell.frame))
            channels.setdefault(index, {})[doorbell.channel] = None
        asked = [self._servers[index].ask(some) for index, some in commands.items()]
        require_all(await gather(asked), list(channels.values()))

    async def follow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        by_listener = self._by_listener(channels)
        asked = [listener.follow(some) for listener, some in by_listener]
        require_all(await gather(asked), [some for _, some in by_listener])

    async def unfollow(self, channels: Sequence[str]) -> None:
        """See `Bus`."""
        asked = [listener.unfollow(some) for listener, some in self._by_listener(channels)]
        # What is gone follows nothing.
        await gather(asked)

    async def receive(self) -> Heard:
        """See `Bus`."""
        return await self._inbox.take()

    def _by_listener(self, channels: Sequence[str]) -> list[tuple[Listener, list[str]]]:
        some: list[list[str]] = [[] for _ in self._listeners]
        for channel in channels:
            some[self.part_of(channel)].append(channel)
        return [one for one in zip(self._listeners, some, strict=True) if one[1]]
