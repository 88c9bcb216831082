"""What later entries make of a message of history; the law is in `testing.laws`."""

from triolet._model.entries import (
    Delete,
    Edit,
    Entry,
    FoldedMessage,
    Member,
    Message,
    React,
    Reaction,
)
from triolet.client.folding import change, message_of


def entry(fact, by):
    return Entry("tea", 6, 1, by, 10, "c6", fact)


TEN = tuple(f"user{number}" for number in range(10))


def message(**reactions):
    return FoldedMessage(
        seq=1, n=1, at=0, cid="c", sender="ben", reactions=dict(reactions), body={"text": "hi"}
    )


def after(found, *, by, on=True, emoji="x"):
    return change(found, entry(React(1, emoji, on), by), "anna").reactions


def test_a_message_is_what_its_entry_says():
    found = message_of(entry(Message({"text": "hi"}, 7, ("anna",)), "ben"))

    assert ({"text": "hi"}, 7, ("anna",), {}) == (
        found.body,
        found.reply_to,
        found.mentions,
        found.reactions,
    )


def test_ten_people_are_named_and_the_others_counted():
    found = message(x=Reaction(count=10, mine=False, users=TEN))

    assert {"x": Reaction(count=11, mine=True, users=TEN)} == after(found, by="anna")


def test_i_am_counted_once_even_if_i_am_not_named():
    found = message(x=Reaction(count=11, mine=True, users=TEN))

    assert {"x": Reaction(count=11, mine=True, users=TEN)} == after(found, by="anna")
    assert {"x": Reaction(count=10, mine=False, users=TEN)} == after(found, by="anna", on=False)


def test_what_nobody_put_cannot_be_taken():
    found = message(x=Reaction(count=1, mine=False, users=("ben",)))

    assert found.reactions == after(found, by="anna", on=False)
    assert found.reactions == after(found, by="carl", on=False)
    assert {} == after(found, by="ben", on=False)


def test_somebody_unnamed_may_take_theirs_back():
    found = message(x=Reaction(count=11, mine=False, users=TEN))

    assert {"x": Reaction(count=10, mine=False, users=TEN)} == after(found, by="carl", on=False)


def test_a_deleted_message_stays_deleted():
    gone = change(message(), entry(Delete(1), "ben"), "anna")

    edited = change(gone, entry(Edit(1, {"text": "back"}), "ben"), "anna")

    assert edited.erased
    assert "text" not in (edited.body or {})


def test_facts_about_no_message_change_none():
    found = message()

    assert found is change(found, entry(Member("carl", "member"), "anna"), "anna")
