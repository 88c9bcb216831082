"""Law: a history read is the history written, and what is none is refused with its line."""

import io

import msgspec
import pytest

from triolet.testing import history
from triolet.testing.history import FoldedRow, Logged, Trace

ENTRY = Logged(
    seq=1, n=1, at=5, sender="anna", cid="x", fact=Trace(kind="message", body="0123456789abcdef")
)
ROW = FoldedRow(seq=1, n=1, at=5, sender="anna", cid="x", reactions=(("👍", 1, ("ben",)),))

# One of each kind of event.
EVENTS: list[history.Event] = [
    history.Opened(0, "c1", user="anna", origin="a test"),
    history.Greeted(0.4, "c1", node="n1.1"),
    history.Connected(0.5, "c1", 1, session="s", node="n1"),
    history.Sent(1, "c1", 1, op="send", room="lobby", cid="x", fact=ENTRY.fact),
    history.Acked(1, "c1", 1, room="lobby", cid="x", seq=1, at=5, duplicate=True),
    history.Refused(1, "c1", 1, room="lobby", cid="y", code=3001),
    history.Unknown(1, "c1", 1, room="lobby", cid="z"),
    history.Subscribed(
        2, "c1", 1, sub=1, room="lobby", epoch="e", pos=0, head=1, role="member", wire=True
    ),
    history.Seen(2, "c1", 1, sub=1, room="lobby", entry=ENTRY),
    history.Reset(2, "c1", 1, sub=1, room="lobby", epoch="f", pos=0, head=0, fork=True),
    history.Closed(2, "c1", 1, sub=1, room="lobby", reason="kicked", seq=9),
    history.Asked(3, "c1", 1, op="receipt", room="lobby", delivered=1, read=1),
    history.Receipts(3, "c1", 1, room="lobby", marks=(("anna", 1, 1),)),
    history.Typing(3, "c1", 1, room="lobby", users=("ben",), more=True),
    history.Presence(3, "c1", 1, users=(("ben", "online", 7),)),
    history.Unwatched(3, "c1", 1, users=("ben",)),
    history.Unread(3, "c1", 1, room="lobby", epoch="e", head=1, unread=0, read=1),
    history.Folded(3, "c1", 1, room="lobby", epoch="e", head=1, after=0, upto=1, messages=(ROW,)),
    history.Disconnected(4, "c1", 1, code=1000, told=True),
    history.Left(4, "c1"),
    history.Fault(4, verb="partition", what="n1", phase="begins"),
    history.Stored(
        5, room="lobby", epoch="e", head=1, entries=(ENTRY,), public=True, lineage=(("e", 1),)
    ),
    history.Deleted(5, room="lobby", seq=1, user="anna", cid="end"),
    history.Started(5, node="n1.1"),
    history.Banned(5, user="ben", until=9, node="n1.1"),
    history.Pardoned(5, user="ben", node="n1.1"),
    history.Settled(5),
]


def test_there_is_one_event_of_each_kind_here() -> None:
    kinds = [kind.__name__ for kind in history.Event.__args__]

    assert sorted(kinds) == sorted(type(event).__name__ for event in EVENTS)


def test_what_is_written_is_read(tmp_path) -> None:
    path = tmp_path / "run.jsonl"

    with history.Writer(path) as writer:
        for event in EVENTS:
            writer.write(event)

    with path.open("rb") as file:
        assert list(history.read(file)) == EVENTS


def test_a_line_says_first_what_when_and_who() -> None:
    line = history.encode(EVENTS[3])

    assert line.startswith(b'{"event":"sent","t":1,"client":"c1","conn":1,')


def test_empty_lines_are_none() -> None:
    lines = [b"\n", history.encode(EVENTS[0]), b" \n"]

    assert list(history.read(lines)) == [EVENTS[0]]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"no json", "line 2: JSON is malformed"),
        (b'{"event":"unheard","t":1}', "line 2: Invalid value 'unheard'"),
        (b'{"event":"acked","t":1}', "line 2: Object missing required field"),
        (b'{"event":"opened","t":1,"user":"a","version":2}', "line 2: version 2, not 1"),
        (b"\xff", "line 2: "),
    ],
)
def test_what_is_no_history_is_refused_with_its_line(line, why) -> None:
    with pytest.raises(history.HistoryError, match=why):
        list(history.read([history.encode(EVENTS[0]), line]))


def test_a_file_that_was_cut_in_a_line_is_refused() -> None:
    whole = b"".join(history.encode(event) for event in EVENTS)

    with pytest.raises(history.HistoryError, match=f"line {len(EVENTS)}: "):
        list(history.read(io.BytesIO(whole[:-5])))


def test_histories_merge_by_time_and_each_keeps_its_own_order() -> None:
    one = [history.Settled(t, client=f"a{i}") for i, t in enumerate([1, 2, 2, 5])]
    other = [history.Settled(t, client=f"b{i}") for i, t in enumerate([0, 2, 3])]

    merged = list(history.merge([one, other]))

    assert [event.t for event in merged] == [0, 1, 2, 2, 2, 3, 5]
    for own in (one, other):
        assert [event for event in merged if event in own] == own


def test_an_event_is_no_burden_to_the_collector() -> None:
    """Load tests keep 10⁶ of them."""
    assert not any(kind.__struct_config__.gc for kind in history.Event.__args__)
    assert msgspec.json.encode(EVENTS[-1]) == b'{"event":"settled","t":5}'
