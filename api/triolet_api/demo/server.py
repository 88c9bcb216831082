"""A server of our own: a real process with its own data, killed and started again at will."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, final

import trio

from triolet._model.errors import TrioletError
from triolet._runtime.binding import bind

# A cold start takes 3 s on a busy machine, and was seen to take 30 s where it was let run seldom.
START_TIMEOUT_S: Final = 90
# What a server may take to leave in order before it is killed.
STOP_TIMEOUT_S: Final = 5
_ANNOUNCEMENT: Final = b"running at http://"
_READ_BYTES: Final = 4096
_LOG_BYTES_MAX: Final = 2000


@final
class ServerFailed(TrioletError):
    """The server did not start."""


@final
class Server:
    """One server's data and port, and at most one process on them; see `open_server`.

    Attributes:
        folder: where its data is.
        port: where it listens, whenever it runs.
    """

    def __init__(self, folder: Path, port: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = port
        self._environment = dict(environment)
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int:
        """The process; 0: there is none."""
        return 0 if self._process is None else self._process.pid

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> None:
        """Start it, and wait until it listens: each time on the same port and data.

        Raises:
            ServerFailed: it ended, or was silent for `START_TIMEOUT_S`.
        """
        assert self._process is None
        command = [sys.executable, "-m", "triolet_api", "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data", str(self.folder)]
        with self._log.open("wb") as log:
            self._process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )
        with trio.move_on_after(START_TIMEOUT_S):
            await self._announced(self._process)
            return
        raise ServerFailed(f"the server was silent for {START_TIMEOUT_S} s: {self._last_words()}")

    async def _announced(self, process: trio.Process) -> None:
        assert process.stdout is not None
        said = b""
        async for part in process.stdout:
            said += part
            if _ANNOUNCEMENT in said:
                return
        raise ServerFailed(f"the server did not start: {self._last_words()}")

    async def kill(self) -> None:
        """End the process as a power cut would: `kill -9`."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the process in order, or by force after `STOP_TIMEOUT_S`."""
        with trio.move_on_after(STOP_TIMEOUT_S):
            await self._end(signal.SIGTERM)
        if self._process is not None:
            await self.kill()

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        await process.wait()
        self._process = None
        if process.stdout is not None:
            await process.stdout.aclose()

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _last_words(self) -> str:
        return self._log.read_bytes()[-_LOG_BYTES_MAX:].decode("utf-8", "replace").strip()


@asynccontextmanager
async def open_server(folder: Path, **settings: str) -> AsyncIterator[Server]:
    """Have a server for the length of a block; its process ends in every case.

    Its port is held meanwhile, so that nobody takes it between two starts: not who asks the
    system for one, and no connection's near end. Elsewhere than on Linux it is only a free one:
    there nobody could listen beside us.

    Args:
        folder: where its data goes.
        settings: `TRIOLET_…` variables; those of our own environment are not its business.
    """
    inherited = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    (held,) = await bind("127.0.0.1", 0, listens=False)
    with held:
        server = Server(folder, held.getsockname()[1], inherited | settings)
        if sys.platform != "linux":
            held.close()
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.stop()


def _is_setting(name: str) -> bool:
    return name.startswith("TRIOLET_")
