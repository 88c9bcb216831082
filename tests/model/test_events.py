"""Laws of `_model.events`: what the server says, op by op, field by field, as the protocol does."""

from typing import get_args

import msgspec
import pytest
from msgspec import structs

from triolet._model import events
from triolet._model.events import (
    Done,
    Event,
    HistoryPage,
    Inbox,
    InboxRow,
    Outgoing,
    Pong,
    ReceiptPage,
    Refreshed,
    Refused,
    Reply,
    RoomOpened,
    Subscribed,
    SubscribedMany,
    Subscription,
    Synced,
    VisibleStatus,
    Watching,
    Written,
)

# The protocol's events: op → fields, `?` marks what may be absent.
EVENTS = {
    "welcome": "session user device now heartbeat_s limits expires_at",
    "error": "ref? code reason message retry_after_ms?",
    "reset": "room epoch since? floor? head",
    "closed": "room reason seq?",
    "feed": "rooms added? removed?",
    "receipts": "room marks",
    "typing": "room users more",
    "presence": "users",
    "signal": "room from from_device kind data",
    "notice": "kind retry_after_ms? expires_at? body?",
    "stats": "at interval_ms nodes total silent? jobs?",
}
SUBSCRIPTION = "room epoch head floor role recovered since? unread read members receipts? typing"
# What `ok` carries besides `ref`, by what asked.
REPLIES = {
    Done: "",
    Written: "room seq at duplicate epoch?",
    RoomOpened: "room",
    Subscribed: SUBSCRIPTION,
    SubscribedMany: "rooms",
    HistoryPage: "messages more as_of",
    ReceiptPage: "marks more",
    Watching: "users",
    Inbox: "rooms more",
    Synced: "rooms gone",
    Refreshed: "expires_at",
    Pong: "now",
}
ROWS = {
    Subscription: SUBSCRIPTION,
    Refused: "room code reason",
    InboxRow: "room kind title epoch head unread read last role",
}


def fields_of(kind: type[msgspec.Struct]) -> list[str]:
    return sorted(f.encode_name + ("" if f.required else "?") for f in structs.fields(kind))


def test_the_events_are_the_protocols() -> None:
    """Each op has one Struct; `ok` has one for each thing a request is answered with."""
    tags = [kind.__struct_config__.tag for kind in get_args(Outgoing)]

    assert sorted(set(tags) - {"ok"}) == sorted(EVENTS)
    assert len(tags) - tags.count("ok") == len(EVENTS)
    assert set(get_args(Reply)) == set(REPLIES)


@pytest.mark.parametrize("kind", get_args(Outgoing), ids=lambda kind: kind.__name__)
def test_fields_are_the_protocols(kind: type[msgspec.Struct]) -> None:
    """Each has the fields written there, and always sends those without a `?`."""
    tag = kind.__struct_config__.tag
    expected = f"ref? {REPLIES[kind]}" if tag == "ok" else EVENTS[str(tag)]

    assert fields_of(kind) == sorted(expected.split())


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_rows_are_the_protocols(kind: type[msgspec.Struct]) -> None:
    """The maps inside of replies have no `op`."""
    assert fields_of(kind) == sorted(ROWS[kind].split())
    assert kind.__struct_config__.tag is None


def test_every_final_struct_of_the_module_is_sent() -> None:
    """Nothing is declared and then forgotten in the union of what goes out."""
    declared = {
        kind
        for name, kind in vars(events).items()
        if isinstance(kind, type) and issubclass(kind, events._Event) and name[0] != "_"
    }

    assert declared == set(get_args(Outgoing))
    assert set(get_args(Event)) <= declared


def test_others_never_see_invisible() -> None:
    """`invisible` is a wish; what is shown for it is `offline`."""
    assert get_args(VisibleStatus) == ("online", "away", "dnd", "offline")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Done(), b'{"op":"ok"}'),
        (Done(ref=0), b'{"op":"ok","ref":0}'),
        (
            Written(room="r", seq=2, at=3, duplicate=False),
            b'{"op":"ok","room":"r","seq":2,"at":3,"duplicate":false}',
        ),
        (
            events.Failed(code=2001, reason="malformed", message="m"),
            b'{"op":"error","code":2001,"reason":"malformed","message":"m"}',
        ),
        (
            events.Signal(room="r", kind="k", data={}, from_device="d", sender="anna"),
            b'{"op":"signal","room":"r","kind":"k","data":{},"from_device":"d","from":"anna"}',
        ),
        (
            events.Typing(room="r", users=(), more=False),
            b'{"op":"typing","room":"r","users":[],"more":false}',
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_absent_takes_no_bytes(event: Outgoing, text: bytes) -> None:
    """`ref: 0` is a ref; what the protocol gives without `?` is sent even when false or empty."""
    assert msgspec.json.encode(event) == text


@pytest.mark.parametrize("kind", get_args(Outgoing), ids=lambda kind: kind.__name__)
def test_an_event_is_a_value(kind: type[msgspec.Struct]) -> None:
    """Frozen: one event is encoded once for many."""
    assert kind.__struct_config__.frozen
