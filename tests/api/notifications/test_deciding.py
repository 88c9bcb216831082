"""Law: what is told, and when, follows from what is known at that moment, and nothing is lost."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet_api.notifications.deciding import (
    Facts,
    Later,
    Tell,
    Void,
    decide,
    hold,
    quiet_until,
    wants,
)
from triolet_api.notifications.preferences import Kind, Preferences, QuietHours, RoomWish

NOW = 1_800_000_000_000
DELAY = 30_000
NOON = QuietHours(start="12:00", end="13:00", zone="UTC")
ALL: tuple[Kind, ...] = ("direct", "mention", "message")
NIGHT = QuietHours(start="22:00", end="07:00", zone="Europe/Berlin")


def facts(**changes: object) -> Facts:
    return Facts(
        **{
            "is_direct": False,
            "newest": 12,
            "mention": 0,
            "read": 10,
            "notified": 0,
            "since": NOW - 5000,
            **changes,
        }  # type: ignore[arg-type]
    )


def decided(wishes: Preferences | None = None, *, now: int = NOW, **changes: object) -> object:
    wishes = wishes or Preferences()
    return decide(facts(**changes), "tea", wishes, unread_delay_ms=DELAY, now=now)


def test_who_is_away_and_has_not_read_is_told() -> None:
    assert decided() == Tell("message")
    assert decided(mention=11) == Tell("mention")
    assert decided(is_direct=True, mention=11) == Tell("direct")


def test_who_has_read_it_is_not() -> None:
    assert decided(read=12) == Void("read")


def test_nobody_is_told_twice() -> None:
    assert decided(notified=12) == Void("told")
    assert decided(notified=11) == Tell("message")


def test_a_mention_that_was_told_of_does_not_make_the_next_message_one() -> None:
    assert decided(mention=11, notified=11) == Tell("message")
    assert decided(Preferences(level="mentions"), mention=11, notified=11) == Void("unwanted")


def test_who_is_connected_has_time_to_read() -> None:
    assert decided(is_live=True) == Later(NOW - 5000 + DELAY)
    assert decided(is_live=True, now=NOW - 5000 + DELAY) == Tell("message")


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        (Preferences(), ALL),
        (Preferences(level="mentions"), ("direct", "mention")),
        (Preferences(level="none"), ()),
        (Preferences(direct=False), ("mention", "message")),
        (Preferences(mentions=False), ("direct", "message")),
        (Preferences(rooms={"tea": RoomWish("none")}), ()),
        (Preferences(rooms={"tea": RoomWish("mentions")}), ("direct", "mention")),
        (
            Preferences(level="none", rooms={"tea": RoomWish("all")}),
            ("direct", "mention", "message"),
        ),
        (Preferences(rooms={"other": RoomWish("none")}), ALL),
        (Preferences(rooms={"tea": RoomWish(muted_until=NOW + 1)}), ()),
        (Preferences(rooms={"tea": RoomWish(muted_until=NOW)}), ALL),
    ],
)
def test_wishes_are_heard(wishes: Preferences, told: tuple[Kind, ...]) -> None:
    assert told == tuple(kind for kind in ALL if wants(wishes, "tea", kind, now=NOW))


def test_the_host_is_heard_unless_it_is_not_wanted() -> None:
    assert wants(Preferences(level="none"), "", "host", now=NOW)
    assert not wants(Preferences(host=False), "", "host", now=NOW)


def berlin(text: str) -> int:
    """Return a moment that is given in UTC, ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        # 23:30, and 01:30, in summer.
        (NIGHT, "2026-07-01T21:30", "2026-07-02T05:00"),
        (NIGHT, "2026-07-01T23:30", "2026-07-02T05:00"),
        # Exactly at the begin, just before it, and at the end.
        (NIGHT, "2026-07-01T20:00", "2026-07-02T05:00"),
        (NIGHT, "2026-07-01T19:59", None),
        (NIGHT, "2026-07-02T05:00", None),
        # Noon, within one day.
        (
            QuietHours(start="12:00", end="13:00", zone="UTC"),
            "2026-07-01T12:30",
            "2026-07-01T13:00",
        ),
        (NOON, "2026-07-01T13:00", None),
        # The nights in which clocks change: 8 and 10 hours long.
        (NIGHT, "2026-03-28T21:00", "2026-03-29T05:00"),
        (NIGHT, "2026-10-24T20:00", "2026-10-25T06:00"),
        # 02:30 does not exist: it ends when the clocks go on to 03:00.
        (
            QuietHours(start="01:00", end="02:30", zone="Europe/Berlin"),
            "2026-03-29T00:30",
            "2026-03-29T01:00",
        ),
        # 02:30 is there twice: it is quiet before each.
        (
            QuietHours(start="01:00", end="02:30", zone="Europe/Berlin"),
            "2026-10-25T00:10",
            "2026-10-25T00:30",
        ),
        (
            QuietHours(start="01:00", end="02:30", zone="Europe/Berlin"),
            "2026-10-25T01:10",
            "2026-10-25T01:30",
        ),
    ],
)
def test_quiet_hours_end_as_the_clock_on_the_wall_says(
    quiet: QuietHours, now: str, end: str | None
) -> None:
    assert quiet_until(quiet, berlin(now)) == (None if end is None else berlin(end))


def minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
# The whole of 2026, with all its changes of clocks.
MOMENTS = st.integers(1_767_225_600_000, 1_798_761_600_000)


@given(TIMES, TIMES, ZONES, MOMENTS)
@example("23:00", "02:00", "Europe/Berlin", 1_774_746_000_000 - 1)
def test_what_is_held_back_is_told_within_the_day(
    start: str, end: str, zone: str, now: int
) -> None:
    if start == end:
        return
    quiet = QuietHours(start=start, end=end, zone=zone)
    until = quiet_until(quiet, now)

    if until is not None:
        assert now < until <= now + 25 * 3_600_000
        assert quiet_until(quiet, until) is None
        # All the time until then it is quiet: to the millisecond before.
        assert quiet_until(quiet, (now + until) // 2) == until
        assert quiet_until(quiet, until - 1) == until


def test_quiet_hours_delay_what_does_not_break_through() -> None:
    night = berlin("2026-07-01T21:30")
    wishes = Preferences(quiet=NIGHT)
    loud = Preferences(
        quiet=QuietHours(start="22:00", end="07:00", zone="Europe/Berlin", breaks=("mention",))
    )

    assert decided(wishes, now=night) == Later(berlin("2026-07-02T05:00"))
    assert decided(wishes, now=berlin("2026-07-02T05:00")) == Tell("message")
    assert decided(loud, now=night) == Later(berlin("2026-07-02T05:00"))
    assert decided(loud, now=night, mention=12) == Tell("mention")


def test_what_is_urgent_is_not_held_back() -> None:
    night = berlin("2026-07-01T21:30")

    assert hold(Preferences(quiet=NIGHT), "host", is_dnd=True, now=night, is_urgent=True) is None


def test_quiet_hours_of_a_zone_that_nobody_knows_here_hold_nothing_back() -> None:
    """Of another version of the zones: without this whatever is to be told fails until it dies."""
    nowhere = QuietHours(start="00:00", end="23:59", zone="Nowhere/Else")
    assert hold(Preferences(quiet=nowhere), "message", is_dnd=False, now=0) is None


def test_who_does_not_want_to_be_disturbed_is_asked_about_later() -> None:
    assert decided(is_dnd=True) == Later(NOW + 600_000)
