"""The chat without a terminal: lines in, lines out, as scripts have it."""

import io
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC

import pytest
import trio

import triolet
from triolet_api.chat.bell import Bell
from triolet_api.chat.options import Place, _open
from triolet_api.chat.plain import Plain
from triolet_api.chat.session import Chat
from triolet_api.chat.words import Calendar
from triolet_api.demo.server import open_server

# Far above what anything here takes; a test that waits for it has failed.
PATIENCE_S = 60


class Output(io.StringIO):
    """What was written, and a bell that rings with every piece."""

    def __init__(self):
        super().__init__()
        self.bell = Bell()

    def write(self, text):
        self.bell.ring()
        return super().write(text)


class Pipe:
    """A chat with a pipe for its input, in the same process as the engine."""

    def __init__(self):
        self.reads, self._writes = os.pipe()
        self.output = Output()

    def write(self, text):
        os.write(self._writes, text.encode())

    def end(self):
        os.close(self._writes)
        self._writes = None

    def close(self):
        os.close(self.reads)
        if self._writes is not None:
            os.close(self._writes)

    @property
    def lines(self):
        # Hours are those of the running machine.
        return re.sub(r"\] \d\d:\d\d ", "] ", self.output.getvalue()).splitlines()


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


async def chat(engine, pipe, place, *, name="anna"):
    async with engine.connect(name) as client:
        face = Plain(pipe.reads, pipe.output, Calendar(UTC))
        session = Chat(
            client,
            face,
            me=name,
            address="here",
            calendar=Calendar(UTC),
            now_ms=lambda: 0,
            is_strict=True,
        )

        async def opening():
            await _open(session, place)

        with trio.fail_after(PATIENCE_S):
            await session.run(opening)


async def test_a_script_talks_and_leaves_when_all_is_done(pipe):
    async with triolet.open_engine() as engine:
        pipe.write("hello\ntwo\x1b[31m words\n/edit 3 hullo\n/dance\nwithout an end")
        pipe.end()
        await chat(engine, pipe, Place(user="ben"))

        async with engine.connect("ben") as ben:
            page = await ben.history("dm:anna:ben")

    assert ["hullo", "two words", "without an end"] == [one.body["text"] for one in page.messages]
    assert "[3] anna: hello  ✓" in pipe.lines
    assert "! there is no /dance; /help tells what there is" in pipe.lines


async def test_everything_that_happens_is_a_line(pipe):
    async with (
        triolet.open_engine(limits=triolet.Limits(state_interval_s=0.01)) as engine,
        engine.connect("ben") as ben,
        trio.open_nursery() as nursery,
    ):
        room = (await ben.direct("anna")).room
        await ben.send(room, "before")
        await ben.edit(room, 3, "before that")
        nursery.start_soon(chat, engine, pipe, Place(user="ben"))
        await told(pipe, "* ben (direct)")
        await ben.send(room, "one\ntwo \x1b[2J", reply_to=3)
        await told(pipe, "[5] ben ↳ [3]: one")
        await ben.typing(room)
        await told(pipe, "* ben is typing …")
        await ben.react(room, 3, "👍")
        await told(pipe, "* ben put 👍 to [3]")
        await ben.delete(room, 5)
        await told(pipe, "* ben deleted [5]")
        pipe.write("fine\n")
        await told(pipe, "[8] anna: fine  ✓")
        await ben.receipt(room, read=8)
        await told(pipe, "* [8] ✓✓ read by ben")
        pipe.end()

    assert "[3] ben: before that (edited)" in pipe.lines
    assert "* 1 new" in pipe.lines
    assert "    two " in pipe.lines
    assert "\x1b" not in pipe.output.getvalue()


async def told(pipe, line):
    with trio.fail_after(PATIENCE_S):
        while line not in pipe.lines:
            await pipe.output.bell.wait()


async def test_rooms_are_changed_in_the_middle_of_a_script(pipe):
    async with triolet.open_engine() as engine:
        pipe.write("/create tea\nin tea\n/with ben\nto ben\n/join tea\nagain in tea\n")
        pipe.end()
        await chat(engine, pipe, Place())

        async with engine.connect("anna") as anna:
            tea = await anna.history("tea")
            direct = await anna.history("dm:anna:ben")

    assert ["in tea", "again in tea"] == [one.body["text"] for one in tea.messages]
    assert ["to ben"] == [one.body["text"] for one in direct.messages]


async def test_a_script_that_cannot_go_where_it_speaks_next_says_nothing(pipe):
    async with triolet.open_engine() as engine, engine.connect("ben") as ben:
        room = (await ben.direct("anna")).room
        pipe.write("/join nowhere\nfor nobody's ears\n")
        pipe.end()
        with pytest.raises(ExceptionGroup) as caught:
            await chat(engine, pipe, Place(user="ben"))
        page = await ben.history(room)

    assert caught.group_contains(triolet.Refusal)
    assert () == page.messages


async def test_a_file_may_be_the_input(tmp_path):
    script = tmp_path / "script"
    script.write_text("from a file\n")
    output = io.StringIO()
    async with triolet.open_engine() as engine:
        with script.open("rb") as file:
            reads = type("Reads", (), {"reads": file.fileno(), "output": output})
            await chat(engine, reads, Place(user="ben"))

    assert "anna: from a file  ✓" in output.getvalue()


# --- as a process ------------------------------------------------------------------------


@asynccontextmanager
async def running(folder):
    async with open_server(folder) as server:
        await server.start()
        yield server


def command(server, *arguments):
    url = f"http://127.0.0.1:{server.port}"
    return [sys.executable, "-m", "triolet_api", "chat", url, *arguments]


async def test_lines_are_piped_through_the_process(tmp_path):
    async with running(tmp_path) as server:
        done = await trio.run_process(
            command(server, "--as", "anna", "--data", str(tmp_path), "--with", "ben"),
            stdin=b"hello\n/quit\n",
            capture_stdout=True,
            capture_stderr=True,
        )

    assert "anna: hello  ✓" in done.stdout.decode()
    assert b"\x1b" not in done.stdout
    assert b"" == done.stderr


async def test_what_cannot_be_is_one_line_and_a_status(tmp_path):
    async with running(tmp_path) as server:
        asked_wrongly = await trio.run_process(
            command(server, "--as", "a b", "--data", str(tmp_path)),
            capture_stderr=True,
            check=False,
        )
        refused = await trio.run_process(
            command(server, "--as", "anna", "--data", str(tmp_path), "--room", "dm:ben:carl"),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )

    assert 2 == asked_wrongly.returncode
    assert b"is no name" in asked_wrongly.stderr
    assert 1 == refused.returncode
    assert b"triolet: 3002 no_such_room" in refused.stderr
    assert b"Traceback" not in refused.stderr


async def test_who_reads_no_more_ends_it(tmp_path):
    async with running(tmp_path) as server:
        process = await trio.lowlevel.open_process(
            command(server, "--as", "anna", "--data", str(tmp_path), "--with", "ben"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with process.stdin, process.stderr:
            async with process.stdout:
                await process.stdout.receive_some()
            await process.stdin.send_all(b"hello\n" * 10)
            with trio.fail_after(PATIENCE_S):
                assert 0 == await process.wait()
            assert b"Traceback" not in await process.stderr.receive_some()
