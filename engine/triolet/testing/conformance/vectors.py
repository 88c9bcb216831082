"""Wire vectors: each message of the protocol as a map, as MessagePack and as JSON.

A client's author decodes the server's, encodes the client's own and compares the maps (the
order of keys is free, and so is the width of a MessagePack integer), without any server.
`vectors.json` beside this module is what was recorded; a test holds the engine against it.
"""

import json
from pathlib import Path
from typing import Final, final

import msgspec

from .log import Map

RECORDED: Final = Path(__file__).with_name("vectors.json")

_BODY: Final[Map] = {"text": "Füße, 茶, 🫖", "n": -(2**53) + 1, "half": 0.5, "deep": [{"a": None}]}
_HELLO: Final[Map] = {"op": "hello", "token": "a.b.c", "device": "laptop", "agent": "mine/1.0"}
_ROOM: Final = "dm:anna:ben"
_MARKS: Final = [["anna", 7, 7], ["ben", 7, 3]]
_FOLDED: Final[Map] = {
    "seq": 3,
    "n": 2,
    "from": "anna",
    "at": 1_700_000_000_000,
    "cid": "c-1",
    "body": {"text": "hello"},
    "edited_at": 1_700_000_001_000,
    "reactions": {"👍": {"count": 2, "mine": True, "users": ["anna", "ben"]}},
}
_ERASED: Final[Map] = {
    "seq": 4,
    "n": 3,
    "from": "ben",
    "at": 1_700_000_002_000,
    "cid": "c-2",
    "erased": True,
    "reactions": {},
}
_ROW: Final[Map] = {
    "room": _ROOM,
    "kind": "direct",
    "title": "",
    "epoch": "e1",
    "head": 4,
    "unread": 1,
    "read": 3,
    "role": "member",
    "last": _ERASED,
}
_GRANTED: Final[Map] = {
    "room": _ROOM,
    "epoch": "e1",
    "head": 7,
    "floor": 0,
    "role": "member",
    "recovered": True,
    "unread": 1,
    "read": 3,
    "members": 2,
    "receipts": _MARKS,
    "typing": ["ben"],
}


def _entry(kind: str, **fields: object) -> Map:
    head = {"op": "entry", "room": _ROOM, "seq": 7, "n": 5, "kind": kind, "from": "ben"}
    return {**head, "at": 1_700_000_003_000, "cid": "c-7", **fields}


_MS: Final[Map] = {"count": 9, "p50": 0.511, "p95": 1.023, "p99": 2.047, "max": 2.047}
_COUNTED: Final[Map] = {
    "at": 1_700_000_000_000,
    "up_ms": 5000,
    "gauges": {"sessions": 2},
    "counts": {"messages": 9},
    "rates": {"messages": 1.5},
    "closes": {"1000": 1},
    "refusals": {"forbidden": 1},
    "append_ms": _MS,
    "bus_ms": _MS,
    "lag_ms": _MS,
    "busiest": [["tea", 9]],
    "errors": [[1_700_000_000_000, "WARNING", "triolet", "the store is slow"]],
}

CLIENT: Final[dict[str, Map]] = {
    "hello": _HELLO,
    "hello, the token came with the upgrade": {"op": "hello"},
    "create": {
        "op": "create",
        "ref": 1,
        "cid": "c",
        "kind": "group",
        "title": "Tea",
        "members": ["ben"],
    },
    "direct": {"op": "direct", "ref": 2, "user": "ben"},
    "join": {"op": "join", "ref": 3, "room": "lobby", "cid": "c"},
    "leave": {"op": "leave", "ref": 4, "room": "lobby", "cid": "c"},
    "invite": {"op": "invite", "ref": 5, "room": "tea", "user": "carl", "role": "reader"},
    "kick": {"op": "kick", "ref": 6, "room": "tea", "user": "carl"},
    "role": {"op": "role", "ref": 7, "room": "tea", "user": "ben", "role": "admin"},
    "meta": {"op": "meta", "ref": 8, "room": "tea", "title": "Tea time", "public": False},
    "delete_room": {"op": "delete_room", "ref": 8, "room": "tea", "cid": "c"},
    "subscribe to the head": {"op": "subscribe", "ref": 9, "room": _ROOM},
    "subscribe from a position": {"op": "subscribe", "ref": 10, "room": _ROOM, "since": ["e1", 7]},
    "subscribe to several": {
        "op": "subscribe",
        "ref": 11,
        "rooms": [[_ROOM, "e1", 7], ["tea", "", 0]],
    },
    "unsubscribe": {"op": "unsubscribe", "ref": 12, "room": _ROOM},
    "send": {"op": "send", "ref": 13, "room": _ROOM, "cid": "c-7", "body": _BODY},
    "send, a reply": {
        "op": "send",
        "ref": 2**53 - 1,
        "room": _ROOM,
        "cid": "c-8",
        "body": {"text": "yes"},
        "reply_to": 3,
        "mentions": ["ben"],
    },
    "edit": {
        "op": "edit",
        "ref": 14,
        "room": _ROOM,
        "cid": "c-9",
        "target": 3,
        "body": {"text": "hi"},
    },
    "delete": {"op": "delete", "ref": 15, "room": _ROOM, "cid": "c-10", "target": 3},
    "react": {"op": "react", "ref": 16, "room": _ROOM, "target": 3, "emoji": "👍", "on": False},
    "history": {"op": "history", "ref": 17, "room": _ROOM, "before": 100, "limit": 20},
    "receipt": {"op": "receipt", "ref": 18, "room": _ROOM, "delivered": 7, "read": 3},
    "receipts": {"op": "receipts", "ref": 19, "room": _ROOM, "seq": 3, "limit": 10},
    "typing": {"op": "typing", "ref": 20, "room": _ROOM, "on": True},
    "presence": {"op": "presence", "ref": 21, "status": "dnd"},
    "watch": {"op": "watch", "ref": 22, "users": ["ben"]},
    "unwatch": {"op": "unwatch", "ref": 23, "users": ["ben"]},
    "signal": {"op": "signal", "room": _ROOM, "kind": "offer", "data": {"sdp": "v=0"}, "to": "ben"},
    "rooms": {"op": "rooms", "ref": 24, "after": "a", "limit": 200},
    "sync": {"op": "sync", "ref": 25, "have": [[_ROOM, "e1", 7]]},
    "refresh": {"op": "refresh", "ref": 26, "token": "d.e.f"},
    "ping": {"op": "ping", "ref": 27},
    "stats": {"op": "stats", "ref": 28, "on": True, "interval_ms": 5000},
}

SERVER: Final[dict[str, Map]] = {
    "welcome": {
        "op": "welcome",
        "session": "s",
        "user": "anna",
        "device": "laptop",
        "now": 1_700_000_000_000,
        "heartbeat_s": 25.0,
        "limits": {"inflight_max": 64},
        "expires_at": 1_700_003_600_000,
    },
    "error": {
        "op": "error",
        "ref": 13,
        "code": 4001,
        "reason": "rate_limited",
        "message": "too fast",
        "retry_after_ms": 700,
    },
    "error without a ref": {
        "op": "error",
        "code": 2001,
        "reason": "malformed",
        "message": "no map",
    },
    "ok": {"op": "ok", "ref": 18},
    "ok, written": {"op": "ok", "ref": 13, "room": _ROOM, "seq": 7, "at": 5, "duplicate": True},
    "ok, subscribed": {"op": "ok", "ref": 10, **_GRANTED},
    "ok, subscribed after a fork": {"op": "ok", "ref": 10, **_GRANTED, "since": ["e2", 5]},
    "ok, subscribed to several": {
        "op": "ok",
        "ref": 11,
        "rooms": [_GRANTED, {"room": "tea", "code": 3002, "reason": "no_such_room"}],
    },
    "ok, history": {
        "op": "ok",
        "ref": 17,
        "messages": [_FOLDED, _ERASED],
        "more": False,
        "as_of": ["e1", 7],
    },
    "ok, inbox": {"op": "ok", "ref": 24, "rooms": [_ROW], "more": False},
    "ok, synced": {"op": "ok", "ref": 25, "rooms": [_ROW], "gone": ["tea"]},
    "ok, watching": {"op": "ok", "ref": 22, "users": [["ben", "offline", 1_700_000_000_000]]},
    "entry, message": _entry("message", body=_BODY, reply_to=3, mentions=["anna"]),
    "entry, erased message": _entry("message", erased=True),
    "entry, edit": _entry("edit", target=3, body={"text": "hi"}),
    "entry, delete": _entry("delete", target=3),
    "entry, react": _entry("react", target=3, emoji="👍", on=True),
    "entry, member": _entry("member", user="carl", role="reader"),
    "entry, member gone": _entry("member", user="carl", role=None),
    "entry, meta": _entry("meta", title="Tea time"),
    "reset to a fork": {"op": "reset", "room": _ROOM, "epoch": "e2", "since": ["e2", 5], "head": 5},
    "reset above the floor": {"op": "reset", "room": _ROOM, "epoch": "e1", "floor": 90, "head": 99},
    "closed": {"op": "closed", "room": "tea", "reason": "removed", "seq": 9},
    "feed": {
        "op": "feed",
        "rooms": [[_ROOM, "e1", 8, 1, 7]],
        "added": ["tea"],
        "removed": ["lobby"],
    },
    "receipts": {"op": "receipts", "room": _ROOM, "marks": _MARKS},
    "typing": {"op": "typing", "room": _ROOM, "users": ["ben"], "more": False},
    "presence": {"op": "presence", "users": [["ben", "online", 0]]},
    "signal": {
        "op": "signal",
        "room": _ROOM,
        "from": "ben",
        "from_device": "phone",
        "kind": "offer",
        "data": {"sdp": "v=0"},
    },
    "notice, draining": {"op": "notice", "kind": "draining", "retry_after_ms": 1500},
    "notice, token_expiring": {"op": "notice", "kind": "token_expiring", "expires_at": 5},
    "stats": {
        "op": "stats",
        "at": 1_700_000_000_000,
        "interval_ms": 1000,
        "nodes": [{"node": "n1", **_COUNTED}],
        "total": {"node": "", **_COUNTED},
        "silent": ["n2"],
        "jobs": [["push", 3, 1, 0, 1_700_000_000_000]],
    },
    "an op of a later version": {"op": "horoscope", "sign": "lion"},
}


@final
class Vector(msgspec.Struct, frozen=True):
    """One message: who says it, its map, and its payload as hexadecimal MessagePack and as JSON."""

    name: str
    side: str
    map: Map
    msgpack: str
    json: str


def build() -> list[Vector]:
    """Return all vectors, made anew."""
    return [
        Vector(
            name,
            side,
            message,
            msgspec.msgpack.encode(message).hex(),
            json.dumps(message, ensure_ascii=False, separators=(",", ":")),
        )
        for side, messages in (("client", CLIENT), ("server", SERVER))
        for name, message in messages.items()
    ]


def recorded() -> list[Vector]:
    """Return the vectors as they were recorded."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=list[Vector])


def write_vectors(path: Path) -> int:
    """Copy the recorded vectors to a file, and return how many they are.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(RECORDED.read_bytes())
    return len(recorded())
