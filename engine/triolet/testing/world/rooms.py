"""The rooms of a world, by name: those that there are, and those that were."""

from typing import Final, final

from ..._model.ids import DIRECT_PREFIX, direct_room
from .script import Script, Step

# One of so many acts is in a room that was deleted, if there is any.
_GONE_SHARE: Final = 8


@final
class Rooms:
    """The rooms of a script; where one is deleted, another one takes its place.

    Attributes:
        names: of those that there are, or are about to be.
        gone: of those that were deleted, in that order.
    """

    def __init__(self, script: Script) -> None:
        users = script.users()
        self.names = [f"room{number}" for number in range(script.rooms)]
        if len(users) > 1:
            self.names.append(direct_room(users[0], users[1]))
        self.gone: list[str] = []

    def choose(self, step: Step) -> str:
        """Return where a step happens."""
        is_late = bool(self.gone) and step.pick % _GONE_SHARE == 0
        rooms = self.gone if is_late else self.names
        return rooms[step.room % len(rooms)]

    def end(self, room: str) -> str | None:
        """Take note that a room was deleted; return the name of the one in its place.

        None: it was none of these, or had been deleted before.
        """
        if room not in self.names:
            return None
        self.gone.append(room)
        successor = f"{room.partition('.')[0]}.{len(self.gone)}"
        self.names[self.names.index(room)] = successor
        return successor


def is_direct(room: str) -> bool:
    """Whether it is the room of two, which nobody makes nor deletes."""
    return room.startswith(DIRECT_PREFIX)


def is_public(room: str) -> bool:
    """Whether it may be read by all: of several rooms the second one, and what follows on it."""
    return room.partition(".")[0].endswith("1")
