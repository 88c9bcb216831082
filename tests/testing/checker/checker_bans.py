"""Ways in which a good history in which somebody is banned for a while becomes a bad one; as those
of `checker_mutations`.
"""

from checker_mutations import changed, inserted, places, without
from msgspec.structs import replace

from triolet.testing import history
from triolet.testing.checker import Rule

BANS = {}


def ban(*rules):
    """Register a mutation, after which one of `rules` has to be found broken."""

    def register(function):
        BANS[function.__name__] = (function, rules)
        return function

    return register


def during(events, kind, fits=lambda event: True):
    """Return the places of what was said while there was a ban."""
    (banned,), (pardoned,) = places(events, history.Banned), places(events, history.Pardoned)
    return [i for i in places(events, kind, fits) if banned < i < pardoned]


def of_ben(event):
    return event.client == "ben-1"


def is_banned(event):
    return of_ben(event) and event.code == 4003


def knock(events):
    """Return the places of a hello while there was a ban, and of its answer."""
    return during(events, history.Greeted, of_ben)[-1], during(
        events, history.Disconnected, is_banned
    )[-1]


@ban(Rule.BAN_LETS_NOBODY_IN)
def somebody_who_is_banned_is_let_in(events, chance):
    _, answer = knock(events)
    old = events[answer]
    welcome = history.Connected(old.t, old.client, old.conn + 1)
    return inserted(events, answer, welcome)


@ban(Rule.BAN_IS_SAID)
def somebody_who_is_banned_is_called_a_stranger(events, chance):
    return changed(events, knock(events)[1], code=4001)


@ban(Rule.BAN_HAS_CAUSE)
def somebody_is_banned_in_place_of_another(events, chance):
    (banned,), (pardoned,) = places(events, history.Banned), places(events, history.Pardoned)
    return changed(changed(events, banned, user="eva"), pardoned, user="eva")


@ban(Rule.BAN_ENDS_SESSIONS)
def somebody_stays_who_is_banned(events, chance):
    first = during(events, history.Disconnected, is_banned)[0]
    hello, answer = knock(events)
    return without(events, first, hello, answer)


@ban(Rule.BAN_TAKES_NOTHING)
def something_is_taken_from_somebody_who_is_banned(events, chance):
    found = staying(events)
    if found is None:
        return None
    bad, at, old = found
    sent = history.Sent(old.t, "ben-1", old.conn, op="send", room="lobby", cid="late")
    acked = history.Acked(old.t, "ben-1", old.conn, room="lobby", cid="late", seq=1)
    return inserted(bad, at, sent, acked)


@ban(Rule.BAN_TELLS_NOTHING)
def a_question_is_answered_to_somebody_who_is_banned(events, chance):
    found = staying(events)
    if found is None:
        return None
    bad, at, old = found
    page = bad[places(bad, history.Folded)[0]]
    later = replace(page, t=old.t, client="ben-1", conn=old.conn, asked=old.t)
    return inserted(bad, at, later)


@ban(Rule.BAN_TELLS_NOTHING)
def somebody_who_is_banned_is_told_what_is_said(events, chance):
    (banned,) = places(events, history.Banned)
    found = staying(events)
    said = during(events, history.Sent, lambda event: event.op == "send")
    said = [i for i in said if events[i].t > events[banned].t + 1]
    if found is None or not said:
        return None
    cids = {events[i].cid for i in said}
    seen = during(events, history.Seen, lambda event: event.entry.cid in cids)
    if not seen:
        return None
    bad, _, old = found
    at = bad.index(events[seen[0]]) + 1
    told = replace(events[seen[0]], client="ben-1", conn=old.conn, sub=1)
    return inserted(bad, at, told)


@ban(Rule.BAN_LOSES_NOTHING)
def somebody_comes_back_and_is_no_member(events, chance):
    (settled,) = places(events, history.Settled)
    acks = places(events, history.Acked, of_ben)
    if not acks or acks[-1] < settled:
        return None
    old = events[acks[-1]]
    refused = history.Refused(old.t, old.client, old.conn, room=old.room, cid=old.cid, code=3003)
    return [*events[: acks[-1]], refused, *events[acks[-1] + 1 :]]


def staying(events):
    """Have somebody stay who is banned; return that, where they might do something, and their end.

    They do not stay for so long that they are blamed for that.
    """
    first = during(events, history.Disconnected, is_banned)[0]
    hello, answer = knock(events)
    bad = without(events, first, hello, answer)
    return bad, hello - 1, replace(events[first], t=events[hello].t)
