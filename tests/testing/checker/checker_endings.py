"""Ways in which a good history that ends with a room's deletion becomes a bad one; as those of
`checker_mutations`.
"""

from checker_mutations import changed, end_of, inserted, pick, places, without
from msgspec.structs import replace

from triolet.testing import history
from triolet.testing.checker import Rule

ENDINGS = {}


def ending(*rules):
    """Register a mutation, after which one of `rules` has to be found broken."""

    def register(function):
        ENDINGS[function.__name__] = (function, rules)
        return function

    return register


def late(events, kind):
    """Return the places of what was said after the deletion."""
    (deleted,) = places(events, history.Deleted)
    return [i for i in places(events, kind) if i > deleted]


@ending(Rule.ACKED_IS_STORED)
def a_deletion_is_acknowledged_and_the_room_is_there(events, chance):
    return without(events, *places(events, history.Deleted))


@ending(Rule.WRITTEN_BY_RIGHT)
def a_member_deletes_the_room(events, chance):
    (deleted,) = places(events, history.Deleted)
    return changed(events, deleted, user="ben")


@ending(Rule.GONE_TAKES_NOTHING)
def something_is_said_in_a_deleted_room(events, chance):
    at = chance.choice(late(events, history.Refused))
    old = events[at]
    seq = events[places(events, history.Deleted)[0]].seq + 1
    acked = history.Acked(old.t, old.client, old.conn, room=old.room, cid=old.cid, seq=seq)
    return [*events[:at], acked, *events[at + 1 :]]


@ending(Rule.GONE_IS_SAID)
def somebody_is_refused_for_another_reason(events, chance):
    told = {event.client for event in events if getattr(event, "reason", "") == "deleted"}
    found = [i for i in late(events, history.Refused) if events[i].client in told]
    found = [i for i in found if not late_connection(events, i)]
    return changed(events, chance.choice(found), code=3001) if found else None


def late_connection(events, at):
    """Whether the client has come back since the deletion: its node may not know of it."""
    return any(
        events[i].client == events[at].client for i in late(events, history.Connected) if i < at
    )


@ending(Rule.GONE_IS_NOT_TOLD)
def somebody_reads_a_deleted_room(events, chance):
    page = pick(events, chance, history.Folded)
    end, t = end_of(events)
    if page is None:
        return None
    later = replace(events[page], t=t + 1, asked=t + 1)
    return inserted(events, end + 1, later)


@ending(Rule.GONE_IS_NOTICED)
def somebody_goes_on_following_a_deleted_room(events, chance):
    closed = [i for i in late(events, history.Closed) if events[i].reason == "deleted"]
    wires = {(e.client, e.sub) for e in events if isinstance(e, history.Subscribed) and e.wire}
    closed = [i for i in closed if (events[i].client, events[i].sub) in wires]
    return without(events, chance.choice(closed)) if closed else None


@ending(Rule.GONE_FOR_EVER)
def a_deleted_room_is_there_again(events, chance):
    stored = events[places(events, history.Stored)[0]]
    return [*events, replace(stored, t=events[-1].t)]
