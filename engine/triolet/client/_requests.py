"""The requests of one client: numbered, bounded, in order, and none forgotten.

A request is encoded once; on a later connection the same bytes leave again,
with the same `cid`, so that the engine answers a repetition with the first one's place.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias, final

import msgspec
from msgspec import UNSET

from .._model.commands import (
    Command,
    Hello,
    Observe,
    SendSignal,
    SetPresence,
    SetReceipt,
    SetTyping,
    Subscribe,
    Unsubscribe,
    Unwatch,
)
from .._model.errors import ConnectionClosed, ErrorCode, QueueFull, Refusal, TrioletError
from .._model.events import Reply
from .._model.limits import Limits
from .._wire.codec import Format, encode_command
from ..ports.clock import Entropy
from .limits import ClientLimits


@final
class OnLoss(Enum):
    """What becomes of a request when the connection is lost before its answer."""

    # It leaves again on the next connection: it has a cid, or only reads.
    RESEND = "resend"
    # It set a state that the client establishes again by itself: it counts as done.
    KEPT = "kept"
    # It was ephemeral: its moment has passed.
    DROP = "drop"


# What is not named here is sent again.
ON_LOSS: Final[dict[type[Command], OnLoss]] = {
    SetTyping: OnLoss.KEPT,
    SetReceipt: OnLoss.KEPT,
    SetPresence: OnLoss.KEPT,
    Observe: OnLoss.KEPT,
    Unsubscribe: OnLoss.KEPT,
    Unwatch: OnLoss.KEPT,
    SendSignal: OnLoss.DROP,
}


class Dropped(TrioletError):
    """An ephemeral request met no connection; it was not, or may not have been, carried out."""


Outcome: TypeAlias = Reply | Refusal | ConnectionClosed | Dropped


@final
class Request:
    """One request on its way; `outcome` is None until it has been answered.

    Attributes:
        ref: its number, in the order of asking.
        kinds: the replies it may get, the likeliest first.
        is_internal: the client itself asks; nobody waits for the answer.
        is_abandoned: nobody waits for the answer any more.
        attempts: how often it was refused for a reason that passes.
        due: not to be sent before this time, in seconds.
        is_rebase: a subscription from a position that its caller chose.
    """

    __slots__ = (
        "attempts",
        "command",
        "due",
        "is_abandoned",
        "is_internal",
        "is_rebase",
        "kinds",
        "outcome",
        "payload",
        "ref",
    )

    def __init__(
        self,
        ref: int,
        command: Command,
        kinds: tuple[type[Reply], ...],
        payload: bytes,
        *,
        is_internal: bool,
    ) -> None:
        self.ref = ref
        self.command = command
        self.kinds = kinds
        self.payload = payload
        self.is_internal = is_internal
        self.is_abandoned = False
        self.is_rebase = False
        self.attempts = 0
        self.due = 0.0
        self.outcome: Outcome | None = None

    @property
    def on_loss(self) -> OnLoss:
        """What becomes of it when the connection is lost."""
        if isinstance(self.command, SetPresence) and self.command.visible_to is not UNSET:
            return OnLoss.RESEND  # the server keeps it, not the client
        return ON_LOSS.get(type(self.command), OnLoss.RESEND)


@final
class Requests:
    """What waits to be sent, what waits for an answer, and what waits to be repeated."""

    def __init__(self, form: Format, limits: ClientLimits, entropy: Entropy) -> None:
        self._form = form
        self._limits = limits
        self._entropy = entropy
        self._last_ref = 0
        self._waiting: deque[Request] = deque()
        self._sent: dict[int, Request] = {}
        self._postponed: dict[int, Request] = {}
        self._count = 0
        self._bytes = 0
        # Until the first welcome says otherwise.
        defaults = Limits()
        self.inflight_max: int = defaults.inflight_max
        self.message_bytes_max: int = defaults.message_bytes_max

    @property
    def count(self) -> int:
        """How many callers' requests have no answer yet."""
        return self._count

    @property
    def inflight(self) -> int:
        """How many requests were sent on this connection and have no answer yet."""
        return len(self._sent)

    @property
    def due(self) -> float:
        """When the first postponed request may leave, in seconds; never while none may."""
        if len(self._sent) >= self.inflight_max:
            return float("inf")
        return min((request.due for request in self._postponed.values()), default=float("inf"))

    def make(
        self, command: Command, kinds: tuple[type[Reply], ...], *, is_internal: bool = False
    ) -> Request:
        """Number and encode a request; a durable one without a cid gets one.

        Raises:
            Refusal: `INVALID_FIELD` for what cannot be encoded; `TOO_LARGE` for what the
                server would end the connection for, again after each reconnection.
        """
        assert not isinstance(command, Hello)
        self._last_ref += 1
        if getattr(command, "cid", "none needed") is None:
            command = msgspec.structs.replace(command, cid=self._entropy.token())
        command = msgspec.structs.replace(command, ref=self._last_ref)
        try:
            payload = encode_command(command, self._form)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Refusal(ErrorCode.INVALID_FIELD, str(error)) from error
        if len(payload) > self.message_bytes_max:
            raise Refusal(
                ErrorCode.TOO_LARGE,
                f"{len(payload)} bytes; a message may have {self.message_bytes_max}",
            )
        return Request(self._last_ref, command, kinds, payload, is_internal=is_internal)

    def add(self, request: Request) -> None:
        """Put a request at the end of what waits.

        Raises:
            QueueFull: a caller's request beyond `queue_max` or `queue_bytes_max`.
        """
        if not request.is_internal:
            self._admit(request)
        self._waiting.append(request)

    def _admit(self, request: Request) -> None:
        size = len(request.payload)
        if self._count >= self._limits.queue_max:
            raise QueueFull(f"{self._count} requests wait for an answer")
        if self._bytes + size > self._limits.queue_bytes_max:
            raise QueueFull(f"{self._bytes} bytes of requests wait for an answer")
        self._count += 1
        self._bytes += size

    def heed(self, limits: Mapping[str, int | float]) -> None:
        """Take in what the server allows."""
        self.inflight_max = max(1, int(limits.get("inflight_max", self.inflight_max)))
        self.message_bytes_max = int(limits.get("message_bytes_max", self.message_bytes_max))

    def set_aside(self) -> deque[Request]:
        """Take away what waits, so that a new connection's own requests leave first."""
        assert not self._sent
        waiting, self._waiting = self._waiting, deque()
        return waiting

    def put_back(self, waiting: deque[Request]) -> None:
        """Give back what `set_aside` took, behind what has been added since."""
        self._waiting.extend(waiting)

    def take_next(self, now: float) -> Request | None:
        """Return the next request to send, now counted as sent; None if none may leave."""
        if len(self._sent) >= self.inflight_max:
            return None
        request = self._take_due(now)
        if request is None:
            if not self._waiting:
                return None
            request = self._waiting.popleft()
        self._sent[request.ref] = request
        return request

    def _take_due(self, now: float) -> Request | None:
        ready = [ref for ref, request in self._postponed.items() if request.due <= now]
        return self._postponed.pop(min(ready)) if ready else None

    def answered(self, ref: int | None) -> Request | None:
        """Return the request that an answer belongs to; None if nobody asked.

        It is then nowhere: `postpone` it, or let it go with `settle`.
        """
        return None if ref is None else self._sent.pop(ref, None)

    def postpone(self, request: Request, due: float) -> None:
        """Send it again, not before `due`."""
        request.due = due
        self._postponed[request.ref] = request

    def settle(self, request: Request, outcome: Outcome) -> None:
        """Give a request its outcome and let it go."""
        request.outcome = outcome
        self._release(request)

    def abandon(self, request: Request) -> None:
        """Forget a request whose caller has gone; if it was sent, its answer is still awaited."""
        self._release(request)
        request.is_abandoned = True
        self._postponed.pop(request.ref, None)
        if request.ref not in self._sent and request in self._waiting:
            self._waiting.remove(request)

    def _release(self, request: Request) -> None:
        if not request.is_internal and not request.is_abandoned:
            self._count -= 1
            self._bytes -= len(request.payload)

    def lost(self) -> list[Request]:
        """End a connection: queue again what is to be resent; return what is to be settled.

        The order of asking is kept.
        What the client itself asked is forgotten, for the next connection asks anew.
        """
        unanswered = [*self._sent.values(), *self._postponed.values(), *self._waiting]
        unanswered.sort(key=lambda request: request.ref)
        self._sent.clear()
        self._postponed.clear()
        kept = [
            request
            for request in unanswered
            if not request.is_internal and not request.is_abandoned
        ]
        resent = [request for request in kept if _is_resent(request, kept)]
        self._waiting = deque(resent)
        return [request for request in kept if request not in resent]

    def ended(self) -> list[Request]:
        """End for good: return every caller's request that has no answer."""
        unsettled = self.lost()
        unsettled.extend(self._waiting)
        self._waiting.clear()
        return unsettled

    def waits_to_subscribe(self, room: str) -> bool:
        """Whether a caller's subscription to a room waits to be sent."""
        return any(_subscribes(request, room) for request in self._waiting)


def _is_resent(request: Request, among: list[Request]) -> bool:
    if isinstance(request.command, Unsubscribe):
        # No subscription outlives its connection, but one that is itself resent.
        room = request.command.room
        return any(_subscribes(other, room) for other in among if other.ref < request.ref)
    return request.on_loss is OnLoss.RESEND


def _subscribes(request: Request, room: str) -> bool:
    command = request.command
    if not isinstance(command, Subscribe):
        return False
    return command.room == room or any(place[0] == room for place in command.rooms or ())
