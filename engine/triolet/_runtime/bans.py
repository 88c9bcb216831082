"""Bans: who is banned is refused and their sessions end, on every node within a second.

The store is the truth, a doorbell makes it quick, and a sweep heals what no doorbell has told.
All bans are in memory, so that a look-up costs nothing: a document counts the changes, and as
long as its count is the one that is known, nothing else has to be read.
"""

import logging
from collections.abc import Sequence
from typing import Final, NoReturn, final

import msgspec
import trio

from .._domain.addresses import INSIDE, AddressRules
from .._domain.bans import PREFIX, Ban, BanTable, banned, key_of
from .._model.errors import Close, CloseCode, ErrorCode, OutcomeUnknown, Refusal, StoreError
from .._model.limits import Limits
from .._wire.peers import BansMoved
from ..ports.clock import Clock
from ..ports.documents import Change, Documents
from .complaint import Complaint
from .heartbeat import Heartbeat
from .nodes import ALL_NODES, Nodes
from .presence import Presence
from .session import Session

logger = logging.getLogger(__name__)

# Counts the changes of bans; beside them, not among them.
_COUNT_KEY: Final = "ban-changes"
_PER_SCAN: Final = 1000
# Of a change that others overtake, and of a scan under which bans change.
_TRIES: Final = 5
# Connections looked at between two checkpoints, and bans put into a table: about a millisecond.
_PER_TURN: Final = 500
_BANS_PER_TURN: Final = 50
# Between two tries of a store that does not answer.
_RETRY_S: Final = 1.0


@final
class Bans:
    """See the module. `nodes`: None where there are no others.

    Attributes:
        is_blind: the store does not tell who is banned; until it has for the first time, nobody
            is let in.
        begun: the store has been asked for the first time, whether it answered or not.
    """

    def __init__(
        self,
        documents: Documents,
        presence: Presence,
        heartbeat: Heartbeat,
        rules: AddressRules,
        *,
        clock: Clock,
        limits: Limits,
        nodes: Nodes | None,
    ) -> None:
        self._documents = documents
        self._presence = presence
        self._heartbeat = heartbeat
        self._rules = rules
        self._clock = clock
        self._limits = limits
        self._nodes = nodes
        self.is_blind = True
        self.begun = trio.Event()
        self._is_loaded = False
        self._table = BanTable()
        # Bans in the table that are to be carried out: of whom a session may still be here.
        self._due: dict[str, Ban] = {}
        # The count of changes that the table holds.
        self._count = 0
        # Keys that have changed, by the count of their change: to be read again.
        self._moved: dict[int, str] = {}
        self._is_moved = trio.Event()
        self._complaint = Complaint(logger, now=trio.current_time)
        if nodes is not None:
            nodes.handle(BansMoved, self._moved_elsewhere)

    # --- asking ------------------------------------------------------------------------

    def is_banned(self, address: str) -> bool:
        """Whether nobody may connect from an address."""
        found = self._table.of_address(address, now=self._clock.now_ms())
        return found is not None and not self._rules.allows(address)

    def check(self, user: str | None, address: str) -> None:
        """Let somebody pass.

        Args:
            user: None: it is not known yet.
            address: `INSIDE`: the host vouches for it.

        Raises:
            Refusal: `BANNED`, or `STORE_UNAVAILABLE`: it is not known who is.
        """
        if not self._is_loaded:
            raise Refusal(
                ErrorCode.STORE_UNAVAILABLE, "who is banned is not known yet", retry_after_ms=1000
            )
        now = self._clock.now_ms()
        if user is not None and self._table.of_user(user, now=now) is not None:
            raise Refusal(ErrorCode.BANNED)
        if address != INSIDE and self.is_banned(address):
            raise Refusal(ErrorCode.BANNED)

    def of(self, *, user: str = "", address: str = "") -> Ban | None:
        """Return the ban that holds now, of a user or of a network that holds an address."""
        now = self._clock.now_ms()
        if user:
            return self._table.of_user(user, now=now)
        return self._table.of_address(address, now=now)

    async def list(self, *, after: str = "", limit: int) -> list[Ban]:
        """Return bans that hold, by key, networks before users.

        Args:
            after: the key of the last one that was seen; empty: from the first on.
            limit: at most so many, 1 to 1,000.

        Raises:
            StoreError: they could not be read.
        """
        found = await self._documents.scan(PREFIX, after=after, limit=limit)
        return [_decode(document.value) for document in found]

    # --- changing ----------------------------------------------------------------------

    async def add(self, ban: Ban) -> Ban:
        """Ban somebody; their sessions end, here before it returns. An earlier ban is replaced.

        Returns:
            The ban as it is kept.

        Raises:
            Refusal: `INVALID_FIELD`, or `TOO_LARGE`: there are `bans_max` of them.
            StoreError: nothing has happened, or, `OutcomeUnknown`, it may come into force.
        """
        try:
            kept = banned(ban, now=self._clock.now_ms())
        except ValueError as error:
            _refuse(error)
        if len(self._table) >= self._limits.bans_max:
            self._table.forget(kept.at)
        if len(self._table) >= self._limits.bans_max and self._table.get(kept.key) is None:
            raise Refusal(ErrorCode.TOO_LARGE, f"there are {len(self._table)} bans already")
        count = await self._write(Change(kept.key, _encode(kept), expires_at=kept.until))
        self._put(kept)
        self._tell(kept.key, count)
        await self._enforce()
        return kept

    async def lift(self, *, user: str = "", network: str = "") -> bool:
        """Lift a ban; return whether there was one.

        Raises:
            Refusal: `INVALID_FIELD`.
            StoreError: as `add`.
        """
        try:
            key = key_of(user=user, network=network)
        except ValueError as error:
            _refuse(error)
        (found,) = await self._documents.read([key])
        if found is None:
            # If this node knows of one, another has lifted it, and that was not heard here.
            if self._table.get(key) is not None:
                self._is_moved.set()
            return False
        count = await self._write(Change(key, None))
        self._drop(key)
        self._tell(key, count)
        return True

    async def _write(self, change: Change) -> int:
        """Make a change, and count it; return the count, without a checkpoint if it is made.

        Whoever asked for it may have gone: what is made is carried out all the same.
        """
        for _ in range(_TRIES):
            (counted,) = await self._documents.read([_COUNT_KEY])
            count = 1 + (0 if counted is None else _decode_count(counted.value))
            version = 0 if counted is None else counted.version
            counting = Change(_COUNT_KEY, _encode(count), version=version)
            try:
                with trio.CancelScope(shield=True):
                    is_written = await self._documents.write([change, counting])
            except OutcomeUnknown:
                self._is_moved.set()  # it may have been: look
                raise
            if is_written:
                return count
        raise Refusal(ErrorCode.RATE_LIMITED, "bans change too often", retry_after_ms=1000)

    def _tell(self, key: str, count: int) -> None:
        if self._nodes is not None:
            self._nodes.ring(ALL_NODES, BansMoved(key, count))
        # To be read again here, too: a scan may have begun before, and end later.
        self._move(key, count)

    # --- hearing -----------------------------------------------------------------------

    def _moved_elsewhere(self, node: str, message: BansMoved) -> None:
        del node
        self._move(message.key, message.count)

    def _move(self, key: str, count: int) -> None:
        if len(self._moved) < _PER_SCAN:
            self._moved[count] = key
        # Otherwise the counts do not follow each other, and all bans are read.
        self._is_moved.set()

    async def run(self) -> None:
        """Follow the store, for as long as the engine lives."""
        interval_s = self._limits.revocations_check_s
        is_done = await self._try()
        self.begun.set()
        while True:
            if is_done:
                # Alone, nobody else changes anything; there is nothing to ask for.
                with trio.move_on_after(interval_s if self._nodes is not None else float("inf")):
                    await self._is_moved.wait()
            else:
                await trio.sleep(min(_RETRY_S, interval_s))
            is_done = await self._try()
            await self._enforce()

    async def _try(self) -> bool:
        """Sweep; return whether that came to its end."""
        try:
            with trio.fail_after(self._limits.revocations_check_s / 2):
                await self.sweep()
        except (StoreError, trio.TooSlowError) as error:
            # A node alone that has read all bans has made every change since.
            self.is_blind = self._nodes is not None or not self._is_loaded
            self._complaint.again(f"bans cannot be asked for: {error!r}")
            return False
        self.is_blind = False
        self._complaint.over("bans can be asked for again")
        return True

    async def sweep(self) -> None:
        """Read what has changed; it is due then.

        Raises:
            StoreError: it is tried again.
        """
        self._is_moved = trio.Event()
        moved = dict(self._moved)
        if moved and self._is_loaded:
            await self._read(moved)
        for count in moved:
            self._moved.pop(count, None)
        for _ in range(_TRIES):
            count = await self._counted()
            if self._is_loaded and count == self._count:
                return
            found = await self._scan()
            if count == await self._counted():
                self._count = count
                break
        # Where bans change all the time it is as good as any, and read again soon.
        await self._replace(found)

    async def _read(self, moved: dict[int, str]) -> None:
        keys = list(dict.fromkeys(moved.values()))
        found = await self._documents.read(keys)
        for key, document in zip(keys, found, strict=True):
            ban = None if document is None else _decode(document.value)
            if ban is None:
                self._drop(key)
            elif ban != self._table.get(key):
                self._put(ban)
        # Two changes of one node, of which the second was rung first, are no gap.
        while self._count + 1 in moved:
            self._count += 1

    async def _counted(self) -> int:
        (counted,) = await self._documents.read([_COUNT_KEY])
        return 0 if counted is None else _decode_count(counted.value)

    async def _scan(self) -> Sequence[Ban]:
        bans: list[Ban] = []
        after = ""
        while True:
            found = await self._documents.scan(PREFIX, after=after, limit=_PER_SCAN)
            bans += [_decode(document.value) for document in found]
            if len(found) < _PER_SCAN:
                return bans
            after = found[-1].key

    async def _replace(self, bans: Sequence[Ban]) -> None:
        """Know these bans; 50,000 of them take a second, in which others have their turns."""
        table, due = BanTable(), dict[str, Ban]()
        # It would not be done sooner if it began again.
        with trio.CancelScope(shield=True):
            for place, ban in enumerate(bans):
                if not place % _BANS_PER_TURN:
                    await trio.lowlevel.checkpoint()
                table.put(ban)
                if ban != self._table.get(ban.key):
                    due[ban.key] = ban
        self._table, self._is_loaded = table, True
        self._due |= due

    def _put(self, ban: Ban) -> None:
        self._table.put(ban)
        self._due[ban.key] = ban

    def _drop(self, key: str) -> None:
        self._table.drop(key)
        self._due.pop(key, None)

    # --- enforcing ---------------------------------------------------------------------

    async def _enforce(self) -> None:
        """End the sessions of those who are banned; what is left if it is cut short stays due."""
        due = dict(self._due)
        for ban in due.values():
            present = self._presence.present.get(ban.user) if ban.user else None
            for session in list(present.sessions.values()) if present is not None else ():
                self._end(session)
        if any(ban.network for ban in due.values()):
            await self._enforce_networks()
        for key, ban in due.items():
            if self._due.get(key) is ban:
                del self._due[key]

    async def _enforce_networks(self) -> None:
        connections = list(self._heartbeat.connections)
        for start in range(0, len(connections), _PER_TURN):
            await trio.lowlevel.checkpoint()
            for connection in connections[start : start + _PER_TURN]:
                if self.is_banned(connection.session.opening.address):
                    self._end(connection.session)

    def _end(self, session: Session) -> None:
        session.close(Close(CloseCode.BANNED, ErrorCode.BANNED.reason))


_ban = msgspec.msgpack.Decoder(Ban)
_count = msgspec.msgpack.Decoder(int)
_encode = msgspec.msgpack.encode
_decode = _ban.decode
_decode_count = _count.decode


def _refuse(error: ValueError) -> NoReturn:
    raise Refusal(ErrorCode.INVALID_FIELD, str(error)) from None
