"""The measured process: started in a folder of its own, watched through /proc, ended by us."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

from .errors import ServerFailed
from .machine import SERVER_CORE, cpu_s_of, pinned

ROOT: Final = Path(__file__).resolve().parent.parent
# A cold start imports the engine and the HTTP layer; 2 s here, and 30 s where it is seldom let run.
_START_TIMEOUT_S: Final = 90
# A server that drains for longer than this is stuck.
_STOP_TIMEOUT_S: Final = 15
_POLL_S: Final = 0.02
_LOG_TOLD_BYTES: Final = 4000
_PAGE_BYTES: Final = os.sysconf("SC_PAGESIZE")


class Server:
    """A running server, which may be several processes that work as one.

    Args:
        launch: starts its process, which listens on the port given; 0: one that is free.
        log: where it writes.
        announcement: what it writes once it listens; the first group is the port.

    Attributes:
        pid: its process.
        port: where it listens, on 127.0.0.1.
        services: what it needs besides, by name: the CPU time of each until now, s.
    """

    services: Mapping[str, Callable[[], float]] = MappingProxyType({})

    def __init__(
        self,
        launch: "Callable[[int], subprocess.Popen[bytes]]",
        log: Path,
        announcement: re.Pattern[str],
    ) -> None:
        self._launch = launch
        self._announcement = announcement
        self._log = log
        # Where what the present process writes begins.
        self._log_at = 0
        self.port = 0
        self._process = launch(0)
        self.pid = self._process.pid

    @property
    def ports(self) -> tuple[int, ...]:
        """Where its nodes listen: connections go to each in turn."""
        return (self.port,)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start it again, on the same data and port; `wait_announced` tells when it listens."""
        self._log_at = self._log.stat().st_size
        self._process = self._launch(self.port)
        self.pid = self._process.pid

    def cpu_s(self) -> float:
        """Return user and system time of all its threads, s; the kernel counts in 10 ms."""
        return cpu_s_of(self.pid)

    def rss_bytes(self) -> int:
        """Return its resident memory; exact where the kernel has `smaps_rollup`."""
        try:
            lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
            return int(re.findall(r"^Rss:\s+(\d+) kB", lines, re.MULTILINE)[0]) * 1024
        except (OSError, IndexError):
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def wait_announced(self) -> None:
        """Wait until its present process has said that it listens.

        Raises:
            ServerFailed: it ended, or its time is over.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (found := self._announcement.search(self._log_text()[self._log_at :])):
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
        if re.search(r"^Traceback | ERROR | CRITICAL ", self._log_text(), re.MULTILINE):
            raise ServerFailed(f"its log tells an error:\n{self._log_end()}")

    def _log_end(self) -> str:
        return self._log_text()[-_LOG_TOLD_BYTES:]

    def _log_text(self) -> str:
        return self._log.read_bytes().decode(errors="replace")


@final
class Nodes(Server):
    """Several servers that are measured as one.

    Args:
        nodes: they run, and who started them ends them.
        services: see `Server`.
    """

    def __init__(
        self, nodes: Sequence[Server], services: Mapping[str, Callable[[], float]]
    ) -> None:
        self._nodes = nodes
        self.services = services
        self.port, self.pid = nodes[0].port, nodes[0].pid

    @property
    def ports(self) -> tuple[int, ...]:
        """Where its nodes listen."""
        return tuple(node.port for node in self._nodes)

    def cpu_s(self) -> float:
        """Return user and system time of all its nodes, s."""
        return sum(node.cpu_s() for node in self._nodes)

    def rss_bytes(self) -> int:
        """Return the resident memory of all its nodes."""
        return sum(node.rss_bytes() for node in self._nodes)


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
        command: the program and its arguments; `{folder}` becomes the folder, `{port}` the
            port to listen on.
        environment: the whole environment of the process.
        announcement: what it prints once it listens.
        parent: where to make the folder; None: the system's place for such.

    Raises:
        ServerFailed: it does not start, or did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="triolet-bench-", dir=parent) as folder:
        log = Path(folder) / "log"

        def launch(port: int) -> "subprocess.Popen[bytes]":
            with log.open("ab") as output, pinned(SERVER_CORE):
                # Affinity is inherited, so every thread of the server gets it.
                return subprocess.Popen(
                    [
                        part.replace("{folder}", folder).replace("{port}", str(port))
                        for part in command
                    ],
                    env=dict(environment),
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

        server = Server(launch, log, announcement)
        try:
            server.wait_announced()
            yield server
            server.check_well()
        finally:
            server.stop()
