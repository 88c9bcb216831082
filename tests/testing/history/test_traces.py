"""Law: a trace tells apart what differs, is equal for what is equal, and tells no words."""

from dataclasses import dataclass

import msgspec
import pytest

from triolet._domain.fold import fold
from triolet._model.entries import Delete, Edit, Entry, Member, Message, Meta, React
from triolet.testing.history import FoldedRow, Logged, Trace, digest, folded_row, logged, trace

FACTS = [
    Message({"text": "hi"}),
    Message({"text": "ho"}),
    Message({"text": "hi"}, reply_to=1),
    Message({"text": "hi"}, mentions=("ben",)),
    Message({"text": "hi"}, reply_to=1, mentions=("ben",)),
    Message(erased=True),
    Edit(1, {"text": "hi"}),
    Edit(2, {"text": "hi"}),
    Edit(1, erased=True),
    Delete(1),
    Delete(2),
    React(1, "👍", on=True),
    React(1, "👍", on=False),
    React(1, "👎", on=True),
    Member("ben", "member"),
    Member("ben", "admin"),
    Member("ben", None),
    Meta(title="a"),
    Meta(public=True),
    Meta(title="a", public=True),
]


def test_facts_that_differ_have_traces_that_differ() -> None:
    traces = [trace(fact) for fact in FACTS]

    assert len({msgspec.json.encode(found) for found in traces}) == len(FACTS)


def test_the_order_of_keys_is_no_difference() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}

    assert trace(Message(one)) == trace(Message(other))


def test_no_word_of_a_body_is_in_a_trace() -> None:
    encoded = msgspec.json.encode(trace(Message({"text": "a secret"}, mentions=("ben",))))

    assert b"secret" not in encoded
    assert b"ben" not in encoded


def test_an_entry_keeps_its_header() -> None:
    entry = Entry("lobby", 3, 2, "anna", 5, "c1", Message({"text": "hi"}))

    assert logged(entry) == Logged(
        seq=3, n=2, at=5, sender="anna", cid="c1", fact=trace(entry.fact)
    )


@dataclass
class Case:
    facts: list[object]
    row: FoldedRow


@pytest.mark.parametrize(
    "case",
    [
        Case(
            [Message({"text": "hi"})],
            FoldedRow(seq=1, n=1, at=1, sender="anna", cid="c1", body=digest({"text": "hi"})),
        ),
        Case(
            [Message({"text": "hi"}, reply_to=9), Edit(1, {"text": "ho"}), React(1, "👍", on=True)],
            FoldedRow(
                seq=1,
                n=1,
                at=1,
                sender="anna",
                cid="c1",
                body=digest({"text": "ho"}),
                about=trace(Message(reply_to=9)).about,
                edited_at=2,
                reactions=(("👍", 1, ("anna",)),),
            ),
        ),
        Case(
            [Message({"text": "hi"}), Delete(1)],
            FoldedRow(seq=1, n=1, at=1, sender="anna", cid="c1", erased=True),
        ),
    ],
)
def test_a_folded_message_keeps_how_it_reads(case: Case) -> None:
    entries = [
        Entry("lobby", seq, 1, "anna", seq, f"c{seq}", fact)
        for seq, fact in enumerate(case.facts, 1)
    ]

    assert [folded_row(message) for message in fold(entries, "ben")] == [case.row]


def test_a_trace_is_what_it_was_before_and_after_a_file() -> None:
    for fact in FACTS:
        found = trace(fact)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Trace) == found
