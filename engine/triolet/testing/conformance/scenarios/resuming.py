"""Scenes of the cursor: whatever happens to a connection, each entry is shown once, in order."""

from collections.abc import Sequence
from typing import Final, final

from ..program import Printed
from ..scene import Scene, since_of
from ..visit import Asked, Visit

_DAY: Final = ("one", "two", "three", "four", "five", "six")


class _Resuming(Scene):
    """A scene without messages of the client, which judges the positions it resumes from."""

    sends = 0

    def judge_since(self, visit: int, expected: tuple[str, int]) -> None:
        """Complain if a visit's first subscription is from another position."""
        visits = self.stage.visits
        asked = [a for a in visits[visit - 1].asked if a.op == "subscribe"] if visits else []
        found = since_of(asked[0]) if asked else None
        if found != expected:
            self.stage.complain(f"connection {visit} resumes from {found}, it stood at {expected}")


@final
class Resume(_Resuming):
    """The connection is cut twice, and people go on talking meanwhile."""

    name = "resume"
    clause = "Following: with `since`"

    def is_done(self) -> bool:
        """Whether the third connection stands."""
        return len(self.stage.visits) > 2

    async def followed(self, visit: Visit) -> None:
        """Say two lines, cut, and say two more."""
        if visit.number < 3:
            first = 4 * (visit.number - 1)
            self.log.append(f"line {first + 1}")
            self.log.append(f"line {first + 2}")
            await visit.settle()
            visit.position = None
            self.log.append(f"line {first + 3}")
            self.log.append(f"line {first + 4}")
            await visit.socket.cut()
        else:
            self.finish()

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: from where it stood."""
        super().judge(printed)
        if len(self.stage.visits) > 2:
            self.judge_since(2, ("first", 2))
            self.judge_since(3, ("first", 6))


@final
class Repeated(_Resuming):
    """The server says entries again that the client has had."""

    name = "repeated"
    clause = "Following: without gap or repetition"
    lines = _DAY

    async def followed(self, visit: Visit) -> None:
        """Say three of them again, and the last word."""
        if not self.log.lines:
            for text in _DAY:
                self.log.append(text)
            for line in self.log.lines[2:5]:
                visit.put(line.entry())
        self.finish()


@final
class Gap(_Resuming):
    """An entry is missing: what comes after it is not shown before it has been had."""

    name = "gap"
    clause = "Following: without gap or repetition"

    async def followed(self, visit: Visit) -> None:
        """Leave out the third entry, the first time."""
        if visit.number == 1 and not self.log.lines:
            for text in _DAY:
                line = self.log.append(text, tell=False)
                if line.seq != 3:
                    visit.tell(line)
            await visit.settle()
        self.finish()

    async def subscribe(self, visit: Visit, asked: Asked) -> None:
        """See from where it asks again."""
        since = since_of(asked)
        if self.log.lines and since != ("first", 2):
            self.stage.complain(f"after entry 2 the third was missing, it asks from {since}")
        await super().subscribe(visit, asked)


@final
class Fork(_Resuming):
    """The log lost its newest entries while the client was away, and went on without them."""

    name = "fork"
    clause = "Following: `since` in the answer"

    async def subscribe(self, visit: Visit, asked: Asked) -> None:
        """Answer the second connection with the position in common."""
        if visit.number == 1:
            await super().subscribe(visit, asked)
            return
        common = (self.log.epoch, 3)
        answer = visit.subscribed(common, since=list(common))
        if "rooms" in asked.fields:
            visit.ok(asked, rooms=[answer])
        else:
            visit.ok(asked, **answer)
        visit.follow(common)
        self.finish()

    def is_done(self) -> bool:
        """Whether the second connection stands."""
        return len(self.stage.visits) > 1

    async def followed(self, visit: Visit) -> None:
        """Cut, and rewrite what comes after the third entry."""
        for text in _DAY:
            self.log.append(text)
        await visit.settle()
        visit.position = None
        self.log.fork(3)
        self.log.append("another four")
        await visit.socket.cut()

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: from where it stood, in the epoch that it knew."""
        super().judge(printed)
        if len(self.stage.visits) > 1:
            self.judge_since(2, ("first", 6))


@final
class ResetBack(_Resuming):
    """The cursor is moved back on a living connection."""

    name = "reset-since"
    clause = "Following: `reset` with `since`"

    async def followed(self, visit: Visit) -> None:
        """Fork, and say so."""
        if not self.log.lines:
            for text in _DAY:
                self.log.append(text)
            self.log.fork(2)
            visit.put(
                {
                    "op": "reset",
                    "room": "tea",
                    "epoch": self.log.epoch,
                    "since": [self.log.epoch, 2],
                    "head": 2,
                }
            )
            visit.position = 2
            self.log.append("another three")
        self.finish()


@final
class ResetFloor(_Resuming):
    """Retention has removed what the client still had to read, and more."""

    name = "reset-floor"
    clause = "Following: `reset` with `floor`"

    async def followed(self, visit: Visit) -> None:
        """Raise the floor above the cursor, and say so."""
        if not self.log.lines:
            for text in _DAY:
                self.log.append(text)
            await visit.settle()
            self.log.append("seven", tell=False)
            self.log.floor = 5
            visit.position = self.log.head
            head = self.log.head
            epoch = self.log.epoch
            visit.put({"op": "reset", "room": "tea", "epoch": epoch, "floor": 5, "head": head})

    def history(self, visit: Visit, asked: Asked) -> None:
        """Answer, and end the scene: it has asked."""
        super().history(visit, asked)
        self.finish()


@final
class NotRecovered(_Resuming):
    """The client comes back too late: its position is below the floor."""

    name = "not-recovered"
    clause = "Following: `recovered: false`"

    async def followed(self, visit: Visit) -> None:
        """Cut, and raise the floor meanwhile."""
        if visit.number == 1:
            self.log.append("one")
            self.log.append("two")
            await visit.settle()
            visit.position = None
            for text in _DAY:
                self.log.append(text)
            self.log.floor = 4
            await visit.socket.cut()

    def history(self, visit: Visit, asked: Asked) -> None:
        """Answer, and end the scene: it has asked."""
        super().history(visit, asked)
        self.finish()


SCENES: Final = (Resume, Repeated, Gap, Fork, ResetBack, ResetFloor, NotRecovered)
