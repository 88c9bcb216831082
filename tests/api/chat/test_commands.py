"""What a line means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.chat.commands import (
    HELP,
    Amend,
    Create,
    Delete,
    Help,
    Invite,
    Join,
    Quit,
    React,
    Rooms,
    Say,
    Show,
    Who,
    With,
    Wrong,
    parse,
)

LINES = {
    "hello": Say("hello"),
    "  hello": Say("  hello"),
    "two\nlines": Say("two\nlines"),
    "//shrug": Say("/shrug"),
    "/edit new text": Amend(None, "new text"),
    "/edit 12 new text": Amend(12, "new text"),
    "/edit #12 new text": Amend(12, "new text"),
    "/edit 42": Amend(None, "42"),
    "/EDIT x": Amend(None, "x"),
    "/delete": Delete(None),
    "/delete 12": Delete(12),
    "/delete #12": Delete(12),
    "/react 👍": React(None, "👍"),
    "/react 3 👍": React(3, "👍"),
    "/react :thumbs_up:": React(None, "👍"),
    "/reply yes": Say("yes", None, is_reply=True),
    "/reply 3 yes, it does": Say("yes, it does", 3, is_reply=True),
    "/who": Who(),
    "/rooms": Rooms(),
    "/with ben": With("ben"),
    "/create tea": Create("tea", ()),
    "/create tea ben carl": Create("tea", ("ben", "carl")),
    "/invite ben": Invite("ben"),
    "/join tea": Join("tea"),
    "/online": Show("online"),
    "/away": Show("away"),
    "/dnd": Show("dnd"),
    "/invisible": Show("invisible"),
    "/help": Help(),
    "/quit": Quit(),
}


@pytest.mark.parametrize(("line", "command"), LINES.items(), ids=LINES)
def test_a_line_means(line, command):
    assert command == parse(line)


@pytest.mark.parametrize("line", ["", "   ", "\n"])
def test_an_empty_line_means_nothing(line):
    assert parse(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "/", "/dance", "/edit", "/edit #3", "/delete it", "/react", "/react a b", "/reply",
        "/react " + "x" * 33, "/with", "/with a b", "/create", "/create tea b/n", "/join",
        "/join a b", "/invite b/n",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(line):
    assert isinstance(parse(line), Wrong)


def test_the_help_tells_every_command():
    for line in LINES:
        name = line.split()[0].lower()
        if name.startswith("/") and not name.startswith("//"):
            assert name in HELP


@given(st.text())
def test_every_line_means_something(line):
    parse(line)
    parse("/" + line)
    parse("/edit " + line)
    parse("/react " + line)
