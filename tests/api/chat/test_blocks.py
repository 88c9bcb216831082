"""How a conversation looks: every line fits, nothing of a message is taken for markup."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet._model.events import Receipts
from triolet_api.chat.blocks import Look, Palette, key_of
from triolet_api.chat.conversation import Conversation
from triolet_api.chat.words import Calendar

NOW_MS = 1_000_000


def opened(make, room=None, **more):
    seen = Conversation(room or make.room, "anna")
    seen.open(make.subscribed(room or make.room, **more))
    return seen


def drawn(seen, width=80, *, now_ms=NOW_MS):
    look = Look(Calendar(UTC), Palette())
    blocks = look.blocks(seen, width, now_ms=now_ms)
    return [line.plain.rstrip() for block in blocks for line in block.lines]


def test_a_message_has_its_number_hour_and_author(make):
    seen = opened(make)
    seen.apply(make.Log().message("ben", "hello"))

    assert ["  1  00:16  ben   hello"] == drawn(seen)


def test_who_goes_on_is_not_named_again(make):
    log = make.Log()
    seen = opened(make)
    for entry in (log.message("ben", "one"), log.message("ben", "two"), log.message("anna", "3")):
        seen.apply(entry)

    assert ["ben", "", "anna"] == [line[12:16].strip() for line in drawn(seen)]


def test_marks_go_from_waiting_to_read(make):
    seen = opened(make)
    shown = []

    seen.say("mine", "hi", at=NOW_MS)
    shown += drawn(seen)
    seen.stored("mine", make.written(1))
    shown += drawn(seen)
    seen.apply(make.Log().message("anna", "hi", cid="mine"))
    shown += drawn(seen)
    seen.apply(Receipts(room=make.room, marks=(("ben", 1, 0),)))
    shown += drawn(seen)
    seen.apply(Receipts(room=make.room, marks=(("ben", 1, 1),)))
    shown += drawn(seen)

    assert ["◷", "✓", "✓", "✓✓", "✓✓ read"] == [line.split("hi  ")[1] for line in shown]


def test_a_message_keeps_its_key_from_waiting_to_its_place(make):
    look = Look(Calendar(UTC), Palette())
    seen = opened(make)
    seen.say("mine", "hi", at=NOW_MS)
    before = look.blocks(seen, 80, now_ms=NOW_MS)

    seen.apply(make.Log().message("anna", "hi", cid="mine"))

    after = look.blocks(seen, 80, now_ms=NOW_MS)
    assert [block.key for block in before] == [block.key for block in after]
    assert key_of(seen.messages[1]) == after[0].key


def test_edits_deletions_replies_and_reactions_are_shown_in_place(make):
    log = make.Log()
    seen = opened(make)
    for entry in (
        log.message("ben", "one"),
        log.message("ben", "two"),
        log.message("anna", "three", reply_to=1),
        log.edit("ben", 1, "first"),
        log.react("anna", 1, "👍"),
        log.react("ben", 1, "👍"),
        log.react("ben", 1, "🎉"),
        log.delete("ben", 2),
    ):
        seen.apply(entry)

    assert [
        "  1  00:16  ben   first (edited)",
        "                  🎉 ben  👍 anna and ben",
        "  2  00:16        message deleted",
        "  3  00:16  anna  ↳ ben “first”",
        "                  three  ✓",
    ] == drawn(seen)


def test_an_answer_to_what_is_not_here_says_so(make):
    seen = opened(make)
    seen.apply(make.Log(seq=9).message("ben", "yes", reply_to=2))

    assert "↳ an earlier message" in drawn(seen)[0]


def test_the_day_is_told_when_it_is_another(make):
    seen = opened(make)
    seen.apply(make.Log().message("ben", "hello"))

    rule, line = drawn(seen, now_ms=NOW_MS + 86_400_000)

    assert " Thursday 1 January 1970 " in rule
    assert line.endswith("hello")


def test_long_texts_go_on_under_their_beginning(make):
    seen = opened(make)
    seen.apply(make.Log().message("ben", "word " * 30))

    first, *others = drawn(seen, 60)

    assert first.startswith("  1  00:16  ben   word")
    assert others
    assert all(line.startswith(" " * 18 + "word") for line in others)


def test_what_people_write_is_no_markup(make):
    seen = opened(make)
    seen.apply(make.Log().message("ben", "[bold red]x[/] :smile: [link=http://x]y[/link]"))

    assert drawn(seen)[0].endswith("[bold red]x[/] :smile: [link=http://x]y[/link]")


def test_a_reaction_that_is_no_emoji_is_cut(make):
    log = make.Log()
    seen = opened(make)
    seen.apply(log.message("ben", "hi"))
    seen.apply(log.react("ben", 1, "a very long one\x1b[31m"))

    assert "a very long… ben" == drawn(seen)[1].strip()


def test_notes_stand_where_they_were_made(make):
    log = make.Log()
    seen = opened(make)
    seen.apply(log.message("ben", "one"))
    seen.note("something happened")
    seen.note("something failed", is_error=True)
    seen.apply(log.message("ben", "two"))

    assert [
        "  1  00:16  ben   one",
        "     · something happened",
        "     ! something failed",
        "  2  00:16  ben   two",
    ] == drawn(seen)


@pytest.mark.parametrize(
    ("width", "line"), [(80, "  1  00:16  ben   hi"), (50, "  1  ben   hi"), (20, "1 ben: hi")]
)
def test_narrow_screens_have_fewer_columns(make, width, line):
    seen = opened(make)
    seen.apply(make.Log().message("ben", "hi"))

    assert [line] == drawn(seen, width)


@given(
    width=st.integers(1, 130),
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=200), max_size=4),
    sender=st.from_regex(r"[A-Za-z0-9_.@-]{1,64}", fullmatch=True),
)
def test_no_line_is_wider_than_the_screen(make, width, texts, sender):
    log = make.Log()
    seen = opened(make)
    for text in texts:
        seen.apply(log.message(sender, text, reply_to=1))
        seen.apply(log.react(sender, log.seq, text[:32] or "x"))
        seen.note(text)
    seen.say("mine", "waiting " * 9, at=0)
    look = Look(Calendar(UTC), Palette())

    for block in look.blocks(seen, width, now_ms=10**12):
        for line in block.lines:
            assert line.cell_len <= max(width, 8), (line.plain, width)
            assert "\n" not in line.plain


def test_what_is_past_is_not_drawn(make):
    log = make.Log()
    seen = opened(make)
    seen.apply(log.message("ben", "one"))
    seen.apply(log.message("ben", "two"))

    blocks = Look(Calendar(UTC), Palette()).blocks(
        seen, 80, now_ms=0, is_past=lambda key: key == "ben c1"
    )

    assert [("ben c1", 0), ("ben c2", 1)] == [(one.key, len(one.lines)) for one in blocks[-2:]]


def test_people_have_their_own_colours():
    palette = Palette()
    users = [f"user{number}" for number in range(7)]

    assert 7 == len({palette.colour(user) for user in users})
    assert Palette().colour("anna") == Palette().colour("anna")
    assert palette.colour("one more") in {palette.colour(user) for user in users}
