"""Laws of the targets: each finds the bugs that it is there for, planted one by one."""

import re
from contextlib import contextmanager

import pytest
import trio

from triolet._model.commands import Ping
from triolet._runtime import native, session
from triolet._runtime.ops import live
from triolet._wire import codec, frames, handshake
from triolet.testing.fuzz import campaign
from triolet.testing.fuzz.campaign import Budget, run
from triolet.testing.fuzz.readings import Reading
from triolet.testing.fuzz.targets.codec import CodecTarget
from triolet.testing.fuzz.targets.edge import EdgeTarget
from triolet.testing.fuzz.targets.frames import FramesTarget, compare_with_wsproto
from triolet.testing.fuzz.targets.head import HeadTarget
from triolet.testing.fuzz.violation import Violation


def found(target, units=40_000):
    """Return what a campaign finds within so many units."""
    report = run(target, seed=1, budget=Budget(units=units), advanced=lambda _share: None)
    return report.failure and report.failure.what


# --- frames --------------------------------------------------------------------------------


def _needed_too_little(data, at, size_max, *, real=frames._needed):
    return max(2, real(data, at, size_max) - 1)


def _no_limit(data, at, size_max, *, real=frames._needed):
    del size_max
    return real(data, at, 1 << 62)


FRAME_BUGS = {
    "a UTF-8 check that accepts all": ("_is_utf8", lambda _payload: True),
    "a UTF-8 check that refuses what is not ASCII": ("_is_utf8", bytes.isascii),
    "masking that forgets the key": ("apply_mask", lambda data, _key: bytes(data)),
    "a frame given up one byte early": ("_needed", _needed_too_little),
    "a limit that does not hold": ("_needed", _no_limit),
    "a reserved opcode that is waited for": ("_OPCODES", frozenset(range(16))),
    "an empty pong that is taken for any": ("_EMPTY_PONG", b"\x8a"),
    "text read as binary": ("_FIN_TEXT", frames._FIN_BINARY),
    "fewer fragments than allowed": ("FRAGMENTS_MAX", 2),
}


@pytest.mark.parametrize("bug", FRAME_BUGS)
def test_bugs_of_the_reader_are_found(bug, monkeypatch):
    name, planted = FRAME_BUGS[bug]
    monkeypatch.setattr(frames, name, planted)

    assert found(FramesTarget()) is not None


def test_pongs_that_are_not_sent_are_found(monkeypatch):
    monkeypatch.setattr(frames.FrameReader, "take_replies", lambda _reader: b"")

    assert "pongs" in found(FramesTarget()) or "close frame" in found(FramesTarget())


@pytest.mark.parametrize(
    ("ours", "theirs", "is_found"),
    [
        (Reading(messages=[b"a"]), Reading(messages=[b"a"]), False),
        (Reading(messages=[b"a"]), Reading(messages=[b"b"]), True),
        (Reading(messages=[b"a"]), Reading(), True),
        (Reading(), Reading(code=1002, failed=True), True),
        (Reading(is_open_ended=True), Reading(code=1002, failed=True), False),
        (Reading(code=1002, failed=True), Reading(), True),
        (Reading(code=1009, failed=True), Reading(messages=[b"large"]), False),
        (Reading(code=1000), Reading(code=1001), True),
        (Reading(code=1002, failed=True), Reading(code=1000, is_open_ended=True), False),
        (Reading(code=1014), Reading(code=1002, failed=True), False),
    ],
)
def test_wsproto_is_believed_where_there_is_no_choice(ours, theirs, is_found):
    @contextmanager
    def expected():
        if is_found:
            with pytest.raises(Violation):
                yield
        else:
            yield

    with expected():
        compare_with_wsproto(ours, theirs, text=False)


# --- codec ---------------------------------------------------------------------------------


def _raises(payload):
    if len(payload) > 40:
        raise KeyError("a decoder's bug")
    return Ping()


CODEC_BUGS = {
    "an error that is not caught": ("_UNREADABLE", (codec.msgspec.ValidationError,)),
    "an explanation as long as the value": ("EXPLANATION_CHARS_MAX", 100_000),
    "a ref of any size": ("INTEGER_MAX", 1 << 80),
    "a decoder that raises": ("_msgpack_command", _raises),
}


@pytest.mark.parametrize("bug", CODEC_BUGS)
def test_bugs_of_the_codec_are_found(bug, monkeypatch):
    name, planted = CODEC_BUGS[bug]
    monkeypatch.setattr(codec, name, planted)

    assert found(CodecTarget()) is not None


def test_a_command_that_is_another_in_the_other_format_is_found(monkeypatch):
    real = codec._json_command
    monkeypatch.setattr(codec, "_json_command", lambda payload: real(payload.lower()))

    assert "another one" in found(CodecTarget())


# --- heads ---------------------------------------------------------------------------------

HEAD_BUGS = {
    "a body is no reason to refuse": ("_is_plain", lambda _headers: True),
    "a key of any length": ("_KEY", re.compile(rb".*").fullmatch),
    "the token of a list is not looked for": ("_names_upgrade", lambda _connection: True),
    "no upgrade is the engine's": ("_UPGRADE", lambda _head: None),
    "the first of two values counts": ("_SINGLE", ()),
    "a blank before the colon": (
        "_HEAD",
        re.compile(rb"GET (/[\x21-\x7e]*+) HTTP/1\.1\r\n(?:[^\r\n]*\r\n)*\r\n").fullmatch,
    ),
    "the response repeats what was sent": ("_text", lambda value: value and value.decode() + "x"),
}


@pytest.mark.parametrize("bug", HEAD_BUGS)
def test_bugs_of_the_handshake_are_found(bug, monkeypatch):
    name, planted = HEAD_BUGS[bug]
    monkeypatch.setattr(handshake, name, planted)

    assert found(HeadTarget(), units=6_000) is not None


# --- whole connections ---------------------------------------------------------------------


def _fails(*_args, **_kwargs):
    raise KeyError("a bug")


def _leaves_a_task(connection, real=native.NativeConnection._end):
    real(connection)
    connection._nursery.start_soon(trio.sleep_forever)


async def _never(_session):
    await trio.sleep_forever()


EDGE_BUGS = {
    "a handler that raises": (live, "_receipt_slowly", _fails, ("a bug of ours is told",)),
    "a codec that raises": (session, "BadCommand", ZeroDivisionError, ("a bug of ours is told",)),
    "a task that outlives its connection": (
        native.NativeConnection, "_end", _leaves_a_task, ("is left of a connection",),
    ),
    "a reader that is read although it never reads": (
        session.Session, "is_busy", lambda _session: False,
        ("holds more than its bound",),
    ),
    # By the order of the tasks: the client that waits is looked at, or goes before that.
    "a wait that does not end": (
        session.Session, "wait_ready", _never, ("does not read on", "is left of a connection"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", EDGE_BUGS)
def test_bugs_of_the_edge_and_the_session_are_found(bug, monkeypatch):
    where, name, planted, words = EDGE_BUGS[bug]
    monkeypatch.setattr(where, name, planted)
    # To make it small is shown elsewhere; here it takes seconds.
    monkeypatch.setattr(campaign, "_SMALL_S", 0.0)

    what = found(EdgeTarget(), units=12_000)

    assert what is not None
    assert any(some in what for some in words)
