"""What drives a session over links: the tasks, the waiting, the clock.

One task makes one connection after the other; each has three of its own, which end with it:
one reads, one writes, one watches for silence.
"""

import logging
from collections.abc import Callable
from typing import TypeVar, cast, final

import trio

from .._model.commands import Command
from .._model.entries import Entry
from .._model.errors import Close, CloseCode, ConnectionClosed, QueueFull, Refusal
from .._model.events import Reply
from .._wire.codec import Format
from ..ports.clock import Entropy
from ._desk import Desk
from ._effects import Deliver, Effect, HangUp, KeepToken, RenewToken, RoomEnded, Settled
from ._link import Dialer, Link, LinkClosed
from ._requests import Request
from ._session import Session
from ._token import TokenSource
from .backoff import Backoff
from .limits import ClientLimits
from .state import ABNORMAL, State
from .streams import Streams

logger = logging.getLogger("triolet.client")

_T = TypeVar("_T", bound=Reply)


@final
class Driver:
    """The moving part of a client.

    Args:
        dialer: makes links.
        form: the format its links carry.
        tokens: where the token comes from.
        device: this device's name; empty: what the server calls it.
        backoff: when to come back.
        limits: the bounds.
        entropy: the only source of chance.
        witness: told of each effect before it is done.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        form: Format,
        tokens: TokenSource,
        device: str,
        backoff: Backoff,
        limits: ClientLimits,
        entropy: Entropy,
        witness: Callable[[Effect], None] | None = None,
    ) -> None:
        self._dialer = dialer
        self._witness = witness
        self._tokens = tokens
        self._limits = limits
        self.streams = Streams(limits, on_space=self._on_space)
        self.desk = Desk(
            form=form,
            limits=limits,
            backoff=backoff,
            entropy=entropy,
            has_space=self.streams.has_space,
        )
        self.session = Session(self.desk, device=device, is_renewable=tokens.is_renewable)
        self._answered: dict[int, trio.Event] = {}
        self._space = trio.lowlevel.ParkingLot()
        # Something has happened; replaced each time.
        self._stirred = trio.Event()
        # A stream has become full, and the socket has not been left alone for that yet.
        self._is_crowded = False
        self._state = self.session.state
        self._state_changed = trio.Event()
        # The present or last connection's.
        self._nursery: trio.Nursery | None = None
        self._ending: Close | None = None
        # Ends when the server's silence is next to be looked at.
        self._until_beat = trio.CancelScope()
        self._is_renewing = False

    # --- requests ----------------------------------------------------------------------

    async def ask(self, command: Command, *kinds: type[_T]) -> _T:
        """Return the reply to a command, whatever connections it takes.

        Cancelling it forgets the request; one that was sent may still be carried out.

        Raises:
            Refusal: the server's error, or what cannot be sent at all.
            QueueFull: there is no connection, and too much waits for one.
            ConnectionClosed: the client has ended, or ends meanwhile.
            Dropped: an ephemeral request met no connection.
        """
        request = await self._submit(command, cast(tuple[type[Reply], ...], kinds))
        if request.outcome is None:
            await self._wait_answered(request)
        else:
            await trio.lowlevel.checkpoint()
        if isinstance(request.outcome, Exception):
            raise request.outcome
        return cast(_T, request.outcome)

    async def _submit(self, command: Command, kinds: tuple[type[Reply], ...]) -> Request:
        while True:
            try:
                request = self.session.submit(command, kinds, trio.current_time())
            except QueueFull:
                # Online, a place comes free with the next answer.
                if self._state is not State.ONLINE or self.desk.requests.count == 0:
                    raise
                await self._space.park()
            else:
                self._act()
                return request

    async def _wait_answered(self, request: Request) -> None:
        answered = self._answered[request.ref] = trio.Event()
        try:
            await answered.wait()
        finally:
            if request.outcome is None:
                self.session.abandon(request)
                self._space.unpark()
            del self._answered[request.ref]

    # --- connections -------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and come back, until the client is over for good."""
        while self._state is not State.CLOSED:
            close = await self._connection()
            self.session.lost(close, trio.current_time())
            self._act()
            if self._state is State.OFFLINE:
                delay_s = self.session.retry_delay_s
                logger.info(
                    "%s; back in %.1f s", ConnectionClosed(close.code, close.reason), delay_s
                )
                await trio.sleep(delay_s)
                self.session.dialled()
                self._act()

    def end(self) -> None:
        """End the client: waiting callers hear it, streams end."""
        self.session.end(Close(CloseCode.BYE.value, "the client was closed"))
        self._act()

    async def _connection(self) -> Close:
        """Live through one connection, and return how it ended."""
        if self.session.is_token_spent:
            self._tokens.spend()
            self.session.is_token_spent = False
        try:
            token = await self._token()
            link = await self._dialer.dial()
        except LinkClosed as closed:
            return Close(closed.code, closed.reason)
        self._ending = None
        try:
            await self._talk(link, token)
        finally:
            await self._leave(link)
        return self._ending or Close(ABNORMAL)

    async def _talk(self, link: Link, token: str | None) -> None:
        hello = self.session.hello(token, trio.current_time())
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._read, link)
            self._nursery.start_soon(self._write, link, hello)
            self._nursery.start_soon(self._beat)

    async def _leave(self, link: Link) -> None:
        code, reason = CloseCode.BYE.value, ""
        if self._ending is not None and self._ending.code != ABNORMAL:
            code, reason = self._ending.code, self._ending.reason
        with trio.move_on_after(self._limits.close_timeout_s) as scope:
            scope.shield = True
            await link.aclose(code, reason)

    def _hang_up(self, close: Close) -> None:
        assert self._nursery is not None
        self._ending = self._ending or close
        self._nursery.cancel_scope.cancel()

    async def _read(self, link: Link) -> None:
        try:
            while True:
                payload = await link.receive()
                self.session.receive(payload, trio.current_time())
                # Usually later; sooner after a welcome, or a ping's answer.
                self._until_beat.deadline = min(self._until_beat.deadline, self.session.beat_due)
                self._act()
                if self._is_crowded:
                    await self._wait_space()
        except LinkClosed as closed:
            self._hang_up(Close(closed.code, closed.reason))

    async def _wait_space(self) -> None:
        """Leave the socket alone while a stream is full, as long as that is in nobody's way."""
        with trio.move_on_after(self._limits.patience_s):
            while self._is_crowded and self.desk.requests.count == 0:
                await self._stirred.wait()
        self._is_crowded = False

    async def _write(self, link: Link, hello: bytes) -> None:
        payload: bytes | None = hello
        try:
            while True:
                if payload is not None:
                    await link.send(payload)
                else:
                    with trio.move_on_at(self.session.due):
                        await self._stirred.wait()
                payload = self.session.next_payload(trio.current_time())
        except LinkClosed:
            # The reader hears it too, after the last messages, which may tell the reason.
            return

    async def _beat(self) -> None:
        while True:
            with trio.CancelScope(deadline=self.session.beat_due) as self._until_beat:
                await trio.sleep_forever()
            self.session.beat(trio.current_time())
            self._act()

    # --- tokens ------------------------------------------------------------------------

    async def _token(self) -> str | None:
        try:
            with trio.fail_after(self._limits.token_timeout_s):
                return await self._tokens.current()
        except trio.TooSlowError:
            raise LinkClosed(ABNORMAL, "the token provider took too long") from None
        except Refusal as refusal:
            # The provider itself says that there is no token to be had.
            raise LinkClosed(CloseCode.UNAUTHENTICATED.value, str(refusal)) from refusal
        except Exception as error:
            # Usually a network that is down for the provider too: tried again, and told.
            logger.warning("the token provider failed", exc_info=error)
            raise LinkClosed(ABNORMAL, f"no token: {error!r}") from error

    async def _renew(self) -> None:
        self._is_renewing = True
        try:
            self._tokens.spend()
            token = await self._token()
        except LinkClosed as closed:
            # The session lives on until the server ends it with 4002.
            logger.warning("the token was not renewed: %s", closed.reason)
        else:
            assert token is not None
            self.session.renew(token)
            self._act()
        finally:
            self._is_renewing = False

    # --- effects -----------------------------------------------------------------------

    def _on_space(self) -> None:
        self._is_crowded = False
        self.session.drained()
        self._act()

    def _act(self) -> None:
        for effect in self.session.take_effects():
            self._do(effect)
        stirred, self._stirred = self._stirred, trio.Event()
        stirred.set()
        if self.session.state is not self._state:
            self._tell_state()

    def _do(self, effect: Effect) -> None:
        if self._witness is not None:
            self._witness(effect)
        match effect:
            case Settled(request):
                self._answered[request.ref].set()
                self._space.unpark()
            case Deliver(event, size):
                if not self.streams.push(event, size) and isinstance(event, Entry):
                    self._is_crowded = True
            case RoomEnded(room):
                self.streams.end_room(room)
            case HangUp(close):
                self._hang_up(close)
            case RenewToken():
                assert self._nursery is not None
                if not self._is_renewing:
                    self._nursery.start_soon(self._renew)
            case KeepToken(token):
                self._tokens.keep(token)
            case _:
                logger.warning("%s", effect.message)

    def _tell_state(self) -> None:
        self._state = self.session.state
        if self._state is State.CLOSED:
            closed = self.session.closed
            is_ours = closed is None or closed.code == CloseCode.BYE.value
            self.streams.end(None if is_ours else closed)
        self._space.unpark_all()
        changed, self._state_changed = self._state_changed, trio.Event()
        changed.set()

    async def wait_state_changed(self) -> None:
        """Wait until the connection's state is another one."""
        await self._state_changed.wait()
