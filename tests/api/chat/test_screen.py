"""The chat in real terminals, with a real server: what one sees, and how the terminal is left."""

import codecs
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest
import trio

import triolet
from triolet.adapters.tokens import mint
from triolet_api.demo.server import open_server
from triolet_api.secret import make_or_keep_secret

# Far above what anything here takes; a test that waits for it has failed.
PATIENCE_S = 60
PROMPT = "\u203a"
# The chat gets a terminal of its own: who opens one first, without having one, owns it.
CHAT = (
    "import os, sys; os.open(os.ttyname(0), os.O_RDWR);"
    "os.execv(sys.executable, [sys.executable, '-m', 'triolet_api', 'chat', *sys.argv[1:]])"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


@contextmanager
def suppress_hang_up():
    """Reading from a terminal that nobody has open any more fails with EIO."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


class Window:
    """A terminal with a chat in it."""

    def __init__(self, paper):
        self.paper = paper
        self.raw = ""
        self.leader, self._follower = pty.openpty()
        os.set_blocking(self.leader, False)
        self.resize(paper.columns, paper.rows, tell=False)
        self.before = self.settings
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._changed = trio.Event()
        self.process = None

    def resize(self, columns, rows, *, tell=True):
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.paper = type(self.paper)(columns, rows)

    @property
    def settings(self):
        return termios.tcgetattr(self._follower)

    async def start(self, arguments, environment):
        self.process = await trio.lowlevel.open_process(
            [sys.executable, "-c", CHAT, *arguments],
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            start_new_session=True,
            env=environment,
        )

    async def watch(self):
        while True:
            await trio.lowlevel.wait_readable(self.leader)
            with suppress_hang_up():
                data = b""
                data = os.read(self.leader, 65536)
            if not data:
                return
            text = self._decode(data)
            self.raw += text
            self.paper.feed(text)
            self._changed.set()

    async def until(self, is_so):
        """Wait until something is so on the screen: a text that is there, or a function of it."""
        if isinstance(is_so, str):
            is_so = lines_with(is_so)
        with trio.move_on_after(PATIENCE_S):
            # A frame that is not whole is not shown.
            while self.paper.modes["2026"] or not is_so(str(self.paper)):
                self._changed = trio.Event()
                await self._changed.wait()
            return
        pytest.fail(f"not seen:\n{self.paper}")

    async def until_given_back(self):
        """Wait until the terminal is as it was before the chat."""
        usual = dict.fromkeys(self.paper.modes, False) | {"25": True, "7": True}
        await self.until(lambda _: (self.before, usual) == (self.settings, self.paper.modes))

    async def type(self, text):
        data = text.encode()
        while data:
            await trio.lowlevel.wait_writable(self.leader)
            data = data[os.write(self.leader, data) :]

    async def ended(self):
        with trio.fail_after(PATIENCE_S):
            return await self.process.wait()

    def hang_up(self):
        """Close the window."""
        os.close(self._follower)
        os.dup2(os.open(os.devnull, os.O_RDWR), self.leader)
        self._follower = None

    async def close(self):
        with trio.CancelScope(shield=True):
            if self.process is not None:
                self.process.kill()
                await self.process.wait()
        os.close(self.leader)
        if self._follower is not None:
            os.close(self._follower)


class House:
    """One server, and windows to it."""

    def __init__(self, make, server, nursery, stack):
        self.make, self.server, self.nursery, self.stack = make, server, nursery, stack

    async def window(self, *arguments, columns=80, rows=24, **environment):
        window = Window(self.make.Paper(columns, rows))
        self.stack.push_async_callback(window.close)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("NO_COLOR", "COLORTERM", "COLUMNS", "LINES")
            and not name.startswith("TRIOLET_")
        }
        url = f"http://127.0.0.1:{self.server.port}"
        await window.start([url, *arguments], inherited | {"TERM": "xterm-256color"} | environment)
        self.nursery.start_soon(window.watch)
        return window

    async def chat(self, name, *arguments, **how):
        data = str(self.server.folder)
        return await self.window("--as", name, "--data", data, *arguments, **how)

    def client(self, name):
        return triolet.connect(self.server.url, token=self.token(name))

    def token(self, name):
        secret = make_or_keep_secret(self.server.folder).reveal()
        return mint(secret, name, ttl_s=600, now_ms=time.time_ns() // 1_000_000)


@asynccontextmanager
async def house(make, folder):
    async with open_server(folder, TRIOLET_LIMIT_STATE_INTERVAL_S="0.05") as server:
        await server.start()
        async with AsyncExitStack() as windows, trio.open_nursery() as nursery:
            yield House(make, server, nursery, windows)
            nursery.cancel_scope.cancel()


def lines_with(text, *marks):
    """Whether one line of the screen has all of these."""
    return lambda screen: any(
        text in line and all(mark in line for mark in marks) for line in screen.splitlines()
    )


async def test_two_people_talk_while_the_server_dies_and_returns(make, tmp_path):
    async with house(make, tmp_path) as home:
        anna = await home.chat("anna", "--with", "ben")
        ben = await home.chat("ben", "--with", "anna", columns=50)
        await anna.until("● ben is online")
        await ben.until("write to anna")

        # Typing, sending, reading.
        await anna.type("Good mor")
        # Once, at least: it ends by itself, and may have done so before it is looked at.
        await ben.until(lambda _: "anna is typing …" in ben.raw)
        await anna.until(f"{PROMPT} Good mor")
        await anna.type("ning\r")
        await ben.until("Good morning")
        await anna.until(lines_with("Good morning", "✓✓ read"))
        await anna.until(f"{PROMPT} write to ben")

        # A reaction, an answer, an edit in place.
        await ben.type("/react 👍\r/reply And to you!\r")
        await anna.until("↳ anna “Good morning”")
        await anna.until("👍 ben")
        await anna.type("/edit\r")
        await anna.until(f"{PROMPT} /edit 3 Good morning")
        await anna.type(", Ben!\r")
        await ben.until(lines_with("Good morning, Ben!", "(edited)"))

        # The server dies; what is written waits.
        await home.server.kill()
        await anna.until("the connection is lost; what you write waits")
        await ben.until("reconnecting")
        await anna.type("Are you there?\r")
        await anna.until(lines_with("Are you there?", "◷"))
        await anna.until("· 1 waiting")

        # It returns; nothing is lost.
        await home.server.start()
        # Whoever is back first may hear the other's message before or after it is.
        await ben.until(lambda screen: "· back" in screen and "Are you there?" in screen)
        await anna.until(lines_with("Are you there?", "✓✓ read"))
        await ben.until(lambda screen: screen.count("Are you there?") == 1)

        # Both leave; their terminals are theirs again.
        await anna.type("\x03")
        await ben.type("\x04")
        assert [0, 0] == [await anna.ended(), await ben.ended()]
        await anna.until_given_back()
        await ben.until_given_back()
        await anna.until(lambda screen: PROMPT not in screen)


async def test_what_others_send_cannot_command_the_terminal(make, tmp_path):
    """The paper refuses every sequence that is not the chat's own."""
    async with house(make, tmp_path) as home, home.client("ben") as ben:
        room = (await ben.direct("anna")).room
        anna = await home.chat("anna", "--with", "ben")
        await anna.until("write to ben")

        await ben.send(room, "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5A[bold]b[/]\x08\u202eend")
        await ben.react(room, 3, "\x1b[5m!")
        await anna.until("red[bold]b[/]end")
        await anna.until("! ben")

        assert "owned" not in anna.raw


async def test_what_is_not_looked_at_is_not_read(make, tmp_path):
    async with house(make, tmp_path) as home, home.client("ben") as ben:
        room = (await ben.direct("anna")).room
        anna = await home.chat("anna", "--with", "ben")
        await anna.until("write to ben")
        await ben.subscribe(room)
        marks = ben.room_events(room)

        await anna.type("\x1b[O")
        await ben.send(room, "hello")
        await anna.until("hello")
        assert await read_of_3(marks) == 2
        await anna.type("\x1b[I")
        assert await read_of_3(marks) == 3


async def read_of_3(events):
    """Return up to where anna has read, as it is told next; once she has been delivered 3."""
    with trio.fail_after(PATIENCE_S):
        async for event in events:
            for user, delivered, read in getattr(event, "marks", ()):
                # What she had when she came is told late on a busy machine.
                if (user, delivered) == ("anna", 3):
                    return read
    raise AssertionError


async def test_the_screen_follows_the_window(make, tmp_path):
    async with house(make, tmp_path) as home, home.client("ben") as ben:
        room = (await ben.direct("anna")).room
        anna = await home.chat("anna", "--with", "ben", columns=90, rows=12)
        await anna.until("write to ben")
        for number in range(20):
            await ben.send(room, f"line {number} " + "and more " * 7)
        await anna.until("line 19")

        anna.resize(40, 10)
        await anna.until(lambda screen: "line 19" in screen and "write to ben" in screen)
        assert all(len(line) < 40 for line in anna.paper.lines)

        anna.resize(100, 16)
        await anna.until(lambda screen: "line 18" in screen and "write to ben" in screen)

        # What has left the screen is told when it changes.
        await ben.edit(room, 3, "changed")
        await anna.until("ben edited [3] to “changed”")


async def test_a_signal_leaves_in_order(make, tmp_path):
    async with house(make, tmp_path) as home:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
            anna = await home.chat("anna")
            await anna.until("/with USER")

            anna.process.send_signal(number)

            assert 0 == await anna.ended()
            await anna.until_given_back()


async def test_stopping_and_going_on_as_a_shell_does_it(make, tmp_path):
    async with house(make, tmp_path) as home:
        anna = await home.chat("anna", "--with", "ben")
        await anna.until("write to ben")

        await anna.type("\x1a")
        await wait_stopped(anna.process.pid)
        await anna.until_given_back()
        await anna.until(lambda screen: "write to ben" not in screen)

        anna.process.send_signal(signal.SIGCONT)
        await anna.until("write to ben")
        await anna.type("still here")
        await anna.until(f"{PROMPT} still here")


async def wait_stopped(pid):
    how = os.WSTOPPED | os.WNOWAIT
    with trio.fail_after(PATIENCE_S):
        await trio.to_thread.run_sync(os.waitid, os.P_PID, pid, how, abandon_on_cancel=True)


async def test_an_error_leaves_the_terminal_as_it_was(make, tmp_path):
    async with house(make, tmp_path) as home:
        token = mint(
            b"another secret, of as many bytes", "anna", ttl_s=60, now_ms=time.time_ns() // 10**6
        )
        anna = await home.window("--token", token)

        assert 1 == await anna.ended()
        await anna.until("triolet: closed with 4001")
        await anna.until_given_back()


async def test_without_a_server_the_chat_waits_and_can_be_left(make, tmp_path):
    async with house(make, tmp_path) as home:
        await home.server.kill()
        anna = await home.chat("anna", "--with", "ben")

        await anna.until(f"no answer from 127.0.0.1:{home.server.port}; again in")
        await home.server.start()
        await anna.until("write to ben")
        await home.server.kill()
        await anna.type("unsent\r")
        await anna.until("1 waiting")
        await anna.type("/quit\r")
        await anna.until("1 message not sent yet; once more leaves all the same")
        await anna.type("/quit\r")

        assert 0 == await anna.ended()
        await anna.until("not sent: unsent")


async def test_a_terminal_that_is_closed_ends_the_chat(make, tmp_path):
    async with house(make, tmp_path) as home:
        anna = await home.chat("anna")
        await anna.until("/with USER")

        anna.hang_up()

        await anna.ended()


async def test_colours_are_there_and_can_be_without(make, tmp_path):
    async with house(make, tmp_path) as home, home.client("ben") as ben:
        room = (await ben.direct("anna")).room
        await ben.send(room, "hello")
        anna = await home.chat("anna", "--with", "ben")
        plain = await home.chat("anna", "--with", "ben", NO_COLOR="1")
        await anna.until("hello")
        await plain.until("hello")

        assert COLOUR.search(anna.raw)
        assert not COLOUR.search(plain.raw)


async def test_what_is_pasted_is_sent_when_one_says_so(make, tmp_path):
    async with house(make, tmp_path) as home:
        anna = await home.chat("anna", "--with", "ben")
        await anna.until("write to ben")

        await anna.type("\x1b[200~one\rtwo\x1b[201~")
        await anna.until(f"{PROMPT} one⏎two")
        await anna.type("\r")

        await anna.until(lambda screen: "one\n                  two  ✓" in screen)
