"""A terminal is left as it was, whatever happens."""

import os
import pty
import select
import termios

import pytest

from triolet_api.chat.terminal import Terminal

# Far above what anything here takes.
PATIENCE_S = 60
MODES_ON = b"\x1b[?2004h\x1b[?1004h"
MODES_OFF = b"\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m"


class Ends:
    """Both ends of a terminal."""

    def __init__(self):
        self.leader, self.follower = pty.openpty()

    @property
    def settings(self):
        return termios.tcgetattr(self.follower)

    def read(self, end):
        """Return what was written, up to `end`: the system hands it over in its own time."""
        found = b""
        while not found.endswith(end):
            readable, _, _ = select.select([self.leader], [], [], PATIENCE_S)
            assert readable, found
            found += os.read(self.leader, 4096)
        return found

    def hang_up(self):
        os.dup2(os.open(os.devnull, os.O_RDWR), self.leader)


@pytest.fixture
def ends():
    made = Ends()
    yield made
    os.close(made.leader)
    os.close(made.follower)


@pytest.fixture
def terminal(ends):
    return Terminal(ends.follower, ends.follower)


def test_keys_come_one_by_one_and_are_not_echoed(ends, terminal):
    with terminal.raw():
        flags = ends.settings[3]
        assert not flags & (termios.ICANON | termios.ECHO)
        assert flags & termios.ISIG
        assert MODES_ON == ends.read(MODES_ON)


def test_it_is_left_as_it_was_after_an_error(ends, terminal):
    before = ends.settings

    def fail():
        with terminal.raw():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert before == ends.settings
    assert MODES_ON + MODES_OFF == ends.read(MODES_OFF)


def test_leaving_twice_is_leaving_once(ends, terminal):
    terminal.enter()
    terminal.leave()
    terminal.leave()
    terminal.write(".")

    assert MODES_ON + MODES_OFF + b"." == ends.read(b".")


async def test_what_is_pressed_is_read(ends, terminal):
    with terminal.raw():
        os.write(ends.leader, b"h\r")

        assert b"h\r" == await terminal.read()


async def test_a_terminal_that_is_gone_is_read_as_its_end_and_takes_nothing(ends, terminal):
    with terminal.raw():
        ends.hang_up()

        assert b"" == await terminal.read()
        terminal.write("nobody sees this")


def test_a_size_that_nobody_knows_is_the_usual_one(ends, terminal):
    assert (80, 24) == tuple(terminal.size())
    termios.tcsetwinsize(ends.follower, (10, 40))
    assert (40, 10) == tuple(terminal.size())
