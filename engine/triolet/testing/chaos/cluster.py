"""Several nodes over one database and one bus, each behind ways of its own that can be cut."""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit, urlunsplit

import trio

from ..checker import Bounds
from ..services.postgres import run_postgres
from ..services.processes import held_port
from ..services.redis import run_redis
from .backings import BUS, STORE, Backing, Links, Role
from .process import Process
from .proxy import Proxy, open_proxy
from .system import ANNOUNCEMENT, BOUNDS, SETTINGS, mint_token

# A beat a second, and four of them may be lost: a node that is starved of the processor is not
# taken for dead, one that is frozen for seven seconds is.
_LEASE_S: Final = 5
_BEAT_S: Final = 1
_CHECK_S: Final = 2
CLUSTER_SETTINGS: Final = {
    **SETTINGS,
    "TRIOLET_LIMIT_PRESENCE_LEASE_S": str(_LEASE_S),
    "TRIOLET_LIMIT_PRESENCE_HEARTBEAT_S": str(_BEAT_S),
    "TRIOLET_LIMIT_PRESENCE_CHECK_S": str(_CHECK_S),
}
# Who has gone with a node is seen until its lease ends, and somebody looks.
CLUSTER_BOUNDS: Final = Bounds(
    grace_s=BOUNDS.grace_s, silence_s=BOUNDS.silence_s, lease_s=_LEASE_S + _BEAT_S + _CHECK_S
)


@final
class Node:
    """One `triolet serve`.

    Args:
        name: its name, in the history.
        port: where it listens, on 127.0.0.1, whenever it runs.
        command: what runs it.
        environment: its variables.
        folder: where it complains, and keeps what is its own.
        links: its ways to what it is backed by.
    """

    def __init__(
        self,
        name: str,
        port: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        links: Links,
    ) -> None:
        self.name = name
        self.links = links
        self.port = port
        self._start = tuple(command)
        self._folder = folder
        log = folder.with_suffix(".log")
        self.process = Process(self._command, ANNOUNCEMENT, environment, log)

    def _command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--data", str(self._folder)]
        return [*self._start, "serve", *where]


@final
class Cluster:
    """See the module; made by `open_cluster`."""

    data: Path | None = None
    bounds: Bounds = CLUSTER_BOUNDS

    def __init__(self, nodes: Sequence[Node], backings: Sequence[Backing], secret: str) -> None:
        self.nodes = tuple(nodes)
        self.backings = tuple(backings)
        self.processes: Mapping[str, Process] = {node.name: node.process for node in nodes}
        self.links: Mapping[str, Links] = {node.name: node.links for node in nodes}
        self._secret = secret

    @property
    def urls(self) -> Sequence[str]:
        """Where clients reach its nodes."""
        return [f"ws://127.0.0.1:{node.port}/ws" for node in self.nodes]

    def token(self, user: str) -> str:
        """Return a token by the secret that all nodes share."""
        return mint_token(self._secret.encode(), user)


@asynccontextmanager
async def open_cluster(
    folder: Path,
    nodes: int,
    *,
    redis: int = 1,
    command: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Cluster]:
    """Have a cluster of our own for the length of a block; all its processes end in every case.

    Args:
        folder: where its nodes complain.
        nodes: how many.
        redis: how many Redis servers; 0: PostgreSQL is the bus, too.
        command: what runs a node, instead of this Python's `triolet`; `serve …` is added.
        settings: `TRIOLET_…` variables, besides `CLUSTER_SETTINGS`.
    """
    command = command or (sys.executable, "-m", "triolet_api")
    secret = secrets.token_urlsafe(48)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRIOLET_")}
    environment = inherited | CLUSTER_SETTINGS | dict(settings or {}) | {"TRIOLET_SECRET": secret}
    async with AsyncExitStack() as stack:
        backed = await stack.enter_async_context(_open_backings(redis))
        made: list[Node] = []
        try:
            for number in range(1, nodes + 1):
                links, urls = await stack.enter_async_context(_open_links(backed))
                name = f"node-{number}"
                port = stack.enter_context(held_port())
                own = environment | urls
                made.append(Node(name, port, command, own, folder=folder / name, links=links))
            async with trio.open_nursery() as nursery:
                for node in made:
                    nursery.start_soon(node.process.start)
            yield Cluster(made, list(backed), secret)
        finally:
            with trio.CancelScope(shield=True):
                for node in made:
                    await node.process.kill()


@asynccontextmanager
async def _open_backings(redis: int) -> AsyncIterator[dict[Backing, str]]:
    """Start a database, and so many Redis servers; yield each with its URL."""
    stack = ExitStack()
    try:
        yield await trio.to_thread.run_sync(_start_backings, stack, redis)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(stack.close)


def _start_backings(stack: ExitStack, redis: int) -> dict[Backing, str]:
    database = stack.enter_context(run_postgres())
    backed = {Backing("postgres", STORE, database, database.crash): database.url()}
    for number in range(1, redis + 1):
        server = stack.enter_context(run_redis())
        backed[Backing(f"redis-{number}", BUS, server, server.kill)] = server.url()
    return backed


@asynccontextmanager
async def _open_links(backed: Mapping[Backing, str]) -> AsyncIterator[tuple[Links, dict[str, str]]]:
    """Have a way to each backing for one node; yield them, and the settings that say so."""
    async with AsyncExitStack() as stack:
        links: dict[Role, tuple[Proxy, ...]] = {STORE: (), BUS: ()}
        urls: dict[Role, list[str]] = {STORE: [], BUS: []}
        for backing, url in backed.items():
            proxy = await stack.enter_async_context(open_proxy("127.0.0.1", backing.port))
            links[backing.role] += (proxy,)
            urls[backing.role].append(at_port(url, proxy.port))
        yield (
            links,
            {
                "TRIOLET_STORE": urls[STORE][0],
                "TRIOLET_BUS": ",".join(urls[BUS] or urls[STORE]),
            },
        )


def at_port(url: str, port: int) -> str:
    """Return a URL with another port.

    >>> at_port("postgresql://postgres@127.0.0.1:5432/postgres", 7)
    'postgresql://postgres@127.0.0.1:7/postgres'
    """
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{netloc}:{port}"))
