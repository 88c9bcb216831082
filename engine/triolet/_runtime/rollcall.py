"""Asking all nodes something, and waiting a moment for their answers.

A question is rung to every node, and each answers on a channel of the asker's. What has not come
in time is named, not waited for: whoever asks is a person or a dashboard. Nothing runs unless
somebody asks.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, Generic, TypeVar, final

import trio
from msgspec import Struct

from .._wire.peers import Answered, Asked
from .._wire.questions import Answer, Question
from .nodes import ALL_NODES, Nodes

# Within it a node that lives has answered: a round trip is a millisecond, a pause of a busy
# event loop a few hundred.
ANSWER_TIMEOUT_S: Final = 1.0
# Answers being made at a time for other nodes; beyond it, questions are not answered.
_ANSWERS_MAX: Final = 32

_A = TypeVar("_A")


@final
class Poll(Struct, Generic[_A]):
    """What came of a question: answers by node, this one's first, and who did not answer."""

    answers: dict[str, _A]
    silent: tuple[str, ...]


@final
class RollCall:
    """See the module.

    Args:
        nodes: this node among others; None: there are none.
        others: the names of the other nodes, as far as they are known.
        spawn: runs what ends with the engine.
    """

    def __init__(
        self,
        nodes: Nodes | None,
        *,
        others: Callable[[], Iterable[str]],
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._nodes = nodes
        self._others = others
        self._spawn = spawn
        self._answerers: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {}
        self._asked = 0
        # Polls that wait, by number; and how to wake who waits.
        self._polls: dict[int, tuple[dict[str, Any], Callable[[], None]]] = {}
        self._answering = 0
        if nodes is not None:
            nodes.handle(Asked, self._asked_elsewhere)
            nodes.handle(Answered, self._answered_elsewhere)

    def answer(self, kind: type[Any], answerer: Callable[[Any], Awaitable[Answer]]) -> None:
        """Have questions of a kind answered; an answer must fit a frame of the bus."""
        self._answerers[kind] = answerer

    async def ask(
        self, question: Question, kind: type[_A], *, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Poll[_A]:
        """Return what all nodes answer, this one included, within the time.

        Args:
            question: what.
            kind: of the answers.
            timeout_s: how long other nodes are waited for. A node that is younger than a beat
                of its lease is asked too, and not waited for.
        """
        nodes = self._nodes
        name = "" if nodes is None else nodes.name
        if nodes is None:
            return Poll({name: await self._own(question, kind)}, ())
        answers: dict[str, _A] = {}
        awaited = dict.fromkeys(self._others())
        self._asked += 1
        number, done = self._asked, trio.Event()

        def look() -> None:
            if all(one in answers for one in awaited):
                done.set()

        self._polls[number] = (answers, look)
        try:
            is_rung = nodes.ring(ALL_NODES, Asked(number, nodes.own_channel, question))
            own = await self._own(question, kind)
            look()
            if is_rung and nodes.reaches(ALL_NODES):
                with trio.move_on_after(timeout_s):
                    await done.wait()
        finally:
            del self._polls[number]
        silent = tuple(one for one in awaited if one not in answers)
        found = {node: one for node, one in answers.items() if isinstance(one, kind)}
        return Poll({name: own} | found, silent)

    async def _own(self, question: Question, kind: type[_A]) -> _A:
        found = await self._answerers[type(question)](question)
        assert isinstance(found, kind)
        return found

    def _asked_elsewhere(self, node: str, message: Asked) -> None:
        del node
        if self._answering < _ANSWERS_MAX:
            self._answering += 1
            self._spawn(partial(self._reply, message))

    async def _reply(self, message: Asked) -> None:
        assert self._nodes is not None
        try:
            answer = await self._answerers[type(message.question)](message.question)
            self._nodes.ring(message.channel, Answered(message.number, answer))
        finally:
            self._answering -= 1

    def _answered_elsewhere(self, node: str, message: Answered) -> None:
        poll = self._polls.get(message.number)
        if poll is not None:
            answers, look = poll
            answers[node] = message.answer
            look()
