"""The law of snapshots: who folds events knows what one who asks afresh is told."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias, final

import trio

from ..._model.errors import ErrorCode, Refusal
from ...client import Backoff, Client, Dialer, Link, LinkClosed, TokenProvider, open_client
from .following import Follower
from .looking import look
from .picture import Picture, differences
from .script import FOLLOWERS, GUEST_OF, UNCOUNTED, USERS, Cast, Play, Step, wait_s

# Refusals of what a script attempts at random; any other is an error.
_EXPECTED: Final = frozenset(
    {
        ErrorCode.FORBIDDEN,
        ErrorCode.NO_SUCH_ROOM,
        ErrorCode.NOT_A_MEMBER,
        ErrorCode.NO_SUCH_ENTRY,
        ErrorCode.ALREADY_EXISTS,
        ErrorCode.INVALID_FIELD,
    }
)
_LOOK_INTERVAL_S: Final = 0.25
# Those who are cut off are back soon, so that a script is not mostly waiting.
_BACKOFF: Final = Backoff(base_s=0.1, ceiling_s=1)


@final
class LawBroken(AssertionError):
    """What a follower knows is not what a fresh look finds."""


@final
class Door:
    """A way in for one user: what dials, and the token, if the dialer does not vouch.

    The connections through it can be cut, and nobody let in again until it is opened.
    """

    def __init__(self, dialer: Dialer, token: str | TokenProvider | None = None) -> None:
        self._dialer = dialer
        self.token = token
        self._links: dict[Link, None] = {}
        self._opened = trio.Event()
        self._opened.set()

    async def dial(self) -> Link:
        """See `Dialer`."""
        await self._opened.wait()
        link = _Cuttable(await self._dialer.dial(), self._links)
        self._links[link] = None
        return link

    @property
    def links(self) -> int:
        """How many connections there are through this door."""
        return len(self._links)

    async def cut(self) -> None:
        """End every connection made through this door, as a network would."""
        for link in list(self._links):
            await link.aclose(1000, "")

    async def shut(self) -> None:
        """Cut, and let nobody in."""
        self._opened = trio.Event()
        await self.cut()

    def open(self) -> None:
        """Let people in again."""
        self._opened.set()


@final
class _Cuttable:
    """A link that its door knows for as long as it lasts."""

    def __init__(self, link: Link, known: dict[Link, None]) -> None:
        self._link = link
        self._known = known

    async def send(self, payload: bytes) -> None:
        """See `Link`."""
        await self._link.send(payload)

    async def receive(self) -> bytes:
        """See `Link`."""
        try:
            return await self._link.receive()
        except LinkClosed:
            self._known.pop(self, None)
            raise

    async def aclose(self, code: int, reason: str) -> None:
        """See `Link`."""
        self._known.pop(self, None)
        await self._link.aclose(code, reason)


# Makes a way in for a user.
Dial: TypeAlias = Callable[[str], Door]


async def check_snapshots(
    dial: Dial, steps: Sequence[Step], *, cast: Cast | None = None, settle_s: float = 2.5
) -> None:
    """Carry out a script, and compare followers with fresh looks at its end.

    Args:
        dial: makes a way in for a user.
        steps: what happens; `scripts` draws some.
        cast: users and rooms, none of which is there yet.
        settle_s: how long news may take. The default is the sum of what they are gathered for
            (marks 1 s, feed 1 s, states 0.5 s); add the round trips of a real network.

    Raises:
        LawBroken: the two differed for longer than that; the message says in what.
        Refusal: something was refused that is always allowed.
    """
    async with trio.open_nursery() as nursery:
        stage = _Stage(dial, cast or Cast(), nursery, settle_s)
        await stage.open()
        for step in steps:
            await stage.take(step)
        await stage.compare()
        nursery.cancel_scope.cancel()


def _client(door: Door, device: str) -> AbstractAsyncContextManager[Client]:
    return open_client(door, token=door.token, device=device, backoff=_BACKOFF)


@final
class _Actor:
    """Somebody's client, in a task of its own, until they are to go."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._leaving = trio.Event()
        self._gone = trio.Event()
        self.client: Client

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Be there."""
        async with _client(self._door, "actor") as self.client:
            task_status.started()
            await self._leaving.wait()
        self._gone.set()

    async def leave(self) -> None:
        """Go, and return when that is done."""
        self._leaving.set()
        await self._gone.wait()


@final
class _Stage:
    """Actors who do what the script says, and followers who only listen."""

    def __init__(self, dial: Dial, cast: Cast, nursery: trio.Nursery, settle_s: float) -> None:
        self._dial = dial
        self._cast = cast
        self._nursery = nursery
        self._settle_s = settle_s
        self._play = Play(cast)
        # Of actors, and of those who follow and look: cut apart from each other.
        self._doors: dict[str, Door] = {}
        self._windows: dict[str, Door] = {}
        self._actors: dict[str, _Actor] = {}
        self._followers: list[Follower] = []
        self._uncounted = cast.users(UNCOUNTED)
        self._guest_of = cast.users(GUEST_OF)

    async def open(self) -> None:
        """Let all come in, make the rooms, and have the followers look around."""
        for user in self._cast.users():
            self._doors[user], self._windows[user] = self._dial(user), self._dial(user)
            await self._come(user)
        anna, ben = (self._actors[user].client for user in self._cast.users(FOLLOWERS))
        await self._play.furnish(anna, ben)
        for user in self._cast.users(FOLLOWERS):
            await self._nursery.start(self._follow, user)

    async def _follow(self, user: str, task_status: trio.TaskStatus[None]) -> None:
        async with _client(self._windows[user], "follower") as client:
            follower = Follower(client, uncounted=self._uncounted)
            await follower.open(guest_of=self._guest_of, watched=self._watched(user))
            self._followers.append(follower)
            task_status.started()
            await follower.run()

    def _watched(self, user: str) -> list[str]:
        # Not oneself: looking makes oneself present.
        return [other for other in self._cast.users() if other != user]

    async def _come(self, user: str) -> None:
        if user not in self._actors:
            actor = self._actors[user] = _Actor(self._doors[user])
            await self._nursery.start(actor.run)

    async def take(self, step: Step) -> None:
        """Carry out one step."""
        user = self._cast.user(step.user)
        match step.verb:
            case "cut":
                await (self._doors if step.which % 2 else self._windows)[user].cut()
            case "shut":
                await self._windows[user].shut()
            case "open":
                self._windows[user].open()
            case "come":
                await self._come(user)
            case "go":
                if USERS[step.user] not in FOLLOWERS and user in self._actors:
                    await self._actors.pop(user).leave()
            case "wait":
                await trio.sleep(wait_s(step))
            case "look":
                await self.compare()
            case _ if user in self._actors:
                try:
                    await self._play.perform(self._actors[user].client, step)
                except Refusal as refusal:
                    if refusal.code not in _EXPECTED:
                        raise
            case _:
                pass  # who is not there does nothing

    # --- comparing ---------------------------------------------------------------------

    async def compare(self) -> None:
        """Compare each follower with a fresh look, until they are equal or time is over."""
        for window in self._windows.values():
            window.open()
        for actor in self._actors.values():
            await actor.client.wait_online()
        for follower in self._followers:
            await follower.client.wait_online()
        for follower in self._followers:
            await self._compare(follower)

    async def _compare(self, follower: Follower) -> None:
        deadline = trio.current_time() + self._settle_s
        while True:
            fresh = await self._look(follower.client.user)
            found = differences(follower.picture(), fresh)
            if not found:
                return
            if trio.current_time() > deadline:
                raise LawBroken(f"{follower.client.user} differs in: " + "\n".join(found))
            await trio.sleep(_LOOK_INTERVAL_S)

    async def _look(self, user: str) -> Picture:
        async with _client(self._windows[user], "fresh") as client:
            return await look(
                client,
                guest_of=self._guest_of,
                uncounted=self._uncounted,
                watched=self._watched(user),
            )
