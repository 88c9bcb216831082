"""A bounded pool of connections: what the store and the bus ask the database through.

Who waits for a connection waits in order, and not for ever. A connection is given back clean or
not at all: what a cancelled task leaves behind is tidied by the pool's own task, so whoever was
cancelled is gone at once. When one connection is lost, all that idle are doubted. While the
database cannot be reached, one task at a time tries, after a pause that grows, and the others
are told when to come again.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import trio

from ..._model.errors import OutcomeUnknown, StoreUnavailable
from ..._model.limits import Limits
from ...ports.clock import Entropy
from .address import Address, parse
from .backoff import Backoff
from .connection import Connection, connect
from .failures import Lost
from .statement import Rows, Statement
from .statistics import PoolStatistics
from .tasks import open_tasks

logger = logging.getLogger(__name__)

# A connection that was idle for longer is looked at before it is lent: a system call each time.
_DOUBTED_AFTER_S: Final = 1.0

_BEGIN: Final = Statement("BEGIN")
_COMMIT: Final = Statement("COMMIT", writes=True)


@final
class Pool:
    """See the module. Made by `open_pool`; serves one Trio run.

    Attributes:
        statistics: see there; read it whenever you like.
    """

    def __init__(
        self, address: Address, nursery: trio.Nursery, *, entropy: Entropy, limits: Limits
    ) -> None:
        self.statistics = PoolStatistics()
        self._address = address
        self._nursery = nursery
        self._limits = limits
        self._free = trio.Semaphore(limits.postgres_connections_max)
        # With the time since when each is idle; the one used last comes first.
        self._idle: list[tuple[Connection, float]] = []
        self._backoff = Backoff(entropy, most_s=limits.postgres_backoff_s)
        self._is_closed = False

    # --- statements ----------------------------------------------------------------------

    async def run(self, statement: Statement, *parameters: object) -> Rows:
        """Run one statement, which is its own transaction, in one round trip.

        Cancelling leaves at once. What only reads, the server is told to stop; what writes goes
        on there, and may be done.

        Args:
            statement: see there.
            parameters: one for each of its kinds; None is NULL.

        Raises:
            Refused: the server, or a parameter's value, says why; nothing was done.
            StoreUnavailable: nothing was done; also a lost answer, if it only reads.
            OutcomeUnknown: it writes, and its answer was lost.
        """
        try:
            return await self._run(statement, parameters)
        except Lost as lost:
            if statement.writes:
                raise OutcomeUnknown(f"the answer was lost: {lost}") from lost
        try:
            # A server that restarts ends all sessions, also those it has just been asked on.
            return await self._run(statement, parameters)
        except Lost as lost:
            raise StoreUnavailable(f"the answer was lost: {lost}") from lost

    async def _run(self, statement: Statement, parameters: tuple[object, ...]) -> Rows:
        connection = await self._take()
        try:
            return await self._timed(connection, statement, parameters)
        finally:
            self._give_back(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Run several statements as one transaction: committed at the block's end, or nothing.

        Raises:
            StoreUnavailable: nothing was done.
            OutcomeUnknown: the answer to COMMIT was lost.
        """
        connection = await self._take()
        try:
            transaction = Transaction(partial(self._timed, connection))
            await transaction.run(_BEGIN)
            yield transaction
            try:
                await self._timed(connection, _COMMIT, ())
            except Lost as lost:
                raise OutcomeUnknown(f"the answer to COMMIT was lost: {lost}") from lost
        finally:
            self._give_back(connection)

    async def _timed(
        self, connection: Connection, statement: Statement, parameters: tuple[object, ...]
    ) -> Rows:
        within_s = statement.within_s or self._limits.postgres_answer_s
        began = trio.current_time()
        self.statistics.statements += 1
        try:
            with trio.move_on_after(within_s):
                return await connection.run(statement, parameters)
            raise Lost(f"no answer within {within_s} s")
        finally:
            took_s = trio.current_time() - began
            self.statistics.durations.add(took_s)
            if took_s > self._limits.slow_query_s:
                self.statistics.slow += 1
                logger.warning("slow query, %.3f s: %s", took_s, " ".join(statement.sql.split()))

    # --- connections ---------------------------------------------------------------------

    async def _take(self) -> Connection:
        """Return a connection of one's own, until `_give_back`.

        Raises:
            StoreUnavailable: there is none.
        """
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the store is closed")
        try:
            # No checkpoint: the statement is one, and each costs a turn of the loop.
            self._free.acquire_nowait()
            self.statistics.waits.add(0)
        except trio.WouldBlock:
            await self._wait_free()
        try:
            connection = self._idle_one() or await self._new_one()
        except BaseException:
            self._free.release()
            raise
        self.statistics.in_use += 1
        return connection

    async def _wait_free(self) -> None:
        statistics, wait_s = self.statistics, self._limits.postgres_wait_s
        began = trio.current_time()
        statistics.waiting += 1
        try:
            with trio.move_on_after(wait_s) as scope:
                await self._free.acquire()
        finally:
            statistics.waiting -= 1
            statistics.waits.add(trio.current_time() - began)
        if scope.cancelled_caught:
            statistics.timed_out += 1
            raise StoreUnavailable(f"no connection to the database was free within {wait_s} s")

    def _idle_one(self) -> Connection | None:
        """Return the connection used last, if it is as we left it."""
        while self._idle:
            connection, since = self._idle.pop()
            self.statistics.idle -= 1
            is_doubtful = trio.current_time() - since > _DOUBTED_AFTER_S and connection.has_news()
            if connection.is_clean and not is_doubtful:
                return connection
            self._throw_away(connection)
        return None

    async def _new_one(self) -> Connection:
        self._backoff.begin()
        try:
            connection = await connect(
                self._address, timeout_s=self._limits.postgres_connect_timeout_s
            )
        except StoreUnavailable as error:
            self.statistics.refused += 1
            self._backoff.failed()
            logger.warning("%s", error)
            raise
        finally:
            self._backoff.end()
        self._backoff.succeeded()
        self.statistics.opened += 1
        return connection

    def _give_back(self, connection: Connection) -> None:
        """Take a connection back, clean or not; no checkpoint, so that it never fails to."""
        if self._is_closed:
            connection.close()
        if connection.is_clean or connection.is_broken:
            self._put(connection)
        else:
            self._nursery.start_soon(self._recover, connection)

    async def _recover(self, connection: Connection) -> None:
        try:
            await connection.recover(within_s=self._limits.postgres_cancel_s)
        finally:
            self._put(connection)

    def _put(self, connection: Connection) -> None:
        self.statistics.in_use -= 1
        if connection.is_clean and not self._is_closed:
            self._idle.append((connection, trio.current_time()))
            self.statistics.idle += 1
        else:
            self._throw_away(connection)
        self._free.release()

    def _throw_away(self, connection: Connection) -> None:
        self.statistics.lost += not self._is_closed
        connection.close()
        # What ended one session has, as a rule, ended all: they are not tried one by one.
        idle, self._idle = self._idle, []
        self.statistics.idle = 0
        for one, _ in idle:
            self.statistics.lost += not self._is_closed
            one.close()

    def close(self) -> None:
        """Let nobody in any more, and end what is idle."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[0].close()
        self.statistics.idle = 0


@final
class Transaction:
    """What runs between BEGIN and COMMIT, one statement after the other."""

    def __init__(self, ask: Callable[[Statement, tuple[object, ...]], Awaitable[Rows]]) -> None:
        self._ask = ask

    async def run(self, statement: Statement, *parameters: object) -> Rows:
        """Run one statement. After an error, nothing but the block's end makes sense.

        Raises:
            Refused: see `Pool.run`.
            StoreUnavailable: nothing of the transaction was done.
        """
        try:
            return await self._ask(statement, parameters)
        except Lost as lost:
            raise StoreUnavailable(f"the transaction was lost: {lost}") from lost


@asynccontextmanager
async def open_pool(url: str, *, entropy: Entropy, limits: Limits) -> AsyncIterator[Pool]:
    """Have a pool for as long as the block lasts. The first connection is made at first use.

    >>> async def main(url, entropy):
    ...     async with open_pool(url, entropy=entropy, limits=Limits()) as pool:
    ...         return await pool.run(Statement("SELECT 1"))

    Raises:
        ConfigurationError: the URL is none.
    """
    address = parse(url)
    async with open_tasks() as nursery:
        pool = Pool(address, nursery, entropy=entropy, limits=limits)
        try:
            yield pool
        finally:
            pool.close()
