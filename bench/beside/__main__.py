"""What HTTP beside them costs those on WebSockets, as a table in Markdown; `wrk` is needed.

python -m bench.beside                      # a minute and a half

Twenty clients ping every 5 to 10 ms, all along. In every other stretch `wrk` asks for pages of 50
messages meanwhile, at a bounded rate: a thousand people who open a room each every ten seconds
are 100 a second. They are the same page, which the server has at hand, or 21 of different lengths,
most of which it reads and folds anew. One server, on a core of its own; `wrk` shares the other one
with the pings, which go before it.
"""

import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import Unexpected
from ..load.connection import Connections
from ..load.pinger import Pinged, Pinger
from ..load.window import quantile_ms
from ..machine import GENERATOR_CORE, pinned
from ..peers.triolet import Triolet
from ..scenarios.http import PAGE, fill
from ..server import Server

_PINGERS: Final = 20
_USER: Final = "anna"
_ROUNDS: Final = 4
_WARM_UP_S: Final = 0.5
_MEASURED_S: Final = 2.5
_CONNECTIONS: Final = 10
# Messages of a page.
_LONGEST: Final = 50
# Each connection waits so long between two requests, 0.5 to 1.5 times, ms.
_PACED: Final = """
function delay() return math.random(LEAST, MOST) end
function request() return wrk.format("GET", "PAGE" .. math.random(SHORTEST, LONGEST)) end
done = function(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write("answered ", summary.requests, " failed ", failed, "\\n")
end
"""


class Load(NamedTuple):
    """So many requests a second, for pages of at least so many messages."""

    rate: int
    shortest: int = _LONGEST

    @property
    def pages(self) -> str:
        """Return what is asked for, in words."""
        return "" if not self.rate else "the same" if self.shortest == _LONGEST else "different"


# None, between each two of the others.
_NONE: Final = Load(0)
_LOADS: Final = (_NONE, Load(100), _NONE, Load(100, 30), _NONE, Load(300))


class Stretch(NamedTuple):
    """What one stretch found: requests that were answered a second, and pings, ms."""

    load: Load
    answered: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    late_ms: float


@contextmanager
def asking(server: Server, token: str, load: Load, folder: Path) -> Iterator["list[int]"]:
    """Have `wrk` ask while the block lasts; what was answered is in the list afterwards."""
    answered: list[int] = []
    if not load.rate:
        yield answered
        return
    script = folder / "paced.lua"
    script.write_text(_paced(load))
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_WARM_UP_S + _MEASURED_S:.0f}s"]
    command += [f"-s{script}", "-H", f"Authorization: Bearer {token}"]
    wrk = subprocess.Popen(
        [*command, f"http://127.0.0.1:{server.port}{PAGE}"], stdout=subprocess.PIPE, text=True
    )
    yield answered
    told, _ = wrk.communicate(timeout=30)
    found = re.search(r"answered (\d+) failed (\d+)", told)
    if found is None or found[2] != "0":
        raise Unexpected(f"not all was answered: {told}")
    answered.append(int(found[1]))


def _paced(load: Load) -> str:
    """Return the script that has `wrk` ask like that."""
    mean_ms = 1000 * _CONNECTIONS // load.rate
    values = {"LEAST": mean_ms // 2, "MOST": mean_ms * 3 // 2}
    values |= {"SHORTEST": load.shortest, "LONGEST": _LONGEST}
    script = _PACED.replace("PAGE", PAGE.removesuffix(str(_LONGEST)))
    for name, value in values.items():
        script = script.replace(name, str(value))
    return script


def measure(server: Server, pinger: Pinger, token: str, folder: Path) -> Iterator[Stretch]:
    for load in _LOADS * _ROUNDS:
        with asking(server, token, load, folder) as answered:
            pinger.begin(_WARM_UP_S, _MEASURED_S)
            pinged = pinger.result()
        yield _stretch(load, sum(answered) / (_WARM_UP_S + _MEASURED_S), pinged)


def _stretch(load: Load, answered: float, pinged: Pinged) -> Stretch:
    asked = pinged.latencies[0]
    p50, p99, worst = (quantile_ms(asked, part) for part in (0.5, 0.99, 1.0))
    return Stretch(load, answered, p50, p99, worst, quantile_ms(pinged.late, 0.99))


def table(stretches: Sequence[Stretch]) -> Iterator[str]:
    yield "| requests a second | pages | answered | ping, p50 | ping, p99 | ÷ none | worst |"
    yield "|---|---|---|---|---|---|---|"
    without = _p99s(stretches, _NONE)
    for load in dict.fromkeys(_LOADS):
        some = [one for one in stretches if one.load == load]
        p99s = _p99s(stretches, load)
        answered = statistics.median(one.answered for one in some)
        p50 = statistics.median(one.p50_ms for one in some)
        p99 = statistics.median(p99s)
        yield (
            f"| {load.rate} | {load.pages} | {answered:.0f} | {p50:.2f} ms |"
            f" {p99:.2f} ms ({min(p99s):.2f} to {max(p99s):.2f}) |"
            f" {p99 / statistics.median(without):.2f} |"
            f" {max(one.worst_ms for one in some):.1f} ms |"
        )
    late = statistics.median(one.late_ms for one in stretches)
    yield f"\nThe pinger's own delay, p99: {late:.2f} ms. Medians of each stretch's figures."


def _p99s(stretches: Sequence[Stretch], load: Load) -> list[float]:
    return [one.p99_ms for one in stretches if one.load == load]


def main() -> None:
    peer = Triolet()
    with (
        tempfile.TemporaryDirectory() as folder,
        pinned(GENERATOR_CORE),
        peer.start(store="sqlite", parent=None) as server,
        Connections(server.ports, peer) as connections,
    ):
        token = peer.token(_USER)
        fill(server, token)
        steps = [[peer.hello(f"p{index:02d}")] for index in range(_PINGERS)]
        with Pinger(connections.open(steps, lambda _: None), peer.pings) as pinger:
            for line in table(list(measure(server, pinger, token, Path(folder)))):
                print(line)
        server.check_well()


if __name__ == "__main__":
    main()
