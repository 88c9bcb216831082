"""A client by nobody of ours: `websockets`, `msgpack`, and the protocol's description.

Run as a script, it has one half of a conversation, checks what it gets, and prints what it saw.
The other half may be itself, or `node/independent_client.cjs`, which says the same lines.
"""

import json
import socket
import sys
import time
from contextlib import ExitStack

import msgpack
from websockets.sync.client import connect

TIMEOUT_S = 120


class Client:
    """One user's connection; entries are checked to come once each, in order, by room."""

    def __init__(self, url, token, form):
        self.url, self.token, self.form = url, token, form
        # By room: the epoch and the seq of the last entry, and all entries.
        self.positions, self.entries = {}, {}
        self.waiting = []
        self.ref = 0
        self.open_connections = ExitStack()

    def hello(self, user):
        protocol = f"triolet.v1.{self.form}"
        opened = connect(self.url, subprotocols=[protocol], open_timeout=TIMEOUT_S)
        self.connection = self.open_connections.enter_context(opened)
        assert self.connection.subprotocol == protocol
        self.put({"op": "hello", "token": self.token, "device": "laptop", "agent": "independent"})
        welcome = self.get()
        assert welcome["op"] == "welcome", welcome
        assert (welcome["user"], welcome["device"]) == (user, "laptop")
        assert welcome["session"]
        assert welcome["expires_at"] > welcome["now"]

    def put(self, message):
        packed = json.dumps(message) if self.form == "json" else msgpack.packb(message)
        self.connection.send(packed)

    def get(self):
        packed = self.connection.recv(timeout=TIMEOUT_S)
        message = json.loads(packed) if self.form == "json" else msgpack.unpackb(packed)
        if message["op"] == "entry":
            room = message["room"]
            epoch, seq = self.positions[room]
            assert message["seq"] == seq + 1, message
            self.positions[room] = (epoch, seq + 1)
            self.entries[room].append(message)
        return message

    def wait(self, op, **fields):
        """Return the first event not waited for yet that has these fields."""
        at = 0
        while True:
            if at == len(self.waiting):
                self.waiting.append(self.get())
            event = self.waiting[at]
            if event["op"] == op and all(event.get(name) == fields[name] for name in fields):
                return self.waiting.pop(at)
            at += 1

    def wait_text(self, room, text):
        return self.wait("entry", room=room, kind="message", body={"text": text})

    def ask(self, op, **fields):
        self.ref += 1
        self.put({"op": op, "ref": self.ref} | fields)
        while True:
            message = self.get()
            if message.get("ref") == self.ref:
                return message
            self.waiting.append(message)

    def must(self, op, **fields):
        answer = self.ask(op, **fields)
        assert answer["op"] == "ok", answer
        return answer

    def subscribe(self, room, since=None):
        self.positions.setdefault(room, None)
        asked = {} if since is None else {"since": list(since)}
        if since is not None:
            # Its entries come right behind the answer.
            self.positions[room] = tuple(since)
        self.ref += 1
        self.put({"op": "subscribe", "ref": self.ref, "room": room} | asked)
        while (granted := self.get()).get("ref") != self.ref:
            self.waiting.append(granted)
        assert granted["op"] == "ok", granted
        assert granted["recovered"] == (since is not None)
        if since is None:
            self.positions[room] = (granted["epoch"], granted["head"])
        self.entries.setdefault(room, [])
        return granted

    def send(self, room, text, **more):
        return self.must("send", room=room, body={"text": text}, **more)

    def vanish(self):
        self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.open_connections.close()

    def wait_row(self, is_it):
        """Ask for the inbox until it has such a room."""
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            for row in self.must("rooms")["rooms"]:
                if is_it(row):
                    return row
            time.sleep(0.02)
        raise AssertionError("no such room")


def first(client, me, other):
    """Say what the one who begins says."""
    client.hello(me)
    direct = client.must("direct", user=other)["room"]
    assert direct == "dm:" + ":".join(sorted([me, other]))
    assert client.subscribe(direct)["members"] == 2
    group = client.must("create", kind="group", cid="g", title="Tea", members=[other])["room"]
    assert client.subscribe(group)["role"] == "owner"
    client.wait_text(group, "hello, group")
    client.wait_text(direct, "ready")

    one = client.send(direct, "one: ü ✓ 👩‍👩‍👧", cid="c1")
    again = client.send(direct, "one: ü ✓ 👩‍👩‍👧", cid="c1")
    assert (one["duplicate"], again["duplicate"]) == (False, True)
    assert (one["seq"], one["at"]) == (again["seq"], again["at"])
    client.wait("typing", room=direct, users=[other])
    client.wait("receipts", room=direct, marks=[[other, one["seq"], one["seq"]]])
    client.wait("entry", room=direct, kind="react", target=one["seq"], emoji="👍", on=True)
    edited = {"text": "one, edited"}
    client.must("edit", room=direct, cid="c2", target=one["seq"], body=edited)
    two = client.wait_text(direct, "two")
    assert (two["reply_to"], two["mentions"], two["from"]) == (one["seq"], [me], other)
    client.must("typing", room=direct, on=True)
    client.must("receipt", room=direct, read=two["seq"])
    client.wait_text(direct, "seen")

    going = client.send(direct, "going", cid="c3")
    client.wait_text(direct, "going")
    client.vanish()
    client.hello(me)
    position = client.positions[direct]
    client.wait_row(lambda row: row["room"] == direct and row["head"] == position[1] + 2)
    assert client.subscribe(direct, since=position)["head"] == position[1] + 2
    three = client.wait_text(direct, "three")
    client.wait_text(direct, "four")

    client.must("react", room=direct, cid="c4", target=three["seq"], emoji="❤", on=True)
    client.must("react", room=direct, cid="c5", target=three["seq"], emoji="❤", on=False)
    client.must("delete", room=direct, cid="c6", target=going["seq"])
    client.send(direct, "bye", cid="c7")
    client.wait_text(direct, "bye to you")
    unknown = client.ask("dance")
    assert (unknown["op"], unknown["code"], unknown["reason"]) == ("error", 2002, "unknown_op")
    return direct, one["seq"], going["seq"]


def second(client, me, other):
    """Say what the other one says."""
    client.hello(me)
    group = client.wait_row(lambda row: row["kind"] == "group")
    assert (group["title"], group["role"]) == ("Tea", "member")
    client.subscribe(group["room"])
    client.send(group["room"], "hello, group", cid="h")
    direct = client.must("direct", user=other)["room"]
    epoch = client.subscribe(direct)["epoch"]
    client.must("unsubscribe", room=direct)
    client.subscribe(direct, since=(epoch, 0))
    client.send(direct, "ready", cid="d1")

    one = client.wait_text(direct, "one: ü ✓ 👩‍👩‍👧")
    assert (one["from"], one["cid"]) == (other, "c1")
    client.must("typing", room=direct, on=True)
    client.must("receipt", room=direct, delivered=one["seq"], read=one["seq"])
    client.must("react", room=direct, cid="d2", target=one["seq"], emoji="👍", on=True)
    edit = client.wait("entry", room=direct, kind="edit", target=one["seq"])
    assert edit["body"] == {"text": "one, edited"}
    two = client.send(direct, "two", cid="d3", reply_to=one["seq"], mentions=[other])
    client.wait("typing", room=direct, users=[other])
    client.wait("receipts", room=direct, marks=[[other, two["seq"], two["seq"]]])
    client.send(direct, "seen", cid="d7")

    going = client.wait_text(direct, "going")
    client.send(direct, "three", cid="d4")
    client.send(direct, "four", cid="d5")
    client.wait("entry", room=direct, kind="react", emoji="❤", on=True)
    client.wait("entry", room=direct, kind="react", emoji="❤", on=False)
    client.wait("entry", room=direct, kind="delete", target=going["seq"])
    client.wait_text(direct, "bye")
    client.send(direct, "bye to you", cid="d6")
    client.wait_text(direct, "bye to you")
    return direct, one["seq"], going["seq"]


def main():
    task = json.loads(sys.argv[1])
    client = Client(task["url"], task["token"], task["form"])
    half = {"first": first, "second": second}[task["half"]]
    room, edited, deleted = half(client, task["me"], task["other"])
    page = client.must("history", room=room, limit=200)
    assert (page["more"], tuple(page["as_of"])) == (False, client.positions[room])
    found = {message["seq"]: message for message in page["messages"]}
    assert found[edited]["body"] == {"text": "one, edited"}
    assert found[edited]["edited_at"] >= found[edited]["at"]
    who = task["other"] if task["half"] == "first" else task["me"]
    mine = task["half"] == "second"
    assert found[edited]["reactions"] == {"👍": {"count": 1, "mine": mine, "users": [who]}}
    assert found[deleted]["erased"] is True
    assert "body" not in found[deleted]
    assert client.must("ping")["now"] > 0
    client.open_connections.close()
    assert not any(name.split(".")[0] == "triolet" for name in sys.modules)
    json.dump({"entries": client.entries, "messages": page["messages"]}, sys.stdout)


if __name__ == "__main__":
    main()
