"""What is under test: where clients reach it, who may, and which of its processes can be struck.

`Served` is a `triolet serve` of our own, `Cluster` several over one store (`cluster`);
`Deployed` is somebody's, by its address, whose network can be made bad but whose processes are
not ours. Another system is one more class with these members.
"""

import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, final

import trio

from ..._model.errors import ConfigurationError
from ...adapters.tokens import mint
from ...client._link import websocket_url
from ..checker import Bounds
from ..services.processes import held_port
from .backings import Backing, Links
from .process import Process

TOKEN_TTL_S: Final = 24 * 3600
ANNOUNCEMENT: Final = re.compile(rb"http://127\.0\.0\.1:([0-9]+)")
# A half-open connection is noticed within seconds, and a drain does not take two. With a
# heartbeat of 1 s a starved machine took clients that waited for the processor for dead.
SETTINGS: Final = {
    "TRIOLET_LIMIT_HEARTBEAT_S": "2",
    "TRIOLET_LIMIT_DRAIN_WINDOW_S": "0.2",
    "TRIOLET_LIMIT_GRACE_S": "2",
    "TRIOLET_LOG_LEVEL": "warning",
}
# What follows from them; a silent client is let go after two heartbeats.
BOUNDS: Final = Bounds(grace_s=2, silence_s=6)


class System(Protocol):
    """What the harness needs to know of a system."""

    @property
    def urls(self) -> Sequence[str]:
        """Where clients reach its nodes, the same for its whole life."""
        ...

    @property
    def processes(self) -> Mapping[str, Process]:
        """Those that may be struck, by name; each is brought back by `start`."""
        ...

    @property
    def backings(self) -> Sequence[Backing]:
        """What the processes are backed by, and share."""
        ...

    @property
    def links(self) -> Mapping[str, Links]:
        """The ways of each process to what it is backed by, by the process's name."""
        ...

    @property
    def data(self) -> Path | None:
        """Where its files are that a full disk would keep from growing."""
        ...

    @property
    def bounds(self) -> Bounds:
        """How long what it tells of people may lag behind them."""
        ...

    def token(self, user: str) -> str:
        """Return a token for `user`, good for the whole run."""
        ...


@final
class Served:
    """A real `triolet serve`, SQLite in a folder."""

    backings: Sequence[Backing] = ()
    links: Mapping[str, Links] = {}

    def __init__(
        self, folder: Path, port: int, command: Sequence[str], settings: Mapping[str, str]
    ) -> None:
        self.data: Path | None = folder
        self.bounds = BOUNDS
        self._folder = folder
        self._start = tuple(command)
        self._port = port
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRIOLET_")}
        self._secret = secrets.token_urlsafe(48)
        environment = inherited | SETTINGS | dict(settings) | {"TRIOLET_SECRET": self._secret}
        self.process = Process(self._command, ANNOUNCEMENT, environment, folder / "server.log")
        self.processes = {"server": self.process}

    def _command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--data", str(self._folder)]
        return [*self._start, "serve", *where]

    @property
    def urls(self) -> Sequence[str]:
        """Where clients reach it."""
        return (f"ws://127.0.0.1:{self._port}/ws",)

    def token(self, user: str) -> str:
        """Return a token by the secret that we gave it."""
        return mint_token(self._secret.encode(), user)


@final
class Deployed:
    """Somebody's deployment, by its address.

    Args:
        url: where its clients connect.
        secret: what signs its tokens (HS256); or
        token_command: what prints one, `{user}` in it replaced: `triolet token {user}`.
        grace_s: its `grace_s`: how long somebody is shown who has gone.

    Raises:
        ConfigurationError: the URL is none, or not just one way to tokens was given.
    """

    processes: Mapping[str, Process] = {}
    backings: Sequence[Backing] = ()
    links: Mapping[str, Links] = {}
    data: Path | None = None

    def __init__(
        self, url: str, *, secret: bytes = b"", token_command: str = "", grace_s: float = 10
    ) -> None:
        if bool(secret) == bool(token_command):
            raise ConfigurationError("--url: give --secret-file or --token-command, one of them")
        self.urls: Sequence[str] = (websocket_url(url),)
        self._secret = secret
        self._token_command = token_command
        self.bounds = Bounds(grace_s=grace_s)

    def token(self, user: str) -> str:
        """Return a token by the secret, or by the command."""
        if self._secret:
            return mint_token(self._secret, user)
        command = [part.replace("{user}", user) for part in shlex.split(self._token_command)]
        # The person who runs this says which program it is.
        try:
            said = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            why = getattr(error, "stderr", "") or error
            raise ConfigurationError(f"--token-command: {why}") from None
        return said.stdout.strip()


def mint_token(secret: bytes, user: str) -> str:
    """Return a token for `user`, good for a whole run."""
    return mint(secret, user, ttl_s=TOKEN_TTL_S, now_ms=int(time.time() * 1000))


@asynccontextmanager
async def open_served(
    folder: Path, *, command: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Have a server of our own for the length of a block; its process ends in every case.

    Args:
        folder: where its data goes.
        command: what runs it, instead of this Python's `triolet`; `serve …` is added.
        settings: `TRIOLET_…` variables, besides `SETTINGS`.
    """
    command = command or (sys.executable, "-m", "triolet_api")
    with held_port() as port:
        served = Served(folder, port, command, settings or {})
        try:
            await served.process.start()
            yield served
        finally:
            with trio.CancelScope(shield=True):
                await served.process.kill()
