"""A client without its network: what it sends, what it takes in, what it remembers.

Pure and synchronous: time is an argument, chance is passed in, nothing is awaited.
Whoever drives it calls a method, then does what `take_effects` returns,
and sends what `next_payload` returns.

The life of a connection: `dialled`, `hello`, then `receive` for each message and `beat` when
`beat_due` has come, then `lost`, which says in `retry_delay_s` when to begin again,
or leaves the state CLOSED.
"""

from collections import Counter
from typing import Final, final

import msgspec
from msgspec import UNSET

from .._domain.session import CLOSE_OF_REFUSED_HELLO
from .._model.commands import Command, Hello, Ping, Refresh, SetTyping, Subscribe, Unsubscribe
from .._model.entries import Entry
from .._model.errors import Close, CloseCode, ConnectionClosed, ErrorCode, Refusal
from .._model.events import (
    Closed,
    Done,
    Failed,
    Feed,
    Notice,
    Observed,
    Pong,
    Presence,
    Receipts,
    Refreshed,
    Reply,
    Reset,
    Signal,
    Typing,
    Welcome,
)
from .._wire.codec import OkReply, decode_event, decode_reply, encode_command
from . import _answers
from ._desk import Desk
from ._effects import Effect, HangUp, Noted, RenewToken, RoomEnded
from ._following import Step, Verdict
from ._heartbeat import Beat, Heartbeat
from ._requests import Dropped, OnLoss, Request
from .backoff import hint_s_of
from .state import ABNORMAL, TRANSITIONS, Happening, State

# Closes after which a client must not come back.
_FINAL: Final = frozenset(code.value for code in CloseCode if code.is_final)
# Closes that say nothing of their cause: none received, or none meant.
_MUTE: Final = frozenset({1000, 1005, ABNORMAL})

_AGENT: Final = "triolet-python"


@final
class Session:
    """The life of one client, across all its connections; its memory is the desk.

    Args:
        desk: what it remembers.
        device: this device's name; empty: what the server calls it.
        is_renewable: whether another token can be had when one has expired.

    Attributes:
        closed: how the last connection ended, None before; once CLOSED, how the client did.
        retry_delay_s: how long to wait after `lost`.
        is_token_spent: the server will not take the present token again; who drives forgets
            it and says so here.
    """

    def __init__(self, desk: Desk, *, device: str, is_renewable: bool) -> None:
        self._desk = desk
        self._device = device
        self._is_renewable = is_renewable
        self.welcome: Welcome | None = None
        self.closed: Close | None = None
        self.retry_delay_s = 0.0
        self.is_token_spent = False
        self.verdicts: Counter[Verdict] = Counter()
        self.connections = 0
        # How many attempts have failed since a connection was stable.
        self._attempt = 0
        self._refused_hello: Failed | None = None
        self._welcomed_at: float | None = None
        self._heartbeat = Heartbeat(desk.limits)

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._desk.state

    @property
    def due(self) -> float:
        """When `next_payload` will have something without anything happening, in seconds."""
        return self._desk.requests.due

    def renew(self, token: str) -> None:
        """Send a newer token."""
        self._desk.ask(Refresh(token=token), Refreshed)

    def take_effects(self) -> list[Effect]:
        """Return what remains to be done since the last call, in order."""
        effects, self._desk.effects = self._desk.effects, []
        return effects

    def _move(self, happening: Happening) -> None:
        self._desk.state = TRANSITIONS[self._desk.state][happening]

    # --- what callers ask --------------------------------------------------------------

    def submit(self, command: Command, kinds: tuple[type[Reply], ...], now: float) -> Request:
        """Take a caller's command; it is sent when there is a connection and a place.

        What only sets a state is done at once when there is no connection,
        for every new connection is told the state; a signal then is dropped.

        Returns:
            The request; its outcome may be there already.

        Raises:
            QueueFull: too much waits already.
            Refusal: it cannot be sent: `INVALID_FIELD`, `TOO_LARGE`.
            ConnectionClosed: the client has ended.
        """
        if self.state is State.CLOSED:
            assert self.closed is not None
            raise ConnectionClosed(self.closed.code, self.closed.reason)
        requests = self._desk.requests
        is_rebase = isinstance(command, Subscribe) and (command.since or command.rooms) is not None
        request = requests.make(self._continued(command), kinds)
        request.is_rebase = is_rebase
        request.outcome = self._at_once(request, now)
        if request.outcome is None:
            requests.add(request)
        _answers.asked(self._desk, command)
        return request

    def _continued(self, command: Command) -> Command:
        """Let a second subscription to a room go on where the first one stands.

        It replaces the cursor: from the head, it would skip what the first has yet to see.
        """
        if isinstance(command, Subscribe) and command.room is not None and command.since is None:
            since = self._desk.following.position(command.room)
            return msgspec.structs.replace(command, since=since)
        return command

    def _at_once(self, request: Request, now: float) -> Done | Dropped | None:
        command = request.command
        if isinstance(command, SetTyping) and self._desk.standing.is_renewal(command, now):
            return Done()
        if self.state is State.ONLINE:
            return None
        if isinstance(command, Unsubscribe) and self._desk.requests.waits_to_subscribe(
            command.room
        ):
            return None
        if request.on_loss is OnLoss.DROP:
            return Dropped("there is no connection")
        return Done() if request.on_loss is OnLoss.KEPT else None

    def abandon(self, request: Request) -> None:
        """Forget a request whose caller has gone."""
        self._desk.requests.abandon(request)

    # --- the life of a connection ------------------------------------------------------

    def dialled(self) -> None:
        """Begin an attempt."""
        self._move(Happening.DIALLED)

    def hello(self, token: str | None, now: float) -> bytes:
        """Return the first payload of a connection."""
        self._heartbeat.greeted(now)
        command = Hello(token=token, device=self._device or None, agent=_AGENT)
        return encode_command(command, self._desk.form)

    def next_payload(self, now: float) -> bytes | None:
        """Return the next payload to send; None if nothing may leave now."""
        if self.state is not State.ONLINE:
            return None
        request = self._desk.requests.take_next(now)
        return None if request is None else request.payload

    def receive(self, payload: bytes, now: float) -> None:
        """Take in one message of the server."""
        self._heartbeat.heard(now)
        try:
            message = decode_event(payload, self._desk.form)
        except ValueError as error:
            self._hang_up(CloseCode.PROTOCOL_ERROR, str(error))
            return
        match message:
            case Entry():
                self._entry(message, len(payload))
            case OkReply():
                self._ok(message, now)
            case Failed():
                self._failed(message, now)
            case Welcome():
                self._welcomed(message, now)
            case Reset() | Closed() | Feed() | Notice():
                self._remember(message)
                self._desk.deliver(message, len(payload))
                if isinstance(message, Closed):
                    self._desk.effects.append(RoomEnded(message.room))
            case Receipts() | Typing() | Presence() | Signal() | Observed():
                self._desk.deliver(message, len(payload))
            case _:
                # An op of a later version of the protocol.
                pass

    def lost(self, close: Close, now: float) -> None:
        """Take in that a connection, or an attempt at one, has ended."""
        if self.state is State.CLOSED:
            return
        self.closed = self._cause(close)
        self._refused_hello = None
        code = self.closed.code
        is_expired = code == CloseCode.TOKEN_EXPIRED.value
        if code in _FINAL or (is_expired and not self._is_renewable):
            self.end(self.closed)
            return
        if is_expired or now >= self._desk.token_ends_at:
            self.is_token_spent = True
            self._desk.token_ends_at = float("inf")
        for request in self._desk.requests.lost():
            is_kept = request.on_loss is OnLoss.KEPT
            self._desk.settle(request, Done() if is_kept else Dropped("the connection was lost"))
        self._desk.following.lost()
        self._move(Happening.LOST)
        self._plan_retry(hint_s_of(self.closed.reason), now)

    def _plan_retry(self, hint_s: float, now: float) -> None:
        desk = self._desk
        if self._welcomed_at is not None and now - self._welcomed_at >= desk.backoff.stable_s:
            self._attempt = 0
        hint_s = max(hint_s, desk.hint_s)
        self.retry_delay_s = desk.backoff.delay_s(self._attempt, desk.entropy, hint_s=hint_s)
        self._attempt += 1
        self._welcomed_at = None
        desk.hint_s = 0.0

    def _cause(self, close: Close) -> Close:
        """Return the close, or what a refused hello stands for if the close tells nothing."""
        failed = self._refused_hello
        if failed is None:
            return close
        code = close.code
        if code in _MUTE:
            known = {error.value: end for error, end in CLOSE_OF_REFUSED_HELLO.items()}
            code = known.get(failed.code, CloseCode.UNAUTHENTICATED.value)
        return Close(code, close.reason or failed.message)

    def end(self, close: Close) -> None:
        """End for good: every waiting caller hears it."""
        if self.state is State.CLOSED:
            return
        self.closed = close
        for request in self._desk.requests.ended():
            self._desk.settle(request, ConnectionClosed(close.code, close.reason))
        self._move(Happening.ENDED)

    def _hang_up(self, code: int, reason: str) -> None:
        self._desk.effects.append(HangUp(Close(int(code), reason)))

    # --- heartbeat ---------------------------------------------------------------------

    @property
    def beat_due(self) -> float:
        """When `beat` is to be called, in seconds."""
        return self._heartbeat.due

    def beat(self, now: float) -> None:
        """Ping a server that has been silent for one heartbeat; give it up after two."""
        match self._heartbeat.beat(now):
            case Beat.GIVE_UP:
                self._hang_up(ABNORMAL, "the server is silent")
            case Beat.PING:
                self._desk.ask(Ping(), Pong)
                # A consumer that vanished without closing its stream holds nothing for longer.
                self.drained()

    # --- what the server says ----------------------------------------------------------

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        desk = self._desk
        self._move(Happening.WELCOMED)
        self.connections += 1
        self.welcome = welcome
        self._device = welcome.device
        self._welcomed_at = now
        self._heartbeat.welcomed(welcome.heartbeat_s)
        desk.user = welcome.user
        desk.hint_s = 0.0
        desk.clock_offset_s = welcome.now / 1000 - now
        desk.token_lives_until(welcome.expires_at)
        desk.requests.heed(welcome.limits)
        waiting = desk.requests.set_aside()
        if self.connections > 1:
            desk.ask_sync()
        self.drained()
        desk.ask_rooms()
        for command in desk.standing.again(now):
            desk.ask(command)
        desk.ask_watch()
        for mark in desk.marks.untold(but=desk.following.rooms):
            desk.ask(mark)
        desk.requests.put_back(waiting)

    def _entry(self, entry: Entry, size: int) -> None:
        desk = self._desk
        has_space = desk.has_space(entry.room)
        verdict = desk.following.judge(entry.room, entry.seq, has_space=has_space)
        self.verdicts[verdict] += 1
        match verdict:
            case Verdict.NEXT:
                desk.deliver(entry, size)
            case Verdict.GAP:
                desk.ask_rooms()
            case Verdict.STUCK:
                self._hang_up(CloseCode.PROTOCOL_ERROR, f"gaps in {entry.room}")
            case Verdict.HELD:
                # The position waits, and the server need not send what is thrown away.
                desk.unfollow(entry.room)
            case _:
                # A duplicate or a stray: counted, and no more.
                pass

    def drained(self) -> None:
        """Ask again for held rooms whose entries somebody takes now."""
        for followed in self._desk.following.held():
            if self._desk.has_space(followed.room):
                followed.step(Step.DRAINED)
        self._desk.ask_rooms()

    def _ok(self, reply: OkReply, now: float) -> None:
        request = self._desk.requests.answered(reply.ref)
        if request is None:
            self._desk.effects.append(Noted(f"an ok to nothing that was asked: {reply.ref}"))
            return
        why = ""
        for kind in request.kinds:
            try:
                typed = decode_reply(reply.payload, self._desk.form, kind)
            except ValueError as error:
                why = str(error)
            else:
                _answers.done(self._desk, request, typed, now)
                return
        self._desk.settle(request, Refusal(ErrorCode.INTERNAL, why))

    def _failed(self, failed: Failed, now: float) -> None:
        retry_s = (failed.retry_after_ms or 0) / 1000
        if self.state is not State.ONLINE:
            self._refused_hello = failed
            self._desk.hint_s = retry_s
            return
        request = self._desk.requests.answered(failed.ref)
        if request is None:
            self._desk.effects.append(Noted(f"the server said {failed.reason}: {failed.message}"))
            return
        refusal = _answers.refusal_of(failed)
        if refusal.code is ErrorCode.SHUTTING_DOWN:
            # The node leaves. Its successor, or itself restarted, gets the request again.
            self._desk.requests.postpone(request, now)
            self._desk.hint_s = max(self._desk.hint_s, retry_s)
            self._hang_up(CloseCode.BYE, "the server is shutting down")
            return
        _answers.refused(self._desk, request, refusal, now)

    def _remember(self, event: Reset | Closed | Feed | Notice) -> None:
        desk = self._desk
        match event:
            case Reset():
                desk.following.reset(event)
            case Closed():
                desk.following.forget([event.room])
            case Feed():
                desk.heads.heard_feed(event.rooms)
                desk.heads.forget(event.removed)
            case Notice(kind="draining"):
                hint_ms = 0 if event.retry_after_ms is UNSET else event.retry_after_ms
                desk.hint_s = hint_ms / 1000
            case Notice(kind="token_expiring"):
                if self._is_renewable:
                    desk.effects.append(RenewToken())
