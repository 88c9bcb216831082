"""The floor: a bare epoll loop that sends at once. What no server in Python can be far below."""

import platform
import sys
from collections.abc import Callable, Sequence
from typing import final

from .plain import PROGRAMS, PlainPeer


@final
class Floor(PlainPeer):
    """See the module."""

    name = "floor"
    about = "a bare epoll loop in Python: one room, no parsing, no checks, one send a delivery"
    scenarios = frozenset(("fanout", "idle", "connect"))

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        del told
        return f"Python {platform.python_version()}"

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [sys.executable, "-I", str(PROGRAMS / "floor.py")]
