"""The measured process: started in a folder of its own, watched through /proc, ended by us."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .errors import ServerFailed
from .machine import SERVER_CORE, pinned

ROOT: Final = Path(__file__).resolve().parent.parent
# A cold start imports the engine and the HTTP layer; 2 s here.
_START_TIMEOUT_S: Final = 30
# A server that drains for longer than this is stuck.
_STOP_TIMEOUT_S: Final = 15
_POLL_S: Final = 0.02
_LOG_TOLD_BYTES: Final = 4000
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")


class Server:
    """A running server.

    Attributes:
        pid: its process.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        self.port = 0

    def cpu_s(self) -> float:
        """Return user and system time of all its threads, s; the kernel counts in 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def rss_bytes(self) -> int:
        """Return its resident memory; exact where the kernel has `smaps_rollup`."""
        try:
            lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
            return int(re.findall(r"^Rss:\s+(\d+) kB", lines, re.MULTILINE)[0]) * 1024
        except (OSError, IndexError):
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def wait_announced(self, announcement: re.Pattern[str]) -> None:
        """Wait until its log holds the announcement, whose first group is the port.

        Raises:
            ServerFailed: it ended, or its time is over.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (found := announcement.search(self._log.read_text(errors="replace"))):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"no announcement of a port; its log:\n{self._log_end()}")
            time.sleep(_POLL_S)
        self.port = int(found[1])

    def stop(self) -> None:
        """End it: politely, then not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def check_well(self) -> None:
        """Make sure that it is still there and has reported no bug of its own.

        Raises:
            ServerFailed: with the end of its log.
        """
        if self._process.poll() is not None:
            raise ServerFailed(f"it ended with {self._process.returncode}:\n{self._log_end()}")
        if re.search(r"^Traceback | ERROR | CRITICAL ", self._log.read_text(), re.MULTILINE):
            raise ServerFailed(f"its log tells an error:\n{self._log_end()}")

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-_LOG_TOLD_BYTES:]


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    announcement: re.Pattern[str],
    *,
    parent: Path | None = None,
) -> Iterator[Server]:
    """Run a server in a fresh folder until the block ends; the folder goes with it.

    Args:
        command: the program and its arguments; `{folder}` becomes the folder.
        environment: the whole environment of the process.
        announcement: what it prints once it listens.
        parent: where to make the folder; None: the system's place for such.

    Raises:
        ServerFailed: it does not start, or did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="triolet-bench-", dir=parent) as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output, pinned(SERVER_CORE):
            # Affinity is inherited, so every thread of the server gets it.
            process = subprocess.Popen(
                [part.replace("{folder}", folder) for part in command],
                env=dict(environment),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(process, log)
        try:
            server.wait_announced(announcement)
            yield server
            server.check_well()
        finally:
            server.stop()
