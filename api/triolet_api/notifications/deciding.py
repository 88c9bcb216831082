"""Who is told what, and when: facts, wishes and a moment in, a decision out.

No clock, no store and no loop: what is decided can be asked for any moment, and is, by tests.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, TypeAlias, final

from msgspec import Struct

from .preferences import Kind, Level, Preferences, QuietHours, zone_of

# Who does not want to be disturbed is asked about so often: it ends by a word, at no known time.
_DND_MS: Final = 10 * 60_000

Reason: TypeAlias = Literal["read", "told", "unwanted", "gone", "own"]


@final
class Void(Struct, frozen=True):
    """There is nothing to tell, and why."""

    reason: Reason


@final
class Later(Struct, frozen=True):
    """Not now: it is to be decided again then (ms)."""

    at: int


@final
class Tell(Struct, frozen=True):
    """Tell it now, as what kind."""

    kind: Kind


Decision: TypeAlias = Void | Later | Tell


@final
class Facts(Struct, frozen=True, kw_only=True):
    """How one user stands to one room, now.

    Attributes:
        is_direct: it is a room of two.
        newest: the last message of others that is still there; 0: there is none unread.
        mention: the last of them that mentions the user; 0: none.
        read: how far the user has read.
        notified: how far they were told.
        since: when the first message that they were not told of came (ms).
        is_live: they have a device that is connected.
        is_dnd: they do not want to be disturbed.
    """

    is_direct: bool
    newest: int
    mention: int
    read: int
    notified: int
    since: int
    is_live: bool = False
    is_dnd: bool = False


def decide(
    facts: Facts, room: str, wishes: Preferences, *, unread_delay_ms: int, now: int
) -> Decision:
    """Return whether a user is told of a room now.

    Args:
        facts: how they stand to it.
        room: its name.
        wishes: what they want.
        unread_delay_ms: how long who is connected has to read it.
        now: ms.
    """
    if facts.newest <= facts.read:
        return Void("read")
    if facts.newest <= facts.notified:
        return Void("told")
    kind = kind_of(facts, mention=facts.mention > max(facts.read, facts.notified))
    if not wants(wishes, room, kind, now=now):
        return Void("unwanted")
    if facts.is_live and now < facts.since + unread_delay_ms:
        return Later(facts.since + unread_delay_ms)
    held_until = hold(wishes, kind, is_dnd=facts.is_dnd, now=now)
    return Tell(kind) if held_until is None else Later(held_until)


def kind_of(facts: Facts, *, mention: bool) -> Kind:
    """Return what a message is to its reader."""
    if facts.is_direct:
        return "direct"
    return "mention" if mention else "message"


def wants(wishes: Preferences, room: str, kind: Kind, *, now: int) -> bool:
    """Whether a user wishes to be told of a kind of message in a room.

    >>> wants(Preferences(level="mentions"), "tea", "message", now=0)
    False
    >>> wants(Preferences(level="mentions"), "tea", "mention", now=0)
    True
    """
    if kind == "host":
        return wishes.host
    wish = wishes.rooms.get(room)
    if wish is not None and now < wish.muted_until:
        return False
    level: Level = wishes.level if wish is None or wish.level is None else wish.level
    if level == "none":
        return False
    if kind == "message":
        return level == "all"
    return wishes.direct if kind == "direct" else wishes.mentions


def hold(
    wishes: Preferences, kind: Kind, *, is_dnd: bool, now: int, is_urgent: bool = False
) -> int | None:
    """Return until when a notification is held back (ms), or None: it is not.

    Args:
        wishes: what the user wants.
        kind: what is to be told.
        is_dnd: whether they do not want to be disturbed right now.
        now: ms.
        is_urgent: of the host's own: nothing holds it back.
    """
    if is_urgent:
        return None
    quiet = wishes.quiet
    if quiet is not None and kind not in quiet.breaks and _is_known(quiet):
        end = quiet_until(quiet, now)
        if end is not None:
            return end
    return now + _DND_MS if is_dnd else None


def _is_known(quiet: QuietHours) -> bool:
    """Whether this machine knows the zone: another one did, or this one before an update.

    If not, it is told at the wrong hour rather than never.
    """
    try:
        zone_of(quiet.zone)
    except ValueError:
        return False
    return True


# --- quiet hours ---------------------------------------------------------------------------


def quiet_until(quiet: QuietHours, now: int) -> int | None:
    """Return when the quiet hours that `now` lies in end (ms), or None: it lies in none.

    Where clocks go forward over the end, they end when the clocks do; where they go back over it
    they begin once more, as the clock on the wall says.

    >>> quiet = QuietHours(start="22:00", end="07:00", zone="Europe/Berlin")
    >>> at = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)  # 23:30 in Berlin
    >>> datetime.fromtimestamp(quiet_until(quiet, int(at.timestamp()) * 1000) / 1000, UTC).hour
    5
    """
    seconds = now // 1000
    if not _is_quiet(quiet, seconds):
        return None
    local = _local(quiet, seconds)
    is_tomorrow = _minutes(quiet.start) > _minutes(quiet.end) and local.time() >= _time(quiet.start)
    day = local.date() + timedelta(days=1) if is_tomorrow else local.date()
    ends = (_instant(quiet, day, fold) for fold in (0, 1))
    last = next((end for end in sorted(ends) if end > seconds), None)
    if last is None or _is_quiet(quiet, last):
        # The clocks skipped it, or went back: an hour more is enough to be beyond it.
        last = max(_instant(quiet, day, 0), seconds) + 2 * 3600
    return _first_loud(quiet, seconds, last) * 1000


def _first_loud(quiet: QuietHours, low: int, high: int) -> int:
    """Return when it is not quiet any more, between a moment that is and one that is not (s)."""
    while high - low > 1:
        middle = (low + high) // 2
        if _is_quiet(quiet, middle):
            low = middle
        else:
            high = middle
    return high


def _is_quiet(quiet: QuietHours, seconds: int) -> bool:
    minute = _minutes(f"{_local(quiet, seconds):%H:%M}")
    start, end = _minutes(quiet.start), _minutes(quiet.end)
    return start <= minute < end if start < end else minute >= start or minute < end


def _local(quiet: QuietHours, seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone_of(quiet.zone))


def _instant(quiet: QuietHours, day: date, fold: int) -> int:
    """Return when the end of quiet hours is on a day (s); `fold`: which of two that are alike."""
    wall = datetime.combine(day, _time(quiet.end), zone_of(quiet.zone)).replace(fold=fold)
    return int(wall.timestamp())


def _time(text: str) -> time:
    return time.fromisoformat(text)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
