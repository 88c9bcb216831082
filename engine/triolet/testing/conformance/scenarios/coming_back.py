"""Scenes of a server that is away: how a client comes back, and how often it tries."""

import itertools
from collections.abc import Sequence
from typing import Final, final

import trio

from ..program import Printed
from ..scene import Scene
from ..visit import Asked, Visit

# How long the server stays away, and how often at most a polite client tries meanwhile: the
# protocol's backoff (0.5 s, doubled, full jitter) tries 5 times in the mean, 12 once in 10^4.
_AWAY_S: Final = 6.0
_ATTEMPTS_MAX: Final = 12
_HINT_S: Final = 1.5
# Clocks of two processes may round by so much.
_SLACK_S: Final = 0.02
# No jitter: of gaps between attempts, all but one in four differ by less than this part of the
# greatest; what is left out may be a moment in which the machine was busy. The protocol's backoff
# looks like that once in 10^4 (8 of 10^5 simulated; 1 of 10^5 at a tenth).
_ALIKE: Final = 0.2
_HEARTBEAT_S: Final = 1.0
# Two heartbeats of silence, the margin of the Python client (5 s), and a first backoff.
_SILENCE_S: Final = 10.0


def is_steady(gaps: Sequence[float]) -> bool:
    """Whether pauses between attempts are the same, as far as a busy machine lets one see.

    >>> is_steady([1.5, 1.52, 2.4, 1.51]), is_steady([0.1, 0.8, 0.7, 3.1, 1.9])
    (True, False)
    """
    if len(gaps) < 2:
        return False
    ordered = sorted(gaps)
    alike = len(gaps) - len(gaps) // 4
    return any(
        greatest - least < _ALIKE * greatest
        for least, greatest in zip(ordered, ordered[alike - 1 :], strict=False)
    )


@final
class Away(Scene):
    """The server ends every connection for a while, before it becomes a WebSocket."""

    name = "away"
    clause = "Closes: exponential backoff with full jitter"
    timeout_s = 60

    async def admit(self, number: int) -> bool:
        """Refuse until the time is over."""
        attempts = self.stage.attempts
        if trio.current_time() - attempts[0] < _AWAY_S:
            if number > _ATTEMPTS_MAX:
                self.stage.complain(f"{number} attempts within {_AWAY_S} s are a herd's")
            return False
        return True

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: the pauses are not all the same."""
        super().judge(printed)
        attempts = self.stage.attempts
        gaps = [after - before for before, after in itertools.pairwise(attempts)]
        if is_steady(gaps):
            self.stage.complain(f"it tries every {min(gaps):.2f} s: a herd would stay one")


class _Hinted(Scene):
    """The first connection ends with a wish of when the client is to come back."""

    sends = 1
    lines = ("one",)

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: not sooner."""
        super().judge(printed)
        attempts = self.stage.attempts
        if len(attempts) < 2:
            self.stage.complain("it did not come back")
        elif attempts[1] - self.ended_at < _HINT_S - _SLACK_S:
            waited_s = attempts[1] - self.ended_at
            self.stage.complain(f"told to wait {_HINT_S} s, it came back after {waited_s:.2f} s")

    ended_at = 0.0


@final
class TooMany(_Hinted):
    """The hello is refused for its rate: the close's reason is JSON."""

    name = "too-many"
    clause = "A refused hello; Closes: 4029"

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Refuse the first one."""
        if visit.number > 1:
            await super().hello(visit, asked)
            return
        hint_ms = int(1000 * _HINT_S)
        visit.refuse(asked, 4001, "rate_limited", retry_after_ms=hint_ms)
        await visit.settle()
        self.ended_at = trio.current_time()
        await visit.socket.close(4029, f'{{"retry_after_ms": {hint_ms}}}')


@final
class Draining(_Hinted):
    """The server is about to be restarted: a notice, and then 1012."""

    name = "draining"
    clause = "Closes: 1012; State: Notices"

    async def followed(self, visit: Visit) -> None:
        """Say so to the first one."""
        await super().followed(visit)
        if visit.number == 1:
            hint_ms = int(1000 * _HINT_S)
            visit.put({"op": "notice", "kind": "draining", "retry_after_ms": hint_ms})
            await visit.settle()
            visit.position = None
            self.ended_at = trio.current_time()
            await visit.socket.close(1012, "come back")

    def is_done(self) -> bool:
        """Whether it has come back, too."""
        return super().is_done() and len(self.stage.visits) > 1


@final
class Silent(Scene):
    """The connection is half open: nothing comes, and nothing says so."""

    name = "silent"
    clause = "Transport: the heartbeat"
    lines = ("one",)
    timeout_s = 40

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Agree on a quick heartbeat with the first one, and then say nothing at all."""
        self.check_token(asked.fields.get("token"))
        visit.welcome(heartbeat_s=_HEARTBEAT_S)

    async def react(self, visit: Visit, asked: Asked) -> None:
        """Go silent once the first connection follows the room."""
        if visit.number == 1 and visit.position is not None:
            return
        await super().react(visit, asked)

    async def followed(self, visit: Visit) -> None:
        """The second one hears everything."""
        if visit.number > 1:
            await super().followed(visit)
            waited_s = self.stage.attempts[1] - self.stage.attempts[0]
            if waited_s > _SILENCE_S:
                self.stage.complain(f"it took {waited_s:.1f} s to notice the silence")


SCENES: Final = (Away, TooMany, Draining, Silent)
