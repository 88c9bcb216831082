"""The append: one batch at a time, in one round trip, told apart when it fails.

What came of a batch is one of these:

- an answer: stored, or refused draft by draft;
- `StoreUnavailable`: nothing was stored. What another session's lock or a server's restart has
  undone is tried again first;
- `OutcomeUnknown`: the answer was lost. Whoever asked repeats the identical batch, and nothing
  else meanwhile: what is stored answers as a duplicate;
- an error of one draft, which no database can keep: the batch is halved until it stands alone.

The log has a generation, and a node appends to the one that it knows. When a server finds that
it is not the one that wrote the log last (a standby was promoted, a backup restored), or when
another node has found that, what this node has in memory of its rooms may never have been
stored. Nothing is appended until it has been compared with the store, by the runtime.
"""

import logging
from collections.abc import Sequence
from typing import Final, final

import trio

from ..._model.errors import (
    ConfigurationError,
    ErrorCode,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from ..._model.limits import Limits
from ...ports.clock import Clock, Entropy
from ...ports.store import Draft, Outcome, Rejected
from .._drafts import NO_ROOM, repeated
from . import deleting
from .drafts import APPEND, Batch
from .failures import Refused
from .foreign import ForeignCids
from .kinds import BOOL, TEXT
from .pool import Pool
from .statement import Statement

logger = logging.getLogger(__name__)

_ENCODING: Final = Statement("SELECT current_setting('server_encoding')")
_BEGIN_GENERATION: Final = Statement(
    "SELECT o_gen, o_epoch FROM triolet.begin_generation($1, $2)", TEXT, BOOL, writes=True
)
_GENERATION: Final = Statement("SELECT gen FROM triolet.store")

_ANOTHER_SERVER: Final = "TR001"
_ANOTHER_GENERATION: Final = "TR002"
# What can be said of a value: it is none, too great, too long for an index; a constraint.
_OF_A_DRAFT: Final = ("22", "23", "54")

# Pauses before a batch is tried again of which nothing was stored.
_PAUSES_S: Final = (0.02, 0.1)
_POISON: Final = Rejected(ErrorCode.INTERNAL, "the store cannot keep this")


@final
class Appender:
    """See the module. One of a store, with a connection of its own."""

    def __init__(
        self,
        pool: Pool,
        foreign: ForeignCids,
        *,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
    ) -> None:
        self._pool = pool
        self._foreign = foreign
        self._clock = clock
        self._entropy = entropy
        self._head_check_s = limits.head_check_s
        # Whose turn it is, in the order of the calls.
        self._turn = trio.Lock()
        self._gen = 0
        # The log was found to be in another generation; until then nothing is appended.
        self._held_until = float("-inf")

    async def begin(self) -> None:
        """Give a new store its first generation, and one that was moved its next.

        Raises:
            ConfigurationError: the database cannot keep every text.
            StoreUnavailable: nothing was changed.
        """
        ((encoding,),) = await self._pool.run(_ENCODING)
        if encoding != "UTF8":
            raise ConfigurationError(f"the database's encoding is {encoding}; it must be UTF8")
        self._gen, _ = await self._begin_generation(if_elsewhere=True)

    async def new_generation(self) -> str:
        """Begin a generation, and return its epoch.

        Raises:
            StoreUnavailable: none was begun.
            OutcomeUnknown: one may have been begun.
        """
        async with self._turn:
            self._gen, epoch = await self._begin_generation(if_elsewhere=False)
            return epoch

    async def _begin_generation(self, *, if_elsewhere: bool) -> tuple[int, str]:
        rows = await self._pool.run(_BEGIN_GENERATION, self._entropy.token(), if_elsewhere)
        gen, epoch = rows[0]
        return int(gen), str(epoch)

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Store a batch in order; see the port. Being cancelled does not end it.

        Raises:
            StoreUnavailable: nothing of it was stored.
            OutcomeUnknown: it may have been.
        """
        drafts, now_ms = tuple(batch), self._clock.now_ms()
        outcomes: list[Outcome] = []
        with trio.CancelScope(shield=True):
            async with self._turn:
                held_s = self._held_until - trio.current_time()
                if held_s > 0:
                    raise _another_generation(held_s)
                if drafts:
                    outcomes = await self._append_new(drafts, now_ms)
        return outcomes

    async def _append_new(self, drafts: tuple[Draft, ...], now_ms: int) -> list[Outcome]:
        """Append what is not known from another store."""
        names = [(draft.room, draft.sender, draft.cid) for draft in drafts]
        known = await self._foreign.find(self._pool.run, names)
        if not known:
            return await self._append(drafts, now_ms)
        named = list(zip(drafts, names, strict=True))
        new = tuple(draft for draft, name in named if name not in known)
        outcomes = iter(await self._append(new, now_ms) if new else ())
        return [
            repeated(draft, known[name]) if name in known else next(outcomes)
            for draft, name in named
        ]

    async def _append(self, drafts: tuple[Draft, ...], now_ms: int) -> list[Outcome]:
        """Append a batch, part by part where a room is deleted in it."""
        outcomes: list[Outcome] = []
        for part in deleting.parts(drafts):
            try:
                outcomes += await self._append_part(part, now_ms)
            except StoreUnavailable as error:
                if not outcomes:
                    raise
                raise OutcomeUnknown(f"a part of the batch was stored: {error}") from error
        if NO_ROOM in outcomes:
            return await deleting.without_room(self._pool.run, drafts, outcomes)
        return outcomes

    async def _store(self, drafts: tuple[Draft, ...], now_ms: int) -> list[Outcome]:
        """Store one part in one round trip."""
        if drafts[0].deletes:
            asked = deleting.parameters(drafts[0], now_ms=now_ms, gen=self._gen)
            (answer,) = await self._pool.run(deleting.DELETE, *asked)
            return [deleting.outcome(drafts[0], answer)]
        batch = Batch(drafts)
        (answer,) = await self._pool.run(APPEND, *batch.parameters(now_ms=now_ms, gen=self._gen))
        return batch.outcomes(answer)

    async def _append_part(self, drafts: tuple[Draft, ...], now_ms: int) -> list[Outcome]:
        pauses = iter(_PAUSES_S)
        while True:
            try:
                return await self._store(drafts, now_ms)
            except Refused as refused:
                if refused.sqlstate == _ANOTHER_SERVER:
                    await self._recognise()
                elif refused.sqlstate == _ANOTHER_GENERATION:
                    await self._follow()
                elif refused.sqlstate == deleting.NAME_IS_TAKEN:
                    return await self._beside_deleted(drafts, now_ms)
                elif refused.sqlstate.startswith(_OF_A_DRAFT):
                    return await self._apart(drafts, now_ms, refused)
                else:
                    logger.exception("a batch of %d was refused", len(drafts))
                    raise StoreUnavailable(f"the database refused: {refused}") from refused
            except StoreUnavailable:
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise
                await trio.sleep(pause_s)

    async def _beside_deleted(self, drafts: tuple[Draft, ...], now_ms: int) -> list[Outcome]:
        """Store a batch without the drafts that would make a room of a deleted one's name."""
        taken = await deleting.names_taken(self._pool.run, drafts)
        rest = tuple(one for one, found in zip(drafts, taken, strict=True) if found is None)
        stored = iter(await self._append_part(rest, now_ms) if rest else ())
        return [next(stored) if found is None else found for found in taken]

    # --- one draft's fault ---------------------------------------------------------------

    async def _apart(
        self, drafts: tuple[Draft, ...], now_ms: int, refused: Refused
    ) -> list[Outcome]:
        """Store the halves of a batch one after the other, so that one draft fails alone."""
        if len(drafts) == 1:
            logger.error("a draft by %r cannot be stored: %s", drafts[0].sender, refused)
            return [_POISON]
        half = len(drafts) // 2
        outcomes = await self._append(drafts[:half], now_ms)
        try:
            return outcomes + await self._append(drafts[half:], now_ms)
        except StoreUnavailable as error:
            raise OutcomeUnknown(f"a part of the batch was stored: {error}") from error

    # --- another generation --------------------------------------------------------------

    async def _recognise(self) -> None:
        """Look whether the server wrote the log; if not, a generation begins here."""
        gen = self._gen
        self._gen, epoch = await self._begin_generation(if_elsewhere=True)
        if self._gen != gen:
            logger.warning("the log goes on on another server, as generation %s", epoch)
            self._hold()

    async def _follow(self) -> None:
        """Know the generation that somebody else has begun."""
        rows = await self._pool.run(_GENERATION)
        self._gen = int(rows[0][0])
        self._hold()

    def _hold(self) -> None:
        """Append nothing until all rooms in memory have been compared with the store.

        Raises:
            StoreUnavailable: always: nothing was stored.
        """
        hold_s = 2 * self._head_check_s
        self._held_until = trio.current_time() + hold_s
        raise _another_generation(hold_s)


def _another_generation(wait_s: float) -> StoreError:
    return StoreUnavailable(
        "the log goes on in another generation; rooms are compared with it first",
        retry_after_ms=int(1000 * wait_s) + 1,
    )
