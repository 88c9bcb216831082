"""Scenes of the wire: an ordinary talk, fragments and pings, what is new, what is bounded."""

from collections.abc import Sequence
from typing import Final, final

import trio

from ..program import Printed
from ..scene import Scene
from ..visit import Asked, Visit

_INFLIGHT_MAX: Final = 2


@final
class Talk(Scene):
    """Messages both ways; each `ok` comes before the message's own entry."""

    name = "talk"
    clause = "Requests"
    sends = 3
    lines = ("hello", "how are you?", "Füße, 茶, 🫖")

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Answer before the entry is told."""
        line, duplicate = visit.store(asked, tell=False)
        visit.written(asked, line, duplicate=duplicate)
        visit.tell(line)
        self.log.append(f"re: {asked.text}")
        self.settled(asked)


@final
class EntryFirst(Scene):
    """Each message's own entry comes before its `ok`."""

    name = "entry-first"
    clause = "Requests, Order: `ok` and the sender's own entry come in either order"
    sends = 2

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Answer a while after the entry is told."""
        line, duplicate = visit.store(asked)
        await trio.sleep(0.1)
        visit.written(asked, line, duplicate=duplicate)
        self.settled(asked)


@final
class Fragments(Scene):
    """Every message comes in three frames with a ping between each two."""

    name = "fragments"
    clause = "Transport (RFC 6455, 5.4 and 5.5.2)"
    lines = ("a message in pieces", "another one")

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Break everything into pieces from now on."""
        visit.pieces = 3
        await super().hello(visit, asked)

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: each ping had its pong."""
        super().judge(printed)
        pongs = [pong for visit in self.stage.visits for pong in visit.socket.pongs]
        if b"between 2" not in pongs or b"between 3" not in pongs:
            self.stage.complain(f"pings between fragments had the pongs {pongs[:4]}")


@final
class Unknown(Scene):
    """The server is of a later version: unknown events, fields and kinds of entries."""

    name = "unknown"
    clause = "Transport: unknown keys are ignored; ops may be added"
    lines = ("before", "after")

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Tell what no client knows yet."""
        self.check_token(asked.fields.get("token"))
        visit.welcome(weather={"tea": "hot"})
        visit.put({"op": "horoscope", "sign": "lion", "of": [1, {"x": None}]})

    async def followed(self, visit: Visit) -> None:
        """Tell an event that nobody knows between two that everybody does."""
        visit.put({"op": "poll", "room": "tea", "question": "milk?"})
        visit.put({"op": "typing", "room": "tea", "users": ["ben"], "more": False, "mood": 1})
        await super().followed(visit)


@final
class InFlight(Scene):
    """The server bounds requests in flight, and is slow to answer."""

    name = "in-flight"
    clause = "Requests, Flow: `inflight_max`"
    sends = 6

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._waiting = 0

    async def hello(self, visit: Visit, asked: Asked) -> None:
        """Tell the bound."""
        self.check_token(asked.fields.get("token"))
        visit.welcome(limits={"inflight_max": _INFLIGHT_MAX})

    async def send(self, visit: Visit, asked: Asked) -> None:
        """Answer later, and count meanwhile."""
        self._waiting += 1
        if self._waiting > _INFLIGHT_MAX:
            self.stage.complain(f"{self._waiting} sends in flight, {_INFLIGHT_MAX} are allowed")
        line, duplicate = visit.store(asked)
        assert self.stage.nursery is not None
        self.stage.nursery.start_soon(self._answer, visit, asked, line.seq, duplicate)

    async def _answer(self, visit: Visit, asked: Asked, seq: int, duplicate: bool) -> None:
        await trio.sleep(0.1)
        self._waiting -= 1
        visit.written(asked, self.log.lines[seq - 1], duplicate=duplicate)
        self.settled(asked)


@final
class Removed(Scene):
    """The client is thrown out of the room: its subscription ends, and is not asked for again."""

    name = "removed"
    clause = "Following: `closed`"
    sends = 0
    lines = ("one", "two")
    ends = False

    async def followed(self, visit: Visit) -> None:
        """Say so, and see what the client asks then."""
        await super().followed(visit)
        visit.put({"op": "closed", "room": "tea", "reason": "removed", "seq": self.log.head})

    def judge(self, printed: Sequence[Printed]) -> None:
        """Also: it said so, and left it at that."""
        super().judge(printed)
        if [line.closed for line in printed if line.closed is not None] != ["removed"]:
            self.stage.complain("it did not say that the subscription was closed")
        if len(self.stage.asked("subscribe")) > 1:
            self.stage.complain("it asked for a room that it was removed from")


SCENES: Final = (Talk, EntryFirst, Fragments, Unknown, InFlight, Removed)
