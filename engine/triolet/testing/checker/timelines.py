"""Timelines: a few events as text, time downwards, a column for each client."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

from .. import history
from ..history import Event, Logged

# Wider than this no terminal is; more columns than fit are told in one, by name.
_WIDTH_CHARS: Final = 118
_TIME_CHARS: Final = 11
# A line tells of one event, so a text may reach into the columns behind its own.
_COLUMN_CHARS: Final = 26

_Say: TypeAlias = Callable[[Event], str]


def timeline(events: Sequence[Event]) -> str:
    """Return events as text.

    >>> print(timeline([
    ...     history.Sent(1, "c1", 1, op="send", room="lobby", cid="x"),
    ...     history.Acked(1.5, "c1", 1, room="lobby", cid="x", seq=7),
    ...     history.Stored(2, room="lobby", epoch="e", head=6, floor=6, entries=()),
    ... ]))
          time  c1                          world
         1.000  send x to lobby
         1.500  x is lobby 7
         2.000                              lobby is stored: head 6, floor 6
    """
    clients = list(dict.fromkeys(event.client for event in events if event.client))
    if any(not event.client for event in events):
        clients.append("")
    width = (_WIDTH_CHARS - _TIME_CHARS) // max(1, len(clients)) - 2
    if width < _COLUMN_CHARS:
        return "\n".join(_line(event) for event in events)
    width = _COLUMN_CHARS
    heads = "  ".join(f"{client or 'world':<{width}}" for client in clients)
    lines = [f"{'time':>{_TIME_CHARS - 1}}  {heads}".rstrip()]
    for event in events:
        indent = " " * (clients.index(event.client) * (width + 2))
        lines.append(f"{event.t:>{_TIME_CHARS - 1}.3f}  {indent}{_say(event)}".rstrip())
    return "\n".join(lines)


def _line(event: Event) -> str:
    return f"{event.t:>{_TIME_CHARS - 1}.3f}  {event.client or 'world'}: {_say(event)}"


def _say(event: Event) -> str:
    return _SAYINGS[type(event)](event)


def _cursor(sub: int) -> str:
    return f"[{sub}]" if sub else "[no cursor]"


def _entry(entry: Logged) -> str:
    fact = entry.fact
    what = {
        "message": "",
        "edit": f" edits {fact.target}",
        "delete": f" deletes {fact.target}",
        "react": f" {'puts' if fact.on else 'takes back'} {fact.emoji} under {fact.target}",
        "member": f" makes {fact.user} {fact.role or 'no member'}",
        "meta": " changes the room",
    }[fact.kind]
    body = f" {fact.body[:6]}" if fact.body else ""
    erased = " (erased)" if fact.erased else ""
    return f"{entry.sender} {entry.cid}{what}{body}{erased}"


def _sent(event: history.Sent) -> str:
    return f"{event.op} {event.cid} to {event.room or 'a new room'}"


def _acked(event: history.Acked) -> str:
    again = " (duplicate)" if event.duplicate else ""
    return f"{event.cid} is {event.room} {event.seq}{again}"


def _subscribed(event: history.Subscribed) -> str:
    asked = "" if event.since is None else f", asked for {event.since[1]}"
    lost = "" if event.recovered else ", not recovered"
    where = f"{event.room} at {event.pos}, head {event.head}"
    return f"{_cursor(event.sub)} in {where}{asked}{lost}"


def _seen(event: history.Seen) -> str:
    return f"{_cursor(event.sub)} {event.room} {event.entry.seq}: {_entry(event.entry)}"


def _reset(event: history.Reset) -> str:
    why = "a fork" if event.fork else f"floor {event.floor}"
    return f"{_cursor(event.sub)} in {event.room} is moved to {event.pos}: {why}"


def _asked(event: history.Asked) -> str:
    match event.op:
        case "receipt":
            return f"has got {event.delivered}, read {event.read} of {event.room}"
        case "typing":
            return f"{'types' if event.on else 'types no more'} in {event.room}"
        case _:
            return f"is {event.status}"


def _receipts(event: history.Receipts) -> str:
    rows = ", ".join(f"{user} {delivered}/{read}" for user, delivered, read in event.marks)
    return f"{event.room} marks: {rows}"


def _presence(event: history.Presence) -> str:
    return "sees " + ", ".join(f"{user} {status}" for user, status, _ in event.users)


def _unread(event: history.Unread) -> str:
    return f"{event.unread} unread in {event.room}: head {event.head}, read {event.read}"


def _folded(event: history.Folded) -> str:
    seqs = " ".join(str(row.seq) for row in event.messages)
    return f"reads {event.room} as of {event.head}: {seqs}"


def _fault(event: history.Fault) -> str:
    return f"{event.verb} {event.what} {'' if event.phase == 'once' else event.phase}".rstrip()


def _stored(event: history.Stored) -> str:
    entries = "; ".join(f"{entry.seq}: {_entry(entry)}" for entry in event.entries)
    floor = f", floor {event.floor}" if event.floor else ""
    return f"{event.room} is stored: head {event.head}{floor}{'; ' if entries else ''}{entries}"


def _disconnected(event: history.Disconnected) -> str:
    return f"connection {event.conn} ends: {event.code}"


def _banned(event: history.Banned) -> str:
    until = f" until {event.until:.3f}" if event.until else ""
    return f"{event.user} is banned{until}{_at(event.node)}"


def _at(node: str) -> str:
    return f", says {node}" if node else ""


_SAYINGS: Final = cast(
    dict[type[Event], _Say],
    {
        history.Opened: lambda event: f"acts for {event.user}",
        history.Greeted: lambda event: f"says hello{f' to {event.node}' if event.node else ''}",
        history.Connected: lambda event: f"connection {event.conn}",
        history.Disconnected: _disconnected,
        history.Left: lambda _: "is ended",
        history.Sent: _sent,
        history.Acked: _acked,
        history.Refused: lambda event: f"{event.cid} is refused: {event.code}",
        history.Unknown: lambda event: f"{event.cid}: outcome unknown",
        history.Subscribed: _subscribed,
        history.Seen: _seen,
        history.Reset: _reset,
        history.Closed: lambda event: f"{_cursor(event.sub)} in {event.room} ends: {event.reason}",
        history.Asked: _asked,
        history.Receipts: _receipts,
        history.Typing: lambda event: f"sees typing in {event.room}: {' '.join(event.users)}",
        history.Presence: _presence,
        history.Unwatched: lambda event: f"watches no more: {' '.join(event.users)}",
        history.Unread: _unread,
        history.Folded: _folded,
        history.Fault: _fault,
        history.Stored: _stored,
        history.Deleted: lambda event: f"{event.room} is deleted at {event.seq} by {event.user}",
        history.Started: lambda event: f"{event.node} begins",
        history.Banned: _banned,
        history.Pardoned: lambda event: f"{event.user} is banned no more{_at(event.node)}",
        history.Settled: lambda _: "all is quiet",
    },
)
