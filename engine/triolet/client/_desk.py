"""The client's memory in one place, and the few moves that everything else is made of."""

from collections.abc import Callable
from typing import TypeVar, final

from .._model.commands import Command, Subscribe, Sync, Unsubscribe, Watch
from .._model.errors import Refusal
from .._model.events import Done, Reply, SubscribedMany, Synced, Watching
from .._wire.codec import Format
from ..ports.clock import Entropy
from ._effects import ClientEvent, Deliver, Effect, Noted, Settled
from ._following import Following
from ._requests import Outcome, Request, Requests
from ._standing import Heads, Marks, Standing
from .backoff import Backoff
from .limits import ClientLimits
from .state import State

_T = TypeVar("_T")


@final
class Desk:
    """What one client remembers across its connections.

    Attributes:
        state: where the connection stands.
        user: who the client is, empty before the first welcome.
        effects: what remains to be done, in order.
        hint_s: the server's last word on when to come back, in seconds.
        token_ends_at: when the present token expires, on the clock of `now`.
        has_space: whether somebody takes a room's entries, and has space for one.
    """

    def __init__(
        self,
        *,
        form: Format,
        limits: ClientLimits,
        backoff: Backoff,
        entropy: Entropy,
        has_space: Callable[[str], bool],
    ) -> None:
        self.form = form
        self.limits = limits
        self.backoff = backoff
        self.entropy = entropy
        self.has_space = has_space
        self.state = State.CONNECTING
        self.user = ""
        self.hint_s = 0.0
        self.token_ends_at = float("inf")
        # The server's wall clock less the clock of `now`, in seconds.
        self.clock_offset_s = 0.0
        self.requests = Requests(form, limits, entropy)
        self.following = Following()
        self.standing = Standing(typing_s=limits.typing_s, renewal_s=limits.typing_renewal_s)
        self.marks = Marks(limits.rooms_max)
        self.heads = Heads(limits.rooms_max)
        self.effects: list[Effect] = []

    def settle(self, request: Request, outcome: Outcome) -> None:
        """Give a request its outcome, and have its caller woken if there is one."""
        self.requests.settle(request, outcome)
        if not request.is_internal and not request.is_abandoned:
            self.effects.append(Settled(request))

    def deliver(self, event: ClientEvent, size: int = 0) -> None:
        """Have an event given to the streams."""
        self.effects.append(Deliver(event, size))

    def ask(self, command: Command, kind: type[Reply] = Done) -> None:
        """Ask in the client's own name, on this connection only."""
        if not self._try_ask(command, kind):
            self._note_too_large(command)

    def _try_ask(self, command: Command, kind: type[Reply]) -> bool:
        """Ask, unless there is no connection; return whether that fits in a message."""
        if self.state is not State.ONLINE:
            return True
        try:
            request = self.requests.make(command, (kind,), is_internal=True)
        except Refusal:
            # What the client itself says can be encoded: it is too large.
            return False
        self.requests.add(request)
        return True

    def _note_too_large(self, command: Command) -> None:
        self.effects.append(Noted(f"{type(command).__name__} does not fit in a message"))

    def ask_later(self, request: Request, refusal: Refusal | None, now: float) -> None:
        """Ask again what was refused for a reason that passes, when the server says or later."""
        hint_s = 0.0 if refusal is None else (refusal.retry_after_ms or 0) / 1000
        delay_s = self.backoff.delay_s(request.attempts, self.entropy, hint_s=hint_s)
        request.attempts += 1
        self.requests.postpone(request, now + delay_s)

    def token_lives_until(self, expires_at: int) -> None:
        """Take in when the token expires, in ms of the server's wall clock."""
        self.token_ends_at = expires_at / 1000 - self.clock_offset_s

    def ask_rooms(self) -> None:
        """Ask for all wanted rooms from their positions, if there is a connection."""
        if self.state is not State.ONLINE:
            return
        places = self.following.ask()
        for start in range(0, len(places), self.limits.batch_rooms_max):
            batch = places[start : start + self.limits.batch_rooms_max]
            self._ask_split(batch, lambda part: Subscribe(rooms=part), SubscribedMany)

    def ask_watch(self) -> None:
        """Ask to watch again whom the client watched."""
        users = list(self.standing.watched)
        if users:
            self._ask_split(users, lambda part: Watch(users=part), Watching)

    def _ask_split(
        self, items: list[_T], build: Callable[[list[_T]], Command], kind: type[Reply]
    ) -> None:
        """Ask in as few parts as the server's bound on a message allows."""
        command = build(items)
        if self._try_ask(command, kind):
            return
        if len(items) == 1:
            self._note_too_large(command)
            return
        half = len(items) // 2
        self._ask_split(items[:half], build, kind)
        self._ask_split(items[half:], build, kind)

    def ask_sync(self) -> None:
        """Ask what has changed in the user's rooms since they were last heard of.

        The rooms heard of longest ago are left out if all are too much for one message;
        the server then tells them as new.
        """
        for followed in self.following.rooms.values():
            if followed.role is not None:
                self.heads.heard(followed.room, followed.epoch, followed.seq)
        sync = self.heads.sync()
        while sync.have and not self._try_ask(sync, Synced):
            less = len(sync.have) // 4 + 1
            sync = Sync(have=sync.have[less:], read=(sync.read or [])[less:])
        if not sync.have:
            self.ask(sync, Synced)

    def unfollow(self, room: str) -> None:
        """Have the server stop sending a room."""
        self.ask(Unsubscribe(room=room))
