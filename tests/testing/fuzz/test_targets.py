"""Laws of the targets: each finds the bugs that it is there for, planted one by one."""

from contextlib import contextmanager

import pytest

from triolet._model.commands import Ping
from triolet._wire import codec, frames
from triolet.testing.fuzz.campaign import Budget, run
from triolet.testing.fuzz.readings import Reading
from triolet.testing.fuzz.targets.codec import CodecTarget
from triolet.testing.fuzz.targets.frames import FramesTarget, compare_with_wsproto
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
