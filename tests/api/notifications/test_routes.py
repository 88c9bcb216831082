"""Law: each user manages their own devices and wishes, and sees what they have not read."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trio
from notices import Browser

from triolet._model.errors import ErrorCode, Refusal
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.address import Address
from triolet_api.composition import open_api
from triolet_api.notifications.mail import Mail
from triolet_api.notifications.rings import HOST
from triolet_api.notifications.settings import MailSettings, PushSettings
from triolet_api.notifications.vapid import VapidKey
from triolet_api.settings import Settings

PHONE = "https://127.0.0.1:9/push/phone"
MAIL = MailSettings(server=Address("smtp://127.0.0.1:9?tls=off"), sender="chat@example.org")


class Names:
    """A gate to which a token is a name; `root` is an admin."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if token is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        roles = ("admin",) if token == "root" else ()
        return Identity(user=token, expires_at=FOREVER, roles=roles)

    def may(self, who, action, *, room="", user=""):
        return None


@asynccontextmanager
async def open_door(serving, **push):
    push = PushSettings(networks=("127.0.0.0/8",), **push)
    settings = Settings(store=Address("memory:"), push=push, mail=MAIL)
    async with (
        open_engine(gate=Names()) as engine,
        open_api(engine, settings) as api,
        serving(api.app) as host,
        host.client() as client,
    ):

        async def ask(who, method, path, status=200, body=None):
            headers = {"Authorization": f"Bearer {who}"} if who else {}
            url = f"/v1/notifications{path}"
            answer = await client.request(method, url, json=body, headers=headers)
            assert answer.status_code == status, answer.text
            is_json = answer.headers.get("Content-Type", "").startswith("application/")
            return answer.json() if is_json and answer.content else answer.text

        ask.engine = engine
        ask.api = api
        yield ask


@pytest.fixture
async def ask(serving):
    async with open_door(serving) as ask:
        yield ask


async def test_a_device_is_subscribed_listed_and_removed(ask):
    assert len((await ask("", "GET", "/key"))["key"]) == 87
    row = await ask("ben", "POST", "/subscriptions", 201, Browser(PHONE).subscription)
    assert "127.0.0.1" not in str(row)

    assert await ask("ben", "GET", "/subscriptions") == {"devices": [row]}
    assert await ask("anna", "GET", "/subscriptions") == {"devices": []}
    await ask("anna", "DELETE", f"/subscriptions/{row['id']}", 204)
    assert await ask("ben", "GET", "/subscriptions") == {"devices": [row]}
    await ask("ben", "DELETE", f"/subscriptions/{row['id']}", 204)
    assert await ask("ben", "GET", "/subscriptions") == {"devices": []}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://10.0.0.1/push",
        "https://[::1]/push",
        "http://127.0.0.1/push",
        "https://x@127.0.0.1/",
    ],
)
async def test_an_endpoint_in_a_private_network_is_refused(ask, endpoint):
    answer = await ask("ben", "POST", "/subscriptions", 422, Browser(endpoint).subscription)

    assert answer["reason"] == "invalid_field"
    assert await ask("ben", "GET", "/subscriptions") == {"devices": []}


async def test_wishes_are_kept_and_those_that_cannot_be_are_refused(ask):
    assert (await ask("ben", "GET", "/preferences"))["level"] == "all"
    quiet = {"start": "22:00", "end": "07:00", "zone": "Europe/Berlin"}
    await ask("ben", "PUT", "/preferences", body={"level": "mentions", "quiet": quiet})
    await ask("ben", "PUT", "/rooms/tea", body={"level": "none"})
    await ask("ben", "PUT", "/rooms/cake", body={"muted_until": 5})
    await ask("ben", "PUT", "/rooms/cake", body={})

    wishes = await ask("ben", "GET", "/preferences")
    assert wishes["quiet"] == quiet | {"breaks": []}
    assert (wishes["level"], wishes["rooms"]) == ("mentions", {"tea": {"level": "none"}})
    quiet["zone"] = "Mars/Olympus"
    refused = await ask("ben", "PUT", "/preferences", 422, {"quiet": quiet})
    assert refused["detail"] == "nobody knows the time zone Mars/Olympus"
    assert await ask("ben", "GET", "/preferences") == wishes


async def test_more_rooms_than_a_document_holds_are_refused(ask):
    rooms = {f"r{number}": {"level": "none"} for number in range(500)}
    await ask("ben", "PUT", "/preferences", body={"rooms": rooms})
    await ask("ben", "PUT", "/rooms/one-more", 422, {"level": "none"})
    await ask("ben", "PUT", "/rooms/r7", body={"level": "all"})


async def test_what_is_unread_is_told_and_muted_rooms_do_not_count(ask):
    async with ask.engine.connect("anna") as anna:
        tea = (await anna.create(title="Tea", members=("ben",))).room
        await anna.direct("ben")
        for room in (tea, tea, "dm:anna:ben"):
            await anna.send(room, {"text": "hello"})
    await ask("ben", "PUT", f"/rooms/{tea}", body={"level": "none"})
    told = {"is_muted": False, "is_told": True, "text": "hello"}
    muted = {"is_muted": True, "is_told": False, "text": "hello"}
    rows = [
        {"room": "dm:anna:ben", "title": "", "unread": 1, **told},
        {"room": tea, "title": "Tea", "unread": 2, **muted},
    ]

    assert await ask("ben", "GET", "/inbox") == {
        "badge": 1,
        "rooms": sorted(rows, key=lambda row: row["room"]),
        "more": False,
    }
    async with ask.engine.connect("ben") as ben:
        for row in (await ben.rooms()).rooms:
            await ben.receipt(row.room, read=row.head)
    assert await ask("ben", "GET", "/inbox") == {"badge": 0, "rooms": [], "more": False}


NOW = datetime.now(UTC)
AROUND_NOW = {
    name: f"{NOW + timedelta(hours=hours):%H:%M}" for name, hours in (("start", -2), ("end", 2))
}


@pytest.mark.parametrize(
    ("wishes", "says", "is_told"),
    [
        ({}, {}, True),
        ({"level": "mentions"}, {}, False),
        ({"level": "mentions"}, {"mentions": ("ben",)}, True),
        ({"quiet": {**AROUND_NOW, "zone": "UTC"}}, {}, False),
    ],
)
async def test_a_page_without_push_is_told_what_to_tell(ask, wishes, says, is_told):
    """As the server would by push: by what is wished, and not in quiet hours."""
    async with ask.engine.connect("anna") as anna:
        room = (await anna.create(title="Tea", members=("ben",))).room
        await anna.send(room, {"text": "hello"}, **says)
    await ask("ben", "PUT", "/preferences", body={"preview": False, **wishes})
    (row,) = (await ask("ben", "GET", "/inbox"))["rooms"]

    assert (row["is_told"], row["text"]) == (is_told, "")


async def test_who_is_not_to_be_disturbed_is_told_nothing(ask):
    async with ask.engine.connect("anna") as anna, ask.engine.connect("ben") as ben:
        room = (await anna.create(title="Tea", members=("ben",))).room
        await ben.presence("dnd")
        await anna.send(room, {"text": "hello"})
        (row,) = (await ask("ben", "GET", "/inbox"))["rooms"]

    assert not row["is_told"]


async def test_a_trial_goes_to_all_devices_once_in_a_while(ask, monkeypatch):
    assert await ask("ben", "POST", "/test") == {"devices": 0}
    await ask("ben", "POST", "/subscriptions", 201, Browser(PHONE).subscription)
    added = []
    add_many = ask.engine.jobs.add_many

    async def adding(jobs):
        are_new = await add_many(jobs)
        added.extend(is_new for job, is_new in zip(jobs, are_new, strict=True) if job.kind == HOST)
        return are_new

    monkeypatch.setattr(ask.engine.jobs, "add_many", adding)
    monkeypatch.setattr(ask.engine.clock, "now_ms", lambda: 1_800_000_000_000)
    for _ in range(2):
        assert await ask("ben", "POST", "/test") == {"devices": 1}
    assert added == [True, False], "who asks again and again is pushed to once"


async def test_admins_alone_tell_something_and_verify_addresses(ask):
    notice = {"user": "ben", "title": "Invoice", "key": "7"}
    await ask("ben", "POST", "/send", 403, notice)
    assert await ask("root", "POST", "/send", body=notice) == {"is_new": True}
    assert await ask("root", "POST", "/send", body=notice) == {"is_new": False}
    await ask("ben", "PUT", "/users/ben/email", 403, {"email": "ben@example.org"})
    await ask("root", "PUT", "/users/ben/email", 204, {"email": "ben@example.org"})
    await ask("root", "PUT", "/users/ben/email", 422, {"email": "ben"})


async def test_a_mails_link_asks_first_and_then_ends_mails(ask):
    link = f"/leave?user=ben&token={'0' * 64}"
    assert '<form method="post"' in await ask("", "GET", link)
    await ask("", "POST", link, 403)
    await ask("", "GET", "/leave?user=%3Cscript%3E&token=0", 422)
    (kept,) = await ask.engine.store.documents.read(["secret/vapid"])
    mail = Mail(MAIL, VapidKey.from_pem(kept.value).derived(b"mail"))
    mailed = f"/leave?user=ben&token={mail.leaving_token('ben')}"
    assert "no mails any more" in await ask("", "POST", mailed), "who follows it sees that it did"


async def test_where_it_is_switched_off_there_is_nothing(serving):
    async with open_door(serving, enabled=False) as ask:
        await ask("ben", "GET", "/key", 404)
        assert ask.engine.sequencer.notifier is None
        assert [one for one in ask.api.endpoints if one.tag == "notifications"] == []
