"""Hearing one Redis server: what is followed there, and following it again after a loss."""

from collections.abc import Iterable, Sequence
from typing import Final, final

from ..._model.limits import Limits
from ...ports.clock import Entropy
from .address import Address
from .asking import Asked
from .heard import Inbox
from .link import Command, Link, LinkLost, without_refusals
from .server import Server

# Channels of one SUBSCRIBE: it is one step of Redis, which does nothing else meanwhile.
_CHANNELS_AT_ONCE: Final = 1000


@final
class Listener:
    """See the module.

    Redis tells who listens apart from who asks: a connection with subscriptions is closed when
    it reads too slowly, so what is asked goes another way.

    Args:
        address: where the server is.
        entropy: see `Server`.
        limits: see `Server`.
        name: see `Server`.
        inbox: where doorbells go, and word of those that may have been missed.
    """

    def __init__(
        self, address: Address, entropy: Entropy, limits: Limits, *, name: str, inbox: Inbox
    ) -> None:
        # Databases share their channels.
        self._prefix = f"{address.prefix}:{address.db}:"
        self._inbox = inbox
        # What is followed: the name on the server, and the channel's.
        self._wanted: dict[bytes, str] = {}
        # The connection, from the moment on at which all that is wanted was asked for on it.
        self._link: Link | None = None
        self.server = Server(
            address, entropy, limits, name=name, connected=self._connected, pushed=self._hear
        )
        self.run = self.server.run

    def name_of(self, channel: str) -> bytes:
        """Return what a channel is called on the server."""
        return f"{self._prefix}{channel}".encode()

    def follow(self, channels: Iterable[str]) -> Asked:
        """Follow channels from now on, also after a loss; confirmed by the answers."""
        names = {self.name_of(channel): channel for channel in channels}
        self._wanted |= names
        return self._ask(b"SUBSCRIBE", list(names))

    def unfollow(self, channels: Iterable[str]) -> Asked:
        """Follow channels no more; where there is no connection nothing is followed."""
        names = [self.name_of(channel) for channel in channels]
        for name in names:
            self._wanted.pop(name, None)
        return self._ask(b"UNSUBSCRIBE", names)

    def _ask(self, verb: bytes, names: Sequence[bytes]) -> Asked:
        # Not `server.ask`: that works only when all that was wanted has been confirmed, and
        # what is wanted meanwhile would be forgotten.
        try:
            return (self._link or self.server.link()).submit_pushing(_in_pieces(verb, names))
        except LinkLost as lost:
            return lost

    async def _connected(self, link: Link) -> None:
        """Follow again what is followed, and say then that something may have been missed."""
        may_have_missed = bool(self._wanted)
        self._link = link
        wanted = _in_pieces(b"SUBSCRIBE", list(self._wanted))
        without_refusals(await link.submit_pushing(wanted).wait())
        if may_have_missed:
            self._inbox.miss()

    def _hear(self, push: list[object]) -> None:
        if push[0] == b"message":
            channel = self._wanted.get(push[1])  # type: ignore[call-overload]
            if channel is not None:
                self._inbox.put(channel, push[2])  # type: ignore[arg-type]


def _in_pieces(verb: bytes, names: Sequence[bytes]) -> list[Command]:
    return [
        (verb, *names[start : start + _CHANNELS_AT_ONCE])
        for start in range(0, len(names), _CHANNELS_AT_ONCE)
    ]
