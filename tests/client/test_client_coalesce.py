"""Coalescing: one merged event tells what the two would have told, one after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet._model.entries import Entry, Message
from triolet._model.events import (
    Closed,
    Feed,
    InboxRow,
    Notice,
    Presence,
    Receipts,
    Reset,
    Signal,
    Synced,
    Typing,
)
from triolet.client._coalesce import key_of, merge

names = st.sampled_from("abcd")
rows = st.dictionaries(names, st.integers(1, 9))


def inbox_row(room, head):
    return InboxRow(
        room=room,
        kind="group",
        epoch="e",
        head=head,
        unread=0,
        read=0,
        role="member",
        title="",
        last=None,
    )


def shown(event, model):
    """Apply an event to what a screen shows."""
    match event:
        case Receipts():
            model.update({user: read for user, _, read in event.marks})
        case Presence():
            model.update({user: seen for user, _, seen in event.users})
        case Typing():
            model.clear()
            model.update(dict.fromkeys(event.users))
        case Feed():
            model.update({row[0]: row[2] for row in event.rooms})
            model.update({("mine", room): True for room in event.added})
            model.update({("mine", room): False for room in event.removed})
        case Synced():
            for row in event.rooms:
                model[row.room] = row.head
            for room in event.gone:
                model.pop(room, None)
    return model


def _feed(heads, added, removed):
    return Feed(
        rooms=tuple((room, "e", head, 0, 0) for room, head in heads.items()),
        added=tuple(added - removed),
        removed=tuple(removed),
    )


def _synced(heads, gone):
    return Synced(
        rooms=tuple(inbox_row(room, head) for room, head in heads.items() if room not in gone),
        gone=tuple(gone),
    )


EVENTS = {
    "receipts": rows.map(
        lambda r: Receipts(room="r", marks=tuple((u, 0, n) for u, n in r.items()))
    ),
    "presence": rows.map(lambda r: Presence(users=tuple((u, "away", n) for u, n in r.items()))),
    "typing": st.lists(names).map(lambda u: Typing(room="r", users=tuple(u), more=False)),
    "feed": st.builds(_feed, rows, st.frozensets(names), st.frozensets(names)),
    "synced": st.builds(_synced, rows, st.frozensets(names)),
}


@pytest.mark.parametrize("kind", list(EVENTS))
@given(data=st.data())
def test_merged_shows_what_both_would(kind, data):
    old, new = data.draw(EVENTS[kind]), data.draw(EVENTS[kind])
    before = dict(data.draw(rows))

    assert key_of(old) == key_of(new)
    merged = merge(old, new)

    assert key_of(merged) == key_of(new)
    assert shown(new, shown(old, dict(before))) == shown(merged, dict(before))


def test_the_latest_notice_of_a_kind_wins():
    old = Notice(kind="draining", retry_after_ms=1)
    new = Notice(kind="draining", retry_after_ms=2)

    assert key_of(old) == key_of(new) != key_of(Notice(kind="token_expiring", expires_at=1))
    assert new == merge(old, new)


def test_what_counts_has_no_key():
    for event in (
        Entry("r", 1, 1, "ben", 1, "c", Message(body={})),
        Signal(room="r", kind="k", data={}, from_device="d", sender="ben"),
        Notice(kind="announcement", body={}),
        Reset(room="r", epoch="e", head=1),
        Closed(room="r", reason="kicked"),
    ):
        assert key_of(event) is None
