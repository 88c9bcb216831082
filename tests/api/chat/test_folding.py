"""What later entries make of a message of history; beyond the law in `test_conversation`."""

from triolet._model.entries import FoldedMessage, Reaction
from triolet_api.chat.folding import change, message_of

TEN = tuple(f"user{number}" for number in range(10))


def message(**reactions):
    return FoldedMessage(
        seq=1, n=1, at=0, cid="c", sender="ben", reactions=dict(reactions), body={"text": "hi"}
    )


def after(make, found, *, by, on=True, emoji="x"):
    return change(found, make.Log(seq=5).react(by, 1, emoji, on=on), "anna").reactions


def test_a_message_is_what_its_entry_says(make):
    found = message_of(make.Log().message("ben", "hi", reply_to=7, mentions=("anna",)))

    assert ({"text": "hi"}, 7, ("anna",), {}) == (
        found.body,
        found.reply_to,
        found.mentions,
        found.reactions,
    )


def test_ten_people_are_named_and_the_others_counted(make):
    found = message(x=Reaction(count=10, mine=False, users=TEN))

    assert {"x": Reaction(count=11, mine=True, users=TEN)} == after(make, found, by="anna")


def test_i_am_counted_once_even_if_i_am_not_named(make):
    found = message(x=Reaction(count=11, mine=True, users=TEN))

    assert {"x": Reaction(count=11, mine=True, users=TEN)} == after(make, found, by="anna")
    assert {"x": Reaction(count=10, mine=False, users=TEN)} == after(
        make, found, by="anna", on=False
    )


def test_what_nobody_put_cannot_be_taken(make):
    found = message(x=Reaction(count=1, mine=False, users=("ben",)))

    assert found.reactions == after(make, found, by="anna", on=False)
    assert found.reactions == after(make, found, by="carl", on=False)
    assert {} == after(make, found, by="ben", on=False)


def test_somebody_unnamed_may_take_theirs_back(make):
    found = message(x=Reaction(count=11, mine=False, users=TEN))

    assert {"x": Reaction(count=10, mine=False, users=TEN)} == after(
        make, found, by="carl", on=False
    )


def test_a_deleted_message_stays_deleted(make):
    log = make.Log(seq=5)
    gone = change(message(), log.delete("ben", 1), "anna")

    edited = change(gone, log.edit("ben", 1, "back"), "anna")

    assert edited.erased
    assert "text" not in (edited.body or {})


def test_facts_about_no_message_change_none(make):
    found = message()

    assert found is change(found, make.Log(seq=5).member("anna", "carl"), "anna")
