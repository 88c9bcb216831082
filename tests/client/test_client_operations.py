"""Operations: each method says one op of the protocol, and returns its reply, typed."""

import inspect

import pytest
from client_peer import Server, asking, connected

from triolet._model.commands import Command
from triolet._model.events import (
    Done,
    HistoryPage,
    Inbox,
    Pong,
    ReceiptPage,
    Refreshed,
    RoomOpened,
    Subscribed,
    SubscribedMany,
    Synced,
    Watching,
    Written,
)
from triolet.client import Operations, Room

WRITTEN = {"room": "r", "seq": 4, "at": 9, "duplicate": False}
STANDING = {
    "room": "r",
    "epoch": "e",
    "head": 4,
    "floor": 0,
    "role": "owner",
    "recovered": True,
    "unread": 0,
    "read": 4,
    "members": 1,
    "typing": [],
}

# The call; what it says besides `op`, `ref` and a minted `cid`; the answer, and its type.
TABLE = [
    ("create", (), {}, {"op": "create", "kind": "group"}, {**WRITTEN, "epoch": "e"}, Written),
    (
        "create",
        ("channel",),
        {"room": "r", "title": "T", "members": ["ben"], "public": True, "cid": "c"},
        {
            "op": "create",
            "kind": "channel",
            "room": "r",
            "title": "T",
            "members": ["ben"],
            "public": True,
            "cid": "c",
        },
        WRITTEN,
        Written,
    ),
    ("direct", ("ben",), {}, {"op": "direct", "user": "ben"}, {"room": "dm:anna:ben"}, RoomOpened),
    ("join", ("r",), {}, {"op": "join", "room": "r"}, WRITTEN, Written),
    ("join", ("r",), {}, {"op": "join", "room": "r"}, {"room": "r"}, RoomOpened),
    ("leave", ("r",), {}, {"op": "leave", "room": "r"}, WRITTEN, Written),
    (
        "invite",
        ("r", "ben"),
        {},
        {"op": "invite", "room": "r", "user": "ben"},
        WRITTEN,
        Written,
    ),
    ("kick", ("r", "ben"), {}, {"op": "kick", "room": "r", "user": "ben"}, WRITTEN, Written),
    (
        "set_role",
        ("r", "ben", "admin"),
        {},
        {"op": "role", "room": "r", "user": "ben", "role": "admin"},
        WRITTEN,
        Written,
    ),
    (
        "set_meta",
        ("r",),
        {"public": False},
        {"op": "meta", "room": "r", "public": False},
        WRITTEN,
        Written,
    ),
    ("set_meta", ("r",), {"title": ""}, {"op": "meta", "room": "r", "title": ""}, WRITTEN, Written),
    (
        "delete_room",
        ("r",),
        {"cid": "c"},
        {"op": "delete_room", "room": "r", "cid": "c"},
        WRITTEN,
        Written,
    ),
    (
        "rooms",
        (),
        {"after": "q", "limit": 9},
        {"op": "rooms", "after": "q", "limit": 9},
        {"rooms": [], "more": False},
        Inbox,
    ),
    (
        "sync",
        ([("r", "e", 1)],),
        {},
        {"op": "sync", "have": [["r", "e", 1]]},
        {"rooms": [], "gone": ["r"]},
        Synced,
    ),
    (
        "subscribe",
        ("r",),
        {"since": ("e", 2)},
        {"op": "subscribe", "room": "r", "since": ["e", 2]},
        STANDING,
        Subscribed,
    ),
    (
        "subscribe_many",
        ([("r", "e", 2)],),
        {},
        {"op": "subscribe", "rooms": [["r", "e", 2]]},
        {"rooms": [STANDING]},
        SubscribedMany,
    ),
    ("unsubscribe", ("r",), {}, {"op": "unsubscribe", "room": "r"}, {}, Done),
    (
        "send",
        ("r", "hi"),
        {},
        {"op": "send", "room": "r", "body": {"text": "hi"}},
        WRITTEN,
        Written,
    ),
    (
        "send",
        ("r", {"x": 1}),
        {"reply_to": 3, "mentions": ["ben"], "cid": "c"},
        {
            "op": "send",
            "room": "r",
            "body": {"x": 1},
            "reply_to": 3,
            "mentions": ["ben"],
            "cid": "c",
        },
        WRITTEN,
        Written,
    ),
    (
        "edit",
        ("r", 3, "ho"),
        {},
        {"op": "edit", "room": "r", "target": 3, "body": {"text": "ho"}},
        WRITTEN,
        Written,
    ),
    ("delete", ("r", 3), {}, {"op": "delete", "room": "r", "target": 3}, WRITTEN, Written),
    (
        "react",
        ("r", 3, "👍"),
        {"on": False},
        {"op": "react", "room": "r", "target": 3, "emoji": "👍", "on": False},
        WRITTEN,
        Written,
    ),
    (
        "history",
        ("r",),
        {"before": 9, "limit": 3},
        {"op": "history", "room": "r", "before": 9, "limit": 3},
        {"messages": [], "more": False, "as_of": ["e", 9]},
        HistoryPage,
    ),
    (
        "receipt",
        ("r",),
        {"delivered": 4, "read": 3},
        {"op": "receipt", "room": "r", "delivered": 4, "read": 3},
        {},
        Done,
    ),
    (
        "receipts",
        ("r", 3),
        {"after": "a", "limit": 9},
        {"op": "receipts", "room": "r", "seq": 3, "after": "a", "limit": 9},
        {"marks": [["ben", 3, 3]], "more": False},
        ReceiptPage,
    ),
    ("typing", ("r",), {"on": False}, {"op": "typing", "room": "r", "on": False}, {}, Done),
    ("presence", ("dnd",), {}, {"op": "presence", "status": "dnd"}, {}, Done),
    (
        "presence",
        (),
        {"visible_to": "nobody"},
        {"op": "presence", "visible_to": "nobody"},
        {},
        Done,
    ),
    (
        "watch",
        (["ben"],),
        {},
        {"op": "watch", "users": ["ben"]},
        {"users": [["ben", "online", 1]]},
        Watching,
    ),
    ("unwatch", (["ben"],), {}, {"op": "unwatch", "users": ["ben"]}, {}, Done),
    (
        "signal",
        ("r", "offer", {"sdp": 1}),
        {"to": "ben", "to_device": "tab"},
        {
            "op": "signal",
            "room": "r",
            "kind": "offer",
            "data": {"sdp": 1},
            "to": "ben",
            "to_device": "tab",
        },
        {},
        bool,
    ),
    ("refresh", ("t2",), {}, {"op": "refresh", "token": "t2"}, {"expires_at": 7}, Refreshed),
    ("ping", (), {}, {"op": "ping"}, {"now": 7}, Pong),
    (
        "stats",
        (),
        {"interval_ms": 250},
        {"op": "stats", "on": True, "interval_ms": 250},
        {},
        Done,
    ),
]


@pytest.mark.parametrize("row", TABLE)
async def test_each_method_says_its_op(autojump_clock, row):
    method, arguments, options, said, answer, kind = row
    async with connected(server := Server()) as (client, conversation):
        async with asking(getattr(client, method), *arguments, **options) as found:
            request = await conversation.hear(said["op"])
            conversation.ok(request, **answer)

        assert server.dials == 1
        del request["ref"]
        if "cid" not in said:
            request.pop("cid", None)
        assert said == request
        assert isinstance(found.value, kind)


def test_every_op_has_a_method():
    ops = {kind.__struct_config__.tag for kind in Command.__args__} - {"hello"}

    assert ops == {row[3]["op"] for row in TABLE}


# What a room offers under the same name, and what of it is not about a room.
METHODS = {name for name in vars(Operations) if not name.startswith("_")}
NOT_OF_A_ROOM = {
    "create",
    "direct",
    "rooms",
    "sync",
    "subscribe_many",
    "presence",
    "watch",
    "unwatch",
    "stats",
    "refresh",
    "ping",
}


def test_room_offers_every_operation_on_a_room():
    assert {name for name in vars(Room) if name in METHODS} == METHODS - NOT_OF_A_ROOM
    for name in METHODS - NOT_OF_A_ROOM:
        of_client = dict(inspect.signature(getattr(Operations, name)).parameters)
        del of_client["room"]
        assert of_client == dict(inspect.signature(getattr(Room, name)).parameters), name


ROOM_ROWS = [row for row in TABLE if row[0] not in NOT_OF_A_ROOM]


@pytest.mark.parametrize("row", ROOM_ROWS)
async def test_room_says_the_same(autojump_clock, row):
    method, arguments, options, said, answer, kind = row
    async with connected(Server()) as (client, conversation):
        room = client.room(arguments[0])
        async with asking(getattr(room, method), *arguments[1:], **options) as found:
            request = await conversation.hear(said["op"])
            conversation.ok(request, **answer)

        del request["ref"]
        if "cid" not in said:
            request.pop("cid", None)
        assert said == request
        assert isinstance(found.value, kind)
