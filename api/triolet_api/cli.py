"""The command line: which commands there are, each loaded when it is asked for.

Exit status: 0 done; 1 it failed; 2 it was asked wrongly, or settings cannot work.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Final, NoReturn, final

import click
from msgspec import Struct

from triolet import __version__
from triolet._model.errors import ConfigurationError, TrioletError

from .logs import mask


@final
class Entry(Struct, frozen=True):
    """A command: its module, whose `command` is a click command, and what it does."""

    module: str
    help: str


# A command is added by a line here; a module that is not installed is not shown.
COMMANDS: Final[dict[str, Entry]] = {
    "serve": Entry("triolet_api.serve", "Run the server."),
    "token": Entry("triolet_api.token", "Print a token for a user."),
    "user": Entry("triolet_api.auth.command", "Add people who sign in, and change what they may."),
    "keys": Entry(
        "triolet_api.auth.rotation", "Show the keys that sign tokens, and add a new one."
    ),
    "copy": Entry("triolet_api.copy", "Copy a store into another one."),
    "chat": Entry("triolet_api.chat", "Chat in the terminal."),
    "demo": Entry("triolet_api.demo", "Show what it does, in one command."),
}


class Failure(click.ClickException):
    """An error told in one line."""

    def show(self, file: object = None) -> None:
        """Print it to stderr, whatever `file` is."""
        del file
        click.echo(f"triolet: {mask(' '.join(self.message.split()))}", err=True)


@final
class Misuse(Failure):
    """Settings that cannot work."""

    exit_code = 2


@final
class Commands(click.Group):
    """A group that imports a command's module when it is run, and no sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are installed."""
        del ctx
        return [name for name, entry in COMMANDS.items() if find_spec(entry.module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(COMMANDS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors of ours are told in one line."""
        try:
            return super().invoke(ctx)
        except (TrioletError, ExceptionGroup) as error:
            _fail(error)


def _fail(error: Exception) -> NoReturn:
    """Tell an error of ours, alone or as the only one of a nursery's group; raise any other."""
    cause = error
    while isinstance(cause, ExceptionGroup) and len(cause.exceptions) == 1:
        (cause,) = cause.exceptions
    if not isinstance(cause, TrioletError):
        raise error
    kind = Misuse if isinstance(cause, ConfigurationError) else Failure
    raise kind(str(cause)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="triolet %(version)s")
def cli() -> None:
    """Triolet, a realtime messaging engine: rooms, receipts, presence, and nothing lost."""
