"""`triolet serve`: the composition root, and the life of the process around it."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, final

import click
import trio
from msgspec import Struct

from triolet import __version__
from triolet._model.errors import ConfigurationError
from triolet._model.observation import Post
from triolet._runtime.binding import bind
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.adapters.tokens import TokenGate
from triolet.adapters.urls import is_shared
from triolet.embedded import Engine, open_bus, open_store
from triolet.ports.clock import Clock
from triolet.ports.store import Store

from .auth.issuing import KEYS_FILE, Signing, open_signing
from .auth.parts import has_accounts
from .composition import open_api
from .http import HttpDoor, open_http_door
from .logs import set_up_logs
from .running import door_in
from .settings import Settings, load_settings
from .worker import READY, STARTING, supervised
from .workers import Supervisor

_log = logging.getLogger("triolet.serve")

# Besides connections: listeners, the database's files, pipes, and some to spare.
_OTHER_DESCRIPTORS: Final = 200
# Collections walk every session: with them a message costs 3 µs more. What start-up made stays.
_GC_THRESHOLDS: Final = (50_000, 50, 100)


@final
class Server(Struct, frozen=True):
    """What is running, and where."""

    engine: Engine
    door: HttpDoor
    settings: Settings
    host: str
    port: int

    @property
    def address(self) -> str:
        """Host and port as a URL has them."""
        return address_of(self.host, self.port)


def address_of(host: str, port: int) -> str:
    """Return a host and a port as a URL has them; a wildcard as the machine's own.

    >>> address_of("::1", 80)
    '[::1]:80'
    """
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - shown
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@click.command("serve")
@click.option("--host", help="The address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, help="The port, 8000 by default; 0: the system chooses.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder; ./triolet-data by default.")
@click.option("--store", help="sqlite:PATH (in the folder by default), postgresql://… or memory:.")
@click.option("--bus", help="Joins nodes on PostgreSQL: redis://…[,…], or postgresql: by default.")
@click.option("--workers", type=int, help="Processes on this port; several need PostgreSQL.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
@click.option("--worker", type=int, hidden=True, help="Which one this is; said by the supervisor.")
@click.option("--crew", default="", hidden=True, help="What its workers have in common; as well.")
@click.pass_context
def command(
    ctx: click.Context, /, config: Path | None, worker: int | None, crew: str, **options: object
) -> None:
    """Run the server until SIGTERM or SIGINT; then drain, and exit with 0.

    A second signal ends it at once, with 1; what was accepted is committed all the same.
    With several workers, SIGHUP replaces each by a new one, one after another.
    Settings: these options over TRIOLET_* variables over the file. Passwords are better kept in
    files, TRIOLET_STORE_FILE or TRIOLET_STORE_PASSWORD_FILE, than in options.
    """
    # What is loaded stays. To look through it once more, when the server listens, is 40 ms in
    # which nobody is answered.
    gc.freeze()
    settings = load_settings(environ=os.environ, config=config, options=options)
    set_up_logs(settings.log_level, process="" if worker is None else f"[{worker}]")
    if worker is not None:
        # A supervisor that was there before an upgrade tells none.
        post = Post(crew or SystemEntropy().token(), worker)
        ctx.exit(trio.run(serve_as_worker, settings, post))
    if settings.workers > 1:
        ctx.exit(trio.run(supervise, settings, {"config": config} | options))
    ctx.exit(trio.run(serve, settings))


async def serve(settings: Settings) -> int:
    """Run a server until it is told to stop; return the process's exit status."""
    with _signals() as signals:
        async with open_server(settings) as server:
            announce(settings, server.address)
            is_drained = await _live(server, signals)
    _log.info("stopped")
    return 0 if is_drained else 1


async def serve_as_worker(settings: Settings, post: Post) -> int:
    """Run a server on a port that others have as well, until it or its supervisor ends."""
    server: Server | None = None

    def how() -> str:
        return STARTING if server is None else server.engine.why_not_ready() or READY

    with _signals() as signals:
        async with (
            supervised(how, look_in=0, tell_to=1),
            open_server(settings, post) as server,
        ):
            is_drained = await _live(server, signals)
    return 0 if is_drained else 1


async def supervise(settings: Settings, options: Mapping[str, object]) -> int:
    """Run servers that share a port until told to stop; return the process's exit status.

    Args:
        settings: what was set, by whatever.
        options: what of it the command line said; workers find the rest where we did.
    """
    async with hold_port(settings.host, settings.port) as port:
        said = {**options, "port": port, "workers": settings.workers}
        told = [f"--{name}={value}" for name, value in said.items() if value is not None]
        entropy = SystemEntropy()
        told += [f"--crew={entropy.token()}"]
        start = [sys.executable, "-m", "triolet_api", "serve", *told]
        address = address_of(settings.host, port)
        supervisor = Supervisor(
            lambda number: [*start, f"--worker={number}"],
            settings.workers,
            entropy=entropy,
            announce=lambda: announce(settings, address),
        )
        return await supervisor.run()


@asynccontextmanager
async def hold_port(host: str, port: int) -> AsyncIterator[int]:
    """Have a port that our workers can share, and nobody else; return which one it is.

    Raises:
        ConfigurationError: it cannot be had, or not be shared.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigurationError("workers: this system lets no processes share a port")
    try:
        socks = await bind(host, port, is_shared=True, listens=False)
    except OSError as error:
        raise ConfigurationError(f"host, port: cannot have {host}:{port}: {error}") from None
    try:
        yield socks[0].getsockname()[1]
    finally:
        for sock in socks:
            sock.close()


def _signals() -> AbstractContextManager[AsyncIterator[int]]:
    return trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT)


async def _live(server: Server, signals: AsyncIterator[int]) -> bool:
    """Serve until a signal, then drain; return whether that came to its end before another."""
    with _quiet_gc():
        name = signal.Signals(await anext(signals)).name
        _log.info("%s: draining; again to stop at once", name)
        return await _drain(server, signals)


@asynccontextmanager
async def open_server(settings: Settings, post: Post | None = None) -> AsyncIterator[Server]:
    """Put a server together and let it listen; at the end, everything of it has ended.

    Args:
        settings: what an operator decided.
        post: which one it is of those that listen there; None: nobody else does.

    Raises:
        ConfigurationError: settings that cannot work here: a port that is taken, data that
            is in use, keys that are none.
        StoreError: the store cannot be opened.
    """
    raise_descriptor_limit(settings.limits.connections_max + _OTHER_DESCRIPTORS)
    _tell_of_secrets(settings)
    clock, entropy, limits = SystemClock(), SystemEntropy(), settings.limits
    async with AsyncExitStack() as stack:
        url = settings.store_url.reveal()
        store: Store = await stack.enter_async_context(
            open_store(url, clock=clock, entropy=entropy, limits=limits)
        )
        ringing = open_bus(settings.bus_url.reveal(), store=url, entropy=entropy, limits=limits)
        bus = await stack.enter_async_context(ringing)
        signing = open_signing(settings)
        gate = make_gate(settings, clock, store, signing)
        engine = await stack.enter_async_context(
            Engine(
                store=store,
                gate=gate,
                clock=clock,
                entropy=entropy,
                limits=limits,
                bus=bus,
                addresses=settings.guard.rules(),
                post=post,
            )
        )
        api = await stack.enter_async_context(open_api(engine, settings, signing))
        door = await stack.enter_async_context(open_http_door(api.app, give_way=engine.give_way))
        try:
            host, port = await engine.listen(
                settings.host,
                settings.port,
                origins=settings.origins,
                fallback=door.serve,
                is_shared=post is not None,
            )
        except OSError as error:
            place = f"{settings.host}:{settings.port}"
            raise ConfigurationError(f"host, port: cannot listen on {place}: {error}") from None
        server = Server(engine, door, settings, host, port)
        if not is_shared(url):
            # Nobody else can open the store meanwhile: commands ask this server.
            sock = stack.enter_context(door_in(settings.data))
            if sock is not None:
                engine.listen_on([sock], fallback=door.serve)
        yield server


def _tell_of_secrets(settings: Settings) -> None:
    """A node on another machine would make a secret of its own, and refuse this one's tokens."""
    is_far = settings.host not in ("127.0.0.1", "::1", "localhost")
    if is_far and settings.auth.registration == "open" and has_accounts(settings):
        _log.warning(
            "whoever reaches this server may register: TRIOLET_AUTH_REGISTRATION=invite or closed"
        )
    if settings.auth.algorithm != "HS256" and is_shared(settings.store_url.reveal()):
        _log.warning(
            "the keys that sign are in %s: give nodes on all machines the same ones",
            settings.data / KEYS_FILE,
        )
    if is_far and settings.makes_its_secret and is_shared(settings.store_url.reveal()):
        _log.warning(
            "the secret is made here, in %s: give nodes on all machines the same one, "
            "by TRIOLET_SECRET_FILE",
            settings.data,
        )


def make_gate(settings: Settings, clock: Clock, store: Store, signing: Signing | None) -> TokenGate:
    """Return the gate that the settings describe; it admits what is signed here.

    Raises:
        ConfigurationError: a key that cannot be read or used.
    """
    return TokenGate(
        clock=clock,
        limits=settings.limits,
        secret=None if signing is None else signing.secret.reveal(),
        keys=[_read_key(path) for path in settings.keys],
        own=None if signing is None else signing.ring,
        jwks=settings.jwks,
        revoked=store.revoked,
        revoked_now=store.revoked_now,
        issuer=settings.issuer,
        audience=settings.audience,
    )


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"keys: {path} cannot be read: {error.strerror}") from None


async def _drain(server: Server, signals: AsyncIterator[int]) -> bool:
    """Let everybody go in order; return whether it came to its end before a second signal."""
    is_drained = False
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def stop_at_once() -> None:
            await anext(signals)
            _log.warning("told again: stopping at once")
            nursery.cancel_scope.cancel()

        await server.engine.drain()
        await server.door.drain()
        is_drained = True
        nursery.cancel_scope.cancel()
    if not is_drained:
        server.door.cut()
    return is_drained


def announce(settings: Settings, address: str) -> None:
    """Tell a person where it is, and what comes next."""
    url = settings.store_url.reveal()
    kept = str(settings.store_url).removeprefix("sqlite:")
    if kept == "memory:":
        kept = "in memory, until it stops"
    beside = "" if settings.data == Settings().data else f" --data {settings.data}"
    sign_in = f"triolet token NAME{beside}"
    accounts = has_accounts(settings)
    if settings.secret is None and not settings.makes_its_secret:
        sign_in = "from whoever holds the keys"
    lines = [
        ("Triolet", f"{__version__} is running at http://{address}"),
        ("clients", f"ws://{address}/ws"),
        ("data", kept),
        *([("bus", str(settings.bus) or "postgresql:")] if is_shared(url) else ()),
        ("token", sign_in),
        *([("admin", f"triolet user add NAME --role admin{beside}")] if accounts else ()),
        ("chat", f"triolet chat ws://{address}/ws --as NAME{beside}"),
        *([("workers", str(settings.workers))] if settings.workers > 1 else ()),
        ("stop", "Ctrl-C"),
    ]
    # Plain where it is no terminal.
    click.echo("\n".join(click.style(f"{name:<8}", bold=True) + value for name, value in lines))


def raise_descriptor_limit(needed: int) -> None:
    """Ask for a descriptor for each connection; many systems start a process with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
        if granted < needed:
            _log.warning("%d file descriptors for %d connections", granted, needed)


@contextmanager
def _quiet_gc() -> Iterator[None]:
    """Take what start-up made out of the collector's sight, and let it run seldom."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
