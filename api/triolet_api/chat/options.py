"""The command line of `triolet chat`: where to, as whom, and to which room."""

import getpass
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

import click
import trio
from msgspec import Struct

from triolet import connect
from triolet._model.errors import ConfigurationError, ErrorCode, Refusal
from triolet._model.ids import DIRECT_PREFIX, is_room, is_user
from triolet.adapters.tokens import mint
from triolet.adapters.tokens.jwt import read_claims, take_apart
from triolet.client import Backoff

from ..settings import load_settings
from ..token import secret_of
from . import words
from .blocks import Look, Palette
from .commands import Rooms
from .deeds import execute, join, plain
from .face import Face
from .plain import Plain
from .screen import Screen
from .session import Chat
from .terminal import Terminal
from .text import clean_line

_DAY_S: Final = 86_400.0
# Somebody is looking: come back sooner than a program would.
_BACKOFF: Final = Backoff(base_s=1, ceiling_s=10)
# A script does not wait for a server that is not there.
CONNECT_TIMEOUT_S: Final = 30
_ADDRESS: Final = "http://127.0.0.1:8000"


@final
class Person(Struct, frozen=True):
    """Who chats, and what proves it: a token, or what makes one whenever it is needed."""

    name: str
    token: str | Callable[[], str]


@final
class Place(Struct, frozen=True):
    """Where to go first; both empty: the lobby."""

    room: str = ""
    user: str = ""


@click.command("chat")
@click.argument("url", default=_ADDRESS, envvar="TRIOLET_URL")
@click.option("--as", "name", metavar="NAME", help="Who you are; your login name if not told.")
@click.option("--token", envvar="TRIOLET_TOKEN", help="A token; or in TRIOLET_TOKEN.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The folder of a server on this machine, whose secret signs your token.",
)
@click.option("--config", type=click.Path(path_type=Path), help="The server's TOML file.")
@click.option("--secret-file", type=click.Path(path_type=Path), help="A file with the secret.")
@click.option("--room", metavar="ROOM", help="Go there; made, open to all, if there is none.")
@click.option("--with", "user", metavar="USER", help="Talk with somebody.")
def command(
    url: str,
    *,
    name: str | None,
    token: str | None,
    data: Path | None,
    config: Path | None,
    secret_file: Path | None,
    room: str | None,
    user: str | None,
) -> None:
    """Chat in the terminal with the server at URL, by default the one on this machine.

    Without a terminal, lines are read and written, so that it can be scripted.
    """
    person = who_is(name, token, data=data, config=config, secret_file=secret_file)
    if room and user:
        raise click.UsageError("--room or --with, not both")
    if room and not is_room(room):
        raise click.UsageError("--room: a name has letters, digits and _.:@-")
    if user and not is_user(user):
        raise click.UsageError("--with: a name has letters, digits and _.@-")
    for text in trio.run(_chat, url, person, Place(room or "", user or "")):
        click.echo(f"not sent: {text}", err=True)


# --- who I am ------------------------------------------------------------------------------


def who_is(
    name: str | None,
    token: str | None,
    *,
    data: Path | None = None,
    config: Path | None = None,
    secret_file: Path | None = None,
) -> Person:
    """Return who chats: whom the token names, or whoever is named, by the server's secret.

    Raises:
        ConfigurationError: there is no secret here, or the token is none.
        click.UsageError: the name is none, or another than the token's.
    """
    is_local = data or config or secret_file
    if token and not is_local:
        holder = _holder_of(token)
        if name and name != holder:
            raise click.UsageError(f"the token is {holder}'s, not {name}'s")
        return Person(holder, token)
    name = name or _login_name()
    if not is_user(name):
        raise click.UsageError(f"--as: {name!r} is no name: letters, digits and _.@-")
    options = {"data": data, "secret_file": secret_file}
    settings = load_settings(environ=os.environ, config=config, options=options)
    secret = secret_of(settings).reveal()

    def make() -> str:
        return mint(
            secret,
            name,
            ttl_s=_DAY_S,
            now_ms=_now_ms(),
            issuer=settings.issuer,
            audience=settings.audience[0] if settings.audience else "",
        )

    return Person(name, make)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("--as: who are you? This machine does not know") from None


def _holder_of(token: str) -> str:
    """Return whom a token names; whether it is good is the server's to say."""
    try:
        return read_claims(take_apart(token).payload).sub
    except Refusal as refusal:
        raise ConfigurationError(f"token: {refusal.message}") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- the chat ------------------------------------------------------------------------------


async def _chat(url: str, person: Person, place: Place) -> list[str]:
    """Chat, and return what could not be sent."""
    calendar = words.Calendar()
    is_terminal = _is_terminal()
    async with connect(
        url,
        token=person.token,
        backoff=_BACKOFF,
        # A terminal shows how the connection comes about; a script had better fail.
        start_offline=is_terminal,
        connect_timeout_s=CONNECT_TIMEOUT_S,
    ) as client:
        face: Face = Plain(sys.stdin.fileno(), sys.stdout, calendar)
        if is_terminal:
            terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno())
            face = Screen(terminal, Look(calendar, Palette()), calendar=calendar, now_ms=_now_ms)
        chat = Chat(
            client,
            face,
            me=person.name,
            address=urlsplit(url).netloc,
            calendar=calendar,
            now_ms=_now_ms,
            is_strict=not is_terminal,
        )
        with _logs_shown(chat):
            await chat.run(partial(_open, chat, place))
        return list(chat.unsent.values())


def _is_terminal() -> bool:
    is_smart = os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return is_smart and sys.stdin.isatty() and sys.stdout.isatty()


async def _open(chat: Chat, place: Place) -> None:
    """Go where the command line says; in a terminal, what is refused is told."""
    try:
        if place.user:
            await chat.enter((await chat.client.direct(place.user)).room)
        elif place.room:
            await _open_room(chat, place.room)
        else:
            await execute(chat, Rooms())
    except Refusal as refusal:
        if chat.is_strict:
            raise
        chat.tell(plain(refusal), is_error=True)


async def _open_room(chat: Chat, room: str) -> None:
    try:
        await join(chat, room)
    except Refusal as refusal:
        if refusal.code is not ErrorCode.NO_SUCH_ROOM or room.startswith(DIRECT_PREFIX):
            raise
        try:
            await chat.client.create("group", room=room, public=True)
        except Refusal as taken:
            # Somebody was faster, and it is open; or there is one that is not for us.
            if taken.code is not ErrorCode.ALREADY_EXISTS:
                raise
        await join(chat, room)


@contextmanager
def _logs_shown(chat: Chat) -> Iterator[None]:
    """Have warnings told among the messages: on stderr they would tear the screen."""
    logger = logging.getLogger("triolet")
    handler = _Teller(chat)
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


@final
class _Teller(logging.Handler):
    def __init__(self, chat: Chat) -> None:
        super().__init__(logging.WARNING)
        self._chat = chat

    def emit(self, record: logging.LogRecord) -> None:
        self._chat.tell(clean_line(record.getMessage()), is_error=True)
