"""Law: a device gets the notice, whole or cut, under the topic of its room."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notices import Browser, FakeOutgoing

from triolet_api.notifications.devices import Device, device_id
from triolet_api.notifications.encryption import DeviceKeys
from triolet_api.notifications.outgoing import AddressRefused, Answer, RequestFailed
from triolet_api.notifications.providers import Again, Delivered, Gone, Notice, Refused
from triolet_api.notifications.vapid import make_or_keep_key
from triolet_api.notifications.web_push import WebPush, payload_of, topic_of

ENDPOINT = "https://push.example.net/send/secret"
NOTICE = Notice(
    kind="direct", user="anna", sender="ben", text="hello", room="dm:anna:ben", tag="dm:anna:ben"
)


class Clock:
    def now_ms(self) -> int:
        return 1_800_000_000_000


@pytest.fixture
def browser():
    return Browser(ENDPOINT)


@pytest.fixture
def device(browser):
    from triolet_api.notifications.devices import _decoded

    keys = DeviceKeys(_decoded(browser.p256dh), _decoded(browser.auth))
    return Device(id=device_id(ENDPOINT), endpoint=ENDPOINT, keys=keys, agent="", added_at=0)


def web_push(outgoing, tmp_path):
    key = make_or_keep_key(tmp_path)
    return WebPush(outgoing, key, subject="mailto:a@example.org", clock=Clock(), ttl_s=60)


async def test_the_device_reads_the_notice(browser, device, tmp_path):
    outgoing = FakeOutgoing()
    assert await web_push(outgoing, tmp_path).push(device, NOTICE) == Delivered()

    ((url, body, headers),) = outgoing.sent
    assert url == ENDPOINT
    assert browser.read(body) == {
        "kind": "direct",
        "user": "anna",
        "sender": "ben",
        "text": "hello",
        "room": "dm:anna:ben",
        "tag": "dm:anna:ben",
    }
    assert headers["Topic"] == topic_of("dm:anna:ben")
    assert (headers["TTL"], headers["Urgency"]) == ("60", "normal")
    assert headers["Content-Encoding"] == "aes128gcm"
    assert headers["Authorization"].startswith("vapid t=")


async def test_without_a_tag_nothing_takes_its_place(device, tmp_path):
    outgoing = FakeOutgoing()
    await web_push(outgoing, tmp_path).push(device, Notice(kind="host", user="anna"))

    assert "Topic" not in outgoing.sent[0][2]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (410, Gone()),
        (Answer(429, "30", b""), Again(30.0, "answered 429")),
        (RequestFailed("no answer in time"), Again(None, "no answer in time")),
        (AddressRefused("private"), Refused("private", is_lasting=True)),
    ],
)
async def test_what_comes_of_it_is_said(device, tmp_path, answer, outcome):
    assert await web_push(FakeOutgoing(answer), tmp_path).push(device, NOTICE) == outcome


@given(st.text(max_size=5000), st.integers(200, 3993))
def test_a_text_is_cut_to_what_a_push_may_have(text, bytes_max):
    payload = payload_of(Notice(kind="host", user="anna", text=text), bytes_max=bytes_max)

    assert len(payload) <= bytes_max
    cut = msgspec.json.decode(payload).get("text", "")
    assert cut == text or text.startswith(cut.removesuffix("…"))


def test_a_title_and_a_url_that_are_too_long_keep_nothing_from_being_told():
    """A thousand characters are up to 6,000 bytes: without this the job fails until it is dead."""
    url = "https://example.org/" + "x" * 980
    long = Notice(kind="host", user="anna", title="\N{HOT BEVERAGE}" * 1000, text="a", url=url)
    assert len(long.title.encode()) == 3000
    told = msgspec.json.decode(payload_of(long), type=Notice)
    assert (told.text, told.title[:900], told.url) == ("", long.title[:900], url)

    broken = Notice(kind="host", user="anna", title="t", url="\x01" * 1000)
    told = msgspec.json.decode(payload_of(broken), type=Notice)
    assert told.url == ""


@given(st.text(), st.text())
def test_topics_tell_rooms_apart_and_nothing_of_them(one, other):
    assert (topic_of(one) == topic_of(other)) == (one == other)
    assert set(topic_of(one)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
