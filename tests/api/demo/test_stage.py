"""The stage: two columns, or named lines where it is narrow; never wider than the screen."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from triolet_api.demo.proof import Row, Verdict
from triolet_api.demo.stage import Stage


def played(width, play):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    stage = Stage(console, ("anna", "ben"), ("magenta", "cyan"))
    play(stage)
    return console.file.getvalue().splitlines()


def test_each_screen_has_its_column():
    def play(stage):
        stage.heads()
        stage.tell("anna", Text("left"))
        stage.tell("ben", Text("right"))

    heads, rule, left, right = played(80, play)

    middle = heads.index("│")
    assert "┼" == rule[middle]
    assert ("left", "│") == (left.split()[0], left[middle])
    assert "right" == right[middle + 2 :]


def test_where_it_is_narrow_lines_are_named():
    def play(stage):
        stage.heads()
        stage.tell("anna", Text("left"))
        stage.tell("ben", Text("right"))

    assert ["  anna │ left", "  ben  │ right"] == played(50, play)


def test_long_lines_go_on_under_their_beginning():
    lines = played(
        80, lambda stage: stage.tell("anna", Text("12  anna  " + "word " * 12), indent=10)
    )

    assert lines[0].startswith("  12  anna  word")
    assert lines[1].startswith(" " * 12 + "word")


@pytest.mark.parametrize("width", [40, 60, 72, 80, 200])
def test_no_line_is_wider_than_the_screen(width):
    def play(stage):
        stage.title("Title", "a subtitle that is long " * 4)
        stage.scene("a scene with a long name " * 4)
        stage.aside("something aside that is long " * 4)
        stage.heads()
        for name in ("anna", "ben"):
            stage.tell(name, Text(" 3  anna  " + "漢字 " * 60), indent=10)
        stage.verdict(Verdict((Row("messages", (1, 2)),), ("a fault that is long " * 4,)))

    assert all(cell_len(line) <= width for line in played(width, play))


def test_the_verdict_says_that_nothing_was_lost_or_what_was():
    rows = (Row("messages written", (20, 21)),)

    good = played(80, lambda stage: stage.verdict(Verdict(rows, ())))
    bad = played(80, lambda stage: stage.verdict(Verdict(rows, ("anna: “x” is nowhere",))))

    assert any(line.split() == ["messages", "written", "20", "21"] for line in good)
    assert "  ✓ nothing was lost" in good
    assert "  ✗ anna: “x” is nowhere" in bad
    assert not any("nothing was lost" in line for line in bad)
