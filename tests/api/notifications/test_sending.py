"""Law: who is away is told once of what they have not read, as they wish, whatever goes wrong."""

import msgspec
import pytest
from notified_house import DELAY_S, UNREAD_DELAY_S, open_house

from triolet._model.errors import ConfigurationError, Refusal
from triolet_api.address import Address
from triolet_api.notifications.outgoing import Answer, RequestFailed
from triolet_api.notifications.preferences import Preferences, QuietHours, RoomWish
from triolet_api.notifications.providers import Delivered
from triolet_api.notifications.settings import MailSettings, PushSettings, WebhookSettings
from triolet_api.notifications.webhook import verify
from triolet_api.secret import Secret

IN_VIRTUAL_TIME = True
ROOM = "dm:anna:ben"


@pytest.fixture
async def house():
    async with open_house() as house:
        await house.direct("anna", "ben")
        yield house


async def test_who_is_away_gets_one_push_for_several_messages(house):
    await house.subscribe("ben")
    await house.say("anna", ROOM, "one", "two", "three")
    await house.passed(DELAY_S + 2)

    (notice,) = house.notices("ben")
    assert notice == {
        "kind": "direct",
        "user": "ben",
        "title": "anna",
        "sender": "anna",
        "text": "three",
        "room": ROOM,
        "seq": notice["seq"],
        "at": notice["at"],
        "unread": 3,
        "badge": 3,
        "tag": ROOM,
        "urgency": "high",
    }
    await house.passed(3600)
    assert len(house.notices("ben")) == 1


async def test_what_comes_later_is_told_too(house):
    await house.subscribe("ben")
    for text in ("one", "two", "three"):
        await house.say("anna", ROOM, text)
        await house.passed(DELAY_S + 2)

    assert house.texts("ben") == ["one", "two", "three"]
    assert [one["unread"] for one in house.notices("ben")] == [1, 2, 3]


async def test_what_comes_much_later_is_told_too(house):
    await house.subscribe("ben")
    for text in ("one", "two", "three"):
        await house.say("anna", ROOM, text)
        await house.passed(3600)

    assert house.texts("ben") == ["one", "two", "three"]


async def test_each_device_is_pushed_to(house):
    await house.subscribe("ben", "phone")
    await house.subscribe("ben", "tablet")
    await house.say("anna", ROOM, "hello")
    await house.passed(DELAY_S + 2)

    assert house.texts("ben", "phone") == house.texts("ben", "tablet") == ["hello"]


async def test_nobody_is_told_of_what_they_say(house):
    await house.subscribe("anna")
    await house.say("anna", ROOM, "hello")
    await house.passed(2 * UNREAD_DELAY_S)

    assert house.notices("anna") == []


async def test_who_is_connected_and_reads_is_not_told(house):
    await house.subscribe("ben")
    async with house.connect("ben") as ben:
        await house.say("anna", ROOM, "hello")
        await house.passed(UNREAD_DELAY_S / 2)
        (row,) = [one for one in (await ben.rooms()).rooms if one.room == ROOM]
        await ben.receipt(ROOM, read=row.head)
        await house.passed(2 * UNREAD_DELAY_S)

    assert house.notices("ben") == []


async def test_who_is_connected_and_does_not_read_is_told_after_a_while(house):
    await house.subscribe("ben")
    async with house.connect("ben"):
        await house.say("anna", ROOM, "hello")
        await house.passed(UNREAD_DELAY_S - 2)
        assert house.notices("ben") == []
        await house.say("anna", ROOM, "are you there?")
        await house.passed(4)
        assert house.texts("ben") == ["are you there?"]
        await house.say("anna", ROOM, "hey")
        await house.passed(2 * UNREAD_DELAY_S)

    assert house.texts("ben") == ["are you there?", "hey"]


async def test_a_read_on_another_device_withdraws_what_waits(house):
    await house.subscribe("ben")
    await house.say("anna", ROOM, "hello")
    await house.passed(1)
    async with house.connect("ben") as ben:
        (row,) = [one for one in (await ben.rooms()).rooms if one.room == ROOM]
        await ben.receipt(ROOM, read=row.head)
    await house.passed(2 * UNREAD_DELAY_S)

    assert house.notices("ben") == []


async def test_a_message_that_was_taken_back_is_not_told(house):
    await house.subscribe("ben")
    async with house.connect("anna") as anna:
        sent = await anna.send(ROOM, {"text": "oops"})
        await anna.delete(ROOM, sent.seq)
        await house.passed(2 * UNREAD_DELAY_S)
        assert house.notices("ben") == []
        # And it does not stand in the way of the next one.
        await anna.send(ROOM, {"text": "hello"})
        await house.passed(DELAY_S + 2)

    assert house.texts("ben") == ["hello"]


async def test_who_is_no_member_any_more_is_not_told(house):
    await house.subscribe("ben")
    async with house.connect("anna") as anna:
        tea = (await anna.create(title="Tea", members=("ben",))).room
        await anna.send(tea, {"text": "hello"})
        await anna.kick(tea, "ben")
    await house.passed(2 * UNREAD_DELAY_S)

    assert house.notices("ben") == []


# --- wishes ----------------------------------------------------------------------------------


async def test_a_room_that_is_muted_is_silent_and_does_not_count(house):
    await house.subscribe("ben")
    async with house.connect("anna") as anna:
        tea = (await anna.create(title="Tea", members=("ben",))).room
        await house.wish("ben", Preferences(rooms={tea: RoomWish("none")}))
        await anna.send(tea, {"text": "hello"}, mentions=("ben",))
        await anna.send(ROOM, {"text": "psst"})
    await house.passed(2 * UNREAD_DELAY_S)

    (notice,) = house.notices("ben")
    assert (notice["text"], notice["badge"]) == ("psst", 1)


async def test_what_comes_after_a_mute_is_told(house):
    """Muted while a job waited for it, and loud again: no key of a job stands in the way."""
    await house.subscribe("ben")
    await house.say("anna", ROOM, "one")
    await house.passed(1)
    await house.wish("ben", Preferences(level="none"))
    await house.passed(DELAY_S + 2)
    await house.wish("ben", Preferences())
    await house.passed(4)
    await house.say("anna", ROOM, "two")
    await house.passed(2 * UNREAD_DELAY_S)

    assert house.texts("ben") == ["two"]


async def test_mentions_alone_are_told_who_wants_no_more(house):
    await house.subscribe("ben")
    await house.wish("ben", Preferences(level="mentions"))
    async with house.connect("anna") as anna:
        tea = (await anna.create(title="Tea", members=("ben",))).room
        await anna.send(tea, {"text": "one"})
        await house.passed(DELAY_S + 2)
        assert house.notices("ben") == []
        await anna.send(tea, {"text": "two"}, mentions=("ben",))
        await anna.send(tea, {"text": "three"})
    await house.passed(DELAY_S + 2)

    (notice,) = house.notices("ben")
    assert (notice["kind"], notice["title"], notice["unread"]) == ("mention", "Tea", 3)


async def test_texts_are_not_shown_to_who_does_not_want_it(house):
    await house.subscribe("ben")
    await house.wish("ben", Preferences(preview=False))
    await house.say("anna", ROOM, "secret")
    await house.passed(DELAY_S + 2)

    (notice,) = house.notices("ben")
    assert "secret" not in str(notice)
    assert notice["sender"] == "anna"


async def test_texts_are_not_sent_where_the_operator_does_not_want_it():
    async with open_house(push=PushSettings(preview=False)) as house:
        await house.direct("anna", "ben")
        await house.subscribe("ben")
        await house.say("anna", ROOM, "secret")
        await house.passed(DELAY_S + 2)

        assert house.texts("ben") == [""]


async def test_quiet_hours_delay_and_lose_nothing(house):
    # The clock of the test begins at 22:13:20 UTC.
    await house.subscribe("ben")
    quiet = QuietHours(start="22:00", end="23:00", zone="UTC")
    await house.wish("ben", Preferences(quiet=quiet))
    await house.say("anna", ROOM, "one")
    await house.passed(600)
    await house.say("anna", ROOM, "two")
    await house.passed(1800)
    assert house.notices("ben") == []
    await house.passed(600)

    (notice,) = house.notices("ben")
    assert (notice["text"], notice["unread"]) == ("two", 2)


async def test_who_does_not_want_to_be_disturbed_is_told_when_that_is_over(house):
    await house.subscribe("ben")
    async with house.connect("ben") as ben:
        await ben.presence("dnd")
        await house.passed(2)
    await house.passed(20)
    await house.say("anna", ROOM, "hello")
    await house.passed(1000)
    assert house.notices("ben") == []
    async with house.connect("ben") as ben:
        await ben.presence("online")
        await house.passed(2)
    await house.passed(700)

    assert house.texts("ben") == ["hello"]


async def test_of_a_large_room_who_is_mentioned_is_told(house):
    await house.subscribe("ben")
    await house.subscribe("carl")
    async with house.connect("anna") as anna:
        members = tuple(f"m{n}" for n in range(255))
        tea = (await anna.create(title="Tea", members=("ben", "carl"))).room
        for member in members:
            await anna.invite(tea, member)
        await anna.send(tea, {"text": "hello"}, mentions=("ben",))
    await house.passed(2 * UNREAD_DELAY_S)

    assert (house.texts("ben"), house.texts("carl")) == (["hello"], [])


# --- what goes wrong ---------------------------------------------------------------------------


async def test_a_device_that_is_gone_is_forgotten(house):
    await house.subscribe("ben")
    house.outgoing.answers = [410]
    await house.say("anna", ROOM, "hello")
    await house.passed(DELAY_S + 2)

    assert await house.notifying.devices.of("ben") == ()
    await house.say("anna", ROOM, "hello?")
    await house.passed(DELAY_S + 2)
    assert len(house.outgoing.sent) == 1


async def test_who_is_asked_to_wait_waits(house):
    await house.subscribe("ben")
    house.outgoing.answers = [Answer(429, "100", b"")]
    await house.say("anna", ROOM, "hello")
    await house.passed(DELAY_S + 90)
    assert len(house.outgoing.sent) == 1
    await house.passed(20)

    assert house.texts("ben") == ["hello", "hello"]


async def test_a_push_service_that_is_away_is_tried_again(house):
    await house.subscribe("ben")
    house.outgoing.answers = [500, RequestFailed("no answer in time"), 503]
    await house.say("anna", ROOM, "hello")
    await house.passed(600)

    assert len(house.outgoing.sent) == 4


async def test_what_is_read_meanwhile_is_not_tried_again(house):
    await house.subscribe("ben")
    house.outgoing.answers = [Answer(503, "300", b"")]
    await house.say("anna", ROOM, "hello")
    await house.passed(60)
    async with house.connect("ben") as ben:
        (row,) = [one for one in (await ben.rooms()).rooms if one.room == ROOM]
        await ben.receipt(ROOM, read=row.head)
    await house.passed(600)

    assert len(house.outgoing.sent) == 1


async def test_a_push_that_is_refused_for_good_is_a_dead_job(house):
    from triolet.ports.jobs import JobState

    await house.subscribe("ben")
    house.outgoing.answers = [403]
    await house.say("anna", ROOM, "hello")
    await house.passed(600)

    assert len(house.outgoing.sent) == 1
    (dead,) = await house.engine.store.jobs.listed(JobState.DEAD, limit=9)
    assert (dead.kind, dead.error) == ("notify.push", "Abandon: answered 403")


async def test_what_is_too_large_is_dropped(house, caplog):
    await house.subscribe("ben")
    house.outgoing.answers = [413]
    await house.say("anna", ROOM, "hello")
    await house.passed(600)

    assert len(house.outgoing.sent) == 1
    assert "a push to ben is dropped: answered 413" in caplog.text


# --- hosts -------------------------------------------------------------------------------------


async def test_a_host_tells_something_of_its_own_once(house):
    await house.subscribe("ben")
    for is_new in (True, False):
        sent = await house.notifying.send("ben", "Invoice", "due", url="/i/7", key="invoice-7")
        assert sent == is_new
    await house.passed(5)

    (notice,) = house.notices("ben")
    assert (notice["title"], notice["text"], notice["url"]) == ("Invoice", "due", "/i/7")
    assert "Topic" not in house.outgoing.sent[0][2]


async def test_quiet_hours_hold_the_host_back_unless_it_is_urgent(house):
    await house.subscribe("ben")
    quiet = QuietHours(start="22:00", end="23:00", zone="UTC")
    await house.wish("ben", Preferences(quiet=quiet))
    await house.notifying.send("ben", "calm")
    await house.notifying.send("ben", "fire", is_urgent=True)
    await house.passed(5)
    assert [one["title"] for one in house.notices("ben")] == ["fire"]
    await house.passed(3600)

    assert [one["title"] for one in house.notices("ben")] == ["fire", "calm"]


async def test_the_host_is_not_heard_by_who_does_not_want_it(house):
    await house.subscribe("ben")
    await house.wish("ben", Preferences(host=False))
    await house.notifying.send("ben", "Invoice")
    await house.passed(60)

    assert house.notices("ben") == []


async def test_nothing_is_looked_for_where_nobody_can_be_told(house):
    await house.say("anna", ROOM, *map(str, range(20)))
    await house.passed(60)

    assert house.outgoing.sent == []
    assert await house.engine.store.jobs.counts() == []


# --- other ways --------------------------------------------------------------------------------


WEBHOOK = WebhookSettings(url=Address("https://example.org/hook"), secret=Secret(b"x" * 32))


async def test_the_webhook_hears_of_who_has_no_device():
    async with open_house(webhook=WEBHOOK) as house:
        await house.direct("anna", "ben")
        await house.say("anna", ROOM, "hello")
        await house.passed(DELAY_S + 2)

        ((url, body, headers),) = house.outgoing.sent
        assert url == "https://example.org/hook"
        assert msgspec.json.decode(body)["text"] == "hello"
        now = house.engine.clock.now_ms() // 1000
        assert verify(b"x" * 32, body, headers["Triolet-Signature"], now=now)


@pytest.fixture
async def mailing():
    mail = MailSettings(server=Address("smtps://mail.invalid"), sender="chat@example.org")
    async with open_house(mail=mail) as house:
        house.mails = []

        async def send(message):
            house.mails.append(message)
            return Delivered()

        house.notifying.mail.send = send
        await house.direct("anna", "ben")
        await house.wish("ben", Preferences(email="ben@example.org"))
        yield house


async def test_what_stays_unread_is_mailed_in_one_digest(mailing):
    await mailing.notifying.people.verify_email("ben", "ben@example.org")
    await mailing.say("anna", ROOM, "one")
    await mailing.passed(600)
    await mailing.say("anna", ROOM, "two")
    await mailing.passed(200)
    assert mailing.mails == []
    await mailing.passed(3600)

    (mail,) = mailing.mails
    assert mail["To"] == "ben@example.org"
    assert mail["Subject"] == "2 unread messages"
    await mailing.say("anna", ROOM, "three")
    await mailing.passed(3600)
    assert [one["Subject"] for one in mailing.mails] == ["2 unread messages", "3 unread messages"]


async def test_what_is_read_is_not_mailed(mailing):
    await mailing.notifying.people.verify_email("ben", "ben@example.org")
    await mailing.say("anna", ROOM, "one")
    await mailing.passed(600)
    async with mailing.connect("ben") as ben:
        (row,) = [one for one in (await ben.rooms()).rooms if one.room == ROOM]
        await ben.receipt(ROOM, read=row.head)
    await mailing.passed(3600)
    assert mailing.mails == []
    # And what comes then is.
    await mailing.say("anna", ROOM, "two")
    await mailing.passed(3600)
    assert len(mailing.mails) == 1


@pytest.mark.parametrize("verified", ["", "other@example.org"])
async def test_an_address_that_is_not_verified_gets_nothing(mailing, verified):
    await mailing.notifying.people.verify_email("ben", verified)
    await mailing.say("anna", ROOM, "one")
    await mailing.passed(3600)

    assert mailing.mails == []


async def test_who_has_left_by_a_mails_link_gets_no_more(mailing):
    await mailing.notifying.people.verify_email("ben", "ben@example.org")
    token = mailing.notifying.mail.leaving_token("ben")
    with pytest.raises(Refusal):
        await mailing.notifying.leave_mail("anna", token)
    await mailing.notifying.leave_mail("ben", token)
    await mailing.say("anna", ROOM, "one")
    await mailing.passed(3600)

    assert mailing.mails == []


async def test_quiet_hours_delay_a_digest(mailing):
    await mailing.notifying.people.verify_email("ben", "ben@example.org")
    quiet = QuietHours(start="22:20", end="23:30", zone="UTC", breaks=("direct",))
    await mailing.wish("ben", Preferences(quiet=quiet, email="ben@example.org"))
    await mailing.say("anna", ROOM, "one")
    await mailing.passed(4000)
    assert mailing.mails == []
    await mailing.passed(900)

    assert len(mailing.mails) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"webhook": WebhookSettings(url=Address("http://example.org"))},
            "webhook.url: only",
        ),
        ({"webhook": WebhookSettings(url=Address("https://example.org"))}, "webhook.secret"),
        ({"push": PushSettings(networks=("10.0.0.1/8",))}, "push.networks"),
        ({"push": PushSettings(key=Secret(b"nothing"))}, "push.key: this is no private key"),
        ({"mail": MailSettings(server=Address("smtps://mail.invalid"))}, "mail.sender"),
    ],
)
async def test_settings_that_cannot_work_are_refused(settings, why):
    with pytest.raises(ConfigurationError, match=why):
        async with open_house(**settings):
            pass


async def test_nodes_that_share_a_store_share_the_key(tmp_path):
    async with open_house() as one, open_house(store=one.engine.store) as other:
        assert one.notifying.key.public == other.notifying.key.public
