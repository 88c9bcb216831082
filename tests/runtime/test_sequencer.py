"""Laws of the one lane to the store: order, group commit, one answer each, and none invented."""

import pytest
import trio
from scene import settled

from triolet._model.entries import Member, Message, Record
from triolet._model.errors import ErrorCode, OutcomeUnknown, Refusal, StoreUnavailable
from triolet._model.limits import Limits
from triolet._runtime.flusher import Flusher
from triolet._runtime.sequencer import Pending, Sequencer
from triolet._wire.codec import pack_fact
from triolet.ports.store import Appended, Draft, Duplicate, Rejected, Stale

LIMITS = Limits(
    batch_drafts_max=4, batch_bytes_max=1000, pending_bytes_max=5000, append_deadline_s=10
)


class Store:
    """Keeps what is appended; what happens to a call can be said beforehand, one a call."""

    def __init__(self):
        self.batches = []
        self.fates = []
        self.outcomes = {}
        self.log = []
        self.is_prompt = False

    def append_now(self, batch):
        if not self.is_prompt:
            return None
        self.batches.append([draft.cid for draft in batch])
        return [self._append(draft) for draft in batch]

    async def append(self, batch):
        self.batches.append([draft.cid for draft in batch])
        fate = self.fates.pop(0) if self.fates else None
        if isinstance(fate, trio.Event):
            await fate.wait()
        elif isinstance(fate, StoreUnavailable):
            await trio.lowlevel.checkpoint()
            raise fate
        outcomes = [self._append(draft) for draft in batch]
        await trio.lowlevel.checkpoint()
        if isinstance(fate, OutcomeUnknown):
            raise fate
        return outcomes

    def _append(self, draft):
        if draft.cid in self.outcomes:
            return self.outcomes[draft.cid]
        if draft.cid in self.log:
            return Duplicate(self.log.index(draft.cid) + 1, 5, draft.op)
        if not draft.logged:
            return Appended(())
        self.log.append(draft.cid)
        seq = len(self.log)
        _fact, packed = draft.facts[0]
        return Appended((Record(draft.room, seq, seq, "message", "anna", 5, draft.cid, packed),))


class Sink:
    def __init__(self):
        self.log = []

    def offer(self, record):
        self.log.append(("offer", record.cid))

    def reseat(self, room, fact):
        self.log.append(("reseat", fact.user))

    def revoked(self, room, acl_ver, seq):
        self.log.append(("revoked", room, acl_ver, seq))

    def deleted(self, room):
        self.log.append(("deleted", room))

    def missed(self, room):
        self.log.append(("missed", room))


class Owner:
    def __init__(self, log):
        self.log = log
        self.outcomes = []

    def settled(self, pending, outcome):
        self.outcomes.append((pending.draft.cid, outcome))
        self.log.append(("settled", pending.draft.cid))

    def kinds(self):
        return [
            (cid, outcome.code if isinstance(outcome, Refusal) else type(outcome))
            for cid, outcome in self.outcomes
        ]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def owner(sink):
    return Owner(sink.log)


@pytest.fixture
async def lane(store, sink, nursery):
    lane = Sequencer(store, sink, LIMITS, flusher=Flusher(), now=trio.current_time)
    nursery.start_soon(lane.run)
    await settled()
    return lane


def draft(cid, **fields):
    fact = fields.pop("fact", Message({"text": cid}))
    facts = ((fact, pack_fact(fact)),)
    return Draft(room="tea", sender="anna", cid=cid, op="send", facts=facts, **fields)


def submit(lane, owner, *cids, size=10, **fields):
    for cid in cids:
        lane.submit(Pending(draft(cid, **fields), owner, size=size, command=None, ref=None))


# --- batches -----------------------------------------------------------------------------------


async def test_drafts_of_one_turn_go_together_in_their_order(lane, store, sink, owner):
    submit(lane, owner, "a", "b", "c")
    await settled()

    assert store.batches == [["a", "b", "c"]]
    assert owner.kinds() == [(cid, Appended) for cid in "abc"]
    assert lane.pending_bytes == 0


async def test_an_entry_is_offered_before_its_sender_is_answered(lane, sink, owner):
    """Who has the `ok` and asks for the room's state finds the entry in it."""
    submit(lane, owner, "a", "b")
    await settled()

    assert sink.log == [("offer", "a"), ("settled", "a"), ("offer", "b"), ("settled", "b")]


async def test_while_one_batch_is_committed_the_next_one_gathers(lane, store, owner):
    first = trio.Event()
    store.fates = [first]
    submit(lane, owner, "a")
    await settled()
    for cid in "bcd":
        submit(lane, owner, cid)
        await settled()
    assert store.batches == [["a"]]
    assert owner.outcomes == []

    first.set()
    await settled()

    assert store.batches == [["a"], ["b", "c", "d"]]
    assert [cid for cid, _ in owner.outcomes] == list("abcd")


async def test_batches_are_bounded_in_drafts_and_bytes(lane, store, owner):
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "first")
    await settled()
    submit(lane, owner, *"abcdef")
    submit(lane, owner, "g", "h", size=600)
    submit(lane, owner, "huge", size=2000)
    submit(lane, owner, "i")
    gate.set()
    await settled()

    assert store.batches == [
        ["first"],
        ["a", "b", "c", "d"],
        ["e", "f", "g"],
        ["h"],
        ["huge"],
        ["i"],
    ]


async def test_too_much_waiting_is_refused_at_once(lane, store, owner):
    """And counts again once it is committed."""
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "a", size=3000)
    await settled()
    submit(lane, owner, "b", size=2500)

    with pytest.raises(Refusal) as caught:
        submit(lane, owner, "c")
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
    assert caught.value.retry_after_ms
    assert lane.pending_bytes == 5500

    gate.set()
    await settled()
    submit(lane, owner, "c")
    await settled()
    assert [cid for cid, _ in owner.outcomes] == list("abc")
    assert lane.pending_bytes == 0


async def test_outcomes_are_told_in_order_with_turns_for_others(store, sink, owner, nursery):
    """A batch of a thousand does not hold the engine; the next commit runs meanwhile."""
    lane = Sequencer(store, sink, Limits(), flusher=Flusher(), now=trio.current_time)
    cids = [str(number) for number in range(1000)]
    submit(lane, owner, *cids)
    told = []

    async def other():
        while len(owner.outcomes) < 1000:
            await trio.lowlevel.checkpoint()
            told.append(len(owner.outcomes))

    nursery.start_soon(other)
    nursery.start_soon(lane.run)
    await settled()

    assert [cid for cid, _ in owner.outcomes] == cids
    assert len(set(told)) > 10


# --- in the turn of whoever submits --------------------------------------------------------------


async def test_what_is_submitted_while_held_waits_for_the_release(lane, store, owner):
    lane.hold()
    submit(lane, owner, "a", "b")
    await settled()
    assert store.batches == []

    lane.release()
    await settled()

    assert store.batches == [["a", "b"]]
    assert owner.kinds() == [("a", Appended), ("b", Appended)]


async def test_a_store_that_never_waits_is_asked_in_the_same_turn(lane, store, sink, owner):
    store.is_prompt = True
    lane.hold()
    submit(lane, owner, "a", "b")
    lane.release()

    assert store.batches == [["a", "b"]]
    assert sink.log == [("offer", "a"), ("settled", "a"), ("offer", "b"), ("settled", "b")]
    assert lane.pending_bytes == 0
    await lane.wait_idle()
    await settled()
    assert store.batches == [["a", "b"]]


async def test_nothing_overtakes_what_is_being_committed(lane, store, owner):
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "a")
    await settled()
    store.is_prompt = True
    lane.hold()
    submit(lane, owner, "b")
    lane.release()
    assert owner.outcomes == []

    gate.set()
    await settled()

    assert [cid for cid, _ in owner.outcomes] == ["a", "b"]


async def test_what_was_submitted_before_goes_with_what_is_committed_at_once(lane, store, owner):
    """The lane was woken for it already, and finds nothing left."""
    store.is_prompt = True
    submit(lane, owner, "a")
    lane.hold()
    submit(lane, owner, "b")
    lane.release()
    assert store.batches == [["a", "b"]]
    await settled()

    submit(lane, owner, "c")
    await settled()

    assert store.batches == [["a", "b"], ["c"]]


@pytest.mark.parametrize(("count", "size"), [(5, 10), (2, 600)])
async def test_more_than_a_batch_is_left_to_the_lane(lane, store, owner, count, size):
    store.is_prompt = True
    lane.hold()
    submit(lane, owner, *"abcdefgh"[:count], size=size)
    lane.release()
    assert store.batches == []

    await settled()

    assert [cid for batch in store.batches for cid in batch] == list("abcdefgh"[:count])
    assert len(store.batches) == 2


# --- outcomes ----------------------------------------------------------------------------------


async def test_each_outcome_reaches_its_owner(lane, store, sink, owner):
    store.outcomes = {
        "dup": Duplicate(7, 5, "send"),
        "stale": Stale(),
        "bad": Rejected(ErrorCode.NO_SUCH_ENTRY, "no"),
    }
    submit(lane, owner, "dup", "stale", "bad", "new")
    await settled()

    assert owner.kinds() == [
        ("dup", Duplicate),
        ("stale", Stale),
        ("bad", Rejected),
        ("new", Appended),
    ]
    assert [what for what in sink.log if what[0] != "settled"] == [("offer", "new")]


async def test_a_revocation_is_known_before_its_entry_is_offered(lane, sink, owner):
    submit(lane, owner, "kick", revokes=True)
    await settled()

    assert sink.log == [("revoked", "tea", 0, 1), ("offer", "kick"), ("settled", "kick")]


async def test_memberships_without_an_entry_are_told_too(lane, sink, owner):
    submit(lane, owner, "join", fact=Member("ben", "member"), logged=False)
    await settled()

    assert sink.log == [("reseat", "ben"), ("settled", "join")]


# --- a store in trouble ------------------------------------------------------------------------


async def test_what_was_not_stored_is_said_so(lane, store, owner):
    store.fates = [StoreUnavailable("down", retry_after_ms=700)]
    submit(lane, owner, "a", "b")
    await settled()

    assert owner.kinds() == [(cid, ErrorCode.STORE_UNAVAILABLE) for cid in "ab"]
    assert owner.outcomes[0][1].retry_after_ms == 700
    submit(lane, owner, "c")
    await settled()
    assert owner.kinds()[-1] == ("c", Appended)


async def test_a_store_that_stays_unavailable_does_not_flood_the_log(lane, store, owner, caplog):
    """Under load each batch is refused: one is told, the others are counted."""
    store.fates = [StoreUnavailable("full")] * 100
    for number in range(101):
        submit(lane, owner, str(number))
        await settled()

    first, last = (one.getMessage() for one in caplog.records)
    assert first == "nothing of 1 drafts was stored: full"
    assert last == "the store takes drafts again (and 99 more like the last one)"


async def test_an_unknown_outcome_is_asked_for_with_the_identical_batch(lane, store, owner):
    """Nothing else is begun before it is known; what was stored answers as a duplicate."""
    store.fates = [OutcomeUnknown("?"), OutcomeUnknown("?")]
    submit(lane, owner, "a", "b")
    await settled()
    submit(lane, owner, "c")
    await trio.sleep(1)

    assert store.batches == [["a", "b"]] * 3 + [["c"]]
    assert owner.kinds() == [("a", Duplicate), ("b", Duplicate), ("c", Appended)]


async def test_what_turns_out_to_be_stored_is_looked_for(lane, store, sink, owner):
    """Nobody has offered those entries: the room is caught up at once, not in 5 seconds."""
    store.fates = [OutcomeUnknown("?")]
    submit(lane, owner, "a", "b")
    await trio.sleep(1)

    assert ("missed", "tea") in sink.log
    assert sink.log.index(("missed", "tea")) < sink.log.index(("settled", "a"))


async def test_an_ordinary_duplicate_is_not_looked_for(lane, store, sink, owner):
    submit(lane, owner, "a")
    await settled()
    submit(lane, owner, "a")
    await settled()

    assert sink.log == [("offer", "a"), ("settled", "a"), ("settled", "a")]


async def test_unknown_then_unavailable_is_still_unknown(lane, store, owner):
    """`store_unavailable` promises that nothing was stored: the first try may have been."""
    store.fates = [OutcomeUnknown("?"), StoreUnavailable("down"), StoreUnavailable("down")]
    submit(lane, owner, "a")
    await trio.sleep(5)

    assert owner.kinds() == [("a", Duplicate)]
    assert store.batches == [["a"]] * 4


async def test_an_outcome_that_stays_unknown_is_answered_so_after_the_deadline(lane, store, owner):
    store.fates = [OutcomeUnknown("?")] * 1000
    submit(lane, owner, "a")
    await trio.sleep(LIMITS.append_deadline_s - 1)
    assert owner.outcomes == []
    await trio.sleep(5)

    assert owner.kinds() == [("a", ErrorCode.OUTCOME_UNKNOWN)]
    store.fates.clear()
    submit(lane, owner, "b")
    await trio.sleep(1)
    assert owner.kinds()[-1] == ("b", Appended)


async def test_unavailable_for_ever_after_unknown_is_answered_after_the_deadline(
    lane, store, owner
):
    store.fates = [OutcomeUnknown("?"), *[StoreUnavailable("down")] * 1000]
    submit(lane, owner, "a")
    await trio.sleep(LIMITS.append_deadline_s + 5)

    assert owner.kinds() == [("a", ErrorCode.OUTCOME_UNKNOWN)]


async def test_who_waits_behind_an_unknown_outcome_is_told_at_once_that_the_store_is_away(
    lane, store, owner
):
    """Nothing of theirs was ever handed to the store, which is what they are told."""
    store.fates = [OutcomeUnknown("?"), *[StoreUnavailable("down", retry_after_ms=700)] * 20]
    submit(lane, owner, "a")
    await settled()
    for number in range(3):
        submit(lane, owner, f"late-{number}")
        await trio.sleep(0.3)
    assert owner.kinds() == [(f"late-{n}", ErrorCode.STORE_UNAVAILABLE) for n in range(3)]
    assert {outcome.retry_after_ms for _, outcome in owner.outcomes} == {700}
    assert lane.pending_bytes == 10
    await trio.sleep(2)
    # It is back, within the deadline: what was unknown is known.
    assert owner.kinds()[-1] == ("a", Duplicate)
    assert all("late" not in cid for batch in store.batches for cid in batch)
    submit(lane, owner, "late-1")
    await settled()
    assert owner.kinds()[-1] == ("late-1", Appended)
    assert lane.pending_bytes == 0


async def test_who_waits_behind_a_commit_that_hangs_is_told_that_the_store_is_away(
    lane, store, owner
):
    """From the deadline on nobody waits for longer than a quarter of it."""
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "a")
    await settled()
    submit(lane, owner, "b")
    await trio.sleep(LIMITS.append_deadline_s * 1.25)
    await settled()
    assert owner.kinds() == [
        ("a", ErrorCode.OUTCOME_UNKNOWN),
        ("b", ErrorCode.STORE_UNAVAILABLE),
    ]
    submit(lane, owner, "c")
    await trio.sleep(LIMITS.append_deadline_s / 4)
    # Who wakes first of those whose time has come is chance.
    await settled()
    assert owner.kinds()[-1] == ("c", ErrorCode.STORE_UNAVAILABLE)
    gate.set()
    await settled()
    assert store.batches == [["a"]]
    assert lane.pending_bytes == 0


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks."""

    def __init__(self):
        self.count = 0

    def before_task_step(self, task):
        self.count += 1


async def test_a_lane_at_rest_does_not_wake(lane, owner):
    """A commit has the deadline watched; when it is over, nothing happens until the next one."""
    submit(lane, owner, "a")
    await trio.sleep(LIMITS.append_deadline_s)
    assert owner.kinds() == [("a", Appended)]

    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    await trio.sleep(3600)
    trio.lowlevel.remove_instrument(steps)

    assert steps.count == 1, "this test's own"


async def test_a_commit_that_takes_too_long_is_answered_and_goes_on(lane, store, sink, owner):
    """Its later success is offered to the room, and answered no second time."""
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "a", "b")
    await trio.sleep(LIMITS.append_deadline_s * 1.5)
    assert owner.kinds() == [(cid, ErrorCode.OUTCOME_UNKNOWN) for cid in "ab"]

    gate.set()
    await settled()

    assert len(owner.outcomes) == 2
    assert [what for what in sink.log if what[0] == "offer"] == [("offer", "a"), ("offer", "b")]
    assert lane.pending_bytes == 0


# --- idle --------------------------------------------------------------------------------------


async def test_idle_means_committed_and_told(lane, store, owner, nursery):
    await lane.wait_idle()
    gate = trio.Event()
    store.fates = [gate]
    submit(lane, owner, "a")
    idle = []

    async def wait():
        await lane.wait_idle()
        idle.append(len(owner.outcomes))

    # Two who wait: a drain, and the end of the engine.
    nursery.start_soon(wait)
    await settled()
    nursery.start_soon(wait)
    await settled()
    submit(lane, owner, "b")
    await settled()
    assert idle == []
    gate.set()
    await settled()

    assert idle == [2, 2]


async def test_the_end_of_the_lane_answers_who_waits(store, sink, owner):
    """An engine that ends while the store hangs leaves nobody waiting for ever."""
    lane = Sequencer(store, sink, LIMITS, flusher=Flusher(), now=trio.current_time)
    store.fates = [trio.Event()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        submit(lane, owner, "a")
        await settled()
        submit(lane, owner, "b")
        nursery.cancel_scope.cancel()

    assert owner.kinds() == [
        ("a", ErrorCode.OUTCOME_UNKNOWN),
        ("b", ErrorCode.SHUTTING_DOWN),
    ]


# --- notifying -----------------------------------------------------------------------------


class Notifier:
    def __init__(self, log):
        self.log = log

    def committed(self, room, sender, fact, seq, at):
        self.log.append(("notified", room, sender, type(fact), seq, at))

    def read(self, marks):
        raise AssertionError("the sequencer knows of no marks")


async def test_a_notifier_hears_of_what_is_stored_once_it_was_offered(lane, sink, owner):
    lane.notifier = Notifier(sink.log)
    submit(lane, owner, "a")
    await settled()
    submit(lane, owner, "a")
    await settled()

    assert sink.log == [
        ("offer", "a"),
        ("settled", "a"),
        ("notified", "tea", "anna", Message, 1, 5),
        ("settled", "a"),
    ]


async def test_a_notifier_hears_of_what_turns_out_to_be_stored(lane, store, sink, owner):
    lane.notifier = Notifier(sink.log)
    store.fates = [OutcomeUnknown("lost")]
    submit(lane, owner, "a")
    await trio.sleep(1)

    assert ("notified", "tea", "anna", Message, 1, 5) in sink.log


async def test_a_notifier_hears_nothing_of_what_has_no_entry_or_was_not_stored(
    lane, store, sink, owner
):
    lane.notifier = Notifier(sink.log)
    store.outcomes["b"] = Stale()
    submit(lane, owner, "a", logged=False, fact=Member("ben", "member"))
    submit(lane, owner, "b")
    store.fates = [None, StoreUnavailable("away")]
    await settled()
    submit(lane, owner, "c")
    await settled()

    assert [one for one in sink.log if one[0] == "notified"] == []
