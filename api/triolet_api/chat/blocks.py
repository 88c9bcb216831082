"""How a conversation looks: messages and notes as blocks of lines, none wider than asked for."""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeAlias, final

from msgspec import UNSET, Struct
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from triolet._model.entries import FoldedMessage

from . import words
from .changes import Noted
from .conversation import Conversation, Pending
from .text import clean_line, shorten, text_of

# The terminal's own sixteen colours, so that its theme keeps them legible; red is for errors.
_COLOURS: Final = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta")
# Somebody who says several things in a row is named once.
_SAME_BREATH_MS: Final = 5 * 60 * 1000
# Below the first there is no place for the time, below the second for a table at all.
_NARROW_CELLS: Final = 60
_TINY_CELLS: Final = 34
_NAME_CELLS: Final = range(4, 13)
_REACTORS_MAX: Final = 2
# A reaction is one emoji; whoever sends a sentence instead is cut.
_EMOJI_CELLS: Final = 12


@final
class Block(Struct, frozen=True):
    """Lines that belong together; `key` stays the same while what they show changes."""

    key: str
    lines: tuple[Text, ...]


_Draw: TypeAlias = Callable[["Layout"], tuple[Text, ...]]


def key_of(message: FoldedMessage) -> str:
    """Return the key of a message's block, the same while it waits and when it is in the log."""
    return f"{message.sender} {message.cid}"


@final
class Palette:
    """Gives each person a colour: the same one every time, and no two the same while they last.

    >>> palette = Palette()
    >>> palette.colour("anna") == palette.colour("anna") != palette.colour("ben")
    True
    """

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def colour(self, user: str) -> str:
        """Return a user's colour."""
        if user not in self._given:
            start = zlib.crc32(user.encode())
            wheel = [_COLOURS[(start + step) % len(_COLOURS)] for step in range(len(_COLOURS))]
            free = [colour for colour in wheel if colour not in self._given.values()]
            self._given[user] = (free or wheel)[0]
        return self._given[user]


@final
class Layout(Struct, frozen=True):
    """The columns: number, time, name, text; a width of 0 leaves a column out."""

    width: int
    number: int
    time: int
    name: int

    @property
    def indent(self) -> int:
        """Where the text begins."""
        return sum(column + 2 for column in (self.number, self.time, self.name) if column)


def layout_for(conversation: Conversation, width: int) -> Layout:
    """Return the columns that fit `width` cells."""
    width = max(width, 8)
    senders = dict.fromkeys(message.sender for message in conversation.messages.values())
    longest = max(map(len, [*senders, *conversation.marks, conversation.me]), default=0)
    number = max(3, len(str(max(conversation.messages, default=0))))
    if width < _TINY_CELLS:
        return Layout(width, 0, 0, 0)
    name = min(max(longest, _NAME_CELLS.start), _NAME_CELLS.stop - 1)
    if width < _NARROW_CELLS:
        return Layout(width, number, 0, min(name, 8))
    return Layout(width, number, 5, name)


@final
class Look:
    """Draws conversations.

    Args:
        calendar: tells times.
        palette: gives colours.
    """

    def __init__(self, calendar: words.Calendar, palette: Palette) -> None:
        self._calendar = calendar
        self._palette = palette
        # Only to wrap by; nothing is printed.
        self._console = Console(color_system=None, force_terminal=False, width=1000)

    def blocks(
        self,
        conversation: Conversation,
        width: int,
        *,
        now_ms: int,
        is_past: Callable[[str], bool] = lambda _: False,
    ) -> list[Block]:
        """Return all of a conversation, oldest first, my messages that wait at the end.

        Args:
            conversation: what to draw.
            width: in cells; no line is wider.
            now_ms: the wall clock.
            is_past: whether a key's block will not be looked at: its lines are left out.
        """
        layout = layout_for(conversation, width)
        return [
            Block(key, () if is_past(key) else draw(layout))
            for key, draw in self._drafts(conversation, now_ms)
        ]

    def _drafts(self, conversation: Conversation, now_ms: int) -> Iterator[tuple[str, _Draw]]:
        before: FoldedMessage | None = None
        day = self._calendar.day(now_ms)
        for piece in conversation.pieces:
            if isinstance(piece, Noted):
                before = None
                yield f"note {piece.number}", partial(self._note, piece)
                continue
            message = conversation.messages[piece]
            if self._calendar.day(message.at) != day:
                day = self._calendar.day(message.at)
                before = None
                yield f"day {day}", partial(self._rule, day)
            is_named = _is_named(message, before)
            yield key_of(message), partial(self._message, conversation, message, is_named)
            before = message
        is_named = before is None or before.sender != conversation.me
        for pending in conversation.pending.values():
            key = f"{conversation.me} {pending.cid}"
            yield key, partial(self._pending, conversation, pending, is_named)
            is_named = False

    # --- messages --------------------------------------------------------------------------

    def _message(
        self, conversation: Conversation, message: FoldedMessage, is_named: bool, layout: Layout
    ) -> tuple[Text, ...]:
        is_mine = message.sender == conversation.me
        content = Text()
        if message.reply_to is not UNSET:
            content.append_text(self._answered(conversation, message.reply_to, layout))
        if message.erased:
            content.append("message deleted", "dim italic")
        else:
            content.append(text_of(message.body))
            if message.edited_at is not UNSET:
                content.append(" (edited)", "dim")
        if is_mine and not message.erased:
            mark = words.tick(conversation.reach(message.seq))
            content.append(f"  {mark}", "cyan" if mark == words.READ else "dim")
        if message.reactions and not message.erased:
            content.append("\n").append_text(_reactions(message))
        gutter = self._gutter(
            layout,
            str(message.seq),
            message.at,
            user=message.sender,
            is_mine=is_mine,
            is_named=is_named,
        )
        return self._wrap(gutter, content, layout)

    def _pending(
        self, conversation: Conversation, pending: Pending, is_named: bool, layout: Layout
    ) -> tuple[Text, ...]:
        content = Text()
        if pending.reply_to is not None:
            content.append_text(self._answered(conversation, pending.reply_to, layout))
        mark = words.WAITING if pending.seq is None else words.SENT
        content.append(pending.text).append(f"  {mark}", "dim")
        gutter = self._gutter(
            layout, "", pending.at, user=conversation.me, is_mine=True, is_named=is_named
        )
        return self._wrap(gutter, content, layout)

    def _gutter(
        self,
        layout: Layout,
        number: str,
        at: int,
        *,
        user: str,
        is_mine: bool,
        is_named: bool,
    ) -> Text:
        style = "bold" if is_mine else f"bold {self._palette.colour(user)}"
        if not layout.name:
            number = f"{number} " if number else ""
            return Text.assemble((number, "dim"), (f"{user}: ", style))
        name = shorten(user, layout.name) if is_named else ""
        gutter = Text(f"{number:>{layout.number}}  ", "dim", end="")
        if layout.time:
            gutter.append(f"{self._calendar.hour(at)}  ", "dim")
        return gutter.append(f"{name:<{layout.name}}  ", style)

    def _answered(self, conversation: Conversation, seq: int, layout: Layout) -> Text:
        message = conversation.messages.get(seq)
        sender = "" if message is None else f"{message.sender} "
        told = f"↳ {sender}{words.quote(message)}"
        return Text(shorten(told, max(layout.width - layout.indent, 8)) + "\n", "dim")

    # --- what is between them ----------------------------------------------------------------

    def heading(self, conversation: Conversation) -> Block:
        """Return what a conversation begins with."""
        text = Text.assemble((words.heading(conversation), "bold"))
        text.append(f"  {words.kind(conversation)}", "dim")
        return Block(f"heading {conversation.room}", (Text(), text))

    def _note(self, noted: Noted, layout: Layout) -> tuple[Text, ...]:
        sign = ("! ", "bold red") if noted.is_error else ("· ", "dim")
        is_short = "\n" not in noted.text
        style = "red" if noted.is_error else "dim" if is_short else ""
        indent = min(layout.number + 2, 5) if layout.number else 0
        gutter = Text(" " * indent).append(*sign)
        return self._wrap(gutter, Text(noted.text, style), layout, indent + 2)

    def _rule(self, title: str, layout: Layout) -> tuple[Text, ...]:
        title = shorten(title, layout.width - 4)
        left = max((layout.width - cell_len(title) - 2) // 2, 1)
        return (Text(f"{'─' * left} {title} {'─' * left}"[: layout.width], "dim"),)

    def _wrap(
        self, gutter: Text, content: Text, layout: Layout, indent: int | None = None
    ) -> tuple[Text, ...]:
        """Return `content` beside `gutter`, its later lines under its first."""
        if not layout.name and indent is None:
            # No place for columns: the text begins behind the name and goes on at the edge.
            return tuple(gutter.append_text(content).wrap(self._console, layout.width))
        indent = layout.indent if indent is None else indent
        lines = content.wrap(self._console, max(layout.width - indent, 4), overflow="fold")
        first, *others = lines or [Text()]
        blank = " " * indent
        return (gutter.append_text(first), *(Text(blank).append_text(line) for line in others))


def _is_named(message: FoldedMessage, before: FoldedMessage | None) -> bool:
    if before is None or before.sender != message.sender:
        return True
    return message.at - before.at > _SAME_BREATH_MS


def _reactions(message: FoldedMessage) -> Text:
    text = Text()
    for emoji, reaction in message.reactions.items():
        sign = shorten(clean_line(emoji), _EMOJI_CELLS)
        is_told = reaction.count == len(reaction.users) <= _REACTORS_MAX
        who = words.names(reaction.users) if is_told else str(reaction.count)
        text.append(f"{sign} ").append(f"{who}  ", "bold" if reaction.mine else "dim")
    text.rstrip()
    return text
