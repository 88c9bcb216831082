"""The sweep: what a node that died had committed, and had told nobody of, is planned by another.

Each node keeps a document that says until when all it committed is planned. Whoever starts looks
at those of the dead, and so does each node now and then: with a bus, who has no lease any more
is dead; without one, everybody else is. What was active since then is planned again, which does
no harm where it was planned before.
"""

import logging
from typing import Final, final

import trio
from msgspec import Struct

from triolet._model.entries import Message
from triolet._model.errors import BusUnavailable, StoreError
from triolet._runtime.complaint import Complaint
from triolet._runtime.engine import Engine
from triolet._wire.codec import unpack_fact
from triolet.ports.documents import Change

from .kept import Kept
from .planning import Planner

_log = logging.getLogger(__name__)

_PREFIX: Final = "planner/"
# A node without a bus has no name; there is one.
_ALONE: Final = "alone"
# How often it is written how far all is planned, and looked for the dead.
_INTERVAL_S: Final = 10.0
# Clocks of nodes and of stores differ by less.
_OVERLAP_MS: Final = 60_000
# Between two looks whether the planner has room for more.
_FULL_S: Final = 0.2
_ROOMS_PER_PAGE: Final = 500
_NODES_MAX: Final = 1000
# Entries of a room that mentions are looked for in.
_ENTRIES: Final = 200
_BYTES_MAX: Final = 1024 * 1024


@final
class Planned(Struct, frozen=True):
    """Until when all that a node committed is planned (ms)."""

    until: int


@final
class Sweeper:
    """See the module.

    Args:
        engine: whose store it is.
        planner: plans what is found.
    """

    def __init__(self, engine: Engine, planner: Planner) -> None:
        self._engine = engine
        self._planner = planner
        self._documents = engine.store.documents
        self._kept = Kept(self._documents, Planned)
        self._name = _ALONE if engine.nodes is None else engine.nodes.name
        self._complaint = Complaint(_log, now=trio.current_time)
        # What is to be swept: since when (ms), and whose documents are dropped then.
        self._since: int | None = None
        self._dead: list[str] = []
        # Who had no lease when it was looked last: a node that has just come may have none yet.
        self._suspects: dict[str, None] = {}
        self._written = 0

    async def begin(self) -> None:
        """Say that what comes is not planned, before anything comes.

        Raises:
            StoreError: the engine should not serve: what it commits could be forgotten.
        """
        now = self._engine.clock.now_ms()
        for name, until in (await self._nodes()).items():
            if self._engine.nodes is None or name == self._name:
                self._is_dead(name, until)
        until = now if self._since is None else min(now, self._since)
        try:
            await self._write(until)
        except StoreError as error:
            if self._since is None or self._engine.nodes is not None:
                raise
            # On a full disk a server starts all the same: what an earlier life of it has said
            # is still there, and says that less is planned than is.
            self._complaint.again(f"what was planned cannot be kept: {error!r}")

    async def run(self) -> None:
        """Sweep, and say how far all is planned, for as long as the engine lives."""
        while True:
            try:
                await self._look_for_dead()
                await self.sweep()
                await self._say()
            except (StoreError, BusUnavailable, trio.TooSlowError) as error:
                self._complaint.again(f"what was planned cannot be kept: {error!r}")
            else:
                self._complaint.over("what was planned can be kept again")
            await trio.sleep(_INTERVAL_S)

    async def _nodes(self) -> dict[str, int]:
        """Return until when all is planned, by node (ms)."""
        documents = await self._documents.scan(_PREFIX, limit=_NODES_MAX)
        names = [one.key for one in documents]
        found = await self._kept.read_all(names)
        return {
            name.removeprefix(_PREFIX): one.until
            for name, one in zip(names, found, strict=True)
            if one is not None
        }

    def _is_dead(self, name: str, until: int) -> None:
        self._dead.append(name)
        self._since = until if self._since is None else min(self._since, until)

    async def _look_for_dead(self) -> None:
        nodes = self._engine.nodes
        if nodes is None:
            return
        with trio.fail_after(self._engine.limits.bus_timeout_s):
            leases = await nodes.bus.leases()
        lives = {lease.rpartition(":")[0] for lease in leases} | {self._name}
        suspects: dict[str, None] = {}
        for name, until in (await self._nodes()).items():
            if name in lives:
                continue
            if name in self._suspects and name not in self._dead:
                self._is_dead(name, until)
            suspects[name] = None
        self._suspects = suspects

    async def sweep(self) -> None:
        """Plan what the dead have left, if there is anything.

        Raises:
            StoreError: it is tried again.
        """
        dropped_at = self._planner.take_dropped()
        since = min((one for one in (self._since, dropped_at) if one is not None), default=None)
        if since is None:
            return
        self._since = since
        after: str | None = None
        since -= _OVERLAP_MS
        while True:
            rooms = await self._engine.store.active_rooms(
                since=since, after=after, limit=_ROOMS_PER_PAGE
            )
            heads = await self._engine.store.heads(rooms)
            for room, (_, head) in heads.items():
                while self._planner.is_full:  # noqa: ASYNC110 - it empties at its own pace
                    await trio.sleep(_FULL_S)
                await self._plan(room, head, since)
            if len(rooms) < _ROOMS_PER_PAGE:
                break
            after = rooms[-1]
        for name in self._dead:
            if name != self._name:
                await self._documents.write([Change(_PREFIX + name, None)])
        self._since = None
        self._dead = []

    async def _plan(self, room: str, head: int, since: int) -> None:
        records = await self._engine.store.page(
            room, after=max(head - _ENTRIES, 0), upto=head, limit=_ENTRIES, bytes_max=_BYTES_MAX
        )
        for record in records:
            if record.kind == "message" and record.at >= since:
                fact = unpack_fact(record.packed)
                if isinstance(fact, Message) and not fact.erased:
                    self._planner.committed(room, record.sender, fact, record.seq, record.at)

    async def _say(self) -> None:
        """Write how far all is planned, if that has moved."""
        planned_until = self._planner.planned_until
        is_idle = planned_until is None and self._since is None
        if is_idle and self._planner.last_at <= self._written:
            return  # nothing was committed since: nothing would be swept
        until = self._engine.clock.now_ms() if planned_until is None else planned_until
        await self._write(until if self._since is None else min(until, self._since))

    async def _write(self, until: int) -> None:
        await self._kept.put(_PREFIX + self._name, Planned(until))
        self._written = until
