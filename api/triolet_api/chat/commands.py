"""What somebody may write in the chat's line: a message, or a command after a slash."""

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final

from msgspec import Struct
from rich.emoji import Emoji

from triolet._model.ids import is_room, is_user

from .text import clean_line

# Which message: its number, or None for the usual one.
Target: TypeAlias = int | None
OwnStatus: TypeAlias = Literal["online", "away", "dnd", "invisible"]

HELP: Final = """\
write and press Enter to send; Alt-Enter begins a new line
/edit [NUMBER] TEXT    change your message, by default the last one
/delete [NUMBER]       take it back, for everybody
/reply [NUMBER] TEXT   answer a message, by default the last one
/react [NUMBER] EMOJI  👍 or :heart: — once more takes it back
/who                   who is here, and who was
/with USER             talk with somebody
/rooms                 your rooms, and what is unread
/create ROOM [USER …]  make a room
/invite USER           let somebody into it
/join ROOM             go to a room
/away /dnd /invisible /online
                       how you are to be seen
/help                  this list
/quit                  or Ctrl-D"""


@final
class Say(Struct, frozen=True, repr_omit_defaults=True):
    """Send a message; `target`: in answer to that one, or to the usual one."""

    text: str
    target: Target = None
    is_reply: bool = False


@final
class Amend(Struct, frozen=True):
    """Edit a message of mine."""

    target: Target
    text: str


@final
class Delete(Struct, frozen=True):
    """Take a message of mine back."""

    target: Target


@final
class React(Struct, frozen=True):
    """Put an emoji under a message, or take mine back."""

    target: Target
    emoji: str


@final
class Who(Struct, frozen=True):
    """Tell who is here."""


@final
class Rooms(Struct, frozen=True):
    """List my rooms."""


@final
class With(Struct, frozen=True):
    """Go to the direct room with somebody."""

    user: str


@final
class Create(Struct, frozen=True):
    """Make a room, and go there."""

    room: str
    users: tuple[str, ...]


@final
class Invite(Struct, frozen=True):
    """Make somebody a member."""

    user: str


@final
class Join(Struct, frozen=True):
    """Go to a room, and become a member."""

    room: str


@final
class Show(Struct, frozen=True):
    """Be seen as."""

    status: OwnStatus


@final
class Help(Struct, frozen=True):
    """Tell what can be done."""


@final
class Quit(Struct, frozen=True):
    """Leave the chat."""


@final
class Wrong(Struct, frozen=True):
    """Nothing that can be done; `why` is one sentence."""

    why: str


Command: TypeAlias = (
    Say
    | Amend
    | Delete
    | React
    | Who
    | Rooms
    | With
    | Create
    | Invite
    | Join
    | Show
    | Help
    | Quit
    | Wrong
)

_is_number = re.compile(r"#?([0-9]{1,15})").fullmatch


def parse(line: str) -> Command | None:
    """Return what a line means; None for an empty one. Two slashes begin a message with one.

    >>> parse("/edit 3 hello"), parse("/react 👍")
    (Amend(target=3, text='hello'), React(target=None, emoji='👍'))
    >>> parse("hello"), parse("//hello")
    (Say(text='hello'), Say(text='/hello'))
    >>> parse("/dance")
    Wrong(why='there is no /dance; /help tells what there is')
    """
    if not line.strip():
        return None
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line.strip("\n"))
    name, _, rest = line[1:].partition(" ")
    command = _COMMANDS.get(name.strip().lower())
    if command is None:
        return Wrong(f"there is no /{clean_line(name)}; /help tells what there is")
    return command(rest.strip())


def _split(rest: str) -> tuple[Target, str]:
    """Take a message's number off the front, if something follows it."""
    first, _, others = rest.partition(" ")
    number = _is_number(first)
    if number and (others.strip() or first.startswith("#")):
        return int(number[1]), others.strip()
    return None, rest


def _edit(rest: str) -> Command:
    target, text = _split(rest)
    return Amend(target, text) if text else Wrong("/edit [NUMBER] TEXT")


def _delete(rest: str) -> Command:
    if not rest:
        return Delete(None)
    number = _is_number(rest)
    return Delete(int(number[1])) if number else Wrong("/delete [NUMBER]")


def _react(rest: str) -> Command:
    target, emoji = _split(rest)
    emoji = clean_line(Emoji.replace(emoji))
    is_one = 0 < len(emoji) <= 32 and " " not in emoji
    return React(target, emoji) if is_one else Wrong("/react [NUMBER] EMOJI")


def _reply(rest: str) -> Command:
    target, text = _split(rest)
    return Say(text, target, is_reply=True) if text else Wrong("/reply [NUMBER] TEXT")


def _with(rest: str) -> Command:
    return With(rest) if is_user(rest) else Wrong("/with USER; a name has letters, digits and _.@-")


def _invite(rest: str) -> Command:
    return Invite(rest) if is_user(rest) else Wrong("/invite USER")


def _create(rest: str) -> Command:
    room, *users = rest.split() or [""]
    if not is_room(room) or not all(map(is_user, users)):
        return Wrong("/create ROOM [USER …]; names have letters, digits and _.@-")
    return Create(room, tuple(users))


def _join(rest: str) -> Command:
    return Join(rest) if is_room(rest) else Wrong("/join ROOM")


_COMMANDS: Final[dict[str, Callable[[str], Command]]] = {
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "reply": _reply,
    "who": lambda _: Who(),
    "rooms": lambda _: Rooms(),
    "with": _with,
    "create": _create,
    "invite": _invite,
    "join": _join,
    "online": lambda _: Show("online"),
    "away": lambda _: Show("away"),
    "dnd": lambda _: Show("dnd"),
    "invisible": lambda _: Show("invisible"),
    "help": lambda _: Help(),
    "quit": lambda _: Quit(),
}
