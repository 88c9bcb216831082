"""The command line: found quickly, told in one line, exited with a status that means something."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from triolet import __version__
from triolet._model.errors import ConfigurationError, SchemaTooNew, StoreUnavailable
from triolet_api.cli import COMMANDS, Entry, cli


@pytest.fixture
def run():
    def run(*args, env=None):
        return CliRunner().invoke(cli, args, env=env, prog_name="triolet")

    return run


@pytest.fixture
def install(monkeypatch):
    """Add a command that does what it is given."""

    def install(function, name="extra"):
        module = ModuleType(f"triolet_{name}")
        module.__spec__ = ModuleSpec(module.__name__, None)
        module.command = click.command(name)(function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, name, Entry(module.__name__, "Does something."))

    return install


def test_help_lists_every_command_that_is_installed(run, monkeypatch):
    monkeypatch.setitem(COMMANDS, "absent", Entry("triolet_absent", "Is not there."))

    result = run("--help")

    assert result.exit_code == 0
    assert "serve  Run the server." in result.output
    assert "token  Print a token for a user." in result.output
    assert "absent" not in result.output


def test_version(run):
    assert run("--version").output == f"triolet {__version__}\n"


@pytest.mark.parametrize("args", [("nonsense",), ("serve", "--nonsense"), ("token",)])
def test_what_is_not_understood_is_status_2(run, args):
    assert run(*args).exit_code == 2


def test_a_command_is_added_by_a_line(run, install):
    install(lambda: click.echo("did it"))

    assert "extra  Does something." in run("--help").output
    assert run("extra").output == "did it\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("TRIOLET_PORT: no"), 2),
        (StoreUnavailable("disk\nis full"), 1),
        (SchemaTooNew("newer"), 1),
        (ExceptionGroup("g", [ExceptionGroup("h", [ConfigurationError("TRIOLET_PORT: no")])]), 2),
    ],
)
def test_errors_of_ours_are_one_line(run, install, error, status):
    def fail():
        raise error

    install(fail)

    result = run("extra")

    assert result.exit_code == status
    assert result.output.startswith("triolet: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ExceptionGroup("g", [ConfigurationError("x"), KeyError("y")])]
)
def test_bugs_are_not_hidden(run, install, error):
    def fail():
        raise error

    install(fail)

    assert run("extra").exception is error


def test_help_loads_no_server():
    """`triolet chat` must not wait for what only `serve` needs."""
    program = (
        "import sys; from triolet_api.cli import cli; cli(['--help'], standalone_mode=False);"
        "print([n for n in ('quart', 'hypercorn', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=120, check=True
    )

    assert done.stdout.splitlines()[-1] == b"[]"
