"""What grows with the number of nodes, as tables in Markdown.

python -m bench.scale                       # 1, 10 and 100 nodes, half a minute
python -m bench.scale --nodes 1,3 --people 50

Each number of nodes is simulated, and priced with what a message was measured to cost.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console

from ..report.numbers import number
from .arithmetic import Bill, Platform, Prices, bill
from .simulation import Counting, Plan, simulate

_COUNTED: Final = (1, 10, 100)
_BILLED: Final = (1, 10, 100, 1_000)
_NODES_MAX: Final = 1_000
# Of what is counted: key, what it is, and whether a message or a quiet second asks it.
_ROWS: Final = (
    ("quiet", "bus.ring doorbells", "doorbells rung, a node and second"),
    ("quiet", "bus.states rows", "rows of leases and states read, a node and second"),
    ("quiet", "store.heads", "queries for heads, a node and second"),
    ("quiet", "store.heads rows", "rooms in them, a node and second"),
    ("quiet", "store.revocations", "queries for revocations, a node and second"),
    ("message", "store.append rows", "drafts appended, a message"),
    ("message", "bus.ring doorbells", "doorbells rung, a message"),
    ("message", "bus.ring bytes", "their bytes, a message"),
    ("message", "bus.receive doorbells", "doorbells heard by all nodes, a message"),
    ("message", "bus.receive bytes", "their bytes, a message"),
    ("message", "store.put_marks", "writes of marks, a message"),
)


def _nodes(count: int) -> str:
    return f"{count:,} node" + ("s" if count > 1 else "")


def counted(countings: Sequence[Counting]) -> Iterator[str]:
    """Yield the table of what was counted, one column for each number of nodes."""
    yield "| counted | " + " | ".join(_nodes(one.plan.nodes) for one in countings) + " |"
    yield "|---" * (len(countings) + 1) + "|"
    spread = " | ".join(number(one.spread) for one in countings)
    yield f"| nodes that follow a room of {countings[0].plan.room} | {spread} |"
    for when, key, what in _ROWS:
        values = (number(getattr(one, when).get(key, 0.0)) for one in countings)
        yield f"| {what} | " + " | ".join(values) + " |"


def billed(bills: Sequence[Bill]) -> Iterator[str]:
    """Yield the table of the arithmetic, one column for each number of nodes."""
    yield "| arithmetic | " + " | ".join(_nodes(one.nodes) for one in bills) + " |"
    yield "|---" * (len(bills) + 1) + "|"
    rows = {
        "messages, 1/s": [one.messages_per_s for one in bills],
        "each node, cores": [one.node_cores for one in bills],
        "PostgreSQL, cores": [one.database_cores for one in bills],
        "of these when nothing is said, %": [100 * one.looking_part for one in bills],
        "Redis, cores of all servers": [one.bus_cores for one in bills],
        "of the Redis cores when nothing is said, %": [100 * one.quiet_part for one in bills],
        "connections to PostgreSQL": [one.connections for one in bills],
    }
    for what, values in rows.items():
        yield f"| {what} | " + " | ".join(map(number, values)) + " |"


def main(arguments: Sequence[str]) -> int:
    """Simulate, reckon, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument(
        "--nodes",
        type=lambda text: tuple(map(int, text.split(","))),
        default=_COUNTED,
        help="numbers of nodes that are simulated (1,10,100)",
    )
    parser.add_argument("--people", type=int, default=20, help="of each simulated node (20)")
    asked = parser.parse_args(arguments)
    if not all(1 <= nodes <= _NODES_MAX for nodes in asked.nodes):
        parser.error(f"--nodes are from 1 to {_NODES_MAX}")
    if not 2 <= asked.people <= 1_000:
        parser.error("--people are from 2 to 1,000")
    console = Console(stderr=True)
    countings = []
    for nodes in asked.nodes:
        with console.status(f"{nodes:,} nodes"):
            countings.append(simulate(Plan(nodes=nodes, people=asked.people)))
    bills = [bill(countings[-1], Prices(), Platform(), nodes=nodes) for nodes in _BILLED]
    print("\n".join((*counted(countings), "", *billed(bills))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
