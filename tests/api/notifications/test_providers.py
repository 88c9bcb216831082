"""Law: what others answer is understood as their RFCs say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.notifications.providers import (
    Again,
    Delivered,
    Gone,
    Notice,
    RecordedProvider,
    Refused,
    outcome_of,
    seconds_of,
)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Delivered()),
        (201, Delivered()),
        (202, Delivered()),
        (204, Delivered()),
        (404, Gone()),
        (410, Gone()),
        (429, Again(None, "answered 429")),
        (408, Again(None, "answered 408")),
        (500, Again(None, "answered 500")),
        (503, Again(None, "answered 503")),
        (413, Refused("answered 413", is_lasting=False)),
        (400, Refused("answered 400", is_lasting=True)),
        (401, Refused("answered 401", is_lasting=True)),
        (403, Refused("answered 403", is_lasting=True)),
        (307, Refused("answered 307", is_lasting=True)),
    ],
)
def test_statuses(status: int, outcome: object) -> None:
    assert outcome == outcome_of(status, "", now=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("999999999", 86400.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 45.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:01:00", 45.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("Thu, 99 Jan 1970 00:01:00 GMT", None),
    ],
)
def test_when_to_come_again(text: str, seconds: float | None) -> None:
    assert seconds == seconds_of(text, now=15)


@given(st.text())
def test_nonsense_is_no_time(text: str) -> None:
    found = seconds_of(text, now=15)

    assert found is None or 0 <= found <= 86400


async def test_what_is_recorded_is_what_would_have_been_told() -> None:
    notice = Notice(kind="host", user="anna", text="hello")
    recorded = RecordedProvider({"ben": Gone()})

    assert await recorded.deliver(notice, key="1") == Delivered()
    assert await recorded.deliver(Notice(kind="host", user="ben"), key="2") == Gone()
    assert recorded.delivered[0] is notice
