"""Ways in which a good history becomes a bad one, each by name, with the rule that it breaks.

A mutation takes a history and chance, and returns another one, or None where there is nothing
of what it changes.
"""

from msgspec.structs import replace

from triolet.testing import history
from triolet.testing.checker import Rule

MUTATIONS = {}

KEY = "0123456789abcdef"


def mutation(*rules):
    """Register a mutation, after which one of `rules` has to be found broken."""

    def register(function):
        MUTATIONS[function.__name__] = (function, rules)
        return function

    return register


# --- finding and changing ------------------------------------------------------------------


def places(events, kind, fits=lambda event: True):
    return [i for i, event in enumerate(events) if isinstance(event, kind) and fits(event)]


def pick(events, chance, kind, fits=lambda event: True):
    found = places(events, kind, fits)
    return chance.choice(found) if found else None


def changed(events, index, **fields):
    return [*events[:index], replace(events[index], **fields), *events[index + 1 :]]


def without(events, *indexes):
    return [event for i, event in enumerate(events) if i not in indexes]


def inserted(events, index, *more):
    return [*events[:index], *more, *events[index:]]


def stored_of(events):
    (index,) = places(events, history.Stored)
    return index, events[index]


def end_of(events):
    (index,) = places(events, history.Settled)
    return index, events[index].t


def in_log(events, entry):
    """Have another entry at its place, wherever it is told of."""

    def told(event):
        if isinstance(event, history.Seen) and event.entry.seq == entry.seq:
            return replace(event, entry=replace(entry, fact=event.entry.fact))
        if isinstance(event, history.Stored):
            return replace(
                event,
                entries=tuple(
                    replace(entry, fact=one.fact) if one.seq == entry.seq else one
                    for one in event.entries
                ),
            )
        if isinstance(event, history.Acked) and event.seq == entry.seq:
            return replace(event, at=entry.at)
        return event

    return [told(event) for event in events if not isinstance(event, history.Folded)]


def appended(events, *entries):
    """Have more entries in the store, behind the others."""
    index, stored = stored_of(events)
    more = (*stored.entries, *entries)
    return changed(events, index, entries=more, head=len(more))


def attempts(events):
    """Return `{(client, cid): [indexes]}` of what was sent."""
    found = {}
    for i in places(events, history.Sent):
        found.setdefault((events[i].client, events[i].cid), []).append(i)
    return found


def wires(events, fits=lambda start: True):
    """Return `{(client, sub): start}` of wire cursors."""
    return {
        (event.client, event.sub): event
        for event in events
        if isinstance(event, history.Subscribed) and event.wire and fits(event)
    }


def on_wire(events, **fields):
    found = wires(events, **fields)
    return lambda event: (event.client, event.sub) in found


def goes_on(events, seen, end):
    """Whether the cursor on which something was seen stands until the end."""
    name = (events[seen].client, events[seen].sub)
    return not any(
        (isinstance(event, history.Closed) and (event.client, event.sub) == name)
        or (isinstance(event, history.Disconnected) and event.client == name[0])
        for event in events[seen:end]
    )


def answered_at_once(events, chance):
    """Return a place in the history where a command was sent once and acknowledged next."""
    sent, found = attempts(events), []
    for i in places(events, history.Acked, lambda event: not event.duplicate):
        key = (events[i].client, events[i].cid)
        acks = places(
            events, history.Acked, lambda event, key=key: (event.client, event.cid) == key
        )
        if sent[key] == [i - 1] and acks == [i]:
            found.append(i)
    return chance.choice(found) if found else None


# --- acknowledged means stored -------------------------------------------------------------


@mutation(Rule.ACKED_IS_STORED)
def an_acknowledgement_of_what_is_not_stored(events, chance):
    ack = pick(events, chance, history.Acked)
    if ack is None:
        return None
    end, _ = end_of(events)
    head = stored_of(events)[1].head
    sent = events[attempts(events)[events[ack].client, events[ack].cid][0]]
    return inserted(
        events,
        end,
        replace(sent, cid="lost", t=events[end].t),
        replace(events[ack], cid="lost", seq=head + 1, duplicate=False, t=events[end].t),
    )


@mutation(Rule.ACKED_IS_STORED, Rule.SEEN_IS_STORED)
def the_end_of_the_store_is_lost(events, chance):
    index, stored = stored_of(events)
    if stored.entries[-1].sender == "owner":
        return None
    return changed(events, index, entries=stored.entries[:-1], head=stored.head - 1)


@mutation(Rule.SEEN_IS_STORED)
def an_entry_is_seen_that_is_not_stored(events, chance):
    end, t = end_of(events)
    head = stored_of(events)[1].head
    last = pick(events[:end], chance, history.Seen, lambda event: event.entry.seq == head)
    if last is None or not goes_on(events, last, end):
        return None
    entry = replace(events[last].entry, seq=head + 1, cid="ahead")
    return inserted(events, end, replace(events[last], entry=entry, t=t))


@mutation(Rule.ACKED_IS_WHAT_WAS_SENT)
def an_acknowledgement_names_another_place(events, chance):
    ack = answered_at_once(events, chance)
    if ack is None:
        return None
    seq = events[ack].seq
    return changed(events, ack, seq=seq - 1 if seq > 1 else seq + 1)


@mutation(Rule.ACKED_IS_WHAT_WAS_SENT)
def another_body_is_stored_than_was_sent(events, chance):
    ack = answered_at_once(events, chance)
    if ack is None:
        return None
    sent = events[ack - 1]
    _, stored = stored_of(events)
    if sent.fact.body == "" or stored.entries[events[ack].seq - 1].fact.erased:
        return None
    return changed(events, ack - 1, fact=replace(sent.fact, body=KEY))


@mutation(Rule.REFUSED_IS_NOT_STORED)
def what_is_stored_was_refused(events, chance):
    ack = answered_at_once(events, chance)
    if ack is None:
        return None
    old = events[ack]
    refused = history.Refused(old.t, old.client, old.conn, room=old.room, cid=old.cid, code=3001)
    return [*events[:ack], refused, *events[ack + 1 :]]


@mutation(Rule.STORED_WAS_SENT)
def something_is_stored_that_nobody_sent(events, chance):
    ack = answered_at_once(events, chance)
    return None if ack is None else without(events, ack, ack - 1)


# --- one order -----------------------------------------------------------------------------


@mutation(Rule.SAME_ENTRY_FOR_ALL)
def one_client_sees_two_entries_in_the_other_order(events, chance):
    seen = places(events, history.Seen, on_wire(events))
    for i in chance.sample(seen, len(seen)):
        for j in seen:
            one, other = events[i], events[j]
            if (one.client, one.sub, one.entry.seq + 1) == (
                other.client,
                other.sub,
                other.entry.seq,
            ):
                first = changed(events, i, entry=replace(other.entry, seq=one.entry.seq))
                return changed(first, j, entry=replace(one.entry, seq=other.entry.seq))
    return None


@mutation(Rule.SAME_ENTRY_FOR_ALL)
def one_client_sees_another_entry(events, chance):
    seen = pick(events, chance, history.Seen)
    if seen is None:
        return None
    return changed(events, seen, entry=replace(events[seen].entry, cid="other"))


@mutation(Rule.STORED_WHOLE)
def the_store_has_a_gap(events, chance):
    index, stored = stored_of(events)
    gap = chance.randrange(len(stored.entries))
    entries = tuple(entry for i, entry in enumerate(stored.entries) if i != gap)
    return changed(events, index, entries=entries)


@mutation(Rule.NO_GAP_SEEN, Rule.RESUMED_WHOLE, Rule.SEEN_ALL)
def an_entry_is_not_delivered(events, chance):
    """The last one of a cursor that then ends is not missed: the next cursor brings it."""
    found = [
        i
        for i in places(events, history.Seen)
        if any(
            isinstance(event, history.Seen)
            and (event.client, event.sub) == (events[i].client, events[i].sub)
            for event in events[i + 1 :]
        )
    ]
    return without(events, chance.choice(found)) if found else None


@mutation(Rule.NO_GAP_SEEN, Rule.RESUMED_WHOLE, Rule.SEEN_ONCE)
def two_entries_are_delivered_in_the_other_order(events, chance):
    seen = places(events, history.Seen)
    for i in chance.sample(seen, len(seen)):
        for j in seen:
            one, other = events[i], events[j]
            if j > i and (one.client, one.sub) == (other.client, other.sub):
                return changed(changed(events, i, entry=other.entry), j, entry=one.entry)
    return None


@mutation(Rule.LATER_IS_AFTER)
def something_is_stored_before_what_was_acknowledged_when_it_was_sent(events, chance):
    ack = answered_at_once(events, chance)
    head = max((event.seq for event in events if isinstance(event, history.Acked)), default=0)
    if ack is None or events[ack].seq == head:
        return None
    moved = [events[ack - 1], events[ack]]
    rest = without(events, ack, ack - 1)
    return inserted(rest, end_of(rest)[0], *moved)


@mutation(Rule.AS_SENT)
def a_session_s_requests_are_stored_in_another_order(events, chance):
    single = {}
    for i in places(events, history.Acked, lambda event: not event.duplicate):
        event = events[i]
        indexes = attempts(events)[event.client, event.cid]
        same = places(events, history.Acked, lambda other, event=event: other.cid == event.cid)
        if len(indexes) == 1 and same == [i] and events[indexes[0]].conn == event.conn:
            single.setdefault((event.client, event.conn), []).append((indexes[0], i))
    found = [pairs for pairs in single.values() if len(pairs) > 1]
    if not found:
        return None
    pairs = chance.choice(found)
    first, second = pairs[0], pairs[1]
    sent = events[second[0]]
    return inserted(without(events, second[0]), first[0], sent)


@mutation(Rule.TIME_GOES_ON)
def an_entry_is_older_than_the_one_before(events, chance):
    entry = chance.choice(stored_of(events)[1].entries[1:])
    return in_log(events, replace(entry, at=entry.at - 2))


# --- once ----------------------------------------------------------------------------------


@mutation(Rule.CID_ONCE)
def a_request_is_stored_twice(events, chance):
    _, stored = stored_of(events)
    found = [entry for entry in stored.entries if entry.fact.kind != "member"]
    if not found:
        return None
    entry, last = chance.choice(found), stored.entries[-1]
    n = last.n + (entry.fact.kind == "message")
    return appended(events, replace(entry, seq=last.seq + 1, n=n, at=last.at))


@mutation(Rule.CID_ONE_SEQ)
def a_retry_is_answered_with_another_place(events, chance):
    ack = pick(events, chance, history.Acked)
    if ack is None:
        return None
    again = replace(events[ack], seq=events[ack].seq - 1, duplicate=True)
    return inserted(events, ack + 1, again)


@mutation(Rule.RETRY_IS_TOLD)
def a_retry_is_not_called_a_duplicate(events, chance):
    ack = pick(events, chance, history.Acked, lambda event: not event.duplicate)
    return None if ack is None else inserted(events, ack + 1, events[ack])


@mutation(Rule.SEEN_ONCE)
def an_entry_is_delivered_twice(events, chance):
    seen = pick(events, chance, history.Seen)
    return None if seen is None else inserted(events, seen + 1, events[seen])


@mutation(Rule.SEEN_WHERE_DUE)
def an_entry_comes_to_who_did_not_subscribe(events, chance):
    seen = pick(events, chance, history.Seen)
    return None if seen is None else changed(events, seen, sub=0)


@mutation(Rule.SEEN_WHERE_DUE)
def an_entry_comes_after_an_unsubscription(events, chance):
    closed = pick(events, chance, history.Closed, lambda event: event.reason == "unsubscribed")
    if closed is None:
        return None
    old = events[closed]
    entry = stored_of(events)[1].entries[0]
    late = history.Seen(old.t, old.client, old.conn, sub=old.sub, room=old.room, entry=entry)
    return inserted(events, closed + 1, late)


@mutation(Rule.SEEN_ALL)
def the_last_entry_is_not_delivered(events, chance):
    head = stored_of(events)[1].head
    end, _ = end_of(events)
    seen = pick(events[:end], chance, history.Seen, lambda event: event.entry.seq == head)
    if seen is None or not goes_on(events, seen, end):
        return None
    return without(events, seen)


# --- the resume window ---------------------------------------------------------------------


@mutation(Rule.RESUMES_WHERE_IT_WAS)
def a_cursor_is_resumed_elsewhere(events, chance):
    start = pick(events, chance, history.Subscribed, lambda event: event.since is not None)
    return None if start is None else changed(events, start, pos=events[start].pos + 1)


@mutation(Rule.LOST_ONLY_BELOW_FLOOR)
def a_position_is_not_recovered(events, chance):
    start = pick(events, chance, history.Subscribed, lambda event: event.since is not None)
    if start is None:
        return None
    return changed(events, start, pos=events[start].head, recovered=False)


@mutation(Rule.LOST_ONLY_BELOW_FLOOR)
def a_cursor_is_reset_for_no_reason(events, chance):
    seen = pick(events, chance, history.Seen)
    if seen is None:
        return None
    old = events[seen]
    pos = old.entry.seq
    reset = history.Reset(
        old.t,
        old.client,
        old.conn,
        sub=old.sub,
        room=old.room,
        epoch="e1",
        pos=pos + 2,
        head=pos + 2,
    )
    return inserted(events, seen + 1, reset)


# --- derived counts ------------------------------------------------------------------------


@mutation(Rule.N_COUNTS_MESSAGES)
def an_entry_counts_wrong(events, chance):
    entry = chance.choice(stored_of(events)[1].entries)
    return in_log(events, replace(entry, n=entry.n + 1))


@mutation(Rule.UNREAD_IS_DERIVED)
def unread_is_one_too_many(events, chance):
    told = pick(events, chance, history.Unread)
    return None if told is None else changed(events, told, unread=events[told].unread + 1)


@mutation(Rule.UNREAD_IS_DERIVED)
def unread_is_one_too_few(events, chance):
    told = pick(events, chance, history.Unread, lambda event: event.unread > 0)
    return None if told is None else changed(events, told, unread=events[told].unread - 1)


# --- marks ---------------------------------------------------------------------------------


@mutation(Rule.MARK_FORWARD)
def a_mark_moves_back(events, chance):
    told = pick(events, chance, history.Receipts, lambda event: event.marks[0][2] > 0)
    if told is None:
        return None
    user, delivered, read = events[told].marks[0]
    return inserted(events, told + 1, replace(events[told], marks=((user, delivered, read - 1),)))


@mutation(Rule.MARK_WITHIN)
def a_mark_is_beyond_the_head(events, chance):
    told = pick(events, chance, history.Receipts)
    if told is None:
        return None
    beyond = stored_of(events)[1].head + 1
    return changed(events, told, marks=((events[told].marks[0][0], beyond, beyond),))


@mutation(Rule.MARK_WITHIN)
def who_has_read_has_not_got(events, chance):
    told = pick(events, chance, history.Receipts, lambda event: event.marks[0][2] > 0)
    if told is None:
        return None
    user, _, read = events[told].marks[0]
    return changed(events, told, marks=((user, read - 1, read),))


@mutation(Rule.MARK_CLAIMED)
def a_mark_is_told_that_nobody_set(events, chance):
    end, t = end_of(events)
    told = pick(events[:end], chance, history.Receipts)
    if told is None:
        return None
    head, user = stored_of(events)[1].head, events[told].marks[0][0]
    own = [
        entry.seq
        for entry in stored_of(events)[1].entries
        if user in (entry.sender, entry.fact.user)
    ]
    asked = [
        event.read
        for event in events
        if isinstance(event, history.Asked) and event.client.startswith(user)
    ]
    if max(*own, *asked) >= head:
        return None
    return inserted(events, end, replace(events[told], t=t, marks=((user, head, head),)))


# --- deletions and folding -----------------------------------------------------------------


@mutation(Rule.ERASED_BY_DELETION)
def a_body_is_gone_that_nobody_deleted(events, chance):
    gone = {entry.seq for entry in stored_of(events)[1].entries if entry.fact.erased}
    seen = pick(
        events,
        chance,
        history.Seen,
        lambda event: event.entry.fact.body != "" and event.entry.seq not in gone,
    )
    if seen is None:
        return None
    entry = events[seen].entry
    return changed(
        events, seen, entry=replace(entry, fact=replace(entry.fact, body="", erased=True))
    )


@mutation(Rule.DELETED_IS_GONE)
def a_deleted_body_is_still_stored(events, chance):
    _, stored = stored_of(events)
    found = [i for i, entry in enumerate(stored.entries) if entry.fact.erased]
    if not found:
        return None
    entries = list(stored.entries)
    entry = entries[i := chance.choice(found)]
    entries[i] = replace(entry, fact=replace(entry.fact, body=KEY, erased=False))
    # Nobody may have seen another body there.
    rest = [
        event
        for event in events
        if not isinstance(event, history.Folded | history.Sent | history.Acked | history.Seen)
        or (isinstance(event, history.Seen) and event.entry.seq != entry.seq)
    ]
    return changed(rest, stored_of(rest)[0], entries=tuple(entries))


@mutation(Rule.DELETED_IS_GONE)
def a_deleted_body_is_told_to_who_resumes(events, chance):
    starts = wires(events)
    seen = pick(
        events,
        chance,
        history.Seen,
        lambda event: (
            event.entry.fact.erased
            and (event.client, event.sub) in starts
            and event.entry.seq <= starts[event.client, event.sub].head
        ),
    )
    if seen is None:
        return None
    entry, start = events[seen].entry, starts[events[seen].client, events[seen].sub]
    target = entry.fact.target or entry.seq
    (deletion, *_) = [
        one.seq
        for one in stored_of(events)[1].entries
        if one.fact.kind == "delete" and one.fact.target == target
    ]
    if deletion > start.head:
        return None
    body = next(
        (
            event.entry.fact.body
            for event in events
            if isinstance(event, history.Seen)
            and event.entry.seq == entry.seq
            and event.entry.fact.body
        ),
        KEY,
    )
    return changed(
        events, seen, entry=replace(entry, fact=replace(entry.fact, body=body, erased=False))
    )


@mutation(Rule.FOLD_EQUALS_LOG)
def a_message_is_missing_in_a_history(events, chance):
    page = pick(events, chance, history.Folded, lambda event: event.messages)
    return None if page is None else changed(events, page, messages=events[page].messages[1:])


@mutation(Rule.FOLD_EQUALS_LOG)
def an_edit_is_missing_in_a_history(events, chance):
    page = pick(
        events, chance, history.Folded, lambda event: any(row.edited_at for row in event.messages)
    )
    if page is None:
        return None
    rows = tuple(replace(row, edited_at=0) for row in events[page].messages)
    return changed(events, page, messages=rows)


@mutation(Rule.FOLD_EQUALS_LOG)
def a_reaction_too_many_is_in_a_history(events, chance):
    page = pick(events, chance, history.Folded, lambda event: event.messages)
    if page is None:
        return None
    first, *others = events[page].messages
    first = replace(first, reactions=(*first.reactions, ("🙂", 1, ("anna",))))
    return changed(events, page, messages=(first, *others))


@mutation(Rule.FOLD_EQUALS_LOG)
def a_deleted_message_is_in_a_history(events, chance):
    page = pick(
        events, chance, history.Folded, lambda event: any(row.erased for row in event.messages)
    )
    if page is None:
        return None
    rows = tuple(
        replace(row, erased=False, body=KEY) if row.erased else row for row in events[page].messages
    )
    return changed(events, page, messages=rows)


# --- rights --------------------------------------------------------------------------------


@mutation(Rule.NOTHING_AFTER_REMOVAL)
def an_entry_comes_after_the_cursor_was_closed(events, chance):
    closed = pick(events, chance, history.Closed, lambda event: event.reason == "removed")
    if closed is None:
        return None
    old = events[closed]
    entry = stored_of(events)[1].entries[0]
    late = history.Seen(old.t, old.client, old.conn, sub=old.sub, room=old.room, entry=entry)
    return inserted(events, closed + 1, late)


@mutation(Rule.NOTHING_AFTER_REMOVAL)
def a_removed_member_goes_on_reading(events, chance):
    """Nothing closes the cursor, and the next entry comes on it, too."""
    head = stored_of(events)[1].head
    end, t = end_of(events)
    last = pick(events[:end], chance, history.Seen, lambda event: event.entry.seq == head)
    if last is None or not goes_on(events, last, end):
        return None
    if (events[last].client, events[last].sub) not in wires(events):
        return None
    seen, user = events[last], events[last].client.split("-")[0]
    gone = replace(
        seen.entry,
        seq=head + 1,
        sender="owner",
        cid="kick",
        n=seen.entry.n,
        fact=history.Trace(kind="member", user=user),
    )
    after = replace(gone, seq=head + 2, cid="meta", fact=history.Trace(kind="meta", about=KEY))
    told = [replace(seen, t=t, entry=gone), replace(seen, t=t, entry=after)]
    return inserted(appended(events, gone, after), end, *told)


@mutation(Rule.WRITTEN_BY_RIGHT)
def a_removed_member_goes_on_writing(events, chance):
    last = stored_of(events)[1].entries[-1]
    user = chance.choice(("anna", "ben", "eva"))
    gone = replace(
        last,
        seq=last.seq + 1,
        sender="owner",
        cid="kick",
        fact=history.Trace(kind="member", user=user),
    )
    wrote = replace(
        gone,
        seq=last.seq + 2,
        n=last.n + 1,
        sender=user,
        cid="after",
        fact=history.Trace(kind="message", body=KEY),
    )
    return appended(events, gone, wrote)


# --- people --------------------------------------------------------------------------------


def last_shown(events, user, end):
    """Return `{client: event}` of who is shown somebody on their last connection."""
    found = {}
    for event in events[:end]:
        if isinstance(event, history.Connected | history.Disconnected):
            found.pop(event.client, None)
        elif isinstance(event, history.Presence):
            for row in event.users:
                if row[0] == user:
                    found[event.client] = event
    return found


@mutation(Rule.NO_GHOST)
def somebody_is_shown_long_after_they_went(events, chance):
    end, t = end_of(events)
    user = chance.choice(("ben", "eva"))
    if not last_shown(events, user, end):
        return None
    last = max(places(events, history.Connected, lambda event: event.client == f"{user}-1"))
    gone = history.Disconnected(t, f"{user}-1", events[last].conn, code=1000, told=True)
    late = [replace(event, t=t + 100) for event in events[end:]]
    return [*events[:end], gone, *late]


@mutation(Rule.HERE_IS_SHOWN)
def somebody_is_shown_offline_who_is_here(events, chance):
    end, t = end_of(events)
    shown = last_shown(events, "ben", end)
    last = max(places(events, history.Connected, lambda event: event.client == "ben-1"))
    if not shown:
        return None
    event = shown[chance.choice(sorted(shown))]
    wrong = replace(event, t=max(t, events[last].t + 100), users=(("ben", "offline", 0),))
    late = [replace(event, t=wrong.t) for event in events[end:]]
    return [*events[:end], wrong, *late]


@mutation(Rule.GRACE_IS_KEPT)
def somebody_is_shown_offline_at_once(events, chance):
    end, t = end_of(events)
    shown = last_shown(events, "ben", end)
    last = max(places(events, history.Connected, lambda event: event.client == "ben-1"))
    if not shown:
        return None
    gone = history.Disconnected(t, "ben-1", events[last].conn, code=1000, told=True)
    event = shown[chance.choice(sorted(shown))]
    return inserted(events, end, gone, replace(event, t=t, users=(("ben", "offline", 0),)))


@mutation(Rule.NO_STUCK_TYPING)
def somebody_goes_on_typing_for_ever(events, chance):
    typing = pick(events, chance, history.Typing)
    if typing is None:
        return None
    end, t = end_of(events)
    late = replace(events[typing], t=t + 100, users=("anna",))
    return [*events[:end], late, *(replace(event, t=t + 100) for event in events[end:])]
