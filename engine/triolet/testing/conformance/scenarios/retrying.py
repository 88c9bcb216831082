"""Scenes of the idempotency key: whatever becomes of a request, its message is stored once."""

from collections.abc import Sequence
from typing import ClassVar, Final, final

from ..program import Printed
from ..scene import Scene
from ..visit import Asked, Visit

# A server's wish is a lower bound; clocks of two processes may round by so much (s).
_SLACK_S: Final = 0.02
_RETRY_AFTER_MS: Final = 700


@final
class LostRequest(Scene):
    """The connection is cut when a message has arrived, and nothing was stored."""

    name = "lost-request"
    clause = "Closes: send again what was not acknowledged, with the same `cid`"

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Cut the first connection."""
        if visit.number == 1:
            await visit.socket.cut()
        else:
            await super().send(visit, asked)


@final
class LostAnswer(Scene):
    """The connection is cut between the commit and the answer."""

    name = "lost-answer"
    clause = "Requests, Once"
    sends = 2

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Store, and cut the first connection."""
        if visit.number == 1 and not self.stage.log.lines:
            visit.store(asked, tell=False)
            await visit.socket.cut()
        else:
            await super().send(visit, asked)


@final
class LostAnswerAfterEntry(Scene):
    """The client has seen its own entry when the connection is cut, and no answer."""

    name = "lost-answer-after-entry"
    clause = "Requests, Once; Following: each entry once"

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Store, tell the entry, and cut the first connection."""
        if visit.number == 1:
            visit.store(asked)
            await visit.settle()
            await visit.socket.cut()
        else:
            await super().send(visit, asked)


class _Later(Scene):
    """The first attempt at a message is refused with an error that passes."""

    code: ClassVar[int]
    reason: ClassVar[str]

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Refuse at first."""
        if len(self.stage.asked("send")) == 1:
            visit.refuse(asked, self.code, self.reason, retry_after_ms=_RETRY_AFTER_MS)
        else:
            await super().send(visit, asked)

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: it came back, and not too soon."""
        super().judge(printed)
        times = [asked.at for asked in self.stage.asked("send")]
        if len(times) > 1 and times[1] - times[0] < _RETRY_AFTER_MS / 1000 - _SLACK_S:
            waited_ms = 1000 * (times[1] - times[0])
            self.stage.complain(f"it waited {waited_ms:.0f} ms, the server said {_RETRY_AFTER_MS}")


@final
class RateLimited(_Later):
    """A message is refused for its user's rate."""

    name = "rate-limited"
    clause = "Errors: 4001"
    code = 4001
    reason = "rate_limited"


@final
class StoreUnavailable(_Later):
    """A message is refused, for nothing can be stored at present."""

    name = "store-unavailable"
    clause = "Errors: 5001"
    code = 5001
    reason = "store_unavailable"


@final
class OutcomeUnknown(Scene):
    """A message may have been stored, and was: who asks again with its cid is told where."""

    name = "outcome-unknown"
    clause = "Errors: 5004"

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Store it, and say that it is not known."""
        if len(self.stage.asked("send")) == 1:
            visit.store(asked)
            visit.refuse(asked, 5004, "outcome_unknown")
        else:
            await super().send(visit, asked)


@final
class Forbidden(Scene):
    """A message is refused for good: it is not sent again."""

    name = "forbidden"
    clause = "Errors: 3001"

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Refuse."""
        visit.refuse(asked, 3001, "forbidden")
        self.settled(asked)

    def judge_acked(self, printed: Sequence[Printed]) -> None:
        """It was told so, once."""
        refused = [(line.refused, line.reason) for line in printed if line.refused is not None]
        if refused != [("1", "forbidden")]:
            self.stage.complain(f"message 1 is forbidden, it said {refused}")
        if len(self.stage.asked("send")) > 1:
            self.stage.complain("it sent again what was refused for good")


SCENES: Final = (
    LostRequest,
    LostAnswer,
    LostAnswerAfterEntry,
    RateLimited,
    StoreUnavailable,
    OutcomeUnknown,
    Forbidden,
)
