"""Quart-Trio bare, under Hypercorn: what the HTTP layer stands on, with nothing on it."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import final

from .plain import PROGRAMS, PlainPeer


@final
class QuartTrio(PlainPeer):
    """See the module."""

    name = "quart-trio"
    about = "bare Quart-Trio under Hypercorn: answers prepared, no tokens, no store, no headers"
    scenarios = frozenset(("http",))

    def __init__(self) -> None:
        super().__init__()
        # What it answers to who asks for a page.
        self.page = "{}"

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`: it comes with the server's own extra."""
        del told
        return f"{version('quart-trio')}, Hypercorn {version('hypercorn')}"

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [sys.executable, "-I", str(PROGRAMS / "quart_trio_server.py")]

    def environment(self) -> dict[str, str]:
        """See `PlainPeer.environment`."""
        return super().environment() | {"BENCH_PAGE": self.page}
