"""Law: a session may be cut, or the store fail, at any call of the store.

Nothing is left of a session that was cut, every request of one that stays is answered once,
and everybody else goes on.
"""

import msgspec
import pytest
import trio
from scene import open_scene, settled

from triolet._model.errors import Close, OutcomeUnknown, StoreUnavailable

# One request each, or several in a row; every one begins with nothing loaded.
SCRIPTS = {
    "hello": [],
    "create": [("create", {"kind": "group", "cid": "c", "members": ["ben"]})],
    "direct": [("direct", {"user": "ben"})],
    "join": [("join", {"room": "open", "cid": "c"})],
    "invite": [("invite", {"room": "tea", "user": "dan", "cid": "c"})],
    "kick": [("kick", {"room": "tea", "user": "ben", "cid": "c"})],
    "role": [("role", {"room": "tea", "user": "ben", "role": "admin", "cid": "c"})],
    "meta": [("meta", {"room": "tea", "title": "Tea", "cid": "c"})],
    "leave": [("leave", {"room": "tea", "cid": "c"})],
    "leave again": [("leave", {"room": "tea", "cid": "c"})] * 2,
    "send": [("send", {"room": "tea", "body": {}, "cid": "c"})],
    "sends": [("send", {"room": "tea", "body": {}}) for _ in range(3)],
    "refused send": [("send", {"room": "channel", "body": {}, "cid": "c"})],
    "edit": [("edit", {"room": "tea", "target": 4, "body": {}})],
    "subscribe": [("subscribe", {"room": "tea"})],
    "resume": [("subscribe", {"room": "tea", "since": ["EPOCH", 0]})],
    "ahead": [("subscribe", {"room": "tea", "since": ["EPOCH", 2**20]})],
    "several": [
        ("subscribe", {"rooms": [["tea", "EPOCH", 0], ["none", "x", 0], ["open", "EPOCH", 0]]})
    ],
    "history": [("history", {"room": "tea"})],
    "receipt": [("receipt", {"room": "tea", "read": 4})],
    "receipts": [
        ("receipt", {"room": "tea", "read": 2**20}),
        ("receipts", {"room": "tea", "seq": 1}),
    ],
    "typing": [("typing", {"room": "tea", "on": True})],
    "signal": [("signal", {"room": "tea", "kind": "x"})],
    "watch": [("watch", {"users": ["ben", "dan"]})],
    "rooms": [("rooms", {})],
    "sync": [("sync", {"have": [["open", "EPOCH", 1], ["none", "x", 1]]})],
    "stale": [("send", {"room": "tea", "body": {"n": n}}) for n in range(3)],
}
CALLS_MAX = 12


class Fate:
    """Does something at the `at`-th call of the store: before it takes effect, or after."""

    def __init__(self, at, *, after, cut=None, error=None):
        self.at = at
        self.after = after
        self.cut = cut
        self.error = error
        self.calls = 0

    async def __call__(self, name, call):
        index, self.calls = self.calls, self.calls + 1
        if index != self.at:
            return await call()
        if self.after:
            answer = await call()
        if self.cut is not None:
            self.cut()
            await trio.lowlevel.checkpoint()
        elif self.error is not None:
            await trio.lowlevel.checkpoint()
            raise self.error(name)
        return answer if self.after else await call()


async def set_up(scene):
    """Make rooms in which there is something to do, all of them forgotten by the hub."""
    ben, cleo = await scene.enter("ben"), await scene.enter("cleo")
    anna = await scene.enter("anna", device="setup")
    await scene.room("tea", anna, ben, cleo, subscribe=False)
    await scene.room("open", ben, subscribe=False, public=True)
    await scene.room("channel", ben, anna, subscribe=False, kind="channel")
    for _ in range(6):
        await anna.send("tea")
    await anna.leave()
    await trio.sleep(15)
    for name in list(scene.hub.rooms):
        scene.unload(name)
    return cleo, (await scene.store.real.room("tea")).epoch


async def perform(scene, script, epoch, fate):
    """Have Anna come and ask, with fate around every call; return her and what she asked."""
    anna = scene.pipe("anna")
    if fate is not None and fate.cut:
        fate.cut = lambda: anna.session.close(Close(1012, "cut"))
    scene.store.around = fate
    refs = []
    try:
        await anna.pipe.send(msgspec.msgpack.encode({"op": "hello"}))
        for op, fields in SCRIPTS[script]:
            refs.append(
                await anna.say(
                    op,
                    **msgspec.json.decode(
                        msgspec.json.encode(fields).replace(b"EPOCH", epoch.encode())
                    ),
                )
            )
            if script == "stale" and len(refs) == 2:
                await settled()
                await scene.elsewhere("tea", "ben", *change(), revokes=True, op="role")
    except trio.BrokenResourceError:
        pass  # it was cut before all was said
    await trio.sleep(1)
    return anna, refs


def change():
    from triolet._model.entries import Member

    return (Member("anna", "admin"),)


def scene_of_large_rooms():
    """Open a scene in which no room knows its members, so that the store is asked for each."""
    return open_scene(feed_members_max=1, page_entries_max=3)


async def calls_of(script):
    async with open_scene(feed_members_max=1, page_entries_max=3, inspect=False) as scene:
        _, epoch = await set_up(scene)
        count = Fate(-1, after=False)
        await perform(scene, script, epoch, count)
        scene.store.around = None
    return count.calls


async def others_go_on(scene, cleo, script):
    """Cleo, who was there all the time, goes on undisturbed, and hears the next entry at once.

    Only what another node wrote without ringing, as in `stale`, has to be read first.
    """
    scene.store.around = None
    head = (await cleo.ask("subscribe", room="tea"))["head"]
    sent = await cleo.send("tea", "still here")
    await settled()
    if script == "stale" and cleo.seqs("tea")[-1:] != [sent["seq"]]:
        await trio.sleep(scene.limits.gap_wait_s)
        await settled()

    assert sent["seq"] > head - 1
    assert cleo.seqs("tea")[-1] == sent["seq"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_session_cut_at_any_call_leaves_nothing(script, after):
    for at in range(min(await calls_of(script), CALLS_MAX)):
        async with scene_of_large_rooms() as scene:
            cleo, epoch = await set_up(scene)
            fate = Fate(at, after=after, cut=print)
            anna, _ = await perform(scene, script, epoch, fate)
            # Batches form as it happens: there may be one call less than was counted.
            assert anna.session.is_gone == (fate.calls > at)
            await others_go_on(scene, cleo, script)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_store_that_fails_at_any_call_leaves_every_request_answered_once(script, after):
    """With `store_unavailable`, `outcome_unknown`, or as if nothing had happened."""
    for at in range(min(await calls_of(script), CALLS_MAX)):
        async with scene_of_large_rooms() as scene:
            cleo, epoch = await set_up(scene)

            def error(name):
                unsure = after and name == "append"
                return OutcomeUnknown("?") if unsure else StoreUnavailable("no")

            anna, refs = await perform(scene, script, epoch, Fate(at, after=after, error=error))
            scene.store.around = None
            await trio.sleep(2)
            assert not anna.session.is_gone
            answers = [one for one in anna.heard if one.get("ref") in refs]
            assert sorted(one["ref"] for one in answers) == refs
            allowed = {None, "store_unavailable", "not_a_member", "forbidden", "no_such_room"}
            assert {one.get("reason") for one in answers} <= allowed
            await anna.ask("ping")
            await others_go_on(scene, cleo, script)
