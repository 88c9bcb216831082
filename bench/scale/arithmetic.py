"""What a platform of so many nodes asks of each part: counts of the simulation, measured prices.

A part is at its end where it would need more than one core, or more connections than it has;
PostgreSQL's primary and each Redis are one process per connection, and one thread.
"""

from typing import Final, NamedTuple

from .simulation import Counting

# PostgreSQL's default, and a cost of memory in each of its processes beyond.
POSTGRES_CONNECTIONS: Final = 100


class Prices(NamedTuple):
    """CPU of one unit, µs, as `python -m bench direct` and the services' own benchmarks measured.

    Attributes:
        node_message: a message on the node of its sender: taken, stored, rung, acknowledged.
        node_doorbell: a doorbell on a node that hears it.
        database_message: a message in PostgreSQL.
        database_query: a short query of one row.
        bus_ring: a PUBLISH in a pipeline.
        bus_doorbell: one more subscriber of it.
        bus_row: a row of what is told under leases.
    """

    node_message: float
    node_doorbell: float
    database_message: float
    database_query: float
    bus_ring: float
    bus_doorbell: float
    bus_row: float


class Platform(NamedTuple):
    """Whom the nodes serve.

    Attributes:
        people: connected to each node.
        messages_per_s: of each of them.
        pool: connections of a node to PostgreSQL.
    """

    people: int = 5_000
    messages_per_s: float = 0.02
    pool: int = 8


class Bill(NamedTuple):
    """What a number of nodes comes to.

    Attributes:
        messages_per_s: of all.
        node_cores: of each node, for what crosses and for what it sends.
        database_cores: of the primary.
        bus_cores: of all Redis servers together; each has one.
        quiet_part: of `bus_cores`, what it takes when nobody says anything.
        connections: of all nodes to PostgreSQL.
    """

    nodes: int
    messages_per_s: float
    node_cores: float
    database_cores: float
    bus_cores: float
    quiet_part: float
    connections: int


def bill(counting: Counting, prices: Prices, platform: Platform, *, nodes: int) -> Bill:
    """Return what `nodes` nodes come to, by what was counted of some, perhaps of fewer.

    What a quiet node asks of the bus grows with the nodes only by the beats that it reads: each
    reads those of all. What a message asks grows with the nodes that follow its room, which are
    at most as many as the room has members.
    """
    quiet, message = counting.quiet, counting.message
    per_s = platform.people * platform.messages_per_s
    # Of the rows that a node reads in a second, those of beats: one of each node in each beat.
    beats_per_s = quiet["bus.renew_lease"] * nodes
    others = quiet["bus.states rows"] - quiet["bus.renew_lease"] * counting.plan.nodes
    rows_per_s = beats_per_s + max(0.0, others) * platform.people / counting.plan.people
    resting = nodes * (
        quiet["bus.ring doorbells"] * (prices.bus_ring + prices.bus_doorbell)
        + rows_per_s * prices.bus_row
    )
    heard = message["bus.receive doorbells"]
    ringing = nodes * per_s * (message["bus.ring doorbells"] * prices.bus_ring)
    hearing = nodes * per_s * heard * prices.bus_doorbell
    # Heads of the rooms that it has loaded, a thousand in a query, and revocations.
    rooms = quiet["store.heads rows"] / quiet["store.heads"] * platform.people
    looks_per_s = quiet["store.heads"] * (rooms / counting.plan.people / 1000 + 1)
    looks_per_s += quiet["store.revocations"]
    return Bill(
        nodes=nodes,
        messages_per_s=nodes * per_s,
        node_cores=(per_s * prices.node_message + per_s * heard * prices.node_doorbell) / 1e6,
        database_cores=nodes
        * (per_s * prices.database_message + looks_per_s * prices.database_query)
        / 1e6,
        bus_cores=(resting + ringing + hearing) / 1e6,
        quiet_part=resting / (resting + ringing + hearing),
        connections=nodes * platform.pool,
    )
