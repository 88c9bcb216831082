"""The rule above the line one writes in: who is here, who types, and how the connection is."""

from typing import Final

from rich.cells import cell_len
from rich.text import Text

from triolet.client import State

from . import words
from .conversation import Conversation
from .face import Line
from .text import shorten

# Below it, only the left half is told.
_BOTH_CELLS: Final = 48


def rule(
    conversation: Conversation,
    line: Line,
    *,
    unread_elsewhere: int,
    calendar: words.Calendar,
    now_ms: int,
    now: float,
    width: int,
) -> Text:
    """Return the rule, exactly `width` wide.

    Args:
        conversation: what is shown.
        line: where the connection stands.
        unread_elsewhere: how many messages wait in other rooms.
        calendar: tells times.
        now_ms: the wall clock.
        now: Trio's clock.
        width: in cells.
    """
    left = connection(line, conversation, now=now)
    if left is None:
        left = Text.assemble(*_people(conversation, calendar, now_ms))
    right = _place(conversation, unread_elsewhere) if width >= _BOTH_CELLS else ""
    room = max(width - cell_len(right) - (9 if right else 6), 1)
    left.truncate(room, overflow="ellipsis")
    text = Text.assemble(("── ", "dim"), left, " ", end="")
    tail = f" {right} ──" if right else "─"
    gap = max(width - text.cell_len - cell_len(tail), 0)
    text.append("─" * gap + tail, "dim")
    text.truncate(width)
    return text


def connection(line: Line, conversation: Conversation, *, now: float) -> Text | None:
    """Return what is to be said of the connection; None while there is one."""
    if line.state is State.ONLINE:
        return None
    if line.state is State.CLOSED:
        said = "closed"
    elif line.state is State.OFFLINE:
        seconds = max(round(line.retry_at - now), 1)
        verb = "reconnecting" if line.was_online else f"no answer from {line.address}; again"
        said = f"{verb} in {seconds} s …"
    else:
        said = "reconnecting …" if line.was_online else f"connecting to {line.address} …"
    if conversation.pending:
        said += f" · {len(conversation.pending)} waiting"
    return Text(f"◌ {said}", "yellow")


def _people(
    conversation: Conversation, calendar: words.Calendar, now_ms: int
) -> list[tuple[str, str]]:
    typing = words.typing(conversation.typists)
    if not conversation.room:
        return [("/help tells what can be done", "dim")]
    other = words.partner(conversation.room, conversation.me)
    if other is None:
        others = conversation.others
        here = [user for user in others if _status_of(conversation, user) != "offline"]
        said = words.here(here, of=len(others))
        sign, style = (words.dot("online"), "green") if here else (words.dot("offline"), "dim")
    else:
        status, last_seen = conversation.presence.get(other, ("offline", 0))
        told = words.presence(status, last_seen, calendar=calendar, now_ms=now_ms)
        said = f"{other} {told}" if status == "offline" else f"{other} is {told}"
        sign, style = words.dot(status), {"online": "green", "offline": "dim"}.get(status, "yellow")
    if typing:
        return [(f"{sign} ", style), (typing, "")]
    return [(f"{sign} ", style), (said, "dim" if style == "dim" else "")]


def _status_of(conversation: Conversation, user: str) -> str:
    return conversation.presence.get(user, ("offline", 0))[0]


def _place(conversation: Conversation, unread_elsewhere: int) -> str:
    parts = []
    if unread_elsewhere:
        parts.append(f"{unread_elsewhere} new: /rooms")
    if conversation.room and words.partner(conversation.room, conversation.me) is None:
        parts.append(shorten(words.heading(conversation), 20))
    parts.append(shorten(conversation.me, 20))
    return " · ".join(parts)
