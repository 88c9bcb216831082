"""What the chat says."""

from datetime import UTC, timedelta, timezone

import pytest

from triolet._model.events import InboxRow
from triolet_api.chat import changes, words
from triolet_api.chat.conversation import Conversation

DAY_MS = 86_400_000

SENTENCES = {
    "[3] ✓ sent": changes.Stored("c", 3),
    "[3] ✓✓ delivered to ben": changes.MarksMoved("ben", 3, is_read=False),
    "[3] ✓✓ read by ben": changes.MarksMoved("ben", 3, is_read=True),
    "ben edited [3]": changes.Edited(3, "ben", None),
    "ben deleted [3]": changes.Deleted(3, "ben"),
    "ben put 👍 to [3]": changes.Reacted(3, "ben", "👍", on=True),
    "ben took 👍 from [3]": changes.Reacted(3, "ben", "👍", on=False),
    "anna made ben a member": changes.MemberChanged("ben", "member", "anna"),
    "ben joined": changes.MemberChanged("ben", "member", "ben"),
    "ben left": changes.MemberChanged("ben", None, "ben"),
    "anna removed ben": changes.MemberChanged("ben", None, "anna"),
    "anna called this room “Tea”": changes.Retitled("Tea", "anna"),
    "not sent: “hi” (too long)": changes.Refused("hi", "too long"),
    "ben is typing …": changes.TypingChanged(("ben",)),
    "nobody is typing": changes.TypingChanged(()),
    "ben is online": changes.PresenceChanged("ben", "online", 0),
    "ben is offline": changes.PresenceChanged("ben", "offline", 5),
    "the connection is lost; what you write waits": changes.Lost(),
    "back; 3 messages caught up": changes.Back(3),
    "a note": changes.Noted("a note"),
}


@pytest.mark.parametrize(("sentence", "change"), SENTENCES.items(), ids=SENTENCES)
def test_a_change_is_a_sentence(sentence, change):
    assert sentence == words.tell(change)


def test_every_kind_of_change_has_one(make):
    seen = Conversation(make.room, "anna")
    (said,) = seen.apply(make.Log().message("ben", "hi"))

    assert "ben wrote [1]" == words.tell(said)
    kinds = {type(change) for change in [*SENTENCES.values(), said]}
    assert kinds == set(changes.Change.__args__)


def test_times_are_those_of_the_person():
    calendar = words.Calendar(timezone(timedelta(hours=5, minutes=30)))

    assert "05:30" == calendar.hour(0)
    assert "Thursday 1 January 1970" == calendar.day(0)


@pytest.mark.parametrize(
    ("at_ms", "told"),
    [
        (3 * DAY_MS + 60_000, "last seen 00:01"),
        (2 * DAY_MS, "last seen yesterday 00:00"),
        (0, "last seen 1 Jan 1970"),
    ],
)
def test_last_seen_is_as_short_as_can_be(at_ms, told):
    assert told == words.Calendar(UTC).last_seen(at_ms, now_ms=3 * DAY_MS + 3_600_000)


def test_who_tells_everybody(make):
    seen = Conversation("tea", "anna")
    seen.open(make.subscribed("tea", marks=(("anna", 0, 0), ("bo", 0, 0), ("carl", 0, 0))))
    seen.see((("carl", "away", 0),))
    calendar = words.Calendar(UTC)

    assert "○ bo    offline\n◐ carl  away" == words.who(seen, calendar=calendar, now_ms=0)
    assert "nobody else is here" == words.who(Conversation("", "anna"), calendar=calendar, now_ms=0)


def test_a_conversation_says_what_it_is(make):
    lobby, direct, tea = (Conversation(room, "anna") for room in ("", make.room, "tea"))
    for room in (direct, tea):
        room.open(make.subscribed(room.room))
    titled = Conversation("tea", "anna")
    titled.open(make.subscribed("tea"))
    titled.title = "Tea time"

    assert ["triolet", "ben", "tea", "Tea time"] == [
        words.heading(one) for one in (lobby, direct, tea, titled)
    ]
    assert ["messages in the terminal", "direct", "2 members", "tea · 2 members"] == [
        words.kind(one) for one in (lobby, direct, tea, titled)
    ]


def test_a_quote_is_short_and_of_one_line(make):
    log = make.Log()
    seen = Conversation(make.room, "anna")
    seen.apply(log.message("ben", "one\n\ntwo " + "x" * 50))

    assert 40 == len(words.quote(seen.messages[1]).strip("“”"))
    assert words.quote(seen.messages[1]).startswith("“one two xx")
    seen.apply(log.delete("ben", 1))
    assert "a deleted message" == words.quote(seen.messages[1])


def test_rooms_tell_how_to_get_there(make):
    fields = {"kind": "group", "epoch": "e", "head": 1, "read": 0, "role": "member", "title": ""}
    rows = [
        InboxRow(room="dm:anna:ben", unread=2, last=None, **fields),
        InboxRow(room="tea", unread=0, last=None, **fields),
    ]

    assert "/with ben     2 new\n/join tea" == words.rooms(rows, "anna")
    assert "you are in no room yet" in words.rooms([], "anna")
