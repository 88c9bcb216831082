"""What an engine is doing, in numbers."""

from typing import final

import msgspec


@final
class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is doing, at one moment."""

    connections: int
    sessions: int
    users: int
    rooms: int
    cursors: int
    pending_bytes: int
    draining: bool
