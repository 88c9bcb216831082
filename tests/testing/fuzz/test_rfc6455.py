"""Law: the engine's own listener keeps RFC 6455, clause by clause, however a stream is cut.

And the judge is just: it sees each kind of wrong answer, planted one by one.
"""

import threading
from contextlib import contextmanager

import pytest
import trio

from triolet._runtime import native
from triolet._wire import frames, handshake
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet.testing.__main__ import main
from triolet.testing.fuzz.rfc6455 import play as player
from triolet.testing.fuzz.rfc6455.cases import CASES
from triolet.testing.fuzz.rfc6455.play import CHOPS, pieces, play
from triolet.testing.fuzz.violation import Violation


class Gate:
    async def admit(self, token, _opening):
        await trio.lowlevel.checkpoint()
        return Identity(user=token, expires_at=FOREVER, tier="service")

    def may(self, *_who, **_what):
        return None


@contextmanager
def serving():
    """Run an engine that listens, in a thread of its own; yield its URL."""
    found, is_up, end = [], threading.Event(), []

    async def serve():
        async with open_engine(gate=Gate()) as engine:
            found.extend(await engine.listen("127.0.0.1", 0))
            over = trio.Event()
            token = trio.lowlevel.current_trio_token()
            end.append(lambda: token.run_sync_soon(over.set))
            is_up.set()
            await over.wait()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert is_up.wait(30)
    try:
        yield "ws://{}:{}/ws".format(*found)
    finally:
        end[0]()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def url():
    with serving() as url:
        yield url


@pytest.mark.parametrize("chop", CHOPS)
def test_every_case_holds(url, chop):
    broken = []
    for case in CASES:
        try:
            play(case, url, "anna", chop)
        except Violation as error:
            broken.append((case.clause, case.name, str(error)))

    assert broken == []


def test_the_table_covers_what_it_says():
    """Sections 1 to 7, 9, 10 and 12; each code, each reserved bit and opcode."""
    names = [case.name for case in CASES]

    assert {name.split(":")[0].split(".")[0] for name in names} == set("12345679") | {"10", "12"}
    assert len(set(names)) > 150
    assert {case.close for case in CASES} >= {None, 1000, 1002, 1003, 1005, 1007, 1009, 3000, 4999}


@pytest.mark.parametrize("chop", CHOPS)
def test_a_cut_loses_nothing(chop):
    for case in CASES:
        assert b"".join(pieces(case.frames, chop)) == b"".join(case.frames)


# Nothing that needs long to fail: one in three.
SOME = CASES[::3] + CASES[-60:]
BUGS = {
    "text is not looked at": (frames, "_is_utf8", lambda _payload: True),
    "an echo overtakes what was said": (
        native.NativeConnection, "_answer_controls",
        lambda connection: connection.outbox.reply(connection._reader.take_replies()),
    ),
    "an extension is agreed to": (
        handshake, "_SWITCHING",
        handshake._SWITCHING.replace(b"Sec-", b"Sec-WebSocket-Extensions: x\r\nSec-", 1),
    ),
    "few fragments are too many": (frames, "FRAGMENTS_MAX", 3),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_what_breaks_a_clause_is_seen(bug, monkeypatch):
    monkeypatch.setattr(*BUGS[bug])
    monkeypatch.setattr(player, "TIMEOUT_S", 1.0)
    with serving() as url:
        broken = []
        for case in SOME:
            try:
                play(case, url, "anna", "whole")
            except (Violation, EOFError):
                broken.append(case.name)
                break

    assert broken != []


def test_the_command_plays_them_and_tells(url, monkeypatch, capsys):
    monkeypatch.setattr("triolet.testing.fuzz.command.CASES", CASES[:3])
    assert main(["fuzz", "--rfc6455", url, "--token", "anna"]) == 0
    assert "3 cases in 4 cuts, 0 broken" in capsys.readouterr().out
    assert main(["fuzz", "--rfc6455", url + "/elsewhere", "--token", "anna"]) == 1
    assert "12 broken" in capsys.readouterr().out
