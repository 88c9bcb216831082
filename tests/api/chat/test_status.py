"""The rule above the line: always as wide as the screen."""

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from triolet._model.events import Presence, Typing
from triolet.client import State
from triolet_api.chat.conversation import Conversation
from triolet_api.chat.face import Line
from triolet_api.chat.status import rule
from triolet_api.chat.words import Calendar

ONLINE = Line(state=State.ONLINE, was_online=True, address="host:1")


def told(conversation, line=ONLINE, *, width=80, unread=0, now=0.0):
    return rule(
        conversation,
        line,
        unread_elsewhere=unread,
        calendar=Calendar(UTC),
        now_ms=1_000_000,
        now=now,
        width=width,
    ).plain


def direct(make, status="online", last_seen=0):
    seen = Conversation(make.room, "anna")
    seen.open(make.subscribed())
    seen.see((("ben", status, last_seen),))
    return seen


def test_the_other_one_is_told_with_their_presence(make):
    assert "● ben is online" in told(direct(make))
    assert "◐ ben is away" in told(direct(make, "away"))
    assert "⊖ ben is not to be disturbed" in told(direct(make, "dnd"))
    assert "○ ben offline" in told(direct(make, "offline"))
    assert "○ ben last seen 00:10" in told(direct(make, "offline", 600_000))


def test_typing_comes_before_presence(make):
    seen = direct(make)
    seen.apply(Typing(room=make.room, users=("ben",), more=False))

    assert "● ben is typing …" in told(seen)


def test_a_group_counts_who_is_here(make):
    seen = Conversation("tea", "anna")
    seen.open(make.subscribed("tea", marks=(("anna", 0, 0), ("ben", 0, 0), ("carl", 0, 0))))
    seen.apply(Presence(users=(("ben", "away", 0), ("carl", "offline", 0))))

    assert "● ben is here" in told(seen)
    assert " tea · anna ──" in told(seen)


def test_the_connection_comes_before_everything(make):
    seen = direct(make)
    offline = Line(state=State.OFFLINE, retry_at=12.4, was_online=True, address="host:1")

    assert "◌ reconnecting in 2 s …" in told(seen, offline, now=10.0)
    seen.say("mine", "hi", at=0)
    assert "reconnecting in 2 s … · 1 waiting" in told(seen, offline, now=10.0)
    assert "◌ reconnecting …" in told(
        seen, Line(state=State.CONNECTING, was_online=True, address="host:1")
    )


def test_a_server_that_never_answered_is_named(make):
    seen = direct(make)

    assert "connecting to host:1 …" in told(seen, Line(state=State.CONNECTING, address="host:1"))
    assert "no answer from host:1; again in 1 s …" in told(
        seen, Line(state=State.OFFLINE, retry_at=0, address="host:1")
    )


def test_what_waits_elsewhere_is_counted(make):
    assert "3 new: /rooms · anna" in told(direct(make), unread=3)


@given(
    width=st.integers(1, 150),
    state=st.sampled_from([State.ONLINE, State.OFFLINE, State.CONNECTING]),
    room=st.sampled_from(["", "dm:anna:ben", "tea", "r" * 160]),
    me=st.sampled_from(["anna", "漢" * 9, "a" * 64]),
)
def test_it_is_as_wide_as_it_should_be(make, width, state, room, me):
    seen = Conversation(room, me)
    seen.open(make.subscribed(room or "x", marks=((me, 0, 0), ("b" * 64, 0, 0))))
    line = Line(state=state, address="host:1", was_online=True)

    text = rule(
        seen,
        line,
        unread_elsewhere=5,
        calendar=Calendar(UTC),
        now_ms=0,
        now=0,
        width=width,
    )

    assert width == text.cell_len
    assert "\n" not in text.plain
