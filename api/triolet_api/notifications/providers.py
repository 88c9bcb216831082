"""The ways out: what is told, what may come of it, and what each way promises."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal, Protocol, TypeAlias, final

from msgspec import Struct

from .preferences import Kind

# However far away a `Retry-After` is: by then what was to be told is old.
_RETRY_AFTER_S_MAX: Final = 24 * 3600

Urgency: TypeAlias = Literal["low", "normal", "high"]


@final
class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told, the same whichever way: it is the JSON that a service worker gets.

    Attributes:
        kind: of what; `host`: it is the host's, with a `title` and a `text` of its own.
        user: whom it is for.
        title: of the room, or of the whole.
        sender: who wrote the last message.
        text: its text, as far as the user wants it shown; cut where it is long.
        room, seq: where it is.
        at: when (ms).
        unread: messages of the room that the user has not read.
        badge: messages of all rooms that are not muted.
        tag: one notice with a tag takes the place of another with the same.
        url: what a tap opens.
    """

    v: int = 1
    kind: Kind
    user: str
    title: str = ""
    sender: str = ""
    text: str = ""
    room: str = ""
    seq: int = 0
    at: int = 0
    unread: int = 0
    badge: int = 0
    tag: str = ""
    url: str = ""
    urgency: Urgency = "normal"


@final
class Delivered(Struct, frozen=True):
    """The other side has it."""


@final
class Gone(Struct, frozen=True):
    """There is nobody there any more, and never will be."""


@final
class Again(Struct, frozen=True):
    """It may be taken later: after so many seconds, None: whenever."""

    after_s: float | None
    why: str


@final
class Refused(Struct, frozen=True):
    """It is not taken; `is_lasting`: somebody has to look into it."""

    why: str
    is_lasting: bool


Outcome: TypeAlias = Delivered | Gone | Again | Refused


class Provider(Protocol):
    """One way out."""

    async def deliver(self, notice: Notice, *, key: str) -> Outcome:
        """Send a notice, and say what came of it; it raises nothing that can be expected.

        Args:
            notice: what.
            key: the same for the same notice, so that a receiver can tell a repetition.
        """
        ...


def outcome_of(status: int, retry_after: str, *, now: float) -> Outcome:
    """Return what an answer of a push service (RFC 8030) or of a webhook means.

    >>> outcome_of(201, "", now=0), outcome_of(410, "", now=0)
    (Delivered(), Gone())
    >>> outcome_of(429, "120", now=0)
    Again(after_s=120.0, why='answered 429')
    """
    why = f"answered {status}"
    if 200 <= status < 300:
        return Delivered()
    if status in (404, 410):
        return Gone()
    if status in (408, 425, 429) or status >= 500:
        return Again(seconds_of(retry_after, now=now), why)
    return Refused(why, is_lasting=status != 413)


def seconds_of(retry_after: str, *, now: float) -> float | None:
    """Return what `Retry-After` says, in seconds from now; None: nothing that can be read.

    >>> seconds_of("120", now=0), seconds_of("Thu, 01 Jan 1970 00:01:00 GMT", now=15)
    (120.0, 45.0)
    >>> seconds_of("soon", now=0)
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), _RETRY_AFTER_S_MAX)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_S_MAX)


@final
class RecordedProvider:
    """Delivers nothing, and remembers all of it: for tests, of the host's too.

    Attributes:
        delivered: notices, in the order in which they came.
        outcomes: what to say of the next ones, by their users; `Delivered` of all others.
    """

    def __init__(self, outcomes: Mapping[str, Outcome] | None = None) -> None:
        self.delivered: list[Notice] = []
        self.outcomes = dict(outcomes or {})

    async def deliver(self, notice: Notice, *, key: str) -> Outcome:
        """See `Provider`."""
        del key
        self.delivered.append(notice)
        return self.outcomes.get(notice.user, Delivered())
