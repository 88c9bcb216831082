"""Laws of retention: only prefixes go, a little at a time, and readers learn of it."""

import itertools

import trio
from scene import open_scene, settled

from triolet._model.errors import StoreUnavailable
from triolet.ports.documents import Change

DAY_MS = 86_400_000


async def test_without_limits_nothing_is_ever_asked(scene):
    await trio.sleep(500)

    assert scene.store.count("prune") == scene.store.count("prune_cids") == 0


async def test_the_oldest_entries_go_and_the_floor_is_told():
    async with open_scene(retention_entries=5) as scene:
        anna, ben = await scene.enter("anna"), await scene.enter("ben")
        head = await scene.room("tea", anna, ben)
        for _ in range(20):
            await anna.send("tea")
        await trio.sleep(65)
        answer = await ben.ask("subscribe", room="tea")

        assert (answer["floor"], answer["head"]) == (head + 15, head + 20)
        # What nobody can read any more is not unread.
        assert answer["unread"] == 5
        assert scene.loaded("tea").floor_n == 15


async def test_entries_go_by_age():
    async with open_scene(retention_days=1) as scene:
        anna = await scene.enter("anna")
        head = await scene.room("tea", anna)
        await anna.send("tea", "old")
        scene.engine.clock.ahead_ms += DAY_MS
        await anna.send("tea", "young")
        await trio.sleep(70)
        page = await anna.ask("history", room="tea")

        assert [one["body"]["text"] for one in page["messages"]] == ["young"]
        assert scene.loaded("tea").floor == head + 1


async def test_cids_are_remembered_as_long_as_promised():
    async with open_scene(dedupe_days=1) as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna)
        await anna.send("tea", cid="c1")
        await trio.sleep(70)
        assert (await anna.send("tea", cid="c1"))["duplicate"] is True
        scene.engine.clock.ahead_ms += DAY_MS
        await trio.sleep(3700)

        assert (await anna.send("tea", cid="c1"))["duplicate"] is False


async def test_old_cids_are_looked_for_once_an_hour_entries_each_minute():
    """To find cids all that is recent is folded first; a failed look is repeated soon."""
    async with open_scene(dedupe_days=1, retention_days=1) as scene:
        await trio.sleep(3590)
        assert scene.store.count("prune_cids") == 1
        assert scene.store.count("prune") > 50
        scene.store.script("prune_cids", error=StoreUnavailable("no"))
        await trio.sleep(130)
        assert scene.store.count("prune_cids") == 3


async def test_a_round_goes_on_until_all_is_done_and_lets_others_in():
    async with open_scene(retention_entries=1, dedupe_days=1) as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna, subscribe=False)
        await scene.messages_elsewhere("tea", 2500)
        times = []

        async def note():
            times.append(trio.current_time())

        for _ in range(4):
            scene.store.script("prune", hook=note)
        await trio.sleep(61)

        assert (await scene.store.real.room("tea")).floor == 2500
        assert len(times) == 4
        assert all(b > a for a, b in itertools.pairwise(times))


async def test_a_round_that_fails_is_tried_again():
    async with open_scene(retention_entries=1) as scene:
        anna = await scene.enter("anna")
        await scene.room("tea", anna)
        await scene.messages_elsewhere("tea", 5)
        scene.store.script("prune", error=StoreUnavailable("no"))
        await trio.sleep(130)
        await settled()

        assert (await scene.store.real.room("tea")).floor == 5


async def test_documents_that_have_expired_are_removed_a_thousand_at_a_time():
    """Whatever the limits are; those that have not, stay. One failure puts it off."""
    async with open_scene() as scene:
        soon = scene.engine.clock.now_ms() + 1000
        for part in range(3):
            for expires_at in (soon, 0):
                keys = [f"{expires_at}/{part}/{number}" for number in range(750)]
                changes = [Change(key, b"", expires_at=expires_at) for key in keys]
                assert await scene.store.real.documents.write(changes)
        held = scene.store.real.held.documents
        scene.store.script("documents.prune", error=StoreUnavailable("no"))
        await trio.sleep(601)
        assert (len(held.keys), scene.store.count("documents.prune")) == (4500, 1)
        await trio.sleep(600)
        await settled()

        assert (len(held.keys), scene.store.count("documents.prune")) == (2250, 4)
