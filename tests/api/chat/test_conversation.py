"""A conversation, changed by events, is what a fresh look would show."""

from hypothesis import given
from hypothesis import strategies as st

from triolet._domain.fold import fold
from triolet._model.events import (
    InboxRow,
    Presence,
    Receipts,
    Synced,
    Typing,
)
from triolet_api.chat.changes import (
    Back,
    Deleted,
    Edited,
    Lost,
    MarksMoved,
    MemberChanged,
    Noted,
    PresenceChanged,
    Reacted,
    Refused,
    Retitled,
    Said,
    Stored,
    TypingChanged,
)
from triolet_api.chat.conversation import PIECES_MAX, Conversation, Reach


def conversation(make, *messages, me="anna", as_of=0, **more):
    found = Conversation(make.room, me)
    found.open(make.subscribed(**more))
    found.load(make.page(*messages, as_of=as_of))
    return found


def inbox_row(room, head):
    return InboxRow(
        room=room,
        kind="direct",
        epoch="e",
        head=head,
        unread=0,
        read=0,
        role="member",
        title="",
        last=None,
    )


PEOPLE = st.sampled_from(["anna", "ben", "carl"])
EMOJI = st.sampled_from("👍❤🎉")
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("message"), PEOPLE, st.text(max_size=5)),
        st.tuples(st.just("edit"), PEOPLE, st.integers(1, 12), st.text(max_size=5)),
        st.tuples(st.just("delete"), PEOPLE, st.integers(1, 12)),
        st.tuples(st.just("react"), PEOPLE, st.integers(1, 12), EMOJI, st.booleans()),
    ),
    max_size=20,
)


@given(deeds=DEEDS, cut=st.integers(0, 20))
def test_a_page_and_the_entries_after_it_are_a_fresh_page(make, deeds, cut):
    log = make.Log()
    entries = []
    for name, *arguments in deeds:
        if name == "react":
            user, target, emoji, on = arguments
            entries.append(log.react(user, target, emoji, on=on))
        else:
            entries.append(getattr(log, name)(*arguments))
    cut = min(cut, len(entries))
    seen = conversation(make, *fold(entries[:cut], "anna"), as_of=cut)

    # Entries that the page has already are told again, as they may be.
    for entry in entries[max(cut - 3, 0) :]:
        seen.apply(entry)

    assert {message.seq: message for message in fold(entries, "anna")} == seen.messages


def test_an_entry_changes_what_it_is_about_and_says_so(make):
    log = make.Log()
    seen = conversation(make)

    said = seen.apply(log.message("ben", "hi"))
    edited = seen.apply(log.edit("ben", 1, "hello"))
    reacted = seen.apply(log.react("anna", 1, "👍"))
    deleted = seen.apply(log.delete("ben", 1))

    assert [1] == [change.message.seq for change in said if isinstance(change, Said)]
    assert [Edited(1, "ben", edited[0].message)] == edited
    assert {"text": "hello"} == edited[0].message.body
    assert [Reacted(1, "anna", "👍", on=True)] == reacted
    assert [Deleted(1, "ben")] == deleted
    assert seen.messages[1].erased


def test_a_change_of_a_message_that_is_not_here_is_told_all_the_same(make):
    log = make.Log(seq=10, n=5)
    seen = conversation(make, as_of=10)

    assert [Edited(3, "ben", None)] == seen.apply(log.edit("ben", 3, "new"))
    assert [Deleted(3, "ben")] == seen.apply(log.delete("ben", 3))


def test_what_belongs_to_other_rooms_changes_nothing(make):
    seen = conversation(make)

    assert [] == seen.apply(make.Log("tea").message("ben", "hi"))
    assert [] == seen.apply(Typing(room="tea", users=("ben",), more=False))
    assert [] == seen.apply(Receipts(room="tea", marks=(("ben", 1, 1),)))
    assert {} == seen.messages


# --- my own messages ---------------------------------------------------------------------


def test_my_message_waits_is_acknowledged_and_comes_to_its_place(make):
    seen = conversation(make)

    seen.say("mine", "hi", at=5)
    assert (["mine"], None) == (list(seen.pending), seen.place("mine"))
    assert [Stored("mine", 1)] == seen.stored("mine", make.written(1))
    assert (["mine"], 1) == (list(seen.pending), seen.place("mine"))
    seen.apply(make.Log().message("anna", "hi", cid="mine"))

    assert ([], 1, [1]) == (list(seen.pending), seen.place("mine"), list(seen.messages))


def test_the_entry_may_come_before_the_acknowledgement(make):
    seen = conversation(make)
    seen.say("mine", "hi", at=5)

    seen.apply(make.Log().message("anna", "hi", cid="mine"))
    seen.stored("mine", make.written(1))

    assert [] == list(seen.pending)


def test_somebody_elses_message_with_my_cid_is_not_mine(make):
    seen = conversation(make)
    seen.say("mine", "hi", at=5)

    seen.apply(make.Log().message("ben", "hi", cid="mine"))

    assert ["mine"] == list(seen.pending)
    assert seen.place("mine") is None


def test_a_refused_message_is_told_and_gone(make):
    seen = conversation(make)
    seen.say("mine", "hi", at=5)

    assert [Refused("hi", "no")] == seen.refused("mine", "no\x1b[1m")
    assert [] == list(seen.pending)


def test_a_new_page_takes_what_waited_and_is_in_it(make):
    seen = conversation(make)
    seen.say("mine", "hi", at=5)
    entry = make.Log().message("anna", "hi", cid="mine")

    seen.load(make.page(*fold([entry], "anna"), as_of=1))

    assert ([], [1]) == (list(seen.pending), list(seen.messages))


# --- marks -------------------------------------------------------------------------------


def test_marks_say_how_far_my_message_got(make):
    seen = conversation(make)
    seen.apply(make.Log().message("anna", "hi"))

    assert Reach(delivered=0, read=0, others=1) == seen.reach(1)
    assert [MarksMoved("ben", 1, is_read=False)] == seen.apply(
        Receipts(room=make.room, marks=(("ben", 1, 0),))
    )
    assert Reach(delivered=1, read=0, others=1) == seen.reach(1)
    assert [MarksMoved("ben", 1, is_read=True)] == seen.apply(
        Receipts(room=make.room, marks=(("ben", 1, 1),))
    )
    assert Reach(delivered=1, read=1, others=1) == seen.reach(1)


def test_marks_never_go_back(make):
    seen = conversation(make)
    seen.apply(make.Log().message("anna", "hi"))
    seen.apply(Receipts(room=make.room, marks=(("ben", 1, 1),)))

    assert [] == seen.apply(Receipts(room=make.room, marks=(("ben", 0, 0),)))
    assert 1 == seen.reach(1).read


def test_marks_about_nothing_of_mine_are_not_told(make):
    seen = conversation(make)
    seen.apply(make.Log().message("ben", "hi"))

    assert [] == seen.apply(Receipts(room=make.room, marks=(("ben", 1, 1), ("anna", 1, 1))))


def test_who_writes_has_read_what_is_above(make):
    """The server counts so, and sends no receipt for it."""
    log = make.Log()
    seen = conversation(make)
    seen.apply(log.message("anna", "hi"))

    changes = seen.apply(log.message("ben", "hello"))

    assert MarksMoved("ben", 1, is_read=True) in changes
    assert Reach(delivered=1, read=1, others=1) == seen.reach(1)


def test_a_large_room_counts_members_whose_marks_are_not_told(make):
    seen = Conversation("tea", "anna")
    seen.open(make.subscribed("tea", marks=(("anna", 0, 0),), members=100))

    assert 99 == seen.reach(1).others


def test_members_come_and_go(make):
    log = make.Log()
    seen = conversation(make)

    assert [MemberChanged("carl", "member", "anna")] == seen.apply(log.member("anna", "carl"))
    assert ["ben", "carl"] == seen.others
    assert [MemberChanged("carl", None, "carl")] == seen.apply(log.member("carl", "carl", None))
    assert ["ben"] == seen.others


def test_a_room_may_be_called_otherwise(make):
    log = make.Log()
    seen = conversation(make)

    assert [Retitled("Tea time", "ben")] == seen.apply(log.meta("ben", title="Tea\n\x1b[1mtime"))
    assert [] == seen.apply(log.meta("ben", public=True))
    assert "Tea time" == seen.title


# --- typing and presence -----------------------------------------------------------------


def test_others_type_and_i_do_not(make):
    seen = conversation(make)

    assert [TypingChanged(("ben",))] == seen.apply(
        Typing(room=make.room, users=("anna", "ben"), more=False)
    )
    assert [] == seen.apply(Typing(room=make.room, users=("ben",), more=False))
    assert [TypingChanged(())] == seen.apply(Typing(room=make.room, users=(), more=False))


def test_who_has_written_types_no_more(make):
    seen = conversation(make)
    seen.apply(Typing(room=make.room, users=("ben",), more=False))

    seen.apply(make.Log().message("ben", "hi"))

    assert () == seen.typists


def test_presence_is_told_when_the_status_changes(make):
    seen = conversation(make)

    assert [PresenceChanged("ben", "online", 0)] == seen.apply(
        Presence(users=(("ben", "online", 0),))
    )
    assert [] == seen.apply(Presence(users=(("ben", "online", 0),)))
    assert [PresenceChanged("ben", "offline", 7)] == seen.apply(
        Presence(users=(("ben", "offline", 7),))
    )
    assert ("offline", 7) == seen.presence["ben"]


# --- the connection ----------------------------------------------------------------------


def test_on_return_what_others_wrote_is_counted(make):
    log = make.Log()
    seen = conversation(make)

    assert [Lost()] == seen.went_offline()
    assert [] == seen.went_offline()
    assert [] == seen.went_online()
    assert [] == seen.apply(Synced(rooms=(inbox_row(make.room, 3),), gone=()))
    seen.apply(log.message("ben", "one"))
    seen.apply(log.message("anna", "mine, from before"))
    assert Back(2) in seen.apply(log.message("ben", "two"))
    assert Back not in map(type, seen.apply(log.message("ben", "three")))


def test_on_return_with_nothing_missed_that_is_said(make):
    seen = conversation(make)
    seen.went_offline()
    seen.went_online()

    assert [Back(0)] == seen.apply(Synced(rooms=(inbox_row("tea", 9),), gone=()))


def test_the_news_of_the_return_may_come_last(make):
    seen = conversation(make)
    seen.went_offline()
    seen.apply(make.Log().message("ben", "one"))

    assert [] == seen.apply(Synced(rooms=(), gone=()))
    assert [Back(1)] == seen.went_online()


def test_nobody_is_seen_typing_through_a_lost_connection(make):
    seen = conversation(make)
    seen.apply(Typing(room=make.room, users=("ben",), more=False))

    seen.went_offline()

    assert () == seen.typists


# --- bounds and questions ----------------------------------------------------------------


def test_only_so_much_is_remembered(make):
    log = make.Log()
    seen = conversation(make)

    for _ in range(PIECES_MAX + 10):
        seen.apply(log.message("ben", "hi"))
    seen.note("a note")

    assert PIECES_MAX == len(seen.pieces)
    assert PIECES_MAX - 1 == len(seen.messages)
    assert PIECES_MAX + 10 == max(seen.messages)


def test_what_is_new_is_marked(make):
    log = make.Log()
    entries = [log.message("ben", "old"), log.message("anna", "mine"), log.message("ben", "new")]
    seen = Conversation(make.room, "anna")

    seen.load(make.page(*fold(entries, "anna"), as_of=3), read=1)

    assert [1, 2, Noted("1 new", number=1), 3] == list(seen.pieces)


def test_the_last_message_is_one_that_is_still_there(make):
    log = make.Log()
    seen = conversation(make)
    for entry in (log.message("anna", "a"), log.message("anna", "b"), log.message("ben", "c")):
        seen.apply(entry)
    seen.apply(log.delete("anna", 2))

    assert (1, 3) == (seen.last(mine=True), seen.last(mine=False))
