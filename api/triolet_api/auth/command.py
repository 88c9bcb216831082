"""`triolet user`: accounts from the command line, whether the server runs or not."""

import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec
import trio

from triolet._model.errors import ConfigurationError

from ..secret import read_secret
from ..settings import Settings, load_settings
from .administering import AccountChange, AccountToAdd, AccountView
from .desk import Desk, open_desk

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

# 128 bits, in 22 characters.
_GENERATED_BYTES: Final = 16
_PAGE: Final = 500


@click.group("user")
def command() -> None:
    """Add people who sign in by a password, and change what they may.

    While the server runs on this machine it is asked, with its own secret from its data folder;
    otherwise the store is opened.
    """


def _of_a_server(function: Command) -> Command:
    """Give a command the options by which it finds the server."""
    for option in (
        click.option("--url", default="", help="Ask the server at http://HOST:PORT."),
        click.option("--config", type=click.Path(path_type=Path), help="The server's TOML file."),
        click.option("--data", type=click.Path(path_type=Path), help="The server's data folder."),
    ):
        function = option(function)
    return function


def _with_password(function: Command) -> Command:
    """Give a command the options by which it gets a password; else it asks."""
    for option in (
        click.option("--generate", is_flag=True, help="Make a password, and print it once."),
        click.option(
            "--password-file",
            type=click.Path(path_type=Path),
            help="A file whose first line is the password.",
        ),
    ):
        function = option(function)
    return function


@command.command("add")
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="Such as `admin`; may be repeated.")
@click.option("--tier", default="", help="`service` is exempt from rate limits.")
@_with_password
@_of_a_server
def add(
    name: str, roles: tuple[str, ...], tier: str, password_file: Path | None, **options: Any
) -> None:
    """Add an account called NAME."""
    settings = _settings(options)
    password = _password(password_file, generate=options["generate"])
    wanted = _made(AccountToAdd, user=name, password=password, roles=roles, tier=tier)
    added = _run(settings, options["url"], lambda desk: desk.add(wanted))
    _tell(added, password if options["generate"] else "")


@command.command("password")
@click.argument("name")
@_with_password
@_of_a_server
def password(name: str, password_file: Path | None, **options: Any) -> None:
    """Give NAME another password; all sign-ins end."""
    settings = _settings(options)
    chosen = _password(password_file, generate=options["generate"])
    changed = _change(settings, options, name, password=chosen)
    _tell(changed, chosen if options["generate"] else "")


@command.command("disable")
@click.argument("name")
@_of_a_server
def disable(name: str, **options: Any) -> None:
    """Let NAME in no more; all sign-ins end."""
    _tell(_change(_settings(options), options, name, disabled=True))


@command.command("enable")
@click.argument("name")
@_of_a_server
def enable(name: str, **options: Any) -> None:
    """Let NAME in again."""
    _tell(_change(_settings(options), options, name, disabled=False))


@command.command("roles")
@click.argument("name")
@click.argument("roles", nargs=-1)
@click.option("--tier", help="Another tier, too.")
@_of_a_server
def roles(name: str, roles: tuple[str, ...], tier: str | None, **options: Any) -> None:
    """Let NAME have just these ROLES, or none."""
    _tell(_change(_settings(options), options, name, roles=roles, tier=tier))


@command.command("remove")
@click.argument("name")
@click.confirmation_option(prompt="All sign-ins end, and the name stays taken. Remove it?")
@_of_a_server
def remove(name: str, **options: Any) -> None:
    """Remove the account of NAME; what they wrote stays."""
    _run(_settings(options), options["url"], lambda desk: desk.remove(name))
    click.echo(f"{name} is removed")


@command.command("list")
@_of_a_server
def list_all(**options: Any) -> None:
    """List accounts: name, roles, tier, since when, and whether they are disabled."""

    async def tell_all(desk: Desk) -> None:
        after, is_first = "", True
        while after or is_first:
            page = await desk.page(after=after, limit=_PAGE)
            for one in page.accounts:
                click.echo(_row(one))
            after, is_first = page.after, False

    _run(_settings(options), options["url"], tell_all)


def _settings(options: dict[str, Any]) -> Settings:
    data = {"data": options["data"]}
    return load_settings(environ=os.environ, config=options["config"], options=data)


def _run(settings: Settings, url: str, act: Callable[[Desk], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_desk(settings, url) as desk:
            return await act(desk)

    return trio.run(run)


def _change(settings: Settings, options: dict[str, Any], name: str, **what: object) -> AccountView:
    change = _made(AccountChange, **what)
    return _run(settings, options["url"], lambda desk: desk.change(name, change))


def _made(kind: type[T], **fields: object) -> T:
    """Return a Struct of what was said, checked as one that comes over HTTP is."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None


def _password(file: Path | None, *, generate: bool) -> str:
    if generate:
        if file is not None:
            raise click.UsageError("--generate and --password-file are two ways")
        return secrets.token_urlsafe(_GENERATED_BYTES)
    if file is not None:
        try:
            return read_secret(file).reveal().decode().splitlines()[0]
        except UnicodeDecodeError:
            raise ConfigurationError(f"{file} is no text") from None
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: use --password-file or --generate")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


def _tell(account: AccountView, password: str = "") -> None:
    click.echo(_row(account))
    if password:
        click.echo(f"password: {password}")


def _row(account: AccountView) -> str:
    since = datetime.fromtimestamp(account.created / 1000, UTC).date().isoformat()
    said = [account.user, ",".join(account.roles) or "-", account.tier or "-", since]
    return "\t".join(said + ["disabled"] * account.disabled)
