"""Folding: how a log reads as messages."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from triolet._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX, Fold, fold
from triolet._model.entries import Delete, Edit, Entry, Member, Message, React, Reaction


def log(*facts, sender="anna"):
    """Entries of these facts, one after the other; entry s at time 10 * s."""
    entries, n = [], 0
    for seq, fact in enumerate(facts, start=1):
        n += isinstance(fact, Message)
        entries.append(Entry("r", seq, n, sender, 10 * seq, f"c{seq}", fact))
    return entries


def texts(messages):
    return [m.body["text"] if isinstance(m.body, dict) else None for m in messages]


def test_messages_are_listed_in_order_and_other_facts_are_not():
    entries = log(Message({"text": "a"}), Member("ben", "member"), Message({"text": "b"}))
    found = fold(entries, "anna")
    assert [1, 3] == [message.seq for message in found]
    assert ["a", "b"] == texts(found)
    assert [1, 2] == [message.n for message in found]


def test_the_latest_edit_wins_and_says_when():
    (message,) = fold(
        log(Message({"text": "a"}), Edit(1, {"text": "b"}), Edit(1, {"text": "c"})), "anna"
    )
    assert (["c"], 30, 10) == (texts([message]), message.edited_at, message.at)


def test_a_deletion_takes_only_the_body():
    facts = (
        Message({"text": "a"}, reply_to=7, mentions=("ben",)),
        Edit(1, {"text": "b"}),
        React(1, "+1", on=True),
        Delete(1),
    )
    before, after = fold(log(*facts[:3]), "x")[0], fold(log(*facts), "x")[0]
    assert (UNSET, True) == (after.body, after.erased)
    for field in ("seq", "n", "at", "cid", "sender", "reply_to", "mentions", "edited_at"):
        assert getattr(before, field) == getattr(after, field)
    assert before.reactions == after.reactions


def test_an_erased_log_folds_like_the_log_before_erasure():
    """Replayed pages carry `erased` instead of bodies, and mean the same."""
    live = log(Message({"text": "a"}), Edit(1, {"text": "b"}), Delete(1))
    replayed = log(Message(erased=True), Edit(1, erased=True), Delete(1))
    assert fold(live, "x") == fold(replayed, "x")


def test_what_points_nowhere_changes_nothing():
    entries = log(
        Edit(9, {"text": "x"}), Delete(9), React(9, "+1", on=True), React(1, "+1", on=True)
    )
    assert () == fold(entries, "anna")


def test_a_reaction_counts_once_a_person():
    fact = React(1, "+1", on=True)
    entries = log(Message({}), fact, fact)
    assert {"+1": Reaction(1, True, ("anna",))} == fold(entries, "anna")[0].reactions
    assert {"+1": Reaction(1, False, ("anna",))} == fold(entries, "ben")[0].reactions
    gone = [*entries, *log(React(1, "+1", on=False), React(1, "x", on=False))]
    assert {} == fold(gone, "anna")[0].reactions


def test_users_and_emojis_are_bounded():
    folding = Fold()
    folding.apply(log(Message({}))[0])
    seq = 1
    for emoji in range(REACTION_EMOJIS_MAX + 5):
        for user in range(REACTION_USERS_MAX + 5 if emoji == 0 else 1):
            seq += 1
            fact = React(1, f"e{emoji:03}", on=True)
            folding.apply(Entry("r", seq, 1, f"u{user}", seq, str(seq), fact))
    reactions = folding.view(1, "u14").reactions
    assert [f"e{i:03}" for i in range(REACTION_EMOJIS_MAX)] == list(reactions)
    users = tuple(f"u{i}" for i in range(REACTION_USERS_MAX))
    assert Reaction(REACTION_USERS_MAX + 5, True, users) == reactions["e000"]


def test_authors_of_messages_that_are_there():
    folding = Fold()
    for entry in log(Message({}), Message({}), Delete(2)):
        folding.apply(entry)
    assert ["anna", None, None] == [folding.author(seq) for seq in (1, 2, 3)]
    folding.forget(1)
    folding.forget(1)
    assert folding.author(1) is None


_facts = st.one_of(
    st.builds(Message, st.fixed_dictionaries({"text": st.text(max_size=3)})),
    st.builds(Edit, st.integers(1, 9), st.fixed_dictionaries({"text": st.text(max_size=3)})),
    st.builds(Delete, st.integers(1, 9)),
    st.builds(React, st.integers(1, 9), st.sampled_from(("+1", "🙂")), st.booleans()),
)


@settings(max_examples=100, derandomize=True, database=None)
@given(facts=st.lists(_facts, max_size=20), cut=st.integers(0, 20))
def test_a_snapshot_and_later_entries_make_a_fresh_snapshot(facts, cut):
    """The law: folding is the same in one go and in two."""
    entries = log(*facts)
    folding = Fold()
    for entry in entries[:cut]:
        folding.apply(entry)
    seqs = [entry.seq for entry in entries[:cut] if isinstance(entry.fact, Message)]
    assert fold(entries[:cut], "x") == tuple(folding.view(seq, "x") for seq in seqs)
    for entry in entries[cut:]:
        folding.apply(entry)
    seqs = [entry.seq for entry in entries if isinstance(entry.fact, Message)]
    assert fold(entries, "x") == tuple(folding.view(seq, "x") for seq in seqs)
