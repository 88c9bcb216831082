"""A storm: a crowd loses its connections, all at once, and comes back."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, final

from ..peers import Peer
from ..peers.crowd import Crowd
from ..server import Server
from .connection import allow_descriptors
from .links import Link
from .loop import Loop
from .window import Spent, edge_now, spent_between

# Messages of the host that are on their way at a time: the most that Triolet takes of a session.
_WINDOW: Final = 64
# A crowd that is not back by then never will be.
_TIMEOUT_S: Final = 120
_DESCRIPTORS_SPARE: Final = 64
# Between two reports of progress.
_TOLD_INTERVAL_S: Final = 0.5


class Stormed(NamedTuple):
    """What became of a storm. Times are counted from the loss of the connection, s.

    Attributes:
        spent: of the server that the crowd came back to.
        ideal_s: when each guest came to a server that was there.
        back_s: when it had everything.
        late_s: what lies between the two.
    """

    spent: Spent
    ideal_s: list[float]
    back_s: list[float]
    late_s: list[float]
    refusals: int


@final
class Storm:
    """The load. See the module.

    Args:
        told: called with a part of the crowd that is there, and what is being done.
    """

    def __init__(
        self,
        loop: Loop,
        server: Server,
        peer: Peer,
        crowd: Crowd,
        told: Callable[[float, str], None],
    ) -> None:
        self._loop = loop
        self._server = server
        self._crowd = crowd
        self._told = told
        self._told_at = 0.0
        clients = [crowd.host, *crowd.guests]
        allow_descriptors(len(clients) + _DESCRIPTORS_SPARE)
        links = [Link(loop, server.port, peer, client, seed) for seed, client in enumerate(clients)]
        self._host, *self._guests = links
        self._to_say: deque[int] = deque()

    def gather(self) -> None:
        """Have everybody come."""
        for link in (self._host, *self._guests):
            link.come()
        self._run(self._all_back, "coming")

    def flow(self, rooms: Iterable[int]) -> None:
        """Have the host say a message to each of these rooms, and everybody get it."""
        self._to_say.extend(rooms)
        self._run(self._is_settled, "talking")

    def cut(self, rooms: Iterable[int]) -> Stormed:
        """Cut the guests' connections while the host goes on talking."""
        edge = edge_now(self._server)
        lost_at = time.perf_counter()
        for link in self._guests:
            link.cut()
            link.come()
        self._to_say.extend(rooms)
        self._run(self._is_over, "coming back")
        return self._stormed(lost_at, spent_between(edge, edge_now(self._server)))

    def restart(self, rooms: Iterable[int]) -> Stormed:
        """Kill the server while the host talks, and start it again.

        Of what is said now nobody has got anything when the server dies, half-way. The rest,
        and what was not acknowledged, the host says when it is back.
        """
        for link in self._guests:
            link.pause()
        self._to_say.extend(rooms)
        half = len(self._to_say) // 2
        self._run(lambda: len(self._to_say) <= half, "talking")
        self._server.kill()
        lost_at = time.perf_counter()
        self._server.restart()
        edge = edge_now(self._server)
        for link in (self._host, *self._guests):
            link.cut()
            link.come()
        self._run(self._is_over, "coming back")
        return self._stormed(lost_at, spent_between(edge, edge_now(self._server)))

    def _stormed(self, lost_at: float, spent: Spent) -> Stormed:
        ideal = [link.ideal_at - lost_at for link in self._guests if link.ideal_at is not None]
        back = [link.back_at - lost_at for link in self._guests if link.back_at is not None]
        late = [after - before for before, after in zip(ideal, back, strict=True)]
        return Stormed(spent, ideal, back, late, sum(link.refusals for link in self._guests))

    def _run(self, is_over: Callable[[], bool], doing: str) -> None:
        def talk_until() -> bool:
            self._talk()
            now = time.perf_counter()
            if now - self._told_at > _TOLD_INTERVAL_S:
                self._told_at = now
                there = sum(link.is_back for link in self._guests)
                self._told(there / len(self._guests), doing)
            return is_over()

        self._loop.run(talk_until, _TIMEOUT_S, doing)

    def _talk(self) -> None:
        host = self._crowd.host
        while self._to_say and host.is_back and host.unanswered < _WINDOW:
            self._host.send(host.say(self._to_say.popleft()))

    def _all_back(self) -> bool:
        return self._host.is_back and all(link.is_back for link in self._guests)

    def _is_settled(self) -> bool:
        return not self._to_say and self._crowd.is_settled()

    def _is_over(self) -> bool:
        return self._is_settled() and self._all_back()
