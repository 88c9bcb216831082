"""What a scene is: a server's behaviour, visit by visit, and a judgement of what came of it."""

from collections.abc import Sequence
from typing import ClassVar, Final, cast

import msgspec

from .log import ROOM
from .program import Printed
from .stage import Stage
from .visit import Asked, Visit

# Answered with a bare ok: what they ask for plays no part in any scene.
_BARE: Final = ("receipt", "typing", "presence", "unwatch", "signal", "unsubscribe")


class Scene:
    """A good server and its judgement; each scene overrides where it misbehaves, and how.

    Attributes:
        name: what `--only` takes.
        clause: what of PROTOCOL.md it is about.
        sends: how many messages the client is asked to send.
        lines: what the other person says, once the client follows the room.
        timeout_s: within which the program has to exit.
        ends: whether the log ends with `end`, which the program exits at.
    """

    name: ClassVar[str]
    clause: ClassVar[str]
    sends: ClassVar[int] = 1
    lines: ClassVar[Sequence[str]] = ()
    timeout_s: ClassVar[float] = 30
    ends: ClassVar[bool] = True

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log = stage.log
        self._acked: set[str] = set()
        self._is_over = False

    # --- what the server does ----------------------------------------------------------

    async def admit(self, number: int) -> bool:
        """Say whether attempt `number` may become a WebSocket; if not, it is answered here."""
        del number
        return True

    async def react(self, visit: Visit, asked: Asked) -> None:
        """Answer one message of the client."""
        match asked.op:
            case "hello":
                await self.hello(visit, asked)
            case "subscribe":
                await self.subscribe(visit, asked)
            case "send":
                await self.send(visit, asked)
            case "history":
                self.history(visit, asked)
            case "refresh":
                await self.refresh(visit, asked)
            case "sync" | "rooms":
                visit.ok(asked, rooms=[], gone=[], more=False)
            case "ping":
                visit.ok(asked, now=self.stage.now_ms())
            case "watch":
                visit.ok(asked, users=[])
            case op if op in _BARE:
                visit.ok(asked)
            case op:
                visit.refuse(asked, 2002, "unknown_op")
                self.stage.complain(f"the client asked for {op!r}, which this scene has no use for")

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Answer `hello`."""
        self.check_token(asked.fields.get("token"))
        visit.welcome()

    def check_token(self, token: object) -> None:
        """Complain of a token that the server did not give, or will not take any more."""
        if token not in self.stage.tokens:
            self.stage.complain(f"hello carries a token that was never given: {token!r}")

    async def refresh(self, visit: Visit, asked: Asked) -> None:
        """Answer `refresh`."""
        self.check_token(asked.fields.get("token"))
        visit.ok(asked, expires_at=self.stage.now_ms() + 86_400_000)

    async def subscribe(self, visit: Visit, asked: Asked) -> None:
        """Answer `subscribe` in either of its forms, and start the cursor."""
        since = since_of(asked)
        answer = visit.subscribed(since)
        if "rooms" in asked.fields:
            visit.ok(asked, rooms=[answer])
        else:
            visit.ok(asked, **answer)
        visit.follow(since)
        await self.followed(visit)

    async def followed(self, visit: Visit) -> None:
        """Go on, now that the client follows the room."""
        if visit.number == 1:
            for line in self.lines:
                self.log.append(line)
        self.finish()

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Store a message, tell it, and answer."""
        line, duplicate = visit.store(asked)
        visit.written(asked, line, duplicate=duplicate)
        self.settled(asked)

    def history(self, visit: Visit, asked: Asked) -> None:
        """Answer `history`, whatever its bounds: scenes have few messages."""
        before = cast(int, asked.fields.get("before") or self.log.head + 1)
        after = cast(int, asked.fields.get("after") or 0)
        low = max(after, self.log.floor)
        found = [line.folded() for line in self.log.lines if low < line.seq < before]
        as_of = [self.log.epoch, self.log.head]
        visit.ok(asked, messages=found, more=False, as_of=as_of)

    def settled(self, asked: Asked) -> None:
        """Count one of the client's messages as answered for good."""
        self._acked.add(asked.text)
        self.finish()

    def is_done(self) -> bool:
        """Whether everything of the scene has happened."""
        return len(self._acked) >= self.sends

    def finish(self) -> None:
        """Let the room say its last word, if everything has happened."""
        if self.ends and not self._is_over and self.is_done():
            self._is_over = True
            self.log.append("end")

    # --- what is judged ----------------------------------------------------------------

    def judge(self, printed: Sequence[Printed]) -> None:
        """Complain of whatever was not as it should be, after the program has ended."""
        self.judge_shown(printed)
        self.judge_acked(printed)
        self.judge_cids()

    def judge_shown(self, printed: Sequence[Printed]) -> None:
        """Everything was shown, once and in order."""
        shown: list[tuple[int, str]] = []
        for line in printed:
            if line.seen is not None:
                if shown and line.seen <= shown[-1][0]:
                    self.stage.complain(f"seq {line.seen} was shown after seq {shown[-1][0]}")
                shown.append((line.seen, line.text))
            if line.back is not None:
                shown = [one for one in shown if one[0] <= line.back]
            if line.history is not None:
                shown = list(line.history)
        if shown != self.log.texts:
            self.stage.complain(f"it showed {shown}, and the log is {self.log.texts}")

    def judge_acked(self, printed: Sequence[Printed]) -> None:
        """Each message was acknowledged once, at its place."""
        acked = [(line.acked, line.seq) for line in printed if line.acked is not None]
        for text in (str(number + 1) for number in range(self.sends)):
            stored = [line.seq for line in self.log.lines if line.text == text]
            told = [seq for of, seq in acked if of == text]
            if len(stored) != 1:
                self.stage.complain(f"message {text} was stored {len(stored)} times")
            elif told != stored:
                self.stage.complain(f"message {text} is at {stored}, it said {told}")

    def judge_cids(self) -> None:
        """Every attempt to send one message carries the same cid, and no other does."""
        cids: dict[str, set[object]] = {}
        for asked in self.stage.asked("send"):
            cids.setdefault(asked.text, set()).add(asked.fields.get("cid"))
        for text, of in cids.items():
            if None in of or len(of) > 1:
                self.stage.complain(
                    f"message {text} was sent under the cids {sorted(map(str, of))}"
                )
        if len(set().union(*cids.values())) < len(cids):
            self.stage.complain("two messages share a cid")


def since_of(asked: Asked) -> tuple[str, int] | None:
    """Return the position a `subscribe` gives for the room, None if it has none."""
    since = asked.fields.get("since")
    for row in cast(list[object], asked.fields.get("rooms") or []):
        if isinstance(row, list) and len(row) == 3 and row[0] == ROOM:
            since = row[1:]
    try:
        epoch, seq = msgspec.convert(since, tuple[str, int])
    except msgspec.ValidationError:
        return None
    return (epoch, seq) if epoch else None
