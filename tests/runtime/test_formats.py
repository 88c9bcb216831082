"""Law: both formats carry the same maps, whatever is asked, told, refused or ended."""

from types import SimpleNamespace
from typing import get_args
from unittest.mock import patch

import msgspec
import scene as stage
import trio
import trio.testing
from scene import settled

from triolet._model.events import Event, Outgoing
from triolet._runtime import pipe
from triolet._runtime.outbox import MessageOutbox

# What the script does not bring about: they need a fork, a token that ends, or an admin; what
# `stats` tells of a process is never twice the same.
NOT_HEARD = {"reset", "notice", "stats"}


async def converse(scene):
    """Have three people ask everything once; return what each of them heard."""
    anna, ben, cleo = [await scene.enter(user) for user in ("anna", "ben", "cleo")]
    people = (anna, ben, cleo)
    await anna.ask("create", room="tea", kind="group", members=["ben"], title="Tée", cid="1")
    for one in (anna, ben):
        await one.ask("subscribe", room="tea")
        await one.ask("watch", users=["anna", "ben"])
    await settled()
    body = {"text": "hi \U0001f642", "n": [1, -2.5, 1e22, True, None, {"a": {}}], "big": 2**53 - 1}
    sent = await anna.ask("send", room="tea", body=body, cid="2", mentions=["ben"])
    script = (
        (ben, "receipt", {"read": sent["seq"]}),
        (ben, "send", {"body": {}, "reply_to": sent["seq"], "cid": "3"}),
        (anna, "edit", {"target": sent["seq"], "body": {"text": "ho"}, "cid": "4"}),
        (ben, "react", {"target": sent["seq"], "emoji": "\U0001f44d", "on": True, "cid": "5"}),
        (ben, "typing", {"on": True}),
        (ben, "signal", {"kind": "x", "data": {"y": [0.5]}}),
        (anna, "meta", {"title": "Tea", "public": True, "cid": "6"}),
        (cleo, "join", {"cid": "7"}),
        (cleo, "subscribe", {}),
        (anna, "history", {}),
        (anna, "receipts", {"seq": 1}),
        (anna, "delete", {"target": sent["seq"], "cid": "8"}),
        (anna, "history", {}),
        (anna, "kick", {"user": "cleo", "cid": "9"}),
        (anna, "meta", {"public": False, "cid": "10"}),
        (cleo, "send", {"body": {}, "cid": "11"}),
        (anna, "send", {"body": {"text": "\0"}}),
        (anna, "role", {"user": "ben", "role": "reader", "cid": "12"}),
        (ben, "send", {"body": {}, "cid": "13"}),
        (ben, "unsubscribe", {}),
        (ben, "leave", {"cid": "14"}),
    )
    for who, op, fields in script:
        await who.answer(await who.say(op, room="tea", **fields))
        await settled()
    for op, fields in (("rooms", {}), ("sync", {"have": []}), ("direct", {"user": "ben"})):
        await anna.ask(op, **fields)
    await anna.answer(await anna.say("no-such-op"))
    await ben.ask("presence", status="dnd")
    await trio.sleep(3)
    # Who flushes first in one turn is chance; what is said is not.
    return [sorted(map(repr, one.heard)) for one in people], people


def heard(form):
    async def main():
        async with stage.open_scene() as scene:
            found, people = await converse(scene)
            ops = {message["op"] for one in people for message in one.heard}
        return found, ops

    def outbox(flusher, sink, *, text, bytes_low):
        del text
        return MessageOutbox(flusher, sink, text=form == "json", bytes_low=bytes_low)

    coder = SimpleNamespace(msgpack=getattr(msgspec, form), json=msgspec.json)
    with patch.object(stage, "msgspec", coder), patch.object(pipe, "MessageOutbox", outbox):
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_conversation_is_the_same_maps_in_both_formats():
    (packed, ops), (text, _) = heard("msgpack"), heard("json")

    assert packed == text
    told = {kind.__struct_config__.tag for kind in get_args(Event | Outgoing)} | {"entry"}
    assert ops == told - NOT_HEARD
