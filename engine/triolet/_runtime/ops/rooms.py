"""Rooms made, changed and deleted, and their members: each awaited before the next request."""

import hashlib
from typing import Final, TypeAlias

import msgspec

from ..._domain.room import NOTHING, Decision, Rights, decide, decide_create, decide_direct
from ..._model.commands import (
    Create,
    DeleteRoom,
    Direct,
    Invite,
    Join,
    Kick,
    Leave,
    SetMeta,
    SetRole,
)
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import RoomOpened, Written
from ..._model.ids import DIRECT_PREFIX, direct_room
from ...ports.gate import Action
from ...ports.store import Draft, Rejected, RoomSpec, Stale
from ..asker import Asker
from ..pipeline import ALONE, HANDLERS, Job, written
from ..rights import may, require, role_for
from ..room import Room
from ..seat import Seat
from .messages import check_cid, packed_facts

Managing: TypeAlias = Join | Leave | Invite | Kick | SetRole | SetMeta | DeleteRoom

_OPS: Final[dict[type[Managing], str]] = {
    Join: "join",
    Leave: "leave",
    Invite: "invite",
    Kick: "kick",
    SetRole: "role",
    SetMeta: "meta",
    DeleteRoom: "delete_room",
}
# Rights can change under a decision; more often than this in a row is no accident.
_DECISIONS_MAX: Final = 5
# The direct room of two is made by whoever comes first; it needs no key of its own.
_DIRECT_CID: Final = "direct"


def _manage(asker: Asker, command: Managing) -> Job:
    asker.engine.require_running()
    return _manage_slowly(asker, command)


async def _manage_slowly(asker: Asker, command: Managing) -> None:
    hub = asker.engine.hub
    cid = check_cid(command.cid) or asker.engine.entropy.token()
    async with hub.pinned(command.room, asker.user) as room:
        if room is None:
            first = await _first_answer(asker, command)
            if first is None:
                raise Refusal(ErrorCode.NO_SUCH_ROOM)
            asker.write(first)
            return
        await asker.pipeline.wait_quiet()
        for _ in range(_DECISIONS_MAX):
            try:
                decision, acl_ver = await _decide(asker, room, command)
            except Refusal as refusal:
                first = await _first_answer(asker, command)
                if first is None:
                    raise refusal from None
                asker.write(first)
                return
            if decision is NOTHING:
                first = await _first_answer(asker, command)
                asker.write(first or RoomOpened(ref=command.ref, room=room.name))
                return
            draft = _draft(asker, command, cid, decision, acl_ver)
            outcome = await asker.engine.writer.write(draft)
            if not isinstance(outcome, Stale):
                asker.write(written(command.ref, draft, outcome))
                return
            if isinstance(command, Invite | Kick | SetRole):
                await hub.refresh_rights(room, command.user)
            await hub.refresh_rights(room, asker.user)
        raise Refusal(ErrorCode.FORBIDDEN, "rights keep changing; try again")


async def _decide(asker: Asker, room: Room, command: Managing) -> tuple[Decision, int]:
    """Return a decision, and of which version of rights the roles are on which it was taken."""
    hub = asker.engine.hub
    await hub.count(room)
    target: Seat | None = None
    try:
        if isinstance(command, Invite | Kick | SetRole):
            target = await hub.seat(room, command.user)
            target.pins += 1
        seat = await hub.seat(room, asker.user)
        decision = decide(
            _rights(asker, room, seat, command),
            asker.user,
            command,
            target_role=target.role if target is not None else None,
            entry_joins_members_max=asker.engine.limits.entry_joins_members_max,
        )
        return decision, min(one.acl_ver() for one in (seat, target) if one is not None)
    finally:
        if target is not None:
            target.pins -= 1
            room.retire_seat(target.user)


def _rights(asker: Asker, room: Room, seat: Seat, command: Managing) -> Rights:
    """Return the rights on which to decide; a gate opens a room to `join`, it gives no role."""
    if isinstance(command, Leave):
        return room.rights_of(seat.role)
    if not isinstance(command, Join):
        return room.rights_of(role_for(asker, seat, Action.MANAGE))
    verdict = may(asker, Action.JOIN, room=room.name)
    if verdict is False:
        raise Refusal(ErrorCode.FORBIDDEN)
    rights = room.rights_of(seat.role)
    return msgspec.structs.replace(rights, invited=True) if verdict else rights


def _draft(asker: Asker, command: Managing, cid: str, decision: Decision, acl_ver: int) -> Draft:
    return Draft(
        room=command.room,
        sender=asker.user,
        cid=cid,
        op=_OPS[type(command)],
        facts=packed_facts(decision),
        acl_ver=acl_ver,
        author=decision.author,
        revokes=decision.revokes,
        logged=decision.logged,
        deletes=decision.deletes,
    )


async def _first_answer(asker: Asker, command: Managing) -> Written | None:
    """Return the answer of the first time, if it was stored before it made no sense any more.

    Raises:
        Refusal: `INVALID_FIELD`, the cid was another op's.
    """
    if command.cid is None:
        return None
    found = await asker.engine.store.find(command.room, asker.user, command.cid)
    if found is None:
        return None
    if found.op != _OPS[type(command)]:
        raise Refusal(ErrorCode.INVALID_FIELD, "`cid` was used for another op")
    return Written(ref=command.ref, room=command.room, seq=found.seq, at=found.at, duplicate=True)


def _create(asker: Asker, command: Create) -> Job:
    asker.engine.require_running()
    return _create_slowly(asker, command)


async def _create_slowly(asker: Asker, command: Create) -> None:
    cid = check_cid(command.cid) or asker.engine.entropy.token()
    room = command.room or _room_of_cid(asker.user, cid)
    if room.startswith(DIRECT_PREFIX):
        raise Refusal(ErrorCode.INVALID_FIELD, f"`{DIRECT_PREFIX}` is for direct rooms")
    require(asker, Action.CREATE, room=room)
    draft = Draft(
        room=room,
        sender=asker.user,
        cid=cid,
        op="create",
        facts=packed_facts(decide_create(asker.user, command)),
        create=RoomSpec(kind=command.kind, title=command.title or "", public=command.public),
    )
    outcome = await asker.engine.writer.create(draft)
    answer = written(command.ref, draft, outcome)
    state = await asker.engine.store.room(room)
    if state is None:
        raise Refusal(ErrorCode.NO_SUCH_ROOM, "it was deleted at once")
    if isinstance(answer, Written):
        asker.write(
            Written(
                ref=answer.ref,
                room=room,
                seq=answer.seq,
                at=answer.at,
                duplicate=answer.duplicate,
                epoch=state.epoch,
            )
        )


def _room_of_cid(user: str, cid: str) -> str:
    """Name a room after the command that makes it, so that a retry names the same."""
    digest = hashlib.blake2b(f"{user}\0{cid}".encode(), digest_size=12).hexdigest()
    return f"r-{digest}"


def _direct(asker: Asker, command: Direct) -> Job:
    if command.user == asker.user:
        raise Refusal(ErrorCode.INVALID_FIELD, "a direct room needs two different users")
    return _direct_slowly(asker, command)


async def _direct_slowly(asker: Asker, command: Direct) -> None:
    engine = asker.engine
    name = direct_room(asker.user, command.user)
    async with engine.hub.pinned(name) as room:
        if room is None:
            engine.require_running()
            require(asker, Action.DIRECT, room=name, user=command.user)
            draft = Draft(
                room=name,
                sender=asker.user,
                cid=_DIRECT_CID,
                op="direct",
                facts=packed_facts(decide_direct(asker.user, command.user)),
                create=RoomSpec(kind="direct"),
            )
            outcome = await engine.writer.create(draft)
            # Whoever came first made it; all the same, unless it was deleted since.
            exists = isinstance(outcome, Rejected) and outcome.code is ErrorCode.ALREADY_EXISTS
            if not exists:
                written(None, draft, outcome)
            elif await engine.store.room(name) is None:
                raise Refusal(ErrorCode.NO_SUCH_ROOM, "the direct room of these two was deleted")
    asker.write(RoomOpened(ref=command.ref, room=name))


for _kind in _OPS:
    HANDLERS[_kind] = ALONE[_kind] = _manage
HANDLERS[Create] = ALONE[Create] = _create
HANDLERS[Direct] = ALONE[Direct] = _direct
