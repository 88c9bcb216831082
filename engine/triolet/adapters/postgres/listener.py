"""The one connection that listens: made again whenever it is lost, and never silently deaf.

A server that is gone without a word is found out by asking it something now and then.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, final

import trio

from ..._model.errors import StoreError
from ..._model.limits import Limits
from ...ports.clock import Entropy
from .address import Address
from .backoff import Backoff
from .connection import Connection, connect
from .failures import Lost
from .migrations import migrate_over
from .told import CHANNEL, STEPS

logger = logging.getLogger(__name__)

# What the tables of the bus are called among the parts of the schema.
_PART: Final = "bus"


@final
class Listener:
    """Hears what is rung, for as long as `run` runs.

    Attributes:
        is_up: it hears now.
        tried: set once the first attempt has ended, whether it hears or not.
    """

    def __init__(
        self,
        address: Address,
        *,
        heard: Callable[[int, bytes], Awaitable[None]],
        came_back: Callable[[], None],
        entropy: Entropy,
        limits: Limits,
    ) -> None:
        self.is_up = False
        self.tried = trio.Event()
        self._address = address
        self._heard = heard
        self._came_back = came_back
        self._limits = limits
        self._backoff = Backoff(entropy, most_s=limits.postgres_backoff_s)

    async def run(self) -> None:
        """Listen, and connect again, until cancelled."""
        while True:
            try:
                await self._listen()
            except (Lost, StoreError) as error:
                logger.warning("the bus on PostgreSQL does not hear: %s", error)
            finally:
                self.is_up = False
                self.tried.set()
            self._backoff.failed()
            await trio.sleep(self._backoff.left_s)

    async def _listen(self) -> None:
        connection = await connect(self._address, timeout_s=self._limits.postgres_connect_timeout_s)
        try:
            await migrate_over(connection, STEPS, part=_PART)
            ((channel,),) = await connection.script(f"SELECT {CHANNEL}")
            await connection.script(f"LISTEN {channel}")
            self._backoff.succeeded()
            self.is_up = True
            self._came_back()
            self.tried.set()
            while True:
                await self._hear(connection)
        finally:
            connection.close()

    async def _hear(self, connection: Connection) -> None:
        """Hear what comes, or ask whether the server is still there."""
        with trio.move_on_after(self._limits.canary_timeout_s):
            await connection.wait_notified()
        if not connection.notifications:
            with trio.move_on_after(self._limits.bus_timeout_s) as scope:
                await connection.script("SELECT 1")
            if scope.cancelled_caught:
                raise Lost(f"no answer within {self._limits.bus_timeout_s} s")
        told, connection.notifications = connection.notifications, []
        for sender, payload in told:
            await self._heard(sender, payload)
