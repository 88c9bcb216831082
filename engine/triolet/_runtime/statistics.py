"""What an engine is doing, in numbers."""

from typing import final

import msgspec


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
