"""A process that faults can strike: started, killed, told to go, paused, starved of disk."""

import re
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, final

import trio
from msgspec import Struct

from ..._model.errors import TrioletError

# A start takes a second; with ten others for each processor it took 30.
START_TIMEOUT_S: Final = 120
# What a process may take to leave in order before it is killed.
STOP_TIMEOUT_S: Final = 30
_LOG_BYTES_MAX: Final = 2000
# A socket that listens, in `/proc/net/tcp`.
_LISTEN: Final = "0A"


@final
class ProcessFailed(TrioletError):
    """A process did not start, or ended by itself."""


@final
class Usage(Struct, frozen=True):
    """What a process holds, as the system tells; a leak is a growth of it.

    Attributes:
        sockets: where it listens, and who is connected there.
        files: other open descriptors.
        threads: its threads.
        resident_kib: its memory.
    """

    sockets: int
    files: int
    threads: int
    resident_kib: int


@final
class Process:
    """One command, and at most one process that runs it.

    Args:
        command: returns the command line; asked at each start.
        ready: what it prints, in a line of its own, once it can be used.
        environment: its variables.
        log: the file to which it complains.
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        ready: re.Pattern[bytes],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self._command = command
        self._ready = ready
        self._environment = dict(environment)
        self._log = log
        self._process: trio.Process | None = None

    # --- life --------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process; 0: there is none."""
        return 0 if self._process is None else self._process.pid

    async def start(self) -> re.Match[bytes]:
        """Start it, wait until it is ready, and return what it said.

        Raises:
            ProcessFailed: it ended, or was silent for `START_TIMEOUT_S`.
        """
        await self.launch()
        with trio.move_on_after(START_TIMEOUT_S):
            return await self.wait_ready()
        raise ProcessFailed(f"silent for {START_TIMEOUT_S} s: {self.last_words()}")

    async def launch(self) -> None:
        """Start it, and wait for nothing."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                # Ctrl-C at our terminal is for us alone.
                start_new_session=True,
            )

    async def wait_ready(self) -> re.Match[bytes]:
        """Wait until it says that it is ready, and return what it said.

        Raises:
            ProcessFailed: it ended.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        said = b""
        async for part in self._process.stdout:
            said += part
            # All of the line, or half a number would be taken for the port.
            *lines, said = said.split(b"\n")
            for found in filter(None, map(self._ready.search, lines)):
                return found
        raise ProcessFailed(f"it did not start: {self.last_words()}")

    async def kill(self) -> None:
        """End it as the system would: `kill -9`."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it in order, and return its exit status; by force after `STOP_TIMEOUT_S`."""
        with trio.move_on_after(STOP_TIMEOUT_S):
            return await self._end(signal.SIGTERM)
        return await self._end(signal.SIGKILL)

    def tell_to_go(self) -> None:
        """Send SIGTERM, and wait for nothing."""
        self._signal(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(how)
        status = await process.wait()
        self._process = None
        if process.stdout is not None:
            await process.stdout.aclose()
        return status

    # --- faults ------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop it where it is: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on: SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(which)

    def starve(self, file_bytes_max: int) -> None:
        """Let none of its files grow beyond so much: writes fail as on a full disk."""
        self._limit_files(file_bytes_max)

    def feed(self) -> None:
        """Let its files grow again."""
        self._limit_files(None)

    def _limit_files(self, size: int | None) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    # --- looking at it -----------------------------------------------------------------

    def usage(self) -> Usage | None:
        """Return what it holds; None: there is no process, or no `/proc` to read."""
        proc = Path(f"/proc/{self.pid}")
        if not self.pid or not proc.exists():
            return None
        links = [str(one.readlink()) for one in (proc / "fd").iterdir()]
        sockets = len(_served(proc, links))
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        return Usage(
            sockets=sockets,
            files=len(links) - sockets,
            threads=int(status["Threads"]),
            resident_kib=int(status["VmRSS"].split()[0]),
        )

    def complaints(self) -> str:
        """Return all that it has written to stderr, in all its lives."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def last_words(self) -> str:
        """Return the end of its complaints."""
        return self.complaints()[-_LOG_BYTES_MAX:].strip()


def _served(proc: Path, links: Sequence[str]) -> dict[str, None]:
    """Return those of a process's descriptors that listen, or are connected where it listens.

    Its own connections to others, a database say, come and go with what it has to do.
    """
    tables = [(proc / "net" / name) for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    # Of its whole network: local address, state, descriptor.
    found = [(row[1].rpartition(":")[2], row[3], f"socket:[{row[9]}]") for row in rows]
    ports = {port for port, state, link in found if state == _LISTEN and link in links}
    return {link: None for port, _, link in found if port in ports and link in links}
