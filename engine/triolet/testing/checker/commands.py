"""Commands: acknowledged means stored, refused means not, unknown means once or not at all."""

from typing import final

from ..._model.errors import ErrorCode
from ..history import Acked, Event, Refused, Sent
from .deleting import DELETING
from .logs import Log, Logs, same_fact
from .promises import Findings, Rule

# Room, user, cid; the room is empty where its name is left to the engine.
_Name = tuple[str, str, str]


@final
class _Command:
    """One request under its cid: all attempts at it, and what came of them."""

    __slots__ = ("acks", "after", "attempts", "first", "is_void", "refusals", "refused", "user")

    def __init__(self, user: str, first: Sent, after: int) -> None:
        self.user = user
        self.first = first
        # The greatest seq of its room that had been acknowledged when it was first sent.
        self.after = after
        # What was said of it may have been lost by a fork.
        self.is_void = False
        self.attempts = 0
        self.refusals = 0
        self.refused: Refused | None = None
        self.acks: list[Acked] = []

    @property
    def place(self) -> int:
        """The seq that it was first acknowledged at; the end of a room is behind its last."""
        return self.acks[0].seq + (self.first.op == DELETING)


@final
class Commands:
    """Follows every durable request of every user."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        self._commands: dict[_Name, _Command] = {}
        # Greatest acknowledged seq, and the event, by room.
        self._acked: dict[str, tuple[int, Event]] = {}
        self._users: dict[str, None] = {}

    def sent(self, event: Sent, user: str) -> None:
        """A request leaves, for the first time or again."""
        self._users[user] = None
        name = (event.room, user, event.cid)
        command = self._commands.get(name)
        if command is None:
            acked = self._acked.get(event.room)
            command = _Command(user, event, 0 if acked is None else acked[0])
            self._commands[name] = command
        command.attempts += 1

    def _find(self, room: str, user: str, cid: str) -> _Command | None:
        found = self._commands.get((room, user, cid))
        return self._commands.get(("", user, cid)) if found is None else found

    def first(self, room: str, user: str, cid: str) -> Sent | None:
        """Return the first try of a request, if it was sent by anybody here."""
        found = self._find(room, user, cid)
        return None if found is None else found.first

    def refused(self, event: Refused, user: str) -> None:
        """The engine will not have it."""
        command = self._find(event.room, user, event.cid)
        if command is not None:
            command.refusals += 1
            command.refused = event

    def acked(self, event: Acked, user: str) -> None:
        """The engine has it."""
        command = self._find(event.room, user, event.cid)
        if command is None or event.seq == 0:
            return
        log = self._logs.log(event.room)
        log.head = max(log.head, event.seq)
        command.acks.append(event)
        if len(command.acks) > 1:
            self._again(command, event)
        elif not event.duplicate:
            self._real_time(command, event)
        acked = self._acked.get(event.room)
        if acked is None or acked[0] < event.seq:
            self._acked[event.room] = (event.seq, event)

    def _again(self, command: _Command, event: Acked) -> None:
        first = command.acks[0]
        key = (event.room, command.user, event.cid)
        self._findings.judge(Rule.CID_ONE_SEQ)
        self._findings.judge(Rule.RETRY_IS_TOLD)
        if event.seq != first.seq:
            self._findings.add(
                Rule.CID_ONE_SEQ,
                key,
                f"{command.user}'s {event.cid!r} in {event.room} is at {first.seq} "
                f"and at {event.seq}",
                command.first,
                first,
                event,
            )
        elif not event.duplicate and not first.duplicate:
            self._findings.add(
                Rule.RETRY_IS_TOLD,
                key,
                f"{command.user}'s {event.cid!r} in {event.room} was said to be new twice",
                command.first,
                first,
                event,
            )

    def _real_time(self, command: _Command, event: Acked) -> None:
        """What was sent after an acknowledgement has its place after that, too."""
        self._findings.judge(Rule.LATER_IS_AFTER)
        if command.place <= command.after and not command.is_void:
            acked = self._acked.get(event.room)
            self._findings.add(
                Rule.LATER_IS_AFTER,
                (event.room, command.user, event.cid),
                f"{command.user}'s {event.cid!r} is at {event.seq} of {event.room}, where "
                f"{command.after} had been acknowledged before it was sent",
                None if acked is None else acked[1],
                command.first,
                event,
            )

    def fork(self) -> None:
        """The store may have lost its end: what was said until now may be void."""
        self._acked.clear()
        for command in self._commands.values():
            command.is_void = True

    # --- in the end --------------------------------------------------------------------

    def finish(self) -> None:
        """Judge each command by the logs."""
        refused: dict[_Name, _Command] = {}
        for command in self._commands.values():
            if command.is_void:
                continue
            if command.first.op == DELETING:
                self._ended(command)
            elif command.acks:
                self._stored(command, command.acks[0])
            elif command.refusals == command.attempts and not self._is_of_what_ended(command):
                self._findings.judge(Rule.REFUSED_IS_NOT_STORED)
                refused[command.first.room, command.user, command.first.cid] = command
        self._as_sent()
        for log in self._logs.rooms.values():
            self._judge_log(log, refused)

    def _is_of_what_ended(self, command: _Command) -> bool:
        """Whether the room was gone when it was looked for: with what it was until then."""
        refused = command.refused
        is_gone = refused is not None and refused.code == ErrorCode.NO_SUCH_ROOM
        return is_gone and self._logs.log(command.first.room).deleted is not None

    def _ended(self, command: _Command) -> None:
        """Judge a deletion: acknowledged, the room is gone by it; refused, it is not."""
        log = self._logs.log(command.first.room)
        deleted, ack = log.deleted, next(iter(command.acks), None)
        if log.stored is None:
            return
        is_by_it = deleted is not None and (deleted.user, deleted.cid) == (
            command.user,
            command.first.cid,
        )
        if ack is not None:
            self._findings.judge(Rule.ACKED_IS_STORED)
            is_wrong = not is_by_it or (deleted is not None and deleted.seq != ack.seq)
        else:
            is_wrong = is_by_it and command.refusals == command.attempts
        if is_wrong:
            self._findings.add(
                Rule.REFUSED_IS_NOT_STORED if ack is None else Rule.ACKED_IS_STORED,
                (log.room, command.user, command.first.cid),
                f"{command.user}'s deletion of {log.room} was "
                + ("refused, and it is deleted" if ack is None else "acknowledged, and is not so"),
                command.first,
                command.refused,
                ack,
                deleted or log.stored,
            )

    def _stored(self, command: _Command, ack: Acked) -> None:
        log = self._logs.log(ack.room)
        known = log.final().get(ack.seq)
        key = (ack.room, command.user, ack.cid)
        if known is None:
            if log.stored is None or ack.seq <= log.floor:
                return
            self._findings.judge(Rule.ACKED_IS_STORED)
            self._findings.add(
                Rule.ACKED_IS_STORED,
                key,
                f"{command.user}'s {ack.cid!r} was acknowledged at {ack.seq} of {ack.room}, "
                f"whose head is {log.stored.head}",
                command.first,
                ack,
                log.stored,
            )
            return
        self._findings.judge(Rule.ACKED_IS_STORED)
        self._findings.judge(Rule.ACKED_IS_WHAT_WAS_SENT)
        entry, event = known
        asked = command.first.fact
        is_ours = entry.sender == command.user and entry.cid == ack.cid
        is_same = asked is None or same_fact(asked, entry.fact)
        if not is_ours or not is_same or ack.at not in (0, entry.at):
            self._findings.add(
                Rule.ACKED_IS_WHAT_WAS_SENT,
                key,
                f"{command.user}'s {ack.cid!r} was acknowledged at {ack.seq} of {ack.room}; "
                f"there is {entry.sender}'s {entry.fact.kind} {entry.cid!r}",
                command.first,
                ack,
                event,
            )

    def _as_sent(self) -> None:
        """Requests of one session on one room take effect in the order sent."""
        last: dict[tuple[str, int, str], tuple[_Command, Acked]] = {}
        for command in self._commands.values():
            if command.is_void or command.attempts != 1 or len(command.acks) != 1:
                continue
            ack = command.acks[0]
            if ack.duplicate or ack.conn != command.first.conn:
                continue
            key = (ack.client, ack.conn, ack.room)
            before = last.get(key)
            last[key] = (command, ack)
            if before is None:
                continue
            self._findings.judge(Rule.AS_SENT)
            if command.place <= before[0].place:
                self._findings.add(
                    Rule.AS_SENT,
                    (*key, ack.seq),
                    f"{ack.client} sent {before[1].cid!r}, then {ack.cid!r} to {ack.room}; "
                    f"they are at {before[1].seq} and {ack.seq}",
                    before[0].first,
                    command.first,
                    before[1],
                    ack,
                )

    def _judge_log(self, log: Log, refused: dict[_Name, _Command]) -> None:
        """What is stored was not refused.

        And it was sent by one of its sender's clients, if any of them is in this history.
        """
        for seq, (entry, event) in log.final().items():
            name = (log.room, entry.sender, entry.cid)
            if name in refused:
                self._add_refused(refused[name], event)
            if entry.sender not in self._users or entry.fact.kind in ("member", "meta"):
                continue
            self._findings.judge(Rule.STORED_WAS_SENT)
            if self._find(*name) is None:
                self._findings.add(
                    Rule.STORED_WAS_SENT,
                    (log.room, seq),
                    f"{log.room} {seq} is {entry.sender}'s {entry.cid!r}, "
                    f"and {entry.sender} never sent that",
                    event,
                )

    def _add_refused(self, command: _Command, event: Event) -> None:
        refused = command.refused
        assert refused is not None
        self._findings.add(
            Rule.REFUSED_IS_NOT_STORED,
            (command.first.room, command.user, refused.cid),
            f"{command.user}'s {refused.cid!r} was refused with {refused.code}, "
            f"and is in {command.first.room}",
            command.first,
            refused,
            event,
        )
