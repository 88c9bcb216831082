"""A server in a process of its own, for browsers and scripts, and where their files are."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triolet.adapters.tokens import mint
from triolet.testing.services.processes import held_port

BROWSER = Path(__file__).parents[2] / "api/triolet_api/browser"
SCRIPTS = Path(__file__).with_name("node")
SECRET = "a secret of thirty-two bytes and more"
# On a machine that is busy with other things.
START_TIMEOUT_S = 120


class Server:
    """`triolet serve` in a process of its own; it can be killed and started again on its port."""

    def __init__(self, folder: Path, port: int, *program: str, **settings: str) -> None:
        self.program = program or ("-m", "triolet_api")
        self.folder = folder
        self.log = folder / "log"
        self.settings = settings
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        plain = {name: value for name, value in os.environ.items() if "TRIOLET_" not in name}
        settings = {
            "TRIOLET_SECRET": SECRET,
            "TRIOLET_DATA": str(self.folder / "data"),
            "TRIOLET_PORT": str(self.port),
        }
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "serve"],
                env=plain | settings | self.settings,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while not re.search(rf"http://127\.0\.0\.1:{self.port}\b", self.said[begin:]):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.05)  # another process

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def token(self, user: str, *, roles: tuple[str, ...] = (), tier: str = "") -> str:
        now_ms = time.time_ns() // 10**6
        return mint(SECRET.encode(), user, ttl_s=3600, now_ms=now_ms, roles=roles, tier=tier)


@contextmanager
def serving(folder: Path, *program: str, **settings: str) -> Iterator[Server]:
    with held_port() as port:
        server = Server(folder, port, *program, **settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
