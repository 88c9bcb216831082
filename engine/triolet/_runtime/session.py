"""A session: one connection's conversation, from hello to its end.

A session is a sequential program: its requests are carried out in the order sent. What needs
to wait is awaited by the task that reads the connection, so nothing overtakes it; only sends,
edits, deletions and reactions are pipelined into the sequencer, which keeps their order.
"""

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio
from msgspec import structs

from .._domain.rates import Bucket
from .._domain.session import CLOSE_OF_REFUSED_HELLO, TRANSITIONS, SessionEvent, SessionState
from .._model.commands import Command, Hello, Status
from .._model.errors import Close, CloseCode, ErrorCode, Refusal, StoreError
from .._model.events import (
    Closed,
    Event,
    Notice,
    Outgoing,
    Presence,
    PresenceRow,
    Welcome,
)
from .._wire.codec import BadCommand, decode_command, failed
from ..ports.gate import Identity, Opening
from .connection import Connection
from .cursor import Pump
from .outbox import Outbox
from .pipeline import HANDLERS, Pipeline, store_refusal
from .rates import Kind, factor_of, require
from .room import Cursor, Room, event_frame

if TYPE_CHECKING:
    from .engine import Engine
    from .present import Present
    from .watchers import Watching

logger = logging.getLogger(__name__)

# Looked up once: Python 3.11 takes 0.1 µs to find a member of an enumeration.
_OPEN: Final = SessionState.OPEN


@final
class Session:
    """See the module. Made by `Engine.open_session`; ended by whoever runs the connection."""

    __slots__ = (
        "_factor",
        "_malformed",
        "_pump",
        "_ready",
        "_token",
        "closing",
        "connection",
        "cursors",
        "deadline",
        "device",
        "engine",
        "expires_at",
        "id",
        "identity",
        "is_gone",
        "noticed",
        "opening",
        "outbox",
        "pipeline",
        "present",
        "signals",
        "since",
        "state",
        "status",
        "text",
        "user",
        "watching",
    )

    def __init__(
        self,
        engine: "Engine",
        connection: Connection,
        outbox: Outbox,
        opening: Opening,
        *,
        token: str | None,
        identity: Identity | None,
    ) -> None:
        self.engine = engine
        self.connection = connection
        self.outbox = outbox
        self.text = outbox.text
        self.opening = opening
        self._token = token
        self.id = engine.entropy.token()
        self.state = SessionState.OPENING
        self.closing: Close | None = None
        # When it is to end (monotonic, s): hello's time limit first, then the token's.
        self.deadline = trio.current_time() + engine.limits.hello_timeout_s
        engine.heartbeat.mind(self)
        # Set before `hello` where the host vouches for the user: in process.
        self.identity = identity
        self.present: Present | None = None
        self.user = ""
        self.device = ""
        self.expires_at = 0
        # When it was welcomed (ms).
        self.since = 0
        self.noticed = False
        self.status: Status = "online"
        self.cursors: dict[str, Cursor] = {}
        # Made by the first `watch`; most sessions watch nobody.
        self.watching: Watching | None = None
        self.pipeline = Pipeline(self)
        # How much more than others its tier may ask for.
        self._factor = 1.0
        self._malformed = 0
        self._pump: Pump | None = None
        self.signals: Bucket | None = None
        self._ready: trio.Event | None = None
        self.is_gone = False

    def __repr__(self) -> str:
        return f"<Session {self.id[:6]} of {self.user or '?'}: {self.state.value}>"

    # --- reading -----------------------------------------------------------------------

    def receive(self, payload: bytes) -> Awaitable[None] | None:
        """Take one message; return what remains to be awaited before the next one, if anything."""
        try:
            command = decode_command(payload, "json" if self.text else "msgpack")
        except BadCommand as bad:
            self._refuse_bytes(bad)
            return None
        if self.state is not _OPEN:
            return self._before_open(command)
        kind = type(command)
        try:
            self._check_rate(kind, command)
            handler = HANDLERS.get(kind)
            if handler is None:
                raise Refusal(ErrorCode.INVALID_FIELD, "`hello` comes once")
            job = handler(self, command)
        except Refusal as refusal:
            self.refuse(refusal, getattr(command, "ref", None))
            return None
        return None if job is None else self.pipeline.finish(job, command)

    def is_busy(self) -> bool:
        """Whether the connection must not be read now: see `wait_ready`."""
        limits, pipeline = self.engine.limits, self.pipeline
        # `Pipeline.is_full` without its call: this is asked for each message that is read.
        is_full = pipeline.is_deciding_again or pipeline.inflight >= limits.inflight_max
        return is_full or self.outbox.size > limits.outbox_bytes_high

    async def wait_ready(self) -> None:
        """Wait until answers have been given and taken, so that more may be read."""
        while self.is_busy():
            await self._wait_to_look()

    async def wait_low(self) -> None:
        """Wait until the outbox has fallen to its low mark."""
        while self.outbox.size > self.outbox.bytes_low:
            await self._wait_to_look()

    async def _wait_to_look(self) -> None:
        # Shared: the connection's task and the pump may wait at the same time.
        if self._ready is None:
            self._ready = trio.Event()
        self.outbox.on_low = self.look_again
        await self._ready.wait()

    def look_again(self) -> None:
        """Have whoever waits for this session see whether they still must."""
        if self._ready is not None:
            ready, self._ready = self._ready, None
            ready.set()

    def take_signal(self) -> float:
        """See `Asker`."""
        if self.signals is None:
            limits = self.engine.limits
            self.signals = Bucket(rate=limits.signals_rate, burst=limits.signals_burst)
        return self.signals.admit(trio.current_time())

    def _check_rate(self, kind: Kind, command: Command | None = None) -> None:
        assert self.identity is not None
        assert self.present is not None
        factor = self._factor
        if not factor:
            return  # who may ask for as much as they like costs no look at the clock
        engine = self.engine
        limits, now = engine.limits, engine.turn.now()
        if engine.vigilance is not None and command is not None:
            factor *= engine.vigilance.look(self.identity, self.opening, command)
        wait_s = self.present.take_command(kind, factor, limits, now)
        if not wait_s and self.connection.customer is not None:
            wait_s = self.connection.customer.take_command(limits, now)
        require(wait_s)

    def _refuse_bytes(self, bad: BadCommand) -> None:
        is_open = self.state is _OPEN
        try:
            if is_open:
                self._check_rate(None)
            self.engine.counters.refused(bad.failed.reason)
            self.write(bad.failed)
        except Refusal as refusal:
            self.refuse(refusal, bad.failed.ref)
        if not bad.is_map or not is_open:
            self._malformed += 1
            if self._malformed >= self.engine.limits.malformed_max:
                self.close(Close(CloseCode.POLICY_VIOLATION, "malformed"))

    # --- opening -----------------------------------------------------------------------

    def _before_open(self, command: Command) -> Awaitable[None] | None:
        if self.state is not SessionState.OPENING:
            return None
        if isinstance(command, Hello):
            return self._hello(command)
        refusal = Refusal(ErrorCode.HELLO_REQUIRED, "say `hello` first")
        self.refuse(refusal, getattr(command, "ref", None))
        self.close(Close(CloseCode.POLICY_VIOLATION, refusal.code.reason))
        return None

    def _hello(self, command: Hello) -> Awaitable[None] | None:
        """Answer at once where the gate need not wait: a storm of hellos is no storm of tasks."""
        engine, admission = self.engine, self.engine.admission
        try:
            wait_s = engine.check_hello()
            if wait_s or engine.relay is not None:
                return self._hello_later(command, wait_s)
            identity = admission.vouched(self.identity, self.opening) or admission.admit_now(
                command.token or self._token, self.opening
            )
        except Refusal as refusal:
            self._refuse_hello(refusal)
            return None
        if identity is None:
            return self._hello_later(command, 0)
        self._welcome(command, identity)
        return None

    async def _hello_later(self, command: Hello, wait_s: float) -> None:
        engine, admission = self.engine, self.engine.admission
        try:
            if wait_s:
                await trio.sleep(wait_s)
                engine.require_running()
            identity = admission.vouched(self.identity, self.opening) or await admission.admit(
                command.token or self._token, self.opening
            )
            if engine.relay is not None:
                await engine.relay.come(self, identity.user)
                # Revoked or banned meanwhile, when no session was here to be ended?
                if admission.vouched(self.identity, self.opening) is None:
                    admission.check(identity, self.opening)
        except (Refusal, StoreError) as error:
            self._refuse_hello(error if isinstance(error, Refusal) else store_refusal(error))
            return
        self._welcome(command, identity)

    def _welcome(self, command: Hello, identity: Identity) -> None:
        engine = self.engine
        present = engine.presence.present.get(identity.user)
        if present is not None and len(present.sessions) >= engine.limits.sessions_per_user_max:
            self._refuse_hello(Refusal(ErrorCode.TOO_MANY_SESSIONS, retry_after_ms=60_000))
            return
        self._token = None
        self.user = identity.user
        self.device = command.device or identity.device or self.id
        if command.agent:
            self.opening = structs.replace(self.opening, agent=command.agent)
        self.step(SessionEvent.ADMITTED)
        self.admit(identity)
        self.present = engine.presence.arrive(self)
        engine.counters.arrived(len(self.present.sessions))
        self.since = engine.clock.now_ms()
        self.write(
            Welcome(
                session=self.id,
                user=self.user,
                device=self.device,
                now=self.since,
                heartbeat_s=engine.limits.heartbeat_s,
                limits=engine.limits_told,
                expires_at=self.expires_at,
            )
        )

    def _refuse_hello(self, refusal: Refusal) -> None:
        self.refuse(refusal, None)
        code = CLOSE_OF_REFUSED_HELLO.get(refusal.code, CloseCode.UNAUTHENTICATED)
        reason = refusal.code.reason
        if refusal.retry_after_ms is not None:
            reason = msgspec.json.encode({"retry_after_ms": refusal.retry_after_ms}).decode()
        self.close(Close(int(code), reason))

    def admit(self, identity: Identity) -> None:
        """Take an identity: roles, tier, and when the session is to end."""
        self.identity = identity
        self._factor = factor_of(identity.tier, self.engine.limits)
        self.expires_at = identity.expires_at
        self.noticed = False
        left_s = (identity.expires_at - self.engine.clock.now_ms()) / 1000
        self.deadline = trio.current_time() + left_s
        self.engine.heartbeat.mind(self)

    def notice_expiry(self) -> None:
        """Tell once that the token will end soon."""
        self.noticed = True
        self.tell(Notice(kind="token_expiring", expires_at=self.expires_at))

    # --- answering ---------------------------------------------------------------------

    def write(self, outgoing: Outgoing) -> None:
        """Queue a message that goes before the entries."""
        if not self.is_gone:
            self.outbox.reply(event_frame(outgoing, self.text))

    def write_in_order(self, outgoing: Outgoing) -> None:
        """Queue a message whose place among the entries matters."""
        if not self.is_gone:
            self.outbox.post(event_frame(outgoing, self.text))

    def tell(self, event: Event) -> None:
        """Queue an event of this session alone."""
        if not self.is_gone:
            self.outbox.post(event_frame(event, self.text))

    def tell_presence(self, rows: tuple[PresenceRow, ...]) -> None:
        """Queue news of watched users."""
        self.tell(Presence(users=rows))

    def refuse(self, refusal: Refusal, ref: int | None) -> None:
        """Answer a request with an error."""
        self.engine.counters.refused(refusal.code.reason)
        self.write(failed(refusal, ref))

    # --- cursors -----------------------------------------------------------------------

    def fall_behind(self, cursor: Cursor) -> None:
        """Have the pump bring a cursor to the head."""
        if self._pump is None:
            self._pump = Pump(self, self.engine.hub.pages, self.engine.limits, self.engine.spawn)
        self._pump.add(cursor)

    def subscription_ended(self, cursor: Cursor, event: Closed) -> None:
        """A room has closed a cursor of this session."""
        if self.cursors.get(cursor.room.name) is cursor:
            del self.cursors[cursor.room.name]
        self.tell(event)
        self.engine.left(cursor)

    def drop_cursor(self, room: Room) -> bool:
        """End this session's subscription to a room; return whether there was one."""
        cursor = self.cursors.pop(room.name, None)
        if cursor is None:
            return False
        cursor.room.leave(cursor)
        self.engine.left(cursor)
        return True

    # --- ending ------------------------------------------------------------------------

    def step(self, event: SessionEvent) -> None:
        """Change the state as the table says."""
        self.state = TRANSITIONS[self.state][event]

    def close(self, close: Close) -> None:
        """Have the connection closed; the first reason stands."""
        if self.closing is None:
            self.closing = close
        self.step(SessionEvent.CLOSE)
        self.connection.interrupt()

    def expire(self) -> None:
        """The deadline has come."""
        if self.state is SessionState.OPENING:
            self.close(Close(CloseCode.NO_HELLO, "no hello in time"))
        else:
            self.close(Close(CloseCode.TOKEN_EXPIRED, "token expired"))

    def end(self) -> None:
        """Leave nothing behind: no cursor, watch, pump, presence or queued byte."""
        if self.is_gone:
            return
        self.is_gone = True
        self.step(SessionEvent.GONE)
        if self._pump is not None:
            self._pump.stop()
        for cursor in list(self.cursors.values()):
            self.drop_cursor(cursor.room)
        self.engine.session_ended(self)
