"""What a platform of so many nodes asks of each part: counts of the simulation, measured prices.

A node and a Redis are one thread each, and end at one core; the primary of PostgreSQL ends where
its machine does. Prices are of busy parts: batches make them cheaper, and a slower core dearer.
"""

from typing import NamedTuple

from triolet._model.limits import Limits

from .simulation import Counting


class Prices(NamedTuple):
    """CPU of one unit, µs; the defaults are what was measured on two cores of an AMD EPYC.

    Attributes:
        node_message: a message on its sender's node: taken, stored, rung, acknowledged
            (`python -m bench direct --peers postgres-redis`, 400 connections).
        node_doorbell: a doorbell on a node that hears it: what `crossing` costs more than that,
            by the two that a message rings there, its entry and its marks.
        database_message: a message in PostgreSQL, committed in groups (`crossing`); alone it
            costs ten times as much, and nobody waits then.
        database_query: a short query.
        database_room: a room whose head is compared.
        bus_ring: a PUBLISH in a pipeline, and `bus_doorbell`: each subscriber of it.
        bus_row: a row of what is told under leases.
    """

    node_message: float = 98.3
    node_doorbell: float = 13.3
    database_message: float = 46.1
    database_query: float = 100.0
    database_room: float = 5.1
    bus_ring: float = 1.3
    bus_doorbell: float = 1.3
    bus_row: float = 2.0


class Platform(NamedTuple):
    """Whom the nodes serve.

    Attributes:
        people: connected to each node.
        messages_per_s: of each of them.
        pool: connections of a node to PostgreSQL.
    """

    people: int = 5_000
    messages_per_s: float = 0.02
    pool: int = Limits().postgres_connections_max


class Bill(NamedTuple):
    """What a number of nodes comes to.

    Attributes:
        messages_per_s: of all.
        node_cores: of each node, for what crosses and for what it sends.
        database_cores: of the primary.
        looking_part: of `database_cores`, what it takes when nobody says anything.
        bus_cores: of all Redis servers together; each has one.
        quiet_part: of `bus_cores`, what it takes when nobody says anything.
        connections: of all nodes to PostgreSQL.
    """

    nodes: int
    messages_per_s: float
    node_cores: float
    database_cores: float
    looking_part: float
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
    rounds_per_s = quiet["store.heads"]
    rooms = quiet["store.heads rows"] / rounds_per_s / counting.plan.people * platform.people
    queries_per_s = rounds_per_s * (rooms // 1000 + 1) + quiet["store.revocations"]
    looking = queries_per_s * prices.database_query + rounds_per_s * rooms * prices.database_room
    return Bill(
        nodes=nodes,
        messages_per_s=nodes * per_s,
        node_cores=(per_s * prices.node_message + per_s * heard * prices.node_doorbell) / 1e6,
        database_cores=nodes * (per_s * prices.database_message + looking) / 1e6,
        looking_part=looking / (per_s * prices.database_message + looking),
        bus_cores=(resting + ringing + hearing) / 1e6,
        quiet_part=resting / (resting + ringing + hearing),
        connections=nodes * platform.pool,
    )
