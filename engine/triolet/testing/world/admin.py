"""The administrator of a world: bans people and lifts that, by way of any node."""

import logging
from collections.abc import Awaitable, Callable
from typing import final

import trio

from ..._domain.bans import Ban
from ..._model.errors import TrioletError
from .bans import Bans
from .chance import SkewedClock
from .nodes import Life, Node

logger = logging.getLogger(__name__)


@final
class Admin:
    """Asks a node for something, and waits for the answer beside everything else.

    Attributes:
        acts: how many acts wait for an answer.
    """

    def __init__(self, bans: Bans, nursery: trio.Nursery) -> None:
        self._bans = bans
        self._nursery = nursery
        # Of the administrator's own machine, which is right.
        self._clock = SkewedClock()
        self._number = 0
        self.acts = 0

    def ban(self, node: Node, user: str, *, for_s: float | None = None) -> None:
        """Have somebody banned, for some time or for good."""
        self._number += 1
        until = 0 if for_s is None else self._clock.now_ms() + round(1000 * for_s)
        ban = Ban(user=user, by=f"admin {self._number}", until=until)
        self._act(node, lambda life: self._ban(life, ban))

    def lift(self, node: Node, user: str, *, then: Callable[[], None]) -> None:
        """Have a ban lifted; `then`: what is done once it is."""
        self._act(node, lambda life: self._lift(life, user, then))

    def _act(self, node: Node, work: Callable[[Life], Awaitable[None]]) -> None:
        if node.life is not None:
            self.acts += 1
            self._nursery.start_soon(self._run, node.life, work)

    async def _run(self, life: Life, work: Callable[[Life], Awaitable[None]]) -> None:
        try:
            await work(life)
        except TrioletError as error:
            logger.info("%s: %s", life.name, error)
        finally:
            self.acts -= 1

    async def _ban(self, life: Life, ban: Ban) -> None:
        kept = await life.engine.bans.add(ban)
        # Another one may have come meanwhile, of which this node need not know.
        if life.is_running and self._bans.held.get(ban.user) == kept:
            self._bans.tell(kept, life.name)

    async def _lift(self, life: Life, user: str, then: Callable[[], None]) -> None:
        was_banned = await life.engine.bans.lift(user=user)
        if was_banned and life.is_running and user not in self._bans.held:
            self._bans.tell_lifted(user, life.name)
        then()
