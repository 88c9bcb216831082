"""One connection: libpq without blocking, waited for by Trio.

It is driven by `psycopg.pq`, the documented wrapper of libpq, and by nothing private. One task
at a time uses it. An answer is only an answer once the server is ready for the next statement:
PostgreSQL says "done" before it commits.

A task that is cancelled leaves it busy; `recover` makes it clean, or it is thrown away. So an
answer is never given to anybody but who asked.
"""

import select
from collections.abc import Callable, Sequence
from typing import Final, final

import psycopg
import trio
from psycopg import pq
from psycopg.abc import Transformer as Loading
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGconn, PGresult

from ..._model.errors import StoreError, StoreUnavailable
from .address import Address, attempts
from .failures import ENDS_CONNECTION, Lost, refusal
from .statement import Rows, Statement
from .waiting import poll, wait_either

_BINARY: Final = 1
_DONE: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)
# How long an answer is awaited before the server is asked to cancel: that costs a connection and
# a process there, and most statements are answered within a millisecond or two.
_PATIENCE_S: Final = 0.05


@final
class Connection:
    """A connection that is open. Made by `connect`.

    Attributes:
        notifications: what came in, in its order: the server's process that it came from, and
            the payload. Whoever listens takes them out.
    """

    def __init__(self, pgconn: PGconn, *, prepare: bool) -> None:
        self.notifications: list[tuple[int, bytes]] = []
        self._pgconn = pgconn
        self._prepare = prepare
        self._prepared: set[bytes] = set()
        # psycopg's loaders, in C: 1 µs for a row of eight columns, 6 µs in Python.
        self._loading: Loading = Transformer()
        self._is_useless = False
        self._is_writing = False
        pgconn.nonblocking = 1
        pgconn.notice_handler = None

    # --- what it is ----------------------------------------------------------------------

    @property
    def is_broken(self) -> bool:
        """It leads nowhere, or to a server that is of no use."""
        return self._is_useless or self._pgconn.status != pq.ConnStatus.OK

    @property
    def is_clean(self) -> bool:
        """It works, and nothing is under way: no statement, no transaction."""
        is_idle = self._pgconn.transaction_status == pq.TransactionStatus.IDLE
        return is_idle and not self.is_broken

    def has_news(self) -> bool:
        """Whether the server has said something unasked: as a rule, that it goes."""
        found = select.poll()
        found.register(self._pgconn.socket, select.POLLIN)
        return bool(found.poll(0))

    # --- statements ----------------------------------------------------------------------

    async def run(self, statement: Statement, parameters: Sequence[object]) -> Rows:
        """Run a statement in one round trip, and return all its rows.

        Raises:
            Refused: the server, or a value of a parameter, says why; nothing was done.
            StoreUnavailable: it could not at present; nothing was done.
            Lost: it may be done or not.
        """
        values = statement.encoded(parameters)
        self._is_writing = statement.writes
        text, oids, formats = statement.text, statement.oids, statement.formats
        if not self._prepare:
            return await self._ask(
                lambda pgconn: pgconn.send_query_params(text, values, oids, formats, _BINARY)
            )
        name = statement.name
        if name not in self._prepared:
            try:
                await self._ask(lambda pgconn: pgconn.send_prepare(name, text, oids))
            except trio.Cancelled:
                # Nobody will know whether it was prepared.
                self._is_useless = True
                raise
            self._prepared.add(name)
        return await self._ask(
            lambda pgconn: pgconn.send_query_prepared(name, values, formats, _BINARY)
        )

    async def script(self, sql: str) -> Rows:
        """Run SQL without parameters, several statements too; return the last one's rows.

        Numbers come as text, as in all of PostgreSQL's simple queries.

        Raises: as `run`.
        """
        self._is_writing = False
        return await self._ask(lambda pgconn: pgconn.send_query(sql.encode()))

    async def _ask(self, send: Callable[[PGconn], None]) -> Rows:
        try:
            send(self._pgconn)
            answers = await self._answers()
        except psycopg.Error as error:
            self._is_useless = True
            raise Lost(_line(str(error))) from error
        except (OSError, trio.ClosedResourceError) as error:
            self._is_useless = True
            raise Lost(f"the connection is closed: {error}") from error
        for answer in answers:
            self._check(answer)
        return self._rows(answers)

    async def _answers(self) -> list[PGresult]:
        """Return all answers up to where the server is ready for the next statement."""
        pgconn = self._pgconn
        answers: list[PGresult] = []
        while pgconn.flush():
            await wait_either(pgconn.socket)
            self._take_in()
        while True:
            while pgconn.is_busy():
                await trio.lowlevel.wait_readable(pgconn.socket)
                self._take_in()
            answer = pgconn.get_result()
            if answer is None:
                return answers
            answers.append(answer)

    def _take_in(self) -> None:
        self._pgconn.consume_input()
        while (notify := self._pgconn.notifies()) is not None:
            self.notifications.append((notify.be_pid, notify.extra))

    def _check(self, answer: PGresult) -> None:
        if answer.status in _DONE:
            return
        sqlstate = (answer.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = _line(answer.get_error_message())
        if self._pgconn.status != pq.ConnStatus.OK or not sqlstate:
            # An error that ends the session may come after the commit.
            self._is_useless = True
            raise Lost(message)
        if sqlstate in ENDS_CONNECTION:
            self._is_useless = True
        raise refusal(sqlstate, message)

    def _rows(self, answers: list[PGresult]) -> Rows:
        if not answers or not answers[-1].nfields:
            return []
        self._loading.set_pgresult(answers[-1])
        rows: Rows = self._loading.load_rows(0, answers[-1].ntuples, tuple)
        self._loading.set_pgresult(None)
        return rows

    # --- listening -----------------------------------------------------------------------

    async def wait_notified(self) -> None:
        """Wait until there is something in `notifications`.

        Raises:
            Lost: the connection is gone.
        """
        await trio.lowlevel.checkpoint()
        try:
            while not self.notifications:
                await trio.lowlevel.wait_readable(self._pgconn.socket)
                self._take_in()
        except (psycopg.Error, OSError, trio.ClosedResourceError) as error:
            self._is_useless = True
            raise Lost(_line(str(error))) from error

    # --- its end ---------------------------------------------------------------------------

    async def recover(self, *, within_s: float) -> None:
        """Make it clean again: hear the answer nobody waits for, end the transaction.

        What only reads is cancelled. What writes is not: a commit that waits for its standby
        would go on without it, and be taken for stored when it is asked for again.

        If that takes longer, or fails, it is closed. Being cancelled closes it too.
        """
        try:
            with trio.move_on_after(within_s):
                await self._tidy()
        except (Lost, StoreError, psycopg.Error, OSError, trio.ClosedResourceError):
            self._is_useless = True
        finally:
            if not self.is_clean:
                self.close()

    async def _tidy(self) -> None:
        active = pq.TransactionStatus.ACTIVE
        if self._pgconn.transaction_status == active:
            with trio.move_on_after(_PATIENCE_S):
                await self._answers()
        if self._pgconn.transaction_status == active:
            if not self._is_writing:
                await self._cancel()
            await self._answers()
        if self._pgconn.transaction_status in (
            pq.TransactionStatus.INTRANS,
            pq.TransactionStatus.INERROR,
        ):
            await self.script("ROLLBACK")

    async def _cancel(self) -> None:
        """Have the server cancel what it does; when this returns, it has been told.

        It hangs up once it has signalled the session, so the next statement is never hit.
        """
        canceller = self._pgconn.cancel_conn()
        try:
            canceller.start()
            await poll(canceller, canceller.poll)
        finally:
            canceller.finish()

    def close(self) -> None:
        """End it at once; the server ends what is under way, or finds out."""
        self._is_useless = True
        if self._pgconn.status == pq.ConnStatus.OK:
            trio.lowlevel.notify_closing(self._pgconn.socket)
        self._pgconn.finish()


async def connect(address: Address, *, timeout_s: float) -> Connection:
    """Connect to the first host that takes us, and is what the URL asks for.

    Args:
        address: where.
        timeout_s: for each address of each host.

    Raises:
        StoreUnavailable: none did; the message says what the last one said.
    """
    reason = "no host"
    try:
        for conninfo in await attempts(address):
            with trio.move_on_after(timeout_s):
                made = await _connect(conninfo)
                if isinstance(made, str):
                    reason = made
                    continue
                return Connection(made, prepare=address.prepare)
            reason = f"no answer within {timeout_s} s"
    except OSError as error:
        reason = str(error)
    raise StoreUnavailable(f"the database cannot be reached: {reason}")


async def _connect(conninfo: bytes) -> PGconn | str:
    """Return a connection, or what went wrong."""
    pgconn = pq.PGconn.connect_start(conninfo)
    made = False
    try:
        if pgconn.status != pq.ConnStatus.BAD:
            made = await poll(pgconn, pgconn.connect_poll)
        return pgconn if made else _line(pgconn.get_error_message())
    finally:
        if not made:
            pgconn.finish()


def _line(said: str) -> str:
    """Return what libpq says on several lines as one, for a log."""
    return " ".join(said.split())
