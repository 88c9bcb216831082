"""What a node counts, and what whoever looks is told of it. Values only.

A `Sample` is what one node has counted since it began. Who looks makes rates and quantiles of
two of them, so that nothing has to be kept for somebody who may look: see `_domain.observing`.
"""

from typing import TypeAlias, final

from msgspec import Struct

# How many durations fell into each bucket: see `_domain.histogram`.
Buckets: TypeAlias = dict[int, int]
# One row: when (ms), level, logger, what.
ErrorRow: TypeAlias = tuple[int, str, str, str]
# One row: room, entries.
RoomRow: TypeAlias = tuple[str, int]
# One row: kind, waiting, running, dead, when the first that waits is due (ms, 0: none waits).
JobsRow: TypeAlias = tuple[str, int, int, int, int]


@final
class Post(Struct, frozen=True, array_like=True):
    """Which one a node is of those that are one server: processes that share a port.

    Attributes:
        crew: what they have in common, and nobody else.
        number: its own among them; another node has it when it takes over.
    """

    crew: str
    number: int


@final
class Sample(Struct, frozen=True, kw_only=True, array_like=True, tag="sample"):
    """What a node has counted since it began, and how it is now.

    Attributes:
        node: its name; empty: there are no others.
        at: when, by its clock (ms).
        up_ms: how long it has run.
        gauges: what there is now, by name.
        counts: what has happened since it began, by name; they only grow.
        closes: connections that have ended, by close code.
        refusals: requests that were refused, by reason.
        append_us: how long the store took for a batch.
        bus_us: how long the bus took to ring this node itself.
        lag_us: how late the event loop was.
        not_ready: why it is not ready, if so; see `Engine.why_not_ready`.
        unheard: the parts of the bus by which it does not hear itself.
        is_store_failing: the last batch could not be stored.
        busiest: rooms with most entries lately, those of this node's own commits.
        errors: what was logged last, as warning or worse.
        post: None: it is a server by itself.
    """

    node: str
    at: int
    up_ms: int
    gauges: dict[str, int]
    counts: dict[str, int]
    closes: dict[str, int]
    refusals: dict[str, int]
    append_us: Buckets
    bus_us: Buckets
    lag_us: Buckets
    not_ready: str
    unheard: tuple[str, ...]
    is_store_failing: bool
    busiest: tuple[RoomRow, ...]
    errors: tuple[ErrorRow, ...]
    post: Post | None = None


@final
class Quantiles(Struct, frozen=True, kw_only=True):
    """Of `count` durations, in ms; each at most 6 % above the true one. Zeros: there were none."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@final
class NodeStatistics(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A node as it is shown; or, without a name, all of them together.

    Attributes:
        rates: counts a second, by name, since the sample before; empty at the first.
        append_ms: of the time since the sample before; at first since the node began.
    """

    node: str
    at: int
    up_ms: int
    gauges: dict[str, int]
    counts: dict[str, int]
    rates: dict[str, float]
    closes: dict[str, int]
    refusals: dict[str, int]
    append_ms: Quantiles
    bus_ms: Quantiles
    lag_ms: Quantiles
    not_ready: str = ""
    unheard: tuple[str, ...] = ()
    store_failing: bool = False
    busiest: tuple[RoomRow, ...] = ()
    errors: tuple[ErrorRow, ...] = ()


@final
class SessionRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A session as it is shown to who administers: nothing that would let anybody in.

    Attributes:
        since: when it was welcomed (ms).
        expires_at: when its token ends (ms).
        outbox_bytes: what waits to be written to it.
        slow: it takes nothing now.
    """

    session: str
    user: str
    device: str
    node: str
    since: int
    expires_at: int
    subscriptions: int
    outbox_bytes: int
    slow: bool
    address: str = ""
    agent: str = ""
    tier: str = ""
