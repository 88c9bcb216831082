"""The command of the kit: what it takes, and its exit status."""

import pytest

from triolet.testing.__main__ import main

# The programs that are judged.
pytestmark = pytest.mark.processes


def test_the_command_says_what_it_cannot_play(capsys):
    """Exit status 2 is misuse, and tells which word was wrong."""
    assert main(["conformance", "--only", "tea", "--", "true"]) == 2
    assert "tea" in capsys.readouterr().err
    assert main(["conformance"]) == 2


def test_the_command_lists_and_judges(capsys):
    """A program that does nothing fails with 1."""
    assert main(["conformance", "--list"]) == 0
    assert "lost-answer" in capsys.readouterr().out
    assert main(["conformance", "--only", "talk", "--", "true"]) == 1
    assert "0 of 1 scenes passed" in capsys.readouterr().out
