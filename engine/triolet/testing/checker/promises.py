"""What is promised, by name, and the rules by which a history shows a promise broken."""

from enum import Enum
from typing import Final, final

from msgspec import Struct

from ..history import Event


@final
class Promise(Enum):
    """What the engine promises. The first seven are the design's; the others follow."""

    STORED = "acknowledged means stored"
    ORDER = "one order"
    ONCE = "once"
    RESUME = "the resume window is the retention"
    DERIVED = "no counter drifts"
    BOUNDED = "bounded"
    NO_ORPHAN = "no orphan"
    RIGHTS = "who may not, sees and writes nothing"
    ERASED = "deleted means erased"
    FORWARD = "marks move forward"
    FOLDED = "history is the fold of the log"
    PRESENT = "who is here is shown"
    GONE = "a deleted room is gone for everybody"
    BANNED = "who is banned is out until that is lifted"


@final
class Rule(Enum):
    """What the checker looks for; the value says what it found."""

    ACKED_IS_STORED = "acknowledged, but not in the store"
    ACKED_IS_WHAT_WAS_SENT = "acknowledged at the place of another entry"
    SEEN_IS_STORED = "seen, but not in the store"
    REFUSED_IS_NOT_STORED = "refused, but stored"
    STORED_WAS_SENT = "stored, but never sent"
    SAME_ENTRY_FOR_ALL = "two entries at one place"
    STORED_WHOLE = "the stored log has a gap"
    NO_GAP_SEEN = "an entry was skipped"
    LATER_IS_AFTER = "sent after an acknowledgement, but stored before it"
    AS_SENT = "a session's requests took effect in another order"
    TIME_GOES_ON = "an entry is older than the one before it"
    CID_ONCE = "stored twice"
    CID_ONE_SEQ = "one request was acknowledged at two places"
    RETRY_IS_TOLD = "a retry was not called a duplicate"
    SEEN_ONCE = "an entry came twice"
    SEEN_WHERE_DUE = "an entry came where none was due"
    SEEN_ALL = "all is quiet, but not everything was seen"
    RESUMED_WHOLE = "an entry was skipped on the way to the head"
    RESUMES_WHERE_IT_WAS = "a cursor did not resume where it was"
    LOST_ONLY_BELOW_FLOOR = "a position was not recovered, though its entries are there"
    N_COUNTS_MESSAGES = "an entry's count of messages is wrong"
    UNREAD_IS_DERIVED = "unread is not what the log and the mark say"
    NO_GHOST = "somebody is shown who has gone"
    NO_STUCK_TYPING = "somebody is shown typing who has stopped"
    HERE_IS_SHOWN = "somebody is shown offline who is here"
    GRACE_IS_KEPT = "somebody is shown offline who went a moment ago"
    NOTHING_AFTER_REMOVAL = "an entry came to somebody who may not see it"
    WRITTEN_BY_RIGHT = "somebody wrote who was no member any more"
    ERASED_BY_DELETION = "a body is gone that nobody deleted"
    DELETED_IS_GONE = "a deleted body is still there"
    MARK_FORWARD = "a mark moved back"
    MARK_WITHIN = "a mark is beyond what there is"
    MARK_CLAIMED = "a mark that nobody set"
    FOLD_EQUALS_LOG = "a page of history is not what the log folds to"
    GONE_TAKES_NOTHING = "acknowledged in a room that had been deleted"
    GONE_IS_SAID = "asked of a deleted room, and refused for another reason"
    GONE_IS_NOT_TOLD = "a room was told of that was known to be deleted"
    GONE_IS_NOTICED = "all is quiet, but a deleted room is still followed"
    GONE_FOR_EVER = "a deleted room is there again"
    BAN_TAKES_NOTHING = "something was taken from somebody who was banned"
    BAN_TELLS_NOTHING = "somebody was told something who was banned"
    BAN_LETS_NOBODY_IN = "somebody was let in who was banned"
    BAN_ENDS_SESSIONS = "somebody is connected still who was banned"
    BAN_IS_SAID = "somebody who was banned was sent away for another reason"
    BAN_HAS_CAUSE = "somebody was sent away as banned who was not"
    BAN_LOSES_NOTHING = "somebody was banned, and is no member any more"

    @property
    def promise(self) -> Promise:
        """Which promise is broken where this is found."""
        return _PROMISES[self]


_PROMISES: Final[dict[Rule, Promise]] = {
    Rule.ACKED_IS_STORED: Promise.STORED,
    Rule.ACKED_IS_WHAT_WAS_SENT: Promise.STORED,
    Rule.SEEN_IS_STORED: Promise.STORED,
    Rule.REFUSED_IS_NOT_STORED: Promise.STORED,
    Rule.STORED_WAS_SENT: Promise.STORED,
    Rule.SAME_ENTRY_FOR_ALL: Promise.ORDER,
    Rule.STORED_WHOLE: Promise.ORDER,
    Rule.NO_GAP_SEEN: Promise.ORDER,
    Rule.LATER_IS_AFTER: Promise.ORDER,
    Rule.AS_SENT: Promise.ORDER,
    Rule.TIME_GOES_ON: Promise.ORDER,
    Rule.CID_ONCE: Promise.ONCE,
    Rule.CID_ONE_SEQ: Promise.ONCE,
    Rule.RETRY_IS_TOLD: Promise.ONCE,
    Rule.SEEN_ONCE: Promise.ONCE,
    Rule.SEEN_WHERE_DUE: Promise.ONCE,
    Rule.SEEN_ALL: Promise.ONCE,
    Rule.RESUMED_WHOLE: Promise.RESUME,
    Rule.RESUMES_WHERE_IT_WAS: Promise.RESUME,
    Rule.LOST_ONLY_BELOW_FLOOR: Promise.RESUME,
    Rule.N_COUNTS_MESSAGES: Promise.DERIVED,
    Rule.UNREAD_IS_DERIVED: Promise.DERIVED,
    Rule.NO_GHOST: Promise.NO_ORPHAN,
    Rule.NO_STUCK_TYPING: Promise.NO_ORPHAN,
    Rule.HERE_IS_SHOWN: Promise.PRESENT,
    Rule.GRACE_IS_KEPT: Promise.PRESENT,
    Rule.NOTHING_AFTER_REMOVAL: Promise.RIGHTS,
    Rule.WRITTEN_BY_RIGHT: Promise.RIGHTS,
    Rule.ERASED_BY_DELETION: Promise.ERASED,
    Rule.DELETED_IS_GONE: Promise.ERASED,
    Rule.MARK_FORWARD: Promise.FORWARD,
    Rule.MARK_WITHIN: Promise.FORWARD,
    Rule.MARK_CLAIMED: Promise.FORWARD,
    Rule.FOLD_EQUALS_LOG: Promise.FOLDED,
    Rule.GONE_TAKES_NOTHING: Promise.GONE,
    Rule.GONE_IS_SAID: Promise.GONE,
    Rule.GONE_IS_NOT_TOLD: Promise.GONE,
    Rule.GONE_IS_NOTICED: Promise.GONE,
    Rule.GONE_FOR_EVER: Promise.GONE,
    Rule.BAN_TAKES_NOTHING: Promise.BANNED,
    Rule.BAN_TELLS_NOTHING: Promise.BANNED,
    Rule.BAN_LETS_NOBODY_IN: Promise.BANNED,
    Rule.BAN_ENDS_SESSIONS: Promise.BANNED,
    Rule.BAN_IS_SAID: Promise.BANNED,
    Rule.BAN_HAS_CAUSE: Promise.BANNED,
    Rule.BAN_LOSES_NOTHING: Promise.BANNED,
}


@final
class Bounds(Struct, frozen=True, kw_only=True):
    """How long what is told of people may lag behind them; the engine's defaults.

    Attributes:
        grace_s: a page reload does not flicker.
        lease_s: how long a dead node's people may be shown.
        silence_s: how long a server may believe in a connection that is silent.
        typing_s: how long somebody is typing without saying so again.
        slack_s: states are coalesced (0.5 s), tasks wait for the processor.
        ban_s: how long until every node knows of a ban, or of its end.
        recheck_s: how often nodes ask for what they may not have been told.
    """

    grace_s: float = 10
    lease_s: float = 15
    silence_s: float = 60
    typing_s: float = 6
    slack_s: float = 3
    ban_s: float = 1
    recheck_s: float = 5


@final
class Violation(Struct, frozen=True):
    """A broken promise.

    Attributes:
        rule: what was found.
        key: names this finding and no other of the same history.
        message: what was found where, in a sentence.
        evidence: the events that contradict each other, those at hand.
    """

    rule: Rule
    key: tuple[str | int, ...]
    message: str
    evidence: tuple[Event, ...]

    @property
    def promise(self) -> Promise:
        """Which promise is broken."""
        return self.rule.promise

    def __str__(self) -> str:
        return f"{self.promise.value}: {self.rule.value}: {self.message}"


@final
class Verdict(Struct, frozen=True):
    """What a history proves.

    Attributes:
        violations: the first of each rule; `found` says how many there are.
        judged: how often each rule was applied: one that was not has proved nothing.
        found: how often each rule was broken.
        events: how many events there were.
    """

    violations: tuple[Violation, ...]
    judged: dict[Rule, int]
    found: dict[Rule, int]
    events: int

    @property
    def holds(self) -> bool:
        """Whether no promise was broken."""
        return not self.violations

    @property
    def broken(self) -> tuple[Promise, ...]:
        """Which promises were, in the order of their first violation."""
        return tuple(dict.fromkeys(violation.promise for violation in self.violations))


# One broken promise often breaks for everybody; ten cases are enough to look at.
KEPT_OF_A_RULE: Final = 10


@final
class Findings:
    """What the judges have found so far; if one violation is sought, no other."""

    def __init__(self, sought: Violation | None = None) -> None:
        self._sought = sought
        self.kept: list[Violation] = []
        self.judged: dict[Rule, int] = {}
        self.found: dict[Rule, int] = {}

    def judge(self, rule: Rule, times: int = 1) -> None:
        """Count that a rule was applied."""
        self.judged[rule] = self.judged.get(rule, 0) + times

    def add(
        self, rule: Rule, key: tuple[str | int, ...], message: str, *evidence: Event | None
    ) -> None:
        """Add a violation."""
        sought = self._sought
        if sought is not None and (sought.rule is not rule or sought.key != key):
            return
        count = self.found[rule] = self.found.get(rule, 0) + 1
        if count <= KEPT_OF_A_RULE:
            events = tuple(event for event in evidence if event is not None)
            self.kept.append(Violation(rule, key, message, events))
