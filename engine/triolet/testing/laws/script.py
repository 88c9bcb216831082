"""What people do while others follow: steps, and a strategy that draws them."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeAlias, final, get_args

from hypothesis import strategies as st
from msgspec import Struct

from ..._model.commands import Status
from ..._model.entries import Role
from ...client import Client

USERS: Final = ("anna", "ben", "cleo", "dan")
# The first two follow; their actors stay. The others come and go.
FOLLOWERS: Final = USERS[:2]
ROOMS: Final = ("hall", "tea", "news", "open")
# Where joining and leaving make no entries: a channel, and a public room.
UNCOUNTED: Final = ("news", "open")
GUEST_OF: Final = ("open",)
_EMOJIS: Final = ("+1", "🙂")
_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_ROLES: Final[tuple[Role, ...]] = get_args(Role)
# Beyond a typing mark's life, and a heartbeat's worth of nothing.
_WAITS_S: Final = (0.0, 0.1, 0.6, 2.0, 7.0, 11.0)

Verb: TypeAlias = Literal[
    "say",
    "edit",
    "erase",
    "react",
    "unreact",
    "read",
    "deliver",
    "type",
    "stop",
    "show",
    "invite",
    "kick",
    "role",
    "join",
    "leave",
    "title",
    "public",
    "direct",
    "cut",
    "shut",
    "open",
    "go",
    "come",
    "wait",
    "look",
]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)


@final
class Step(Struct, frozen=True):
    """One thing that somebody does.

    Attributes:
        verb: what. `cut` breaks the user's own connection, or that of who follows;
            `shut` keeps who follows outside until `open`, or until the next look;
            `go` and `come` end and begin the user's own client; `wait` lets time pass;
            `look` compares in between.
        user: who, an index of `USERS`.
        room: where, an index of `ROOMS`.
        other: to whom, an index of `USERS`.
        which: the message counted from the last; or the emoji, status, role, time.
    """

    verb: Verb
    user: int = 0
    room: int = 0
    other: int = 0
    which: int = 0


def scripts(*, steps_max: int = 25) -> st.SearchStrategy[list[Step]]:
    """Return a strategy for scripts; a long one shrinks to the steps that matter."""
    # Talk more often than anything else: what most other steps are about.
    verbs = st.sampled_from((*VERBS, "say", "say", "say", "react", "read", "shut"))
    step = st.builds(
        Step,
        verb=verbs,
        user=st.integers(0, len(USERS) - 1),
        room=st.integers(0, len(ROOMS) - 1),
        other=st.integers(0, len(USERS) - 1),
        which=st.integers(0, 5),
    )
    return st.lists(step, max_size=steps_max)


@final
class Cast(Struct, frozen=True):
    """Users and rooms by name; a prefix keeps them apart from others of a deployment."""

    prefix: str = ""

    def user(self, index: int) -> str:
        """Return the name of a user."""
        return self.prefix + USERS[index]

    def room(self, index: int) -> str:
        """Return the name of a room."""
        return self.prefix + ROOMS[index]

    def users(self, names: tuple[str, ...] = USERS) -> list[str]:
        """Return the full names of users, or of rooms."""
        return [self.prefix + name for name in names]


@final
class Play:
    """A script on its way: who is there, and what has been said where."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self._said: dict[str, list[int]] = {}
        self._titles = 0

    async def furnish(self, owner: Client, second: Client) -> None:
        """Make the rooms: all in the hall, three in the tea room and the channel."""
        anna, ben, cleo, dan = self.cast.users()
        hall, tea, news, public = self.cast.users(ROOMS)
        await owner.create(room=hall, members=[ben, cleo, dan], title="Hall")
        await owner.create(room=tea, members=[ben, cleo])
        await owner.create("channel", room=news, members=[ben, cleo], title="News")
        await second.create(room=public, members=[anna], public=True)

    async def perform(self, client: Client, step: Step) -> None:
        """Do what a step says; it may be refused."""
        await _DEEDS[step.verb](self, client, step)

    def target(self, step: Step) -> int:
        """Return the seq of a message of the step's room, counted from the last; 1: none yet."""
        said = self._said.get(self.cast.room(step.room), [])
        return said[-1 - step.which % len(said)] if said else 1

    async def say(self, client: Client, step: Step) -> None:
        """Say something, and remember where it stands."""
        room = self.cast.room(step.room)
        written = await client.send(room, f"{len(self._said.get(room, ()))}")
        self._said.setdefault(room, []).append(written.seq)

    async def title(self, client: Client, step: Step) -> None:
        """Give a room a title it has not had."""
        self._titles += 1
        await client.set_meta(self.cast.room(step.room), title=f"Title {self._titles}")

    async def public(self, client: Client, step: Step) -> None:
        """Show or hide the room that is public."""
        await client.set_meta(self.cast.room(ROOMS.index("open")), public=step.which % 2 == 0)

    async def managed(self, client: Client, step: Step) -> None:
        """Change somebody's membership; never in the hall, where all may watch each other."""
        room = self.cast.room(max(1, step.room))
        user = self.cast.user(step.other)
        role = _ROLES[step.which % len(_ROLES)]
        if step.verb == "invite":
            await client.invite(room, user, role=role)
        elif step.verb == "kick":
            await client.kick(room, user)
        else:
            await client.set_role(room, user, role)

    async def moved(self, client: Client, step: Step) -> None:
        """Join or leave; never the hall, nor the channel, whose owner would be gone."""
        room = self.cast.room(1 if step.room < ROOMS.index("open") else step.room)
        await (client.join(room) if step.verb == "join" else client.leave(room))


_Deed: TypeAlias = Callable[[Play, Client, Step], Coroutine[Any, Any, object]]


def _on_room(deed: Callable[[Client, str, Step, int], Coroutine[Any, Any, object]]) -> _Deed:
    """Return a deed that is one call about a message or a room."""
    return lambda play, client, step: deed(
        client, play.cast.room(step.room), step, play.target(step)
    )


def _emoji(step: Step) -> str:
    return _EMOJIS[step.other % len(_EMOJIS)]


# What concerns connections and time is done by `snapshot`.
_DEEDS: Final[dict[Verb, _Deed]] = {
    "say": Play.say,
    "edit": _on_room(lambda client, room, _, seq: client.edit(room, seq, "edited")),
    "erase": _on_room(lambda client, room, _, seq: client.delete(room, seq)),
    "react": _on_room(lambda client, room, step, seq: client.react(room, seq, _emoji(step))),
    "unreact": _on_room(
        lambda client, room, step, seq: client.react(room, seq, _emoji(step), on=False)
    ),
    "read": _on_room(lambda client, room, _, seq: client.receipt(room, read=seq)),
    "deliver": _on_room(lambda client, room, _, seq: client.receipt(room, delivered=seq)),
    "type": _on_room(lambda client, room, _step, _seq: client.typing(room)),
    "stop": _on_room(lambda client, room, _step, _seq: client.typing(room, on=False)),
    "show": lambda _, client, step: client.presence(_STATUSES[step.which % len(_STATUSES)]),
    "invite": Play.managed,
    "kick": Play.managed,
    "role": Play.managed,
    "join": Play.moved,
    "leave": Play.moved,
    "title": Play.title,
    "public": Play.public,
    "direct": lambda play, client, step: client.direct(play.cast.user(step.other)),
}


def wait_s(step: Step) -> float:
    """Return how long a `wait` takes."""
    return _WAITS_S[step.which % len(_WAITS_S)]
