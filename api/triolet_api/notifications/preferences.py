"""What a user wishes to be told of: kept as one document, and given over HTTP as it is kept."""

from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias, final
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from triolet._model.ids import Room

# Of one document: a room's name and its row are about 200 bytes, and 256 KiB are a document's.
ROOMS_MAX: Final = 500

# What of a room: every message, those that mention the user, or nothing.
Level: TypeAlias = Literal["all", "mentions", "none"]
# What a notification is of; `host`: something the host service has to tell.
Kind: TypeAlias = Literal["direct", "mention", "message", "host"]
TimeOfDay: TypeAlias = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
# Not `..`, nor a path: what the IANA data base calls its zones.
ZoneName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*\Z")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, lt=2**53)]
# One address and nothing that a header could be made to say: no spaces, quotes or line breaks.
Email: TypeAlias = Annotated[
    str, Meta(pattern=r"^([A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9.-]{1,189})?\Z", max_length=254)
]


@final
class QuietHours(Struct, frozen=True, kw_only=True):
    """Each day from `start` to `end`, as clocks in `zone` show it; over midnight if it is less.

    What comes in quiet hours is told at their end, except the kinds that break through them.

    Attributes:
        zone: an IANA name, `Europe/Berlin`; summer time is considered.
        breaks: kinds that are told all the same.
    """

    start: TimeOfDay
    end: TimeOfDay
    zone: ZoneName
    breaks: tuple[Kind, ...] = ()


@final
class RoomWish(Struct, frozen=True, omit_defaults=True):
    """What of one room.

    Attributes:
        level: None: what goes for all rooms.
        muted_until: nothing at all until then (ms).
    """

    level: Level | None = None
    muted_until: Milliseconds = 0


@final
class Preferences(Struct, frozen=True, kw_only=True):
    """What a user wishes; what is absent is as here.

    Attributes:
        level: of rooms that have no wish of their own; direct rooms count as mentions.
        direct, mentions, host: whether these kinds are told at all.
        preview: whether the text of a message is shown, or only that there is one.
        quiet: quiet hours, if there are any.
        email: where digests go, once the host has verified it; empty: there are none.
        rooms: at most 500 rooms with wishes of their own.
    """

    level: Level = "all"
    direct: bool = True
    mentions: bool = True
    host: bool = True
    preview: bool = True
    quiet: QuietHours | None = None
    email: Email = ""
    rooms: Annotated[dict[Room, RoomWish], Meta(max_length=ROOMS_MAX)] = {}


def check_preferences(preferences: Preferences) -> None:
    """Refuse what is well-formed and cannot be.

    Raises:
        ValueError: quiet hours without a length, or in a zone that nobody knows.

    >>> check_preferences(Preferences(quiet=QuietHours(start="22:00", end="07:00", zone="X/Y")))
    Traceback (most recent call last):
    ...
    ValueError: nobody knows the time zone X/Y
    """
    quiet = preferences.quiet
    if quiet is None:
        return
    if quiet.start == quiet.end:
        raise ValueError("quiet hours end at another time than they begin")
    try:
        zone_of(quiet.zone)
    except ValueError:
        raise ValueError(f"nobody knows the time zone {quiet.zone}") from None


@lru_cache(maxsize=600)  # there are about so many
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(name) from None
