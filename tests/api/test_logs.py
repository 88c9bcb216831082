"""Logs: one line an event, and nothing that would let a reader in."""

import io
import logging
import time
import warnings

import pytest

from triolet.adapters.tokens import mint
from triolet_api.logs import LineFormatter, mask, set_up_logs

TOKEN = mint(b"s" * 32, "anna", ttl_s=60, now_ms=0)


def line_of(message, *args, error=None):
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("triolet.x", logging.INFO, "f", 1, message, args, info)
    record.created = 1_800_000_000.25
    return LineFormatter().format(record)


def raised(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001 - any
        return error
    raise AssertionError


def test_a_line_is_time_level_logger_and_message():
    assert line_of("hello %s", "you") == "2027-01-15T08:00:00.250Z INFO triolet.x hello you"


def test_a_message_cannot_begin_a_line_of_its_own():
    """Neither by a line break nor by what a terminal would obey."""
    line = line_of("a\nb\r\x1b[2Jc\u2028d\x85e")

    assert line.endswith(r"a\nb\r\x1b[2Jc\u2028d\x85e")
    assert line.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        f"GET /ws?token={TOKEN} HTTP/1.1",
        f"/ws?a=1&token={TOKEN}&b=2",
        f"Authorization: Bearer {TOKEN}",
        f"authorization: bearer {TOKEN}",
        f"Hello(token='{TOKEN}')",
        f'{{"op": "hello", "token": "{TOKEN}"}}',
        f"a token: {TOKEN}",
        TOKEN,
        f"eyJ and {TOKEN}.",
    ],
)
def test_tokens_are_masked_wherever_they_are(text):
    _, payload, signature = TOKEN.split(".")

    masked = mask(text)

    assert "***" in masked
    assert payload not in masked
    assert signature not in masked


@pytest.mark.parametrize("name", ["token", "refresh_token", "secret", "password", "TOKEN"])
def test_opaque_values_are_masked_by_their_name(name):
    assert "hunter2" not in mask(f'x {name}=hunter2 y {name}: \'hunter2\', "{name}":"hunter2"')


@pytest.mark.parametrize("before", ["", "x", "token%3D", "a.b."])
def test_a_token_is_masked_however_long_its_head_is(before):
    """A head may hold a chain of certificates (RFC 7515, `x5c`)."""
    text = f"{before}eyJ{'a' * 5000}.{'b' * 5000}.{'c' * 500} said"
    assert mask(text) == f"{before}*** said"


@pytest.mark.parametrize(
    "text", ["://:", "://a:b", "eyJ", "eyJaaaaaaaaa.a", "eyJ.", "a.", "token ", "a"]
)
def test_whatever_is_logged_is_looked_through_in_no_time(text):
    """64 KB that look like the beginning of a secret at each character took 23 s."""
    began = time.process_time()
    mask(text * (65_536 // len(text)))
    assert time.process_time() - began < 2


def test_plain_words_are_left_alone():
    text = "token keys read again: the secret is kept in triolet-data; GET /health?x=1"

    assert mask(text) == text


def test_an_exception_is_told_on_the_same_line():
    def inner():
        raise ValueError(f"bad\n token={TOKEN}")

    def outer():
        try:
            inner()
        except ValueError as error:
            raise RuntimeError("failed") from error

    line = line_of("oops", error=raised(outer))

    assert "\n" not in line
    assert "oops: RuntimeError: failed (" in line
    assert "test_logs.py" in line
    assert " outer" in line
    assert r"from ValueError: bad\n token=***" in line


def test_a_group_tells_each_of_its_errors():
    def outer():
        raise ExceptionGroup("g", [ValueError("one"), KeyError("two")])

    line = line_of("oops", error=raised(outer))

    assert "ExceptionGroup of 2: [ValueError: one" in line
    assert "KeyError: 'two'" in line


def test_a_line_has_an_end():
    assert len(line_of("x" * 100_000)) == 4000


def test_every_logger_and_warning_is_told_from_the_level_up():
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        set_up_logs("info", stream)
        logging.getLogger("triolet.some").info("told")
        logging.getLogger("triolet.some").debug("kept")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("careful", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level

    first, second = stream.getvalue().splitlines()
    assert first.endswith("INFO triolet.some told")
    assert "careful" in second
