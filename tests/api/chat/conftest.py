"""What the chat's tests share: entries made by hand, and paper that takes what a terminal would."""

import re
from types import SimpleNamespace

import pytest
from rich.cells import get_character_cell_size

from triolet._model.entries import Delete, Edit, Entry, Member, Message, Meta, React
from triolet._model.events import HistoryPage, Subscribed, Written

ROOM = "dm:anna:ben"
_SEQUENCE = re.compile(r"\x1b(?:\[(\??)([0-9;]*)([A-Za-z])|([78]))")


class Paper:
    """A terminal's screen and scrollback; it knows what the chat sends, and refuses all else.

    So it also shows that nothing which a terminal obeys comes through from other people.
    """

    MODES = ("2026", "25", "7", "2004", "1004")

    def __init__(self, columns=80, rows=24):
        self.columns, self.rows = columns, rows
        self.scrollback = []
        self.screen = [""] * rows
        self.row = self.column = 0
        self.saved = (0, 0)
        self.modes = dict.fromkeys(self.MODES, False) | {"25": True, "7": True}
        self._cells = [[] for _ in range(rows)]

    def feed(self, text):
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                assert found, f"an unknown sequence: {text[at : at + 12]!r}"
                self._obey(*found.groups())
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _obey(self, private, argument, final, number):
        if number:
            self._save_or_restore(number)
        elif private:
            assert argument in self.MODES, argument
            assert final in "hl", final
            self.modes[argument] = final == "h"
        elif final == "A":
            self.row = max(0, self.row - int(argument or 1))
        elif final == "H":
            assert not argument
            self.row = self.column = 0
        elif final == "J":
            self._clear(argument)
        else:
            assert final == "m", (argument, final)

    def _save_or_restore(self, number):
        if number == "7":
            self.saved = (self.row, self.column)
        else:
            self.row, self.column = self.saved

    def _clear(self, argument):
        if argument == "2":
            self._cells = [[] for _ in range(self.rows)]
        else:
            assert not argument
            del self._cells[self.row][self.column :]
            self._cells[self.row + 1 :] = [[] for _ in range(self.rows - self.row - 1)]

    def _put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self._feed_line()
        else:
            assert char.isprintable() or get_character_cell_size(char) == 0, repr(char)
            self._write(char)

    def _feed_line(self):
        self.row += 1
        if self.row == self.rows:
            self.row -= 1
            self.scrollback.append(self._text(self._cells.pop(0)))
            self._cells.append([])

    def _write(self, char):
        cells, width = self._cells[self.row], get_character_cell_size(char)
        cells.extend([" "] * (self.column - len(cells)))
        if width == 0 and self.column:
            cells[self.column - 1] += char
            return
        # Bracketed paste is on for as long as the chat has the terminal.
        may_wrap = self.modes["7"] and self.modes["2004"]
        assert not may_wrap, "a line was painted while the terminal may wrap it"
        if self.column + width <= self.columns:
            cells[self.column : self.column + width] = [char] + [""] * (width - 1)
            self.column += width

    @staticmethod
    def _text(cells):
        return "".join(cells).rstrip()

    @property
    def lines(self):
        """What is on the screen, without empty lines at its end."""
        found = [self._text(cells) for cells in self._cells]
        while found and not found[-1]:
            found.pop()
        return found

    @property
    def everything(self):
        return self.scrollback + self.lines

    def __str__(self):
        return "\n".join(self.lines)


class Log:
    """Makes entries of one room, each at the next place."""

    def __init__(self, room=ROOM, *, seq=0, n=0):
        self.room, self.seq, self.n = room, seq, n

    def _entry(self, sender, fact, cid=None):
        self.seq += 1
        self.n += isinstance(fact, Message)
        at = 1_000_000 + self.seq * 1000
        return Entry(self.room, self.seq, self.n, sender, at, cid or f"c{self.seq}", fact)

    def message(self, sender, text, cid=None, **more):
        return self._entry(sender, Message({"text": text}, **more), cid)

    def edit(self, sender, target, text):
        return self._entry(sender, Edit(target, {"text": text}))

    def delete(self, sender, target):
        return self._entry(sender, Delete(target))

    def react(self, sender, target, emoji, *, on=True):
        return self._entry(sender, React(target, emoji, on))

    def meta(self, sender, **changes):
        return self._entry(sender, Meta(**changes))

    def member(self, sender, user, role="member"):
        return self._entry(sender, Member(user, role))


def subscribed(room=ROOM, *, head=0, read=0, marks=(("anna", 0, 0), ("ben", 0, 0)), **more):
    fields = {"members": len(marks), "typing": (), "receipts": tuple(marks)} | more
    return Subscribed(
        room=room,
        epoch="e",
        head=head,
        floor=0,
        role="member",
        recovered=False,
        unread=0,
        read=read,
        **fields,
    )


def page(*messages, as_of=0):
    return HistoryPage(messages=messages, more=False, as_of=("e", as_of))


def written(seq):
    return Written(room=ROOM, seq=seq, at=0, duplicate=False)


@pytest.fixture(name="make", scope="session")
def make_fixture():
    """What makes entries, replies and paper."""
    return SimpleNamespace(
        Log=Log, Paper=Paper, room=ROOM, subscribed=subscribed, page=page, written=written
    )
