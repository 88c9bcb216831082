"""What must hold of a history."""

from collections.abc import Iterable

from .. import history


def judge(events: Iterable[history.Event]) -> list[str]:
    """Return what is wrong: acknowledged and not stored so, lost, repeated, or out of order."""
    faults = []
    logs: dict[str, dict[int, history.Logged]] = {}
    acked, seen = list[history.Acked](), list[history.Seen]()
    positions: dict[tuple[str, int], int] = {}
    for event in events:
        match event:
            case history.Stored():
                logs[event.room] = {entry.seq: entry for entry in event.entries}
            case history.Acked():
                acked.append(event)
            case history.Subscribed():
                positions[event.client, event.sub] = event.pos
            case history.Seen():
                key = event.client, event.sub
                if event.entry.seq != positions[key] + 1:
                    faults.append(f"{key} saw {event.entry.seq} after {positions[key]}")
                positions[key] = event.entry.seq
                seen.append(event)
    for one in acked:
        entry = logs[one.room].get(one.seq)
        if entry is None or entry.cid != one.cid:
            faults.append(f"{one.cid} was acknowledged at {one.seq}: {entry}")
    for told in seen:
        entry = logs[told.room].get(told.entry.seq)
        is_erased = told.entry.fact.erased or (entry is not None and entry.fact.erased)
        if entry != told.entry and not is_erased:
            faults.append(f"{told.client} saw {told.entry}, stored is {entry}")
    for room, log in logs.items():
        if sorted(log) != list(range(1, len(log) + 1)):
            faults.append(f"{room} has gaps")
        cids = [(entry.sender, entry.cid) for entry in log.values() if entry.fact.kind != "member"]
        if len(cids) != len(set(cids)):
            faults.append(f"{room} has something twice")
    return faults
