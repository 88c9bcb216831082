"""Send, edit, delete, react: decided at once where the room is at hand, and pipelined."""

from typing import Final, TypeAlias

from ..._domain.room import Decision, decide
from ..._model.commands import DeleteMessage, EditMessage, ReactTo, Send
from ..._model.entries import Fact
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Written
from ..._model.ids import is_cid
from ..._model.json import JsonMap
from ..._wire.body import check_body
from ..._wire.codec import encode_body, pack_fact
from ...ports.gate import Action
from ...ports.store import Draft, Stale
from ..asker import Asker
from ..pipeline import ALONE, HANDLERS, RETRIES, Job, written
from ..rights import role_for
from ..seat import Seat
from ..sequencer import Pending
from ..writer import DRAFT_BYTES

Writing: TypeAlias = Send | EditMessage | DeleteMessage | ReactTo

# Looked up once: Python 3.11 takes 0.1 µs to find a member of an enumeration.
_WRITE: Final = Action.WRITE

_OPS: Final[dict[type[Writing], str]] = {
    Send: "send",
    EditMessage: "edit",
    DeleteMessage: "delete",
    ReactTo: "react",
}
# Refusals that the same command may meet after it has been stored.
_LOST_RIGHTS: Final = (
    ErrorCode.FORBIDDEN,
    ErrorCode.NO_SUCH_ROOM,
    ErrorCode.NOT_A_MEMBER,
    ErrorCode.NO_SUCH_ENTRY,
)


def _write(asker: Asker, command: Writing) -> Job | None:
    engine = asker.engine
    engine.require_running()
    room = engine.hub.rooms.get(command.room)
    seat = None if room is None else room.seats.get(asker.user)
    if seat is None:
        return _write_slowly(asker, command)
    if seat.drafts and seat.decided_on != seat.acl_ver():
        return _write_quietly(asker, command)
    return _write_at_once(asker, seat, command)


async def _write_slowly(asker: Asker, command: Writing) -> None:
    """The room or the seat has to be read first."""
    async with asker.engine.hub.pinned(command.room, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        seat = await asker.engine.hub.seat(room, asker.user)
        job = _write_at_once(asker, seat, command)
        if job is not None:
            await job


async def _write_quietly(asker: Asker, command: Writing) -> None:
    """Rights have changed: what was decided before must come back first, to keep the order."""
    await asker.pipeline.wait_quiet()
    await _write_slowly(asker, command)


async def _write_again(asker: Asker, command: Writing) -> None:
    """It came back stale: decide it on rights just read, until the store agrees."""
    hub = asker.engine.hub
    async with hub.pinned(command.room, asker.user) as room:
        if room is None:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)
        while True:
            seat = await hub.refresh_rights(room, asker.user)
            # No checkpoint in between: the rights just read are those decided on.
            try:
                draft = _draft(asker, seat, command)
            except Refusal as refusal:
                await answer_stored(asker, command, refusal)
                return
            outcome = await asker.engine.writer.write(draft)
            if not isinstance(outcome, Stale):
                asker.write(written(command.ref, draft, outcome))
                return


def _write_at_once(asker: Asker, seat: Seat, command: Writing) -> Job | None:
    try:
        draft = _draft(asker, seat, command)
    except Refusal as refusal:
        if command.cid is None or refusal.code not in _LOST_RIGHTS:
            raise
        return answer_stored(asker, command, refusal)
    size = len(draft.facts[0][1]) + DRAFT_BYTES
    pipeline = asker.pipeline
    pipeline.submit(seat, Pending(draft, pipeline, size, command, command.ref, seat))
    return None


def _draft(asker: Asker, seat: Seat, command: Writing) -> Draft:
    room, limits = seat.room, asker.engine.limits
    cid = check_cid(command.cid)
    role = role_for(asker, seat, _WRITE)
    decision = decide(
        room.rights_of(role),
        asker.user,
        command,
        entry_joins_members_max=limits.entry_joins_members_max,
    )
    fact = decision.facts[0]
    packed = pack(fact)
    if isinstance(command, Send | EditMessage):
        # The size first: it is known by now, and bounds how much there is to look at.
        if len(packed) > limits.body_bytes_max:
            _check_size(asker, command)
        check_body(command.body, depth_max=limits.body_depth_max)
    return Draft(
        room=room.name,
        sender=asker.user,
        cid=cid or asker.engine.entropy.token(),
        op=_OPS[type(command)],
        facts=((fact, packed),),
        acl_ver=seat.acl_ver(),
        author=decision.author,
    )


def check_cid(cid: str | None) -> str | None:
    """Return a valid cid, or None.

    Raises:
        Refusal: `INVALID_FIELD`.
    """
    if cid is not None and not is_cid(cid):
        raise Refusal(ErrorCode.INVALID_FIELD, "`cid` must be 1 to 64 printable characters")
    return cid


def pack(fact: Fact) -> bytes:
    """Return a fact as the store keeps it.

    Raises:
        Refusal: `INVALID_FIELD` for what msgpack cannot hold: an integer of more than 64 bits.
    """
    try:
        return pack_fact(fact)
    except OverflowError:
        raise _too_wide() from None


def body_bytes(body: JsonMap) -> int:
    """Return how many bytes a body has, as the limits count them.

    Raises:
        Refusal: `INVALID_FIELD` for an integer of more than 64 bits.
    """
    try:
        return len(encode_body(body))
    except OverflowError:
        raise _too_wide() from None


def _too_wide() -> Refusal:
    return Refusal(ErrorCode.INVALID_FIELD, "integers must be below 2^53")


def packed_facts(decision: Decision) -> tuple[tuple[Fact, bytes], ...]:
    """Return a decision's facts beside their bytes."""
    return tuple((fact, pack(fact)) for fact in decision.facts)


def _check_size(asker: Asker, command: Send | EditMessage) -> None:
    if body_bytes(command.body) > asker.engine.limits.body_bytes_max:
        limit = asker.engine.limits.body_bytes_max
        raise Refusal(ErrorCode.TOO_LARGE, f"a body has at most {limit} bytes")


async def answer_stored(asker: Asker, command: Writing, refusal: Refusal) -> None:
    """Answer a retry that was stored before the right to it was lost; else refuse it."""
    if command.cid is None or refusal.code not in _LOST_RIGHTS:
        raise refusal
    found = await asker.engine.store.find(command.room, asker.user, command.cid)
    if found is None or found.op != _OPS[type(command)]:
        raise refusal
    asker.write(
        Written(ref=command.ref, room=command.room, seq=found.seq, at=found.at, duplicate=True)
    )


for _kind in _OPS:
    HANDLERS[_kind] = ALONE[_kind] = _write
    RETRIES[_kind] = _write_again
