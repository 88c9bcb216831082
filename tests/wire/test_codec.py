"""Laws of `_wire.codec`: both formats carry the same maps, and what is wrong is named."""

from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import COMMANDS, FORMS, independent, plain, read, refused, same, structs

from triolet._model.commands import Command, SetRole
from triolet._model.entries import Fact, Record
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import (
    Done,
    Event,
    Failed,
    Outgoing,
    Pong,
    Refused,
    Reply,
    Subscribed,
    SubscribedMany,
    Subscription,
    Welcome,
)
from triolet._wire import codec
from triolet._wire.codec import (
    EXPLANATION_CHARS_MAX,
    BadCommand,
    EntryHeader,
    Format,
    OkReply,
    decode_command,
    decode_event,
    decode_reply,
    encode,
    encode_body,
    encode_command,
    encode_entry,
    entry_of,
    failed,
    pack_fact,
    unpack_fact,
)

laws = settings(derandomize=True, deadline=None, max_examples=20)
fuzz = settings(derandomize=True, deadline=None, max_examples=150)

FACTS = st.one_of(map(structs, get_args(Fact)))
HEADERS = structs(EntryHeader)


def fields_of(value: msgspec.Struct) -> dict[str, Any]:
    """The plain map of a flat Struct, its tuples as the lists they are on the wire."""
    found = msgspec.to_builtins(value)
    return {key: list(x) if isinstance(x, tuple) else x for key, x in found.items()}


def replies(kind: type[Reply]) -> st.SearchStrategy[Any]:
    if kind is not SubscribedMany:
        return structs(kind)
    # Its rows are told apart by `code`; msgspec knows no such type.
    rows = structs(Subscription) | structs(Refused)
    return st.builds(kind, ref=st.none() | st.just(3), rooms=st.lists(rows, max_size=3).map(tuple))


def by_name(kind: type) -> str:
    return kind.__name__


# --- both formats carry the same maps ------------------------------------------------------


@pytest.mark.parametrize("kind", COMMANDS, ids=by_name)
def test_a_command_arrives_as_it_was_sent(kind: type[Command]) -> None:
    """Every command survives both formats, and is the same plain map in both."""

    @laws
    @given(structs(kind))
    def law(command: Command) -> None:
        sent = {form: encode_command(command, form) for form in FORMS}
        assert [decode_command(sent[form], form) for form in FORMS] == [command, command]
        assert same(*(independent(sent[form], form) for form in FORMS))

    law()


@pytest.mark.parametrize("kind", get_args(Event | Welcome | Failed), ids=by_name)
def test_an_event_arrives_as_it_was_sent(kind: type[Outgoing]) -> None:
    """Every event survives both formats, and is the same plain map in both."""

    @laws
    @given(structs(kind))
    def law(event: Outgoing) -> None:
        sent = {form: encode(event, form) for form in FORMS}
        assert [decode_event(sent[form], form) for form in FORMS] == [event, event]
        assert same(*(independent(sent[form], form) for form in FORMS))

    law()


@pytest.mark.parametrize("kind", get_args(Reply), ids=by_name)
def test_a_reply_arrives_as_it_was_sent(kind: type[Reply]) -> None:
    """An `ok` comes untyped, with its `ref`; read as what was asked for it is what was sent."""

    @laws
    @given(replies(kind))
    def law(reply: Any) -> None:
        sent = {form: encode(reply, form) for form in FORMS}
        for form in FORMS:
            assert decode_event(sent[form], form) == OkReply(reply.ref, sent[form])
            assert decode_reply(sent[form], form, kind) == reply
        assert same(*(independent(sent[form], form) for form in FORMS))

    law()


@pytest.mark.parametrize("kind", get_args(Fact), ids=by_name)
def test_an_entry_is_its_header_and_its_fact_in_one_map(kind: type[Fact]) -> None:
    """For any fact: the joined bytes are those of the merged plain map, in both formats."""

    @laws
    @given(HEADERS, structs(kind))
    def law(header: EntryHeader, fact: Fact) -> None:
        record = Record(
            header.room,
            header.seq,
            header.n,
            fact.__struct_config__.tag,  # type: ignore[arg-type]
            header.sender,
            header.at,
            header.cid,
            pack_fact(fact),
        )
        merged = fields_of(header) | fields_of(fact)
        for form in FORMS:
            payload = encode_entry(record, form)
            assert same(independent(payload, form), merged)
            assert decode_event(payload, form) == entry_of(record)

    law()


@laws
@given(FACTS)
def test_a_packed_fact_is_unpacked(fact: Fact) -> None:
    """What a store keeps is what was said."""
    assert unpack_fact(pack_fact(fact)) == fact
    assert same(msgpack.unpackb(pack_fact(fact)), fields_of(fact))


def test_no_entry_outgrows_the_small_map() -> None:
    """Header and fact together have at most 15 fields: one byte of msgpack tells their count."""
    header = len(EntryHeader.__struct_fields__) + 1
    fact = max(len(kind.__struct_fields__) for kind in get_args(Fact)) + 1

    assert header + fact <= 15


def test_a_body_weighs_what_msgpack_makes_of_it() -> None:
    """`body_bytes_max` bounds the msgpack bytes, for clients of both formats."""
    assert len(encode_body({"text": "x" * 10})) == len(msgpack.packb({"text": "x" * 10})) == 17


# --- what is wrong is named -----------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (None, ("malformed", None, False)),
        (7, ("malformed", None, False)),
        ("ping", ("malformed", None, False)),
        ([{"op": "ping"}], ("malformed", None, False)),
        ({}, ("malformed", None, False)),
        ({"ref": 3}, ("malformed", 3, False)),
        ({"op": None, "ref": 3}, ("malformed", 3, False)),
        ({"op": ["ping"], "ref": 3}, ("malformed", 3, False)),
        ({"op": "", "ref": 3}, ("unknown_op", 3, True)),
        ({"op": "pong", "ref": 2**53 - 1}, ("unknown_op", 2**53 - 1, True)),
        ({"op": "pong", "ref": 2**53}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": 2**64 - 1}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": -1}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": True}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": 1.0}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": "1"}, ("unknown_op", None, True)),
        ({"op": "pong", "ref": None}, ("unknown_op", None, True)),
        ({"op": "ok", "ref": 3}, ("unknown_op", 3, True)),
        ({"op": "ping", "ref": "x"}, ("invalid_field", None, True)),
        ({"op": "send", "ref": 3}, ("invalid_field", 3, True)),
        ({"op": "send", "ref": 3, "room": "a b", "body": {}}, ("invalid_field", 3, True)),
        ({"op": "send", "ref": 3, "room": "r", "body": []}, ("invalid_field", 3, True)),
        ({"op": "create", "ref": 3, "kind": "direct"}, ("invalid_field", 3, True)),
    ],
)
def test_what_is_wrong_is_named(
    form: Format, message: object, expected: tuple[str, int | None, bool]
) -> None:
    """`malformed` for no map of the protocol, else the op or the field; with `ref` if readable."""
    assert refused(plain(message, form), form) == expected


def test_a_bad_command_says_what_it_answers() -> None:
    """Its text is for logs, and repeats the error."""
    found = read(b"", "json")

    assert isinstance(found, BadCommand)
    assert str(found) == "('malformed', 'this is not json')"


def test_an_explanation_is_the_decoders_own_words() -> None:
    """What was expected, what came, and where."""
    found = read(plain({"op": "direct", "user": 1}, "json"), "json")

    assert isinstance(found, BadCommand)
    assert found.failed.message == "Expected `str`, got `int` - at `$.user`"


def test_a_long_explanation_keeps_both_ends() -> None:
    """What is wrong stands first, where it is stands last."""
    found = read(plain({"op": "create", "kind": "k" * 100_000}, "json"), "json")

    assert isinstance(found, BadCommand)
    assert found.failed.message.startswith("Invalid enum value 'kkk")
    assert found.failed.message.endswith("kkk' - at `$.kind`")
    assert len(found.failed.message) == EXPLANATION_CHARS_MAX


@pytest.mark.parametrize(
    ("payload", "form", "ref"),
    [
        (b"", "json", None),
        (b"\xc1", "msgpack", None),
        (b'{"op":"send","ref":3,"room":"r","body":{"a":"\xff"}}', "json", 3),
        (b"\x83\xa2op\xa6direct\xa3ref\x03\xa4user\xa1\xff", "msgpack", 3),
    ],
)
def test_bytes_that_are_no_text_are_no_map(payload: bytes, form: Format, ref: int | None) -> None:
    """Where the `ref` can be read all the same, the answer carries it."""
    assert refused(payload, form) == ("malformed", ref, False)


# --- telling a refusal ---------------------------------------------------------------------


def test_a_refusal_is_told_with_its_ref() -> None:
    """All that a refusal knows reaches the client."""
    refusal = Refusal(ErrorCode.RATE_LIMITED, "slowly", retry_after_ms=5)

    assert failed(refusal, 3) == Failed(
        code=4001, reason="rate_limited", message="slowly", ref=3, retry_after_ms=5
    )
    assert failed(Refusal(ErrorCode.BANNED), None).ref is None


# --- the client's side ---------------------------------------------------------------------


@fuzz
@given(st.binary(max_size=60), st.sampled_from(FORMS))
def test_any_bytes_are_an_event_or_a_value_error(payload: bytes, form: Format) -> None:
    """A client survives whatever a server or a proxy says."""
    for read_as in (
        lambda: decode_event(payload, form),
        lambda: decode_reply(payload, form, Pong),
        lambda: decode_reply(payload, form, SubscribedMany),
    ):
        try:
            read_as()
        except ValueError as error:
            assert "not a" in str(error)  # noqa: PT017 - anything else is raised


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_event_is_none(form: Format) -> None:
    """A newer server's events do not disturb an older client."""
    assert decode_event(plain({"op": "new", "x": 1}, form), form) is None
    assert decode_event(plain({"op": "closed", "room": "r", "reason": "k", "x": 1}, form), form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        {"op": 1},
        {"op": "ok", "ref": "x"},
        {"op": "closed"},
        {"op": "entry", "room": "r"},
        {"op": "entry", "room": "r", "seq": 1, "n": 1, "at": 1, "cid": "c", "from": "anna"},
        {"op": "entry", "room": "r", "seq": 1, "n": 1, "at": 1, "cid": "c", "kind": "delete"},
    ],
)
def test_half_an_event_is_a_value_error(form: Format, message: object) -> None:
    """What lacks its fields is no event."""
    with pytest.raises(ValueError, match="not a message of the protocol"):
        decode_event(plain(message, form), form)


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_to_many_tells_granted_from_refused(form: Format) -> None:
    """Rows keep their order; a row with a `code` was refused."""
    granted = Subscribed(
        room="r", epoch="e", head=1, floor=0, role=None, recovered=True,
        unread=0, read=0, members=0, typing=(),
    )  # fmt: skip
    row = {k: v for k, v in msgspec.to_builtins(granted).items() if k != "op"}
    no = {"room": "s", "code": 3002, "reason": "no_such_room"}
    payload = plain({"op": "ok", "ref": 1, "rooms": [no, row]}, form)
    reply = decode_reply(payload, form, SubscribedMany)

    assert reply.ref == 1
    assert reply.rooms[0] == Refused(room="s", code=3002, reason="no_such_room")
    assert msgspec.structs.asdict(reply.rooms[1]) == {
        k: v for k, v in msgspec.structs.asdict(granted).items() if k != "ref"
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_to_another_question_is_a_value_error(form: Format) -> None:
    """A `pong` without `now` is none, and says what was expected."""
    with pytest.raises(ValueError, match="not a Pong"):
        decode_reply(encode(Done(ref=1), form), form, Pong)
    with pytest.raises(ValueError, match="not a SubscribedMany"):
        decode_reply(encode(Done(ref=1), form), form, SubscribedMany)


def test_decoders_of_replies_are_made_once() -> None:
    """A decoder costs 10 µs to make: the second reply of a kind uses the first one's."""
    payload = encode(Pong(ref=1, now=5), "json")
    decode_reply(payload, "json", Pong)
    known = dict(codec._decoders)
    decode_reply(payload, "json", Pong)

    assert codec._decoders == known


def test_commands_are_encoded_for_clients() -> None:
    """The op first, what is at its default left out."""
    command = SetRole(ref=1, room="r", user="anna", role="admin")

    assert encode_command(command, "json") == (
        b'{"op":"role","user":"anna","role":"admin","ref":1,"room":"r"}'
    )
    assert decode_command(encode_command(command, "msgpack"), "msgpack") == command
