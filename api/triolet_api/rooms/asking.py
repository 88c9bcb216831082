"""Who asks, and by which key: what all requests about rooms have in common.

A service acts for its users by the header `On-Behalf-Of: USER`: with that user's rights, and no
others; of who is banned there are none. Its token needs the tier `service` and the role `admin`.
"""

from typing import Final, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from triolet._domain.addresses import INSIDE
from triolet._model.commands import Command
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import RoomOpened, Written
from triolet._model.ids import Room, Seq, is_cid, is_user
from triolet._runtime.engine import Engine
from triolet.ports.gate import Identity

from ..endpoints import Call

_KEY: Final = "Idempotency-Key"
_FOR: Final = "On-Behalf-Of"
R = TypeVar("R")

# What every request about one room may be refused with.
ROOM_REFUSALS: Final = (
    ErrorCode.NO_SUCH_ROOM,
    ErrorCode.FORBIDDEN,
    ErrorCode.INVALID_FIELD,
    ErrorCode.STORE_UNAVAILABLE,
)
# And one that changes something.
WRITE_REFUSALS: Final = (
    *ROOM_REFUSALS,
    ErrorCode.NOT_A_MEMBER,
    ErrorCode.OUTCOME_UNKNOWN,
    ErrorCode.SHUTTING_DOWN,
)


class Stored(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was asked is stored at `seq`; `duplicate`: it was already, by the same key.

    Attributes:
        seq, at: its place and time; absent where it made no entry.
        epoch: of a room that was made.
    """

    room: Room
    seq: Seq | UnsetType = UNSET
    at: int | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    duplicate: bool = False


def asker(engine: Engine, call: Call) -> Identity:
    """Return for whom a request is to be carried out.

    Raises:
        Refusal: `FORBIDDEN`, the token may not act for others; `INVALID_FIELD`, no user's name;
            `BANNED`, the user may do nothing.
    """
    user = call.header(_FOR)
    identity = call.identity
    if user is None:
        return identity
    if identity.tier != "service" or "admin" not in identity.roles:
        message = f"`{_FOR}` needs a token of tier `service` with role `admin`"
        raise Refusal(ErrorCode.FORBIDDEN, message)
    if not is_user(user):
        raise Refusal(ErrorCode.INVALID_FIELD, f"`{_FOR}`: not a user's name")
    engine.bans.check(user, INSIDE)
    return replace(identity, user=user, roles=(), device="")


def key_of(call: Call) -> str | None:
    """Return the idempotency key of a request, with or without quotes around it.

    Raises:
        Refusal: `INVALID_FIELD`.
    """
    key = call.header(_KEY)
    if key is None:
        return None
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not is_cid(key):
        raise Refusal(ErrorCode.INVALID_FIELD, f"`{_KEY}`: 1 to 64 printable characters")
    return key


async def ask(engine: Engine, call: Call, command: Command, kind: type[R]) -> R:
    """Carry out one command for who asks, and return its answer, which is of `kind`.

    Raises:
        Refusal: as `Engine.ask`.
    """
    answer = await engine.ask(asker(engine, call), command)
    assert isinstance(answer, kind), f"{type(command).__name__} is not answered like that"
    return answer


async def store(engine: Engine, call: Call, command: Command) -> Stored:
    """Carry out a durable command, and say where it is; a repeated one says so by a header, too.

    Raises:
        Refusal: as `Engine.ask`.
    """
    answer = await engine.ask(asker(engine, call), command)
    if isinstance(answer, RoomOpened):
        return Stored(room=answer.room)
    assert isinstance(answer, Written), f"{type(command).__name__} is not answered like that"
    if answer.duplicate:
        call.set_header("Idempotent-Replayed", "true")
    return Stored(
        room=answer.room,
        seq=answer.seq,
        at=answer.at,
        epoch=answer.epoch,
        duplicate=answer.duplicate,
    )
