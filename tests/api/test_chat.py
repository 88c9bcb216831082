"""`triolet chat` as a command: what it takes, what it refuses, and what it does not load."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from triolet_api.chat import command
from triolet_api.cli import COMMANDS, cli

SECRET = "a secret of no less than 32 bytes"


def invoke(*arguments, **environment):
    return CliRunner().invoke(command, arguments, env={"TRIOLET_SECRET": SECRET} | environment)


def test_the_command_line_finds_it():
    assert command is cli.get_command(None, "chat")
    assert "triolet_api.chat" == COMMANDS["chat"].module


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--room", "tea", "--with", "ben"], "--room or --with, not both"),
        (["--room", "a b"], "--room: a name has letters"),
        (["--with", "a/b"], "--with: a name has letters"),
        (["--as", "a b"], "is no name"),
        (["--dance"], "No such option"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, why):
    result = invoke("--as", "anna", *arguments)

    assert 2 == result.exit_code
    assert why in result.output


def test_the_help_says_what_one_needs():
    output = invoke("--help").output

    for text in ("--as NAME", "--room ROOM", "--with USER", "TRIOLET_TOKEN", "--data"):
        assert text in output


def test_a_url_that_is_none_is_refused():
    result = CliRunner().invoke(
        cli, ["chat", "nonsense", "--as", "anna"], env={"TRIOLET_SECRET": SECRET}
    )

    assert 2 == result.exit_code
    assert "url: 'nonsense' is no ws:, wss:, http: or https: address" in result.output


def test_it_loads_no_web_server():
    """It starts a third of a second sooner without."""
    script = "import sys, triolet_api.chat; print({'quart', 'hypercorn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert b"set()" == done.stdout.strip()
