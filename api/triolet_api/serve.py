"""`triolet serve`: the composition root, and the life of the process around it."""

import gc
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, final

import click
import trio
from msgspec import Struct

from triolet import __version__
from triolet._model.errors import ConfigurationError
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.adapters.tokens import TokenGate
from triolet.embedded import Engine, open_bus, open_store
from triolet.ports.clock import Clock
from triolet.ports.store import Store

from .app import create_app
from .http import HttpDoor, open_http_door
from .logs import set_up_logs
from .secret import Secret, make_or_keep_secret
from .settings import Settings, load_settings

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
        """Host and port as a URL has them; a wildcard as the machine's own."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - shown
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@click.command("serve")
@click.option("--host", help="The address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, help="The port, 8000 by default; 0: the system chooses.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder; ./triolet-data by default.")
@click.option("--store", help="sqlite:PATH (in the folder by default), postgresql://… or memory:.")
@click.option("--bus", help="Joins nodes on PostgreSQL: redis://…[,…], or postgresql: by default.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings.")
@click.pass_context
def command(ctx: click.Context, /, config: Path | None, **options: object) -> None:
    """Run the server until SIGTERM or SIGINT; then drain, and exit with 0.

    A second signal ends it at once, with 1; what was accepted is committed all the same.
    Settings: these options over TRIOLET_* variables over the file.
    """
    settings = load_settings(environ=os.environ, config=config, options=options)
    set_up_logs(settings.log_level)
    ctx.exit(trio.run(serve, settings))


async def serve(settings: Settings) -> int:
    """Run a server until it is told to stop; return the process's exit status."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_server(settings) as server:
            with _quiet_gc():
                announce(server)
                name = signal.Signals(await anext(signals)).name
                _log.info("%s: draining; again to stop at once", name)
                is_drained = await _drain(server, signals)
    _log.info("stopped")
    return 0 if is_drained else 1


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Server]:
    """Put a server together and let it listen; at the end, everything of it has ended.

    Raises:
        ConfigurationError: settings that cannot work here: a port that is taken, data that
            is in use, keys that are none.
        StoreError: the store cannot be opened.
    """
    raise_descriptor_limit(settings.limits.connections_max + _OTHER_DESCRIPTORS)
    clock, entropy, limits = SystemClock(), SystemEntropy(), settings.limits
    async with AsyncExitStack() as stack:
        url = settings.store_url.reveal()
        store: Store = await stack.enter_async_context(
            open_store(url, clock=clock, entropy=entropy, limits=limits)
        )
        ringing = open_bus(settings.bus_url.reveal(), store=url, entropy=entropy, limits=limits)
        bus = await stack.enter_async_context(ringing)
        gate = make_gate(settings, clock, store)
        engine = await stack.enter_async_context(
            Engine(store=store, gate=gate, clock=clock, entropy=entropy, limits=limits, bus=bus)
        )
        app = create_app(why_not_ready=engine.why_not_ready)
        door = await stack.enter_async_context(open_http_door(app))
        try:
            host, port = await engine.listen(
                settings.host, settings.port, origins=settings.origins, fallback=door.serve
            )
        except OSError as error:
            place = f"{settings.host}:{settings.port}"
            raise ConfigurationError(f"host, port: cannot listen on {place}: {error}") from None
        yield Server(engine, door, settings, host, port)


def make_gate(settings: Settings, clock: Clock, store: Store) -> TokenGate:
    """Return the gate that the settings describe; the first start makes its secret.

    Raises:
        ConfigurationError: a key that cannot be read or used.
    """
    secret: Secret | None = settings.secret
    if settings.makes_its_secret:
        secret = make_or_keep_secret(settings.data)
    return TokenGate(
        clock=clock,
        limits=settings.limits,
        secret=None if secret is None else secret.reveal(),
        keys=[_read_key(path) for path in settings.keys],
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


def announce(server: Server) -> None:
    """Tell a person where it is, and what comes next."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms that only a start needs
    from rich.text import Text  # noqa: PLC0415

    settings, address = server.settings, server.address
    kept = str(settings.store_url).removeprefix("sqlite:")
    if kept == "memory:":
        kept = "in memory, until it stops"
    beside = "" if settings.data == Settings().data else f" --data {settings.data}"
    sign_in = f"triolet token NAME{beside}"
    if settings.secret is None and not settings.makes_its_secret:
        sign_in = "from whoever holds the keys"
    lines = [
        ("Triolet", f"{__version__} is running at http://{address}"),
        ("clients", f"ws://{address}/ws"),
        ("data", kept),
        ("token", sign_in),
        ("chat", f"triolet chat ws://{address}/ws --as NAME{beside}"),
        ("stop", "Ctrl-C"),
    ]
    text = Text()
    for name, value in lines:
        text.append(f"{name:<8}", style="bold").append(f"{value}\n")
    Console(highlight=False, soft_wrap=True).print(text, end="")


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
