"""Triolet on PostgreSQL, as one node and as two, whose messages cross from one to the other."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, final

from triolet.testing.services import postgres, redis

from ..errors import Missing
from ..machine import GENERATOR_CORE, cpu_s_of, pinned
from ..server import Nodes, Server
from .triolet import Triolet

_PARENT: Final = re.compile(r"^PPid:\s+(\d+)$", re.MULTILINE)


@final
class TrioletNodes(Triolet):
    """So many nodes over one PostgreSQL, connections to each in turn.

    PostgreSQL and Redis share the generator's core, and their CPU is told beside.

    Args:
        bus: `memory`, `redis`, or `postgresql` for LISTEN and NOTIFY.
    """

    stores = ("postgresql",)
    scenarios = frozenset(("fanout", "direct", "latency", "connect", "jobs"))

    def __init__(self, name: str, about: str, *, nodes: int, bus: str) -> None:
        super().__init__()
        self.name = name
        self.about = about
        self._count = nodes
        self._bus = bus

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        found = super().install(told)
        packages = ("psycopg", "hiredis") if self._bus == "redis" else ("psycopg",)
        for package in packages:
            if importlib.util.find_spec(package) is None:
                raise Missing(f"{package} is not installed")
        try:
            postgres.binaries()
            if self._bus == "redis":
                redis.binaries()
        except (postgres.NoPostgres, redis.NoRedis) as error:
            raise Missing(str(error)) from None
        return found

    @contextmanager
    def start(  # type: ignore[override] - filled stores are SQLite's
        self, *, store: str, parent: Path | None, is_raised: bool = True
    ) -> Iterator[Server]:
        """See `Peer.start`."""
        del store
        with ExitStack() as stack:
            with pinned(GENERATOR_CORE):
                database = stack.enter_context(postgres.run_postgres())
                services = {"PostgreSQL": lambda: family_cpu_s(database.pid)}
                settings = {"TRIOLET_STORE": database.url(database.create_database())}
                settings["TRIOLET_BUS"] = f"{self._bus}:"
                if self._bus == "redis":
                    bell = stack.enter_context(redis.run_redis())
                    services["Redis"] = lambda: cpu_s_of(bell.pid)
                    settings["TRIOLET_BUS"] = bell.url()
            nodes = [
                stack.enter_context(self.serve(settings, parent=parent, is_raised=is_raised))
                for _ in range(self._count)
            ]
            yield Nodes(nodes, services)


def family_cpu_s(pid: int) -> float:
    """Return user and system time of a process and its children that live, s."""
    total = cpu_s_of(pid)
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = _PARENT.search((folder / "status").read_text())
            if parent is not None and int(parent[1]) == pid:
                total += cpu_s_of(int(folder.name))
        except OSError:
            # It has ended while we looked.
            continue
    return total
