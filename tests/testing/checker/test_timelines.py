"""Law: every kind of event can be told, in the column of its client."""

from triolet.testing import history
from triolet.testing.checker import timeline

ENTRY = history.Logged(
    seq=7, n=3, at=5, sender="anna", cid="x", fact=history.Trace(kind="message", body="012345ab")
)


def test_columns_are_clients_and_time_goes_down() -> None:
    text = timeline(
        [
            history.Opened(0, "c1", user="anna"),
            history.Opened(0, "c2", user="ben"),
            history.Seen(1, "c2", 1, sub=4, room="r", entry=ENTRY),
            history.Settled(2),
        ]
    )

    assert text.splitlines() == [
        "      time  c1                          c2                          world",
        "     0.000  acts for anna",
        "     0.000                              acts for ben",
        "     1.000                              [4] r 7: anna x 012345",
        "     2.000                                                          all is quiet",
    ]


def test_more_clients_than_fit_are_named() -> None:
    text = timeline([history.Opened(0, f"c{i}", user="anna") for i in range(9)])

    assert text.splitlines()[3] == "     0.000  c3: acts for anna"


def test_every_event_and_every_fact_has_words() -> None:
    facts = [
        (history.Trace(kind="edit", target=2), "edits 2"),
        (history.Trace(kind="delete", target=2), "deletes 2"),
        (history.Trace(kind="react", target=2, emoji="👍", on=True), "puts 👍 under 2"),
        (history.Trace(kind="react", target=2, emoji="👍"), "takes back 👍 under 2"),
        (history.Trace(kind="member", user="ben", role="admin"), "makes ben admin"),
        (history.Trace(kind="member", user="ben"), "makes ben no member"),
        (history.Trace(kind="meta"), "changes the room"),
        (history.Trace(kind="message", erased=True), "(erased)"),
    ]
    where = {"sub": 0, "room": "r"}
    events = {
        history.Greeted(0): "says hello",
        history.Greeted(1, node="n1.2"): "says hello to n1.2",
        history.Connected(0): "connection 0",
        history.Disconnected(0): "connection 0 ends: 1006",
        history.Left(0): "is ended",
        history.Sent(0, op="create", room="", cid="x"): "create x to a new room",
        history.Acked(0, room="r", cid="x", seq=7, duplicate=True): "x is r 7 (duplicate)",
        history.Refused(0, room="r", cid="x", code=3001): "x is refused: 3001",
        history.Unknown(0, room="r", cid="x"): "x: outcome unknown",
        history.Subscribed(0, epoch="e", pos=3, head=9, since=("e", 3), **where): (
            "[no cursor] in r at 3, head 9, asked for 3"
        ),
        history.Reset(0, epoch="e", pos=2, head=3, fork=True, **where): (
            "[no cursor] in r is moved to 2: a fork"
        ),
        history.Closed(0, reason="removed", **where): "[no cursor] in r ends: removed",
        history.Asked(0, op="receipt", room="r", delivered=2, read=1): "has got 2, read 1 of r",
        history.Asked(0, op="typing", room="r", on=True): "types in r",
        history.Asked(0, op="typing", room="r"): "types no more in r",
        history.Asked(0, op="presence", status="dnd"): "is dnd",
        history.Receipts(0, room="r", marks=(("anna", 2, 1),)): "r marks: anna 2/1",
        history.Typing(0, room="r", users=("anna", "ben")): "sees typing in r: anna ben",
        history.Presence(0, users=(("anna", "online", 0),)): "sees anna online",
        history.Unwatched(0, users=("anna", "ben")): "watches no more: anna ben",
        history.Unread(0, room="r", epoch="e", head=9, unread=2, read=7): (
            "2 unread in r: head 9, read 7"
        ),
        history.Folded(0, room="r", epoch="e", head=9, after=0, upto=9, messages=()): (
            "reads r as of 9:"
        ),
        history.Fault(0, verb="partition", what="n1", phase="begins"): "partition n1 begins",
        history.Stored(0, room="r", epoch="e", head=7, floor=6, entries=(ENTRY,)): (
            "r is stored: head 7, floor 6; 7: anna x 012345"
        ),
        history.Deleted(0, room="r", seq=7, user="anna", cid="x"): "r is deleted at 7 by anna",
        history.Started(0, node="n1.2"): "n1.2 begins",
        history.Banned(0, user="ben"): "ben is banned",
        history.Banned(0, user="ben", until=2.5, node="n1.2"): (
            "ben is banned until 2.500, says n1.2"
        ),
        history.Pardoned(0, user="ben", node="n1.2"): "ben is banned no more, says n1.2",
    }
    for fact, words in facts:
        entry = history.Logged(seq=1, n=0, at=0, sender="anna", cid="x", fact=fact)
        events[history.Seen(0, entry=entry, **where)] = f"[no cursor] r 1: anna x {words}"

    for event, words in events.items():
        assert timeline([event]).splitlines()[1].strip() == f"{event.t:.3f}  {words}"

    told = {type(event) for event in events} | {history.Opened, history.Settled}
    assert told == set(history.Event.__args__)
