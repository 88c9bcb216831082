"""What the chat's two faces, a terminal and plain lines, have in common with what is behind."""

from collections.abc import Sequence
from typing import Protocol, final

from msgspec import Struct

from triolet.client import State

from .changes import Change
from .conversation import Conversation


@final
class Line(Struct, frozen=True, kw_only=True):
    """Where the connection stands.

    Attributes:
        state: in the client's words.
        retry_at: when the next attempt begins, on Trio's clock; it matters while offline.
        was_online: whether there has been a connection before.
        address: whom to reach.
    """

    state: State
    retry_at: float = 0
    was_online: bool = False
    address: str = ""


class Backstage(Protocol):
    """What a face may ask of the chat."""

    @property
    def conversation(self) -> Conversation:
        """What is to be seen."""
        ...

    @property
    def line(self) -> Line:
        """Where the connection stands."""
        ...

    @property
    def unread_elsewhere(self) -> int:
        """How many messages wait in other rooms."""
        ...

    async def submit(self, text: str) -> None:
        """Take a line that somebody has finished; waits while too many wait already."""
        ...

    def typed(self, text: str) -> None:
        """Take the line as it is now, for those who wait for it."""
        ...

    def seen(self, seq: int) -> None:
        """Take in that the messages up to `seq` have been shown."""
        ...

    async def finish(self) -> None:
        """Leave once everything submitted has been done."""
        ...

    def quit(self) -> None:
        """Leave once everything said has been sent, or now if asked again."""
        ...

    def leave(self) -> None:
        """Leave now."""
        ...


class Face(Protocol):
    """What shows the chat and takes in what is written."""

    def begin(self, chat: Backstage) -> None:
        """Take in whom to ask; called once, before anything else."""
        ...

    def turn_to(self, conversation: Conversation) -> None:
        """Show another conversation from now on."""
        ...

    def show(self, changes: Sequence[Change]) -> None:
        """Show what has happened in the present one."""
        ...

    def refresh(self) -> None:
        """Show that something around it has changed: the connection, another room."""
        ...

    async def run(self) -> None:
        """Read what is written and keep what is shown up to date, until cancelled."""
        ...
