"""What HTTP beside them costs those on WebSockets, as a table in Markdown; `wrk` is needed.

python -m bench.beside                      # a minute

Twenty clients ping every 5 to 10 ms, all along. In every other stretch `wrk` asks for pages of 50
messages meanwhile, at a bounded rate: a thousand people who open a room each every ten seconds
are 100 a second. One server, on a core of its own; `wrk` shares the other one with the pings,
which go before it.
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
# Requests a second; 0: none, between each two of the others.
_RATES: Final = (0, 100, 0, 300)
_ROUNDS: Final = 4
_WARM_UP_S: Final = 0.5
_MEASURED_S: Final = 2.5
_CONNECTIONS: Final = 10
# Each connection waits so long between two requests, 0.5 to 1.5 times, ms.
_PACED: Final = """
function delay() return math.random(LEAST, MOST) end
done = function(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write("answered ", summary.requests, " failed ", failed, "\\n")
end
"""


class Stretch(NamedTuple):
    """What one stretch found: requests that were answered a second, and pings, ms."""

    rate: int
    answered: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    late_ms: float


@contextmanager
def asking(server: Server, token: str, rate: int, folder: Path) -> Iterator["list[int]"]:
    """Have `wrk` ask while the block lasts; what was answered is in the list afterwards."""
    answered: list[int] = []
    if not rate:
        yield answered
        return
    script = folder / "paced.lua"
    mean_ms = 1000 * _CONNECTIONS // rate
    paced = _PACED.replace("LEAST", str(mean_ms // 2)).replace("MOST", str(mean_ms * 3 // 2))
    script.write_text(paced)
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


def measure(server: Server, pinger: Pinger, token: str, folder: Path) -> Iterator[Stretch]:
    for rate in _RATES * _ROUNDS:
        with asking(server, token, rate, folder) as answered:
            pinger.begin(_WARM_UP_S, _MEASURED_S)
            pinged = pinger.result()
        yield _stretch(rate, sum(answered) / (_WARM_UP_S + _MEASURED_S), pinged)


def _stretch(rate: int, answered: float, pinged: Pinged) -> Stretch:
    asked = pinged.latencies[0]
    p50, p99, worst = (quantile_ms(asked, part) for part in (0.5, 0.99, 1.0))
    return Stretch(rate, answered, p50, p99, worst, quantile_ms(pinged.late, 0.99))


def table(stretches: Sequence[Stretch]) -> Iterator[str]:
    yield "| requests a second | answered | ping, p50 | ping, p99 | ÷ none | worst |"
    yield "|---|---|---|---|---|---|"
    without = _p99s(stretches, 0)
    for rate in sorted(set(_RATES)):
        some = [one for one in stretches if one.rate == rate]
        p99s = _p99s(stretches, rate)
        answered = statistics.median(one.answered for one in some)
        p50 = statistics.median(one.p50_ms for one in some)
        p99 = statistics.median(p99s)
        yield (
            f"| {rate} | {answered:.0f} | {p50:.2f} ms |"
            f" {p99:.2f} ms ({min(p99s):.2f} to {max(p99s):.2f}) |"
            f" {p99 / statistics.median(without):.2f} |"
            f" {max(one.worst_ms for one in some):.1f} ms |"
        )
    late = statistics.median(one.late_ms for one in stretches)
    yield f"\nThe pinger's own delay, p99: {late:.2f} ms. Medians of each stretch's figures."


def _p99s(stretches: Sequence[Stretch], rate: int) -> list[float]:
    return [one.p99_ms for one in stretches if one.rate == rate]


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
