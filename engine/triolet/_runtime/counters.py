"""What a node counts as it goes: once a batch, a part or a read, never once a delivery.

Plain numbers that others add to. Nobody is told of them unless somebody looks: see `observer`.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, final

from .._domain.busiest import ROOMS_MAX, Busiest
from .._domain.histogram import Histogram
from .._model.observation import ErrorRow
from ..ports.store import Appended, Duplicate, Outcome, RoomDeleted

# Errors that are kept: what a person reads at once.
_ERRORS_KEPT: Final = 50
# Of batches that are stored without a thread, so many for each one whose time is taken: two looks
# at the clock are 2 % of such a message.
TIMED_ONE_IN: Final = 16


# Close codes that are told apart; the others are counted together, as 0.
_CODES_MAX: Final = 64
# The close code of a connection that ended without one (RFC 6455, section 7.4.1).
ABNORMAL: Final = 1006


@final
class Counters:
    """See the module.

    Attributes:
        cursors: subscriptions there are now; likewise `sessions`, their `users`, and those whose
            peers take nothing (`slow`).
        batches: stored, or tried to be.
        messages: entries that are messages; `entries` are all of them.
        acknowledged: durable requests that were answered `ok`, `duplicates` among them.
        deliveries: entries and states told to who follows their rooms live; not what somebody
            catches up with.
        bytes_in: read from sockets; `bytes_out` were written to them.
        opened: connections.
        closes: connections that have ended, by close code.
        refusals: by reason.
        store_failures: calls for a batch that failed.
        append: how long the store took for a batch.
        bus: how long the bus took to ring this node itself.
        lag: how late the event loop was.
        errors: what was logged as warning or worse, the last one last; filled by a handler of
            whoever sets the logs up.
        errors_logged: how many there were.
    """

    __slots__ = (
        "acknowledged",
        "append",
        "batches",
        "bus",
        "busiest",
        "bytes_in",
        "bytes_out",
        "closes",
        "cursors",
        "deliveries",
        "duplicates",
        "entries",
        "errors",
        "errors_logged",
        "lag",
        "messages",
        "opened",
        "refusals",
        "sessions",
        "slow",
        "store_failures",
        "users",
    )

    def __init__(self, *, now: float = 0.0) -> None:
        self.cursors = 0
        self.sessions = 0
        self.slow = 0
        self.users = 0
        self.batches = 0
        self.messages = 0
        self.entries = 0
        self.acknowledged = 0
        self.duplicates = 0
        self.deliveries = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.opened = 0
        self.closes: dict[int, int] = {}
        self.refusals: dict[str, int] = {}
        self.store_failures = 0
        self.append = Histogram()
        self.bus = Histogram()
        self.lag = Histogram()
        self.busiest = Busiest(now=now)
        self.errors: deque[ErrorRow] = deque(maxlen=_ERRORS_KEPT)
        self.errors_logged = 0

    def told(self, outcomes: Sequence[Outcome]) -> None:
        """What became of the drafts of a batch, or of a part of one."""
        stored = duplicates = entries = others = 0
        tally = self.busiest.tally
        for outcome in outcomes:
            if isinstance(outcome, Appended):
                stored += 1
                for record in outcome.records:
                    entries += 1
                    if record.kind != "message":
                        others += 1
                    room = record.room
                    tally[room] = tally.get(room, 0) + 1
            elif isinstance(outcome, Duplicate):
                duplicates += 1
            elif isinstance(outcome, RoomDeleted):
                stored += 1
        self.acknowledged += stored + duplicates
        self.duplicates += duplicates
        self.entries += entries
        self.messages += entries - others
        if len(tally) > ROOMS_MAX:
            self.busiest.trim()

    def arrived(self, sessions: int) -> None:
        """A session was welcomed; its user has so many now."""
        self.sessions += 1
        self.users += sessions == 1

    def departed(self, sessions: int) -> None:
        """A session that was welcomed has ended; its user has so many left."""
        self.sessions -= 1
        self.users -= not sessions

    def refused(self, reason: str) -> None:
        """A request was answered with an error."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1

    def closed(self, code: int) -> None:
        """A connection has ended; a client may do so with any code it likes."""
        if code not in self.closes and len(self.closes) >= _CODES_MAX:
            code = 0
        self.closes[code] = self.closes.get(code, 0) + 1
