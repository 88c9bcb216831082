"""Law: a receiver can tell what we sent from what anybody else did, and from what was recorded."""

import hmac
from hashlib import sha256

import msgspec
import pytest
from notices import FakeOutgoing

from triolet_api.notifications.outgoing import AddressRefused, RequestFailed
from triolet_api.notifications.providers import Again, Delivered, Notice, Refused
from triolet_api.notifications.webhook import Webhook, sign, verify
from triolet_api.secret import Secret

SECRET = b"a secret of at least thirty-two bytes"
NOW = 1_800_000_000
NOTICE = Notice(kind="mention", user="anna", text="hello")


class Clock:
    def now_ms(self) -> int:
        return NOW * 1000


async def deliver(*answers: object) -> tuple[object, FakeOutgoing]:
    outgoing = FakeOutgoing(*answers)
    webhook = Webhook(outgoing, "https://example.org/hook", Secret(SECRET), Clock())  # type: ignore[arg-type]
    return await webhook.deliver(NOTICE, key="anna/tea/1"), outgoing


async def test_a_receiver_verifies_what_was_sent() -> None:
    outcome, outgoing = await deliver()
    ((url, body, headers),) = outgoing.sent

    assert outcome == Delivered()
    assert url == "https://example.org/hook"
    assert msgspec.json.decode(body) == {"kind": "mention", "user": "anna", "text": "hello"}
    assert headers["Idempotency-Key"] == "anna/tea/1"
    # As a receiver would, who has only read the description.
    time, told = headers["Triolet-Signature"].removeprefix("t=").split(",v1=")
    assert time == str(NOW)
    assert told == hmac.new(SECRET, f"{time}.".encode() + body, sha256).hexdigest()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (404, Refused("answered 404 or 410", is_lasting=True)),
        (410, Refused("answered 404 or 410", is_lasting=True)),
        (500, Again(None, "answered 500")),
        (RequestFailed("no answer in time"), Again(None, "no answer in time")),
        (AddressRefused("private"), Refused("private", is_lasting=True)),
    ],
)
async def test_what_comes_of_it_is_said(answer: object, outcome: object) -> None:
    assert (await deliver(answer))[0] == outcome


@pytest.mark.parametrize("late_s", [-300, 0, 300])
def test_clocks_may_differ(late_s: int) -> None:
    assert verify(SECRET, b"{}", sign(SECRET, b"{}", now=NOW), now=NOW + late_s)


@pytest.mark.parametrize("late_s", [-301, 301])
def test_what_was_recorded_is_refused(late_s: int) -> None:
    assert not verify(SECRET, b"{}", sign(SECRET, b"{}", now=NOW), now=NOW + late_s)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=,v1=",
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v1=é",
        "t=٣,v1=00",
        f"t={'9' * 400},v1=00",
        sign(SECRET, b"{} ", now=NOW),
        sign(SECRET[1:], b"{}", now=NOW),
        sign(SECRET, b"{}", now=NOW).replace(f"t={NOW}", f"t={NOW + 1}"),
    ],
)
def test_what_others_sign_is_refused(signature: str) -> None:
    assert not verify(SECRET, b"{}", signature, now=NOW)
