"""How users are on other nodes, and how others learn how they are on this one.

Each node tells its users' states under its lease, and rings when one has moved. Who hears it
reads what all nodes tell of that user. A doorbell may be lost, so what is known is read again
now and then, after each interruption of the bus, and dropped when a lease has lapsed.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, final

import msgspec
import trio

from .._domain.presence import Told
from .._model.errors import BusUnavailable
from .._model.limits import Limits
from .._wire.peers import PresenceMoved, PresenceReset
from ..ports.clock import Clock
from .coalescer import Coalescer
from .lease import Lease
from .nodes import ALL_NODES, Nodes, presence_channel, user_channel

logger = logging.getLogger(__name__)

# Users of one call of the bus.
_USERS_PER_CALL: Final = 500
# What moves within it is told, or read, together.
_INTERVAL_S: Final = 0.1
# Between two tries to tell what the bus did not take.
_RETRY_S: Final = 1.0


@final
class Elsewhere:
    """See the module.

    Args:
        nodes: this node among the others.
        clock: for the beats of the lease.
        limits: how long the lease lasts, how often it is renewed, and what is known read again.
        own: how a user is on this node; None: not at all.
        present: all users of this node.
        moved: called with users of whom other nodes tell something else now, and when they
            were last seen by a node that died with them (ms), or 0.
    """

    def __init__(
        self,
        nodes: Nodes,
        clock: Clock,
        limits: Limits,
        *,
        own: Callable[[str], Told | None],
        present: Mapping[str, object],
        moved: Callable[[dict[str, int]], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._limits = limits
        self._own = own
        self._present = present
        self._moved = moved
        # What other nodes tell, by user and lease, of those who are present or watched here.
        self._known: dict[str, dict[str, Told]] = {}
        # What others can read of this node's users.
        self._said: dict[str, Told] = {}
        # Leases met in `_known`, and when each was last renewed (ms).
        self._met: dict[str, None] = {}
        self._beats: dict[str, int] = {}
        self._lease = Lease(nodes, clock, limits, began=self._began, beaten=self._beaten)
        self._sayer: Coalescer[str] = Coalescer(self._say, interval_s=_INTERVAL_S)
        self._reader: Coalescer[str] = Coalescer(self._read, interval_s=_INTERVAL_S)
        nodes.handle(PresenceMoved, self._moved_elsewhere)
        nodes.handle(PresenceReset, self._reset_elsewhere)
        nodes.on_missed.append(self._missed)

    async def run(self) -> None:
        """Tell, read and beat for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._lease.run)
            nursery.start_soon(self._sayer.run)
            nursery.start_soon(self._reader.run)
            while True:
                await trio.sleep(self._limits.presence_check_s)
                self._read_all()

    async def leave(self, *, lasts_s: float) -> None:
        """Tell what is left to be told; it lasts so long, and then this node is heard no more."""
        with trio.move_on_after(self._limits.bus_timeout_s):
            await self._sayer.flush()
        await self._lease.leave(lasts_s=lasts_s)

    @property
    def nodes(self) -> list[str]:
        """The names of the other nodes that held a lease at the last beat."""
        others = [lease for lease in self._beats if not self._lease.is_mine(lease)]
        return list(dict.fromkeys(lease.rpartition(":")[0] for lease in others))

    # --- knowing -----------------------------------------------------------------------

    def told(self, user: str) -> list[Told]:
        """Return what other nodes tell of a user, as far as it is known here."""
        return list(self._known.get(user, {}).values())

    def counts(self, user: str) -> bool:
        """Whether this node is the one that counts a user: the first of those that have them."""
        return all(self._lease.name < lease for lease in self._known.get(user, {}))

    def meet(self, user: str) -> None:
        """A user has come: what others tell of them matters now."""
        self._known.setdefault(user, {})
        self._reader.mark(user)

    def part(self, user: str) -> None:
        """A user is neither present here nor watched."""
        self._known.pop(user, None)
        self._reader.unmark(user)

    async def watch(self, users: Sequence[str]) -> None:
        """Hear of these users from now on, and know how they are when it returns."""
        for user in users:
            self._known.setdefault(user, {})
            self._reader.mark(user)
        if users:
            await self._nodes.follow(*map(presence_channel, users))
            await self._reader.flush()

    def unwatch(self, user: str) -> None:
        """Hear of a user no more."""
        self._nodes.unfollow(presence_channel(user))

    async def ask(self, users: Sequence[str]) -> dict[str, list[Told]]:
        """Return what others tell now of users who are not watched; nobody, without the bus."""
        answer: dict[str, list[Told]] = {}
        for start in range(0, len(users), _USERS_PER_CALL):
            chunk = users[start : start + _USERS_PER_CALL]
            found = await self._states(chunk)
            if found is None:
                break
            answer |= {user: list(told.values()) for user, told in found.items()}
        return answer

    async def _states(self, users: Sequence[str]) -> dict[str, dict[str, Told]] | None:
        """Return what other nodes tell, by user and lease; None: the bus does not answer."""
        try:
            with trio.fail_after(self._limits.bus_timeout_s):
                found = await self._nodes.bus.states(users)
        except (BusUnavailable, trio.TooSlowError):
            return None
        # What this node itself told, in this generation or an earlier one, is not news to it.
        return {
            user: {lease: one for lease, one in _decoded(states) if not self._lease.is_mine(lease)}
            for user, states in zip(users, found, strict=True)
        }

    async def _read(self, users: list[str]) -> None:
        for start in range(0, len(users), _USERS_PER_CALL):
            found = await self._states(users[start : start + _USERS_PER_CALL])
            if found is None:
                return  # all is read again when the bus is back
            moved: dict[str, int] = {}
            for user, told in found.items():
                if user in self._known:
                    self._met |= dict.fromkeys(told)
                    self._know(user, told, moved)
            if moved:
                await self._moved(moved)

    def _know(self, user: str, told: dict[str, Told], moved: dict[str, int]) -> None:
        before = self._known[user]
        if told == before:
            return
        self._known[user] = told
        # Who was in a grace when they vanished was seen to leave, and when that was is stored.
        # Who was here vanished with their node: its last beat is the last that is known of them.
        lost = [lease for lease in before if lease not in told and not before[lease].is_grace]
        moved[user] = max((self._beats.get(lease, 0) for lease in lost), default=0)

    async def _beaten(self, beats: dict[str, int]) -> None:
        lost = [lease for lease in self._met if lease not in beats]
        if lost:
            moved: dict[str, int] = {}
            for user, told in list(self._known.items()):
                left = {lease: one for lease, one in told.items() if lease in beats}
                self._know(user, left, moved)
            for lease in lost:
                del self._met[lease]
            if moved:
                await self._moved(moved)
        self._beats = beats

    def _moved_elsewhere(self, node: str, message: PresenceMoved) -> None:
        del node
        if message.user in self._known:
            self._reader.mark(message.user)

    def _reset_elsewhere(self, node: str, message: PresenceReset) -> None:
        del node, message
        self._read_all()

    def _missed(self) -> None:
        self._lease.beat_soon()
        self._read_all()

    def _read_all(self) -> None:
        for user in self._known:
            self._reader.mark(user)

    # --- telling -----------------------------------------------------------------------

    def say(self, user: str) -> None:
        """How a user is on this node may have changed: tell the others."""
        self._sayer.mark(user)

    def _began(self) -> None:
        """All is to be told again, under the new lease; and read again, by who heard of its end."""
        self._said.clear()
        for user in self._present:
            self._sayer.mark(user)
        self._nodes.ring(ALL_NODES, PresenceReset())

    async def _say(self, users: list[str]) -> None:
        if not self._lease.is_held:
            return  # all is told when there is a lease
        words = {user: self._own(user) for user in users}
        news = {user: one for user, one in words.items() if one != self._said.get(user)}
        for start in range(0, len(news), _USERS_PER_CALL):
            chunk = dict(list(news.items())[start : start + _USERS_PER_CALL])
            if not await self._put(chunk):
                for user in users:
                    self._sayer.mark(user)
                await trio.sleep(_RETRY_S)
                return

    async def _put(self, chunk: dict[str, Told | None]) -> bool:
        lease = self._lease.name
        states = {user: b"" if one is None else _encode(one) for user, one in chunk.items()}
        try:
            with trio.fail_after(self._limits.bus_timeout_s):
                await self._nodes.bus.put_states(lease, states)
        except (BusUnavailable, trio.TooSlowError):
            return False
        if lease != self._lease.name:
            return True  # it has lapsed meanwhile, and all is told again
        for user, one in chunk.items():
            self._ring(user, one)
            if one is None:
                self._said.pop(user, None)
            else:
                self._said[user] = one
        return True

    def _ring(self, user: str, one: Told | None) -> None:
        self._nodes.ring(presence_channel(user), PresenceMoved(user))
        before = self._said.get(user)
        if one is not None and (before is None or before.kept_at != one.kept_at):
            # Nodes that have sessions of the user take over what the user wishes.
            self._nodes.ring(user_channel(user), PresenceMoved(user))


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Told)


def _decoded(states: Mapping[str, bytes]) -> list[tuple[str, Told]]:
    """Return what is told, by lease; what a later version tells in another way is left out."""
    found: list[tuple[str, Told]] = []
    for lease, state in states.items():
        try:
            found.append((lease, _decoder.decode(state)))
        except msgspec.DecodeError:
            logger.warning("what %s tells of a user cannot be read", lease)
    return found
