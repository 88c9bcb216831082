"""Bytes to commands, events to bytes, in msgpack and JSON: total, bounded, the same maps.

An entry on the wire is two maps written as one: the header's fields and the fact's fields.
Both formats let two encoded maps be joined without decoding either, so a record's stored
fact becomes a frame by one concatenation (0.3 µs), and never by encoding its body again.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, TypeVar, cast, final

import msgspec
from msgspec import Struct, field

from .._model.commands import Command
from .._model.entries import Entry, Fact, Record
from .._model.errors import ErrorCode, Refusal
from .._model.events import (
    Closed,
    Failed,
    Feed,
    Notice,
    Observed,
    Outgoing,
    Presence,
    Receipts,
    Refused,
    Reset,
    Signal,
    SubscribedMany,
    Subscription,
    Typing,
    Welcome,
)
from .._model.json import JsonMap
from .body import INTEGER_MAX
from .keys import UNCHECKED_BYTES_MAX, check_keys

Format: TypeAlias = Literal["msgpack", "json"]

# What of a decoder's own words an error repeats; they can quote a value as long as a message.
EXPLANATION_CHARS_MAX: Final = 200

_msgpack_encode = msgspec.msgpack.Encoder().encode
_json_encode = msgspec.json.Encoder().encode
# A union is no type to mypy's eyes, hence the annotations.
_msgpack_command: Callable[[bytes], Command] = msgspec.msgpack.Decoder(Command).decode
_json_command: Callable[[bytes], Command] = msgspec.json.Decoder(Command).decode
_msgpack_fact: Callable[[bytes], Fact] = msgspec.msgpack.Decoder(Fact).decode
_json_fact: Callable[[bytes], Fact] = msgspec.json.Decoder(Fact).decode

# Whatever a decoder can raise at hostile bytes; DecodeError is ValidationError's base.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@final
class EntryHeader(Struct, frozen=True, tag="entry", tag_field="op", gc=False):
    """The header's half of an entry's map."""

    room: str
    seq: int
    n: int
    at: int
    cid: str
    sender: str = field(name="from")


# What an entry in msgpack begins with, by the number of the fact's fields: both are fixmaps
# (0x80 | count), and the header's 7 fields and at most 5 make 12, a fixmap still.
_JOINED: Final = tuple(bytes((0x87 + count,)) for count in range(9))

_msgpack_header = msgspec.msgpack.Decoder(EntryHeader).decode
_json_header = msgspec.json.Decoder(EntryHeader).decode


@final
class BadCommand(Exception):
    """Bytes that are no command: what to answer, and whether they were a map at all."""

    def __init__(self, failed: Failed, *, is_map: bool) -> None:
        super().__init__(failed.reason, failed.message)
        self.failed = failed
        self.is_map = is_map


def decode_command(payload: bytes, form: Format) -> Command:
    """Read one client message.

    Raises:
        BadCommand: with the error to answer: `malformed`, `unknown_op` or `invalid_field`.

    >>> decode_command(b'{"op": "ping", "ref": 1}', "json")
    Ping(ref=1)
    """
    try:
        if form == "json":
            return _json_command(payload)
        if len(payload) > UNCHECKED_BYTES_MAX:
            check_keys(payload)
        return _msgpack_command(payload)
    except _UNREADABLE as error:
        raise _explain(payload, form, error) from None


@final
class _Asked(Struct):
    """What an error says of a message, not yet decoded: the rest may be anything."""

    op: msgspec.Raw = msgspec.Raw()
    ref: msgspec.Raw = msgspec.Raw()


_msgpack_asked = msgspec.msgpack.Decoder(_Asked).decode
_json_asked = msgspec.json.Decoder(_Asked).decode


def _explain(payload: bytes, form: Format, error: Exception) -> BadCommand:
    try:
        asked = _msgpack_asked(payload) if form == "msgpack" else _json_asked(payload)
    except msgspec.ValidationError:
        return _bad(ErrorCode.MALFORMED, "a message is a map with text keys", None, is_map=False)
    except _UNREADABLE:
        return _bad(ErrorCode.MALFORMED, f"this is not {form}", None, is_map=False)
    ref = _decode_part(asked.ref, form, int)
    if ref is not None and not 0 <= ref < INTEGER_MAX:
        ref = None
    op = _decode_part(asked.op, form, str)
    if op is None:
        return _bad(ErrorCode.MALFORMED, "`op` must be a string", ref, is_map=False)
    if not isinstance(error, msgspec.ValidationError):
        return _bad(ErrorCode.MALFORMED, f"this is not {form}", ref, is_map=False)
    text = str(error)
    if text.endswith("`$.op`"):
        return _bad(ErrorCode.UNKNOWN_OP, f"there is no op {op[:40]!r}", ref, is_map=True)
    return _bad(ErrorCode.INVALID_FIELD, _shortened(text), ref, is_map=True)


def _shortened(text: str) -> str:
    # The value is quoted first, the place named last: both ends tell.
    half = EXPLANATION_CHARS_MAX // 2
    return text if len(text) <= EXPLANATION_CHARS_MAX else f"{text[:half]}…{text[1 - half :]}"


def _bad(code: ErrorCode, message: str, ref: int | None, *, is_map: bool) -> BadCommand:
    failed = Failed(code=code.value, reason=code.reason, message=message, ref=ref)
    return BadCommand(failed, is_map=is_map)


def failed(refusal: Refusal, ref: int | None) -> Failed:
    """Return the reply that tells a refusal."""
    return Failed(
        code=refusal.code.value,
        reason=refusal.code.reason,
        message=refusal.message,
        ref=ref,
        retry_after_ms=refusal.retry_after_ms,
    )


def encode(event: Outgoing, form: Format) -> bytes:
    """Return an event's payload.

    >>> from triolet._model.events import Done
    >>> encode(Done(ref=7), "json")
    b'{"op":"ok","ref":7}'
    """
    return _msgpack_encode(event) if form == "msgpack" else _json_encode(event)


def encode_command(command: Command, form: Format) -> bytes:
    """Return a command's payload, for clients."""
    return _msgpack_encode(command) if form == "msgpack" else _json_encode(command)


def encode_body(body: JsonMap) -> bytes:
    """Return a body as msgpack: its length is what `Limits.body_bytes_max` bounds."""
    return _msgpack_encode(body)


def pack_fact(fact: Fact) -> bytes:
    """Return a fact as msgpack, the form in which stores keep it."""
    return _msgpack_encode(fact)


def unpack_fact(packed: bytes) -> Fact:
    """Return the fact that `pack_fact` packed."""
    return _msgpack_fact(packed)


def encode_entry(record: Record, form: Format) -> bytes:
    """Return the payload of a record's entry; the same bytes for every reader and every time.

    >>> from triolet._model.entries import Message
    >>> record = Record("r", 1, 1, "message", "anna", 5, "c", pack_fact(Message(body={})))
    >>> encode_entry(record, "json")
    b'{"op":"entry","room":"r","seq":1,"n":1,"at":5,"cid":"c","from":"anna","kind":"message","body":{}}'
    """
    header = EntryHeader(record.room, record.seq, record.n, record.at, record.cid, record.sender)
    if form == "msgpack":
        head, fact = _msgpack_encode(header), record.packed
        return _JOINED[fact[0] & 0x0F] + head[1:] + fact[1:]
    text = _json_encode(_msgpack_fact(record.packed))
    return _json_encode(header)[:-1] + b"," + text[1:]


def entry_of(record: Record) -> Entry:
    """Return a record with its fact unpacked."""
    return Entry(
        record.room,
        record.seq,
        record.n,
        record.sender,
        record.at,
        record.cid,
        unpack_fact(record.packed),
    )


# --- the client's side -------------------------------------------------------------------

_EVENTS: Final[dict[str, type[Outgoing]]] = {
    "welcome": Welcome,
    "error": Failed,
    "reset": Reset,
    "closed": Closed,
    "feed": Feed,
    "receipts": Receipts,
    "typing": Typing,
    "presence": Presence,
    "signal": Signal,
    "notice": Notice,
    "stats": Observed,
}
_EventDecoder: TypeAlias = Callable[[bytes], Outgoing]
_msgpack_events: dict[str, _EventDecoder] = {
    op: msgspec.msgpack.Decoder(kind).decode for op, kind in _EVENTS.items()
}
_json_events: dict[str, _EventDecoder] = {
    op: msgspec.json.Decoder(kind).decode for op, kind in _EVENTS.items()
}


@final
class OkReply(Struct, frozen=True):
    """An `ok` not yet typed: the caller knows what it asked for, see `decode_reply`."""

    ref: int | None
    payload: bytes


@final
class _Head(Struct):
    op: str
    ref: int | None = None


_msgpack_head = msgspec.msgpack.Decoder(_Head).decode
_json_head = msgspec.json.Decoder(_Head).decode


def decode_event(payload: bytes, form: Format) -> Outgoing | Entry | OkReply | None:
    """Read one server message; None for an op this version does not know.

    Raises:
        ValueError: the bytes are no message of the protocol.
    """
    packed = form == "msgpack"
    try:
        head = _msgpack_head(payload) if packed else _json_head(payload)
        if head.op == "entry":
            return _decode_entry(payload, packed=packed)
        if head.op == "ok":
            return OkReply(head.ref, payload)
        decoders = _msgpack_events if packed else _json_events
        decoder = decoders.get(head.op)
        return None if decoder is None else decoder(payload)
    except _UNREADABLE as error:
        raise ValueError(f"not a message of the protocol: {error}") from error


def _decode_entry(payload: bytes, *, packed: bool) -> Entry:
    header = _msgpack_header(payload) if packed else _json_header(payload)
    fact: Fact = _msgpack_fact(payload) if packed else _json_fact(payload)
    return Entry(header.room, header.seq, header.n, header.sender, header.at, header.cid, fact)


# A batch's rows are told apart by `code`: msgspec has no unions of untagged Structs.
@final
class _Rows(Struct, tag="ok", tag_field="op"):
    rooms: tuple[msgspec.Raw, ...]
    ref: int | None = None


@final
class _Peek(Struct):
    code: int | None = None


_T = TypeVar("_T")


def decode_reply(payload: bytes, form: Format, kind: type[_T]) -> _T:
    """Read an `ok` as the reply its request expects, for clients.

    Raises:
        ValueError: it is not one.

    >>> from triolet._model.events import Pong
    >>> decode_reply(b'{"op":"ok","ref":1,"now":5}', "json", Pong)
    Pong(now=5, ref=1)
    """
    try:
        if kind is SubscribedMany:
            return cast(_T, _decode_rows(payload, form))
        return _decode_as(payload, form, kind)
    except _UNREADABLE as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _decode_rows(payload: bytes, form: Format) -> SubscribedMany:
    rows = _decode_as(payload, form, _Rows)
    found: list[Subscription | Refused] = []
    for raw in map(bytes, rows.rooms):
        if _decode_as(raw, form, _Peek).code is None:
            found.append(_decode_as(raw, form, Subscription))
        else:
            found.append(_decode_as(raw, form, Refused))
    return SubscribedMany(ref=rows.ref, rooms=tuple(found))


# A decoder costs 10 µs to make; there are a dozen kinds of reply.
_decoders: Final[dict[tuple[Format, object], Callable[[bytes], object]]] = {}


def _decode_part(raw: msgspec.Raw, form: Format, kind: type[_T]) -> _T | None:
    try:
        return _decode_as(bytes(raw), form, kind)
    except _UNREADABLE:
        return None


def _decode_as(payload: bytes, form: Format, kind: type[_T]) -> _T:
    decoder = _decoders.get((form, kind))
    if decoder is None:
        module = msgspec.msgpack if form == "msgpack" else msgspec.json
        decoder = _decoders[form, kind] = module.Decoder(kind).decode
    return cast(_T, decoder(payload))
