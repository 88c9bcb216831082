"""Law: wishes that cannot be are refused, and what a later version keeps can still be read."""

import msgspec
import pytest

from triolet_api.notifications.preferences import (
    Preferences,
    QuietHours,
    RoomWish,
    check_preferences,
    zone_of,
)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"])
def test_zones_are_known_by_their_names(zone: str) -> None:
    check_preferences(Preferences(quiet=QuietHours(start="22:00", end="07:00", zone=zone)))


@pytest.mark.parametrize("zone", ["Europe", "Europe/Nowhere", "Mars/Olympus", "posixrules2"])
def test_a_zone_that_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="nobody knows the time zone"):
        check_preferences(Preferences(quiet=QuietHours(start="22:00", end="07:00", zone=zone)))


def test_quiet_hours_have_a_length() -> None:
    with pytest.raises(ValueError, match="another time"):
        check_preferences(Preferences(quiet=QuietHours(start="22:00", end="22:00", zone="UTC")))


@pytest.mark.parametrize(
    "given",
    [
        {"quiet": {"start": "24:00", "end": "07:00", "zone": "UTC"}},
        {"quiet": {"start": "7:00", "end": "08:00", "zone": "UTC"}},
        {"quiet": {"start": "07:00", "end": "08:00", "zone": "../../etc/passwd"}},
        {"quiet": {"start": "07:00", "end": "08:00", "zone": "/etc/passwd"}},
        {"quiet": {"start": "07:00", "end": "08:00", "zone": ""}},
        {"level": "some"},
        {"email": "anna"},
        {"email": "anna@example.org\r\nBcc: ben@example.org"},
        {"email": "anna@example.org, ben@example.org"},
        {"rooms": {"no room": {}}},
        {"rooms": {f"r{n}": {} for n in range(501)}},
        {"rooms": {"tea": {"muted_until": -1}}},
    ],
)
def test_what_is_none_is_refused(given: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Preferences)


def test_what_a_later_version_keeps_can_be_read() -> None:
    kept = {"level": "none", "rooms": {"tea": {"level": "all", "colour": "red"}}, "sound": "gong"}

    read = msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Preferences)

    assert read == Preferences(level="none", rooms={"tea": RoomWish("all")})


def test_a_zone_is_read_once() -> None:
    assert zone_of("Europe/Berlin") is zone_of("Europe/Berlin")
