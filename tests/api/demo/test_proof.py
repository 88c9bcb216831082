"""The proof: every kind of loss is seen, and nothing else is."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from triolet._domain.fold import fold
from triolet._model.entries import Entry, Message
from triolet_api.demo.proof import Evidence, judge


def entry(seq, sender):
    return Entry("r", seq, seq, sender, seq, f"{sender}{seq}", Message({"text": str(seq)}))


LOG = [entry(seq, "anna" if seq % 2 else "ben") for seq in range(3, 9)]


def evidence(name, **changes):
    mine = [one for one in LOG if one.sender == name]
    good = Evidence(
        name=name,
        start=2,
        said={one.cid: one.fact.body["text"] for one in mine},
        acknowledged={one.cid: one.seq for one in mine},
        entries=list(LOG),
        history=list(fold(LOG, name)),
    )
    return replace(good, **changes)


def faults(**changes):
    return judge([evidence("anna", **changes), evidence("ben")]).faults


def test_nothing_was_lost():
    verdict = judge([evidence("anna"), evidence("ben")])

    assert () == verdict.faults
    assert {
        "messages written": (3, 3),
        "acknowledged": (3, 3),
        "of these in the history": (3, 3),
        "more than once": (0, 0),
        "entries told live, in order": (6, 6),
    } == {row.label: row.figures for row in verdict.rows}


HISTORY = list(fold(LOG, "anna"))
LOSSES = {
    "a message that was never acknowledged": (
        {"acknowledged": {"anna3": 3, "anna5": 5}},
        "never acknowledged: “7”",
    ),
    "an acknowledged message that is nowhere": (
        {"history": [one for one in HISTORY if one.seq != 5]},
        "“5” was acknowledged at 5 and is nowhere",
    ),
    "one that is there twice": (
        {"history": [*HISTORY, replace(HISTORY[2], seq=9)]},
        "“5” was acknowledged at 5 and is at [5, 9]",
    ),
    "one that is elsewhere": (
        {"acknowledged": {"anna3": 3, "anna5": 6, "anna7": 7}},
        "“5” was acknowledged at 6 and is at [5]",
    ),
    "an entry that was not told": (
        {"entries": [one for one in LOG if one.seq != 5]},
        "was told 6 where 5 was due",
    ),
    "an entry told twice": (
        {"entries": [*LOG[:3], LOG[2], *LOG[3:]]},
        "was told 5 where 6 was due",
    ),
    "another order": ({"entries": [LOG[1], LOG[0], *LOG[2:]]}, "was told 4 where 3 was due"),
    "the last one missing": ({"entries": LOG[:-1]}, "was told 5 messages live, the history has 6"),
    "another text": (
        {"history": [replace(HISTORY[0], body={"text": "other"}), *HISTORY[1:]]},
        "have different histories",
    ),
    "an erased text": (
        {"history": [replace(HISTORY[0], body=UNSET), *HISTORY[1:]]},
        "have different histories",
    ),
    "different entries": (
        {"entries": [replace(LOG[0], at=99), *LOG[1:]]},
        "were told different entries",
    ),
}


@pytest.mark.parametrize(("changes", "fault"), LOSSES.values(), ids=LOSSES)
def test_what_is_lost_is_told(changes, fault):
    assert any(fault in one for one in faults(**changes)), faults(**changes)


def test_many_faults_are_told_in_part():
    told = faults(acknowledged={}, entries=[], history=[])

    assert 6 == len(told)
    assert told[-1].startswith("and ")


def test_who_came_later_need_not_have_heard_what_was_before():
    late = evidence("ben", start=4, entries=LOG[2:])

    assert () == judge([evidence("anna"), late]).faults
