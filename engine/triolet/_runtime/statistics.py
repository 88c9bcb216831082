"""What an engine is doing, in numbers."""

from typing import TYPE_CHECKING, final

import msgspec

if TYPE_CHECKING:
    from .engine import Engine


@final
class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is doing, at one moment.

    Attributes:
        node: its name among other nodes; empty: there are none.
        not_ready: why it is not ready, if it is not; see `Engine.why_not_ready`.
        unheard: the parts of the bus by which it does not hear itself; only where these are all
            of them it is not ready.
    """

    connections: int
    sessions: int
    users: int
    rooms: int
    cursors: int
    pending_bytes: int
    draining: bool
    node: str
    not_ready: str
    unheard: tuple[str, ...]


def statistics_of(engine: "Engine") -> Statistics:
    """Return what an engine is doing now."""
    nodes, counters = engine.nodes, engine.counters
    return Statistics(
        connections=len(engine.heartbeat.connections),
        sessions=counters.sessions,
        users=counters.users,
        rooms=len(engine.hub.rooms),
        cursors=counters.cursors,
        pending_bytes=engine.sequencer.pending_bytes,
        draining=engine.is_draining,
        node="" if nodes is None else nodes.name,
        not_ready=engine.why_not_ready(),
        unheard=() if nodes is None else nodes.unheard,
    )
