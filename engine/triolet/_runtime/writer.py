"""Writing one draft and waiting for it: for requests that are not pipelined, and for hosts."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, final

import trio

from .._model.errors import Refusal, StoreError
from ..ports.store import Appended, Draft, Outcome
from .feed import Feeder
from .hub import Hub
from .sequencer import Pending, Sequencer

logger = logging.getLogger(__name__)

# What a draft weighs beside its packed facts: names, numbers and Python's objects.
DRAFT_BYTES: Final = 200


@final
class _Waiter:
    """An owner that waits for its one draft."""

    __slots__ = ("done", "outcome", "then")

    def __init__(self, then: Callable[[Outcome | Refusal], None] | None) -> None:
        self.done = trio.Event()
        self.outcome: Outcome | Refusal | None = None
        # Called with the outcome whether or not somebody still waits for it.
        self.then = then

    def settled(self, pending: Pending, outcome: Outcome | Refusal) -> None:
        del pending
        self.outcome = outcome
        self.done.set()
        if self.then is not None:
            self.then(outcome)


@final
class Writer:
    """Sends drafts through the sequencer, and has new rooms told to their members."""

    def __init__(
        self,
        sequencer: Sequencer,
        hub: Hub,
        feeder: Feeder,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._sequencer = sequencer
        self._hub = hub
        self._feeder = feeder
        self._spawn = spawn

    async def write(self, draft: Draft) -> Outcome | Refusal:
        """Write one draft and return what came of it. Cancelling does not take it back.

        Raises:
            Refusal: too much waits for the store already.
        """
        return await self._write(draft, None)

    async def create(self, draft: Draft) -> Outcome | Refusal:
        """Write a draft that makes a room; its members' feeds tell them, whoever waits or not.

        Raises:
            Refusal: too much waits for the store already.
        """

        def announce(outcome: Outcome | Refusal) -> None:
            if isinstance(outcome, Appended):
                self._spawn(partial(self._announce, draft.room))

        return await self._write(draft, announce)

    async def _write(
        self, draft: Draft, then: Callable[[Outcome | Refusal], None] | None
    ) -> Outcome | Refusal:
        waiter = _Waiter(then)
        size = sum(len(packed) for _, packed in draft.facts) + DRAFT_BYTES
        self._sequencer.submit(Pending(draft, waiter, size))
        await waiter.done.wait()
        assert waiter.outcome is not None
        return waiter.outcome

    async def _announce(self, name: str) -> None:
        try:
            async with self._hub.pinned(name) as room:
                for seat in list(room.member_seats.values()) if room is not None else ():
                    self._feeder.gained(seat.user, seat.room)
        except StoreError as error:
            logger.warning("the members of %s are left to `sync`: %s", name, error)
