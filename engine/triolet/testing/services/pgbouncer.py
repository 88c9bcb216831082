"""A real PgBouncer before a PostgreSQL of ours: what many deployments put between."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, final

from ..._model.errors import TrioletError
from .certificates import Certificates
from .postgres import PostgresServer
from .processes import guard, held_port, spawn, unprivileged

START_TIMEOUT_S: Final = 30
_POLL_S: Final = 0.01


@final
class NoPgBouncer(TrioletError):
    """No PgBouncer can be had here; the message says why."""


@contextlib.contextmanager
def run_pgbouncer(
    server: PostgresServer,
    *,
    mode: str = "transaction",
    settings: Sequence[str] = (),
    certificates: Certificates | None = None,
) -> Iterator[int]:
    """Run a pooler before a server for as long as the block lasts, and give its port.

    Args:
        server: where its connections lead, as `postgres`, whoever asks.
        mode: `transaction` or `session`.
        settings: more of its configuration, as `name = value`.
        certificates: with which it insists on TLS.

    Raises:
        NoPgBouncer: it is not installed, or does not start.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise NoPgBouncer("PgBouncer is missing")
    folder = Path(tempfile.mkdtemp(prefix="pgb-"))
    try:
        with held_port() as port:
            tls = [] if certificates is None else _tls(folder, certificates)
            _configure(folder, port, server.port, mode, [*settings, *tls])
            with _run(program, folder, port):
                yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _run(program: str, folder: Path, port: int) -> Iterator[None]:
    owner = unprivileged()
    if owner is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, *owner)
    with (folder / "output").open("wb") as output:
        command = [program, str(folder / "pgbouncer.ini")]
        process = spawn(command, folder=folder, owner=owner, output=output)
    watchdog = guard(process.pid, folder)
    try:
        _wait_ready(process, port, folder / "output")
        yield
    finally:
        watchdog.kill()
        watchdog.communicate()
        process.kill()
        process.wait()


def _configure(
    folder: Path, port: int, server_port: int, mode: str, settings: Sequence[str]
) -> None:
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={server_port} user=postgres",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        # Fewer than the connections of one node, so that sessions are shared indeed.
        "default_pool_size = 3",
        *settings,
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")


def _tls(folder: Path, certificates: Certificates) -> list[str]:
    names = {"client_tls_cert_file": certificates.cert, "client_tls_key_file": certificates.key}
    copied = [f"{name} = {shutil.copy(path, folder)}" for name, path in names.items()]
    return ["client_tls_sslmode = require", *copied]


def _wait_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(_POLL_S)
    raise NoPgBouncer(f"PgBouncer does not start: {output.read_text(errors='replace')[-1000:]}")
