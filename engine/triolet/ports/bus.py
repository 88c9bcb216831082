"""The bus: how the nodes of one deployment ring each other, and what they share for a while.

Two things, both of the kind that may be lost:

*Doorbells.* A frame of bytes, rung on a channel, heard by every node that follows the channel,
the one that rang included. They are a hint, never the truth: the store is.
A doorbell may be lost, come twice, late, or before one of another channel that was rung before
it. On one channel those of one node are, as a rule, heard in the order rung; nobody may rely on
it. Whoever hears one that makes no sense asks the store.

*Leases.* A node tells under its lease how its users are. When the lease ends or lapses,
everything told under it is gone at once, so no user of a dead node stays online.

What every adapter promises, and `triolet.testing.contracts` proves:

- *Confirmed.* What is rung after `follow` has returned is heard, as far as anything is.
- *Honest.* Whenever something may have been missed (the connection was lost, a queue was full,
  a channel was followed late), the next `Heard` says so. Only single doorbells, which the
  network ate, are missed in silence.
- *Bounded.* What is heard and not yet received is bounded; beyond it doorbells are dropped, and
  `Heard.reconnected` tells it.
- *Prompt.* No call waits for a bus that is gone: it fails within a few seconds. The adapter
  reconnects by itself, and follows again what was followed.
- *Foreign exceptions stop here.* Only `BusUnavailable` leaves an adapter.

*Parts.* A bus may consist of several that fail apart from each other, as the servers of a Redis
bus do. Each channel belongs to one of them, the same for all nodes. What is asked of one that is
gone fails, and says for which channels (`BusUnavailable.channels`); the others are as they were.
Whoever asks the parts by calls of their own does not wait for one that is slow to fail.

One `Bus` object is one node's connection, and outlives its engine. All methods are called in
the engine's thread, and may be cancelled; a call that was cancelled may have happened.

On Redis (`adapters.redis`): a channel is a channel of the server that its name's hash chooses,
`ring` is a pipeline of PUBLISH for each server. A lease is a key with a TTL whose name is in a
set, and a user's states are a hash of lease to state, both on every server: so one that is left
is enough. They are thinned of leases that have ended.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, final

from msgspec import Struct

# What every adapter carries as one frame; whatever is longer is cut up, or only hinted at.
FRAME_BYTES_MAX: Final = 1024 * 1024
# What every adapter keeps of one user under one lease.
STATE_BYTES_MAX: Final = 256


@final
class Doorbell(Struct, frozen=True):
    """One frame on one channel: at most `FRAME_BYTES_MAX` bytes, which the bus does not read."""

    channel: str
    frame: bytes


@final
class Heard(Struct, frozen=True):
    """What has come in since it was last asked.

    Attributes:
        doorbells: in the order they came in; none if there is only something to be told.
        reconnected: anything may have been missed before these.
    """

    doorbells: tuple[Doorbell, ...]
    reconnected: bool = False


class Bus(Protocol):
    """One node's connection to the others. See the module for what an adapter promises."""

    @property
    def parts(self) -> Sequence[str]:
        """What may fail alone, at least one, by names for whoever operates it (no secrets)."""
        ...

    def part_of(self, channel: str) -> int:
        """Return the index of the part that a channel belongs to; each part has channels."""
        ...

    # --- doorbells -----------------------------------------------------------------------

    async def ring(self, doorbells: Sequence[Doorbell]) -> None:
        """Ring a batch, in order.

        Raises:
            BusUnavailable: those on `channels` may not have been rung; the others were.
            ValueError: a frame is longer than `FRAME_BYTES_MAX`; none was rung.
        """
        ...

    async def follow(self, channels: Sequence[str]) -> None:
        """Follow channels from now on; when it returns, each is confirmed.

        A channel that is followed twice is followed once. Calls of `follow` and `unfollow`
        take effect in the order of the calls.

        Raises:
            BusUnavailable: those of `channels` will be followed as soon as the bus is back, and
                `Heard.reconnected` tells when.
        """
        ...

    async def unfollow(self, channels: Sequence[str]) -> None:
        """Follow channels no more; a doorbell that was on its way may still come.

        It does not fail: what a bus that is gone follows has ended with the connection.
        """
        ...

    async def receive(self) -> Heard:
        """Wait for what comes in, and return it all. One task at a time calls it.

        It waits, and does not fail, as long as the bus is gone.
        """
        ...

    # --- leases and what is told under them -------------------------------------------------

    async def take_lease(self, lease: str, *, ttl_s: float) -> None:
        """Begin a lease, under a name that was never used before: `node:generation`.

        Raises:
            BusUnavailable: it may have begun; try again, under another name.
        """
        ...

    async def renew_lease(self, lease: str, *, ttl_s: float) -> bool:
        """Have a lease last `ttl_s` from now on.

        Returns:
            False: it has lapsed, and will not come back: take another under a new generation.

        Raises:
            BusUnavailable: it may have been renewed.
        """
        ...

    async def end_lease(self, lease: str) -> None:
        """End a lease, and with it all that was told under it. One that has ended stays so.

        Raises:
            BusUnavailable: it may last until its TTL.
        """
        ...

    async def leases(self) -> list[str]:
        """Return the leases that live now, by name.

        Raises:
            BusUnavailable: nobody knows.
        """
        ...

    async def put_states(self, lease: str, states: Mapping[str, bytes]) -> None:
        """Tell under a lease how users are; empty bytes: nothing of this user any more.

        The latest wins. What is told under a lease that has ended is seen by nobody.

        Raises:
            BusUnavailable: some may have been told.
            ValueError: a state is longer than `STATE_BYTES_MAX`; none was told.
        """
        ...

    async def states(self, users: Sequence[str]) -> list[dict[str, bytes]]:
        """Return `{lease: state}` of each user, in their order, of leases that live, by name.

        Raises:
            BusUnavailable: nobody knows.
        """
        ...
