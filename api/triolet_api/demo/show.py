"""The show, scene by scene. Every wait is for something to happen; pauses are for the eye alone."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, final

import trio
from msgspec import UNSET

from triolet.adapters.tokens import mint

from ..chat.conversation import Conversation
from ..secret import make_or_keep_secret
from .person import Person, open_person
from .proof import Verdict, judge
from .server import Server, open_server
from .stage import Stage

ANNA, BEN = "anna", "ben"
COLOURS: Final = ("magenta", "cyan")
# Each writes so many in the last scene, one every so often, and the server is killed when it
# has acknowledged so many of both: some are stored, some on their way, some not yet written.
STORM_MESSAGES: Final = 20
_STORM_INTERVAL_S: Final = 0.01
_KILLED_AFTER: Final = 15
_TOKEN_TTL_S: Final = 3600
# In a hurry, state is told as soon as can be; else as seldom as the server would by itself.
_HASTE: Final = {"TRIOLET_LIMIT_STATE_INTERVAL_S": "0.02"}


@final
class Show:
    """Two people, one server, and the stage on which they are seen.

    Args:
        stage: where it is shown.
        folder: where the server's data goes.
        is_fast: without pauses.
    """

    def __init__(self, stage: Stage, folder: Path, *, is_fast: bool) -> None:
        self._stage = stage
        self._folder = folder
        self._is_fast = is_fast

    async def run(self) -> Verdict:
        """Show everything, and return what was proved; no process of ours is left.

        Raises:
            ServerFailed: the server did not start.
            Stuck: what a scene waited for did not come.
        """
        async with open_server(self._folder, **(_HASTE if self._is_fast else {})) as server:
            await server.start()
            self._stage.scene("a server, with its data in a temporary folder")
            self._stage.aside(f"process {server.pid}, port {server.port}")
            await self._pause(1)
            return await self._meet(server)

    async def _meet(self, server: Server) -> Verdict:
        stage = self._stage
        stage.scene("anna, a mentor, and ben, a student, meet")
        stage.heads()
        async with self._person(ANNA, server) as anna:
            await anna.go_to(BEN)
            await self._pause(1)
            async with self._person(BEN, server) as ben:
                await ben.go_to(ANNA)
                await anna.until("ben's presence", _sees(BEN, "online"))
                await self._pause(1)
                await self._talk(anna, ben)
                await self._crash(server, anna, ben)
                return await self._prove(anna, ben)

    async def _talk(self, anna: Person, ben: Person) -> None:
        await self._write(anna, ben, "Good morning, Ben! Did the exercise on timeouts work out?")
        stuck = await self._write(ben, anna, "Almost. Mine never ends, and I cannot see why.")
        await ben.until("anna's mark", lambda seen: seen.reach(stuck).read == 1)
        hint = await self._write(anna, ben, "Is the chekpoint inside the scope?")
        await self._pause(1)
        await anna.amend(hint, "Is the checkpoint inside the scope?")
        await ben.until("the edit", lambda seen: _is_edited(seen, hint))
        await self._pause(1)
        await ben.react(hint, "💡")
        await anna.until("the reaction", lambda seen: _has_reaction(seen, hint))
        await self._pause(1)
        await self._write(ben, anna, "It was outside! Now it ends after two seconds.")
        await self._pause(1)
        await ben.leave_desk(is_away=True)
        await anna.until("ben's absence", _sees(BEN, "away"))
        await self._pause(1.5)
        await ben.leave_desk(is_away=False)
        await anna.until("ben's return", _sees(BEN, "online"))
        await self._pause(1)

    async def _write(self, author: Person, reader: Person, text: str) -> int:
        """Type, send, be received, be read; return where it is stored."""
        await author.type()
        await reader.until("the typing", lambda seen: author.name in seen.typists)
        await self._pause(1.5)
        seq = await author.say(text)
        await reader.until("the message", lambda seen: seq in seen.messages)
        await author.until("its delivery", lambda seen: seen.reach(seq).delivered == 1)
        await self._pause(1)
        reader.read()
        await author.until("its reading", lambda seen: seen.reach(seq).read == 1)
        await self._pause(0.5)
        return seq

    async def _crash(self, server: Server, anna: Person, ben: Person) -> None:
        stage = self._stage
        stage.scene(f"both write {STORM_MESSAGES} messages at once, and in the middle of it …")
        for person in (anna, ben):
            person.is_outlined = True
        async with trio.open_nursery() as nursery:
            for person in (anna, ben):
                nursery.start_soon(self._storm, person)
            for person in (anna, ben):
                await person.until(
                    "an acknowledgement",
                    lambda _: anna.acknowledged + ben.acknowledged >= _KILLED_AFTER,
                )
            stage.scene(f"kill -9 {server.pid}")
            stage.heads()
            await server.kill()
            for person in (anna, ben):
                await person.until("the loss", lambda seen: not seen.is_online)
            acknowledged, unanswered = _sum(anna, ben)
            stage.aside(f"{acknowledged} acknowledged, {unanswered} not; they go on writing")
            await self._pause(2)
            stage.scene("the server starts again, on the same data")
            await server.start()
            stage.aside(f"process {server.pid}, port {server.port}")
        stage.aside("everything is acknowledged now")

    async def _storm(self, person: Person) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(1, STORM_MESSAGES + 1):
                nursery.start_soon(person.say, f"{person.name}'s message {number}")
                await trio.sleep(_STORM_INTERVAL_S)

    async def _prove(self, anna: Person, ben: Person) -> Verdict:
        evidence = [await person.testify() for person in (anna, ben)]
        head = max((message.seq for one in evidence for message in one.history), default=0)
        for person in (anna, ben):
            await person.until("the last message", lambda seen: head in seen.messages)
        await self._pause(1)
        verdict = judge([await person.testify() for person in (anna, ben)])
        self._stage.scene("what each of them wrote, and what there is")
        self._stage.verdict(verdict)
        return verdict

    # --- props -----------------------------------------------------------------------------

    def _person(self, name: str, server: Server) -> AbstractAsyncContextManager[Person]:
        secret = make_or_keep_secret(server.folder).reveal()

        def token() -> str:
            return mint(secret, name, ttl_s=_TOKEN_TTL_S, now_ms=time.time_ns() // 1_000_000)

        colour = COLOURS[name == ANNA]
        return open_person(name, server.url, token=token, colour=colour, stage=self._stage)

    async def _pause(self, seconds: float) -> None:
        await trio.sleep(0 if self._is_fast else seconds)


def _sees(user: str, status: str) -> Callable[[Conversation], bool]:
    return lambda seen: seen.presence.get(user, ("", 0))[0] == status


def _is_edited(seen: Conversation, seq: int) -> bool:
    return seen.messages[seq].edited_at is not UNSET


def _has_reaction(seen: Conversation, seq: int) -> bool:
    return bool(seen.messages[seq].reactions)


def _sum(*people: Person) -> tuple[int, int]:
    return sum(one.acknowledged for one in people), sum(one.unanswered for one in people)
