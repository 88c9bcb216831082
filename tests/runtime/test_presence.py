"""Laws of presence: a reload does not flicker, wishes are kept and never leak, no ghost remains."""

import pytest
import trio
from scene import NOW_MS, open_scene, settled

from triolet._model.errors import StoreUnavailable
from triolet.ports.people import Person

GRACE_S = 10


async def friends(scene, *users):
    """Return people who share a room, and so may watch each other."""
    cast = [await scene.enter(user) for user in users]
    await scene.room("tea", *cast, subscribe=False)
    await trio.sleep(2)
    for one in cast:
        one.forget()
    return cast


async def watch(who, *users):
    return (await who.ask("watch", users=list(users)))["users"]


def told(who):
    """Return every row of presence a participant was told, in order."""
    return [tuple(row) for event in who.all("presence") for row in event["users"]]


# --- coming and going --------------------------------------------------------------------------


async def test_who_comes_is_told_to_those_who_watch(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await ben.leave()
    await trio.sleep(GRACE_S + 1)
    assert (await watch(anna, "ben"))[0][1] == "offline"

    await scene.enter("ben")
    await trio.sleep(1)

    assert told(anna) == [("ben", "online", 0)]


async def test_who_leaves_is_offline_after_the_grace_with_the_time_they_left(scene):
    anna, ben = await friends(scene, "anna", "ben")
    assert await watch(anna, "ben") == [["ben", "online", 0]]
    left_ms = NOW_MS + round(trio.current_time() * 1000)
    await ben.leave()
    await trio.sleep(GRACE_S - 0.5)
    assert told(anna) == []
    await trio.sleep(1.5)

    assert told(anna) == [("ben", "offline", left_ms)]
    assert await watch(anna, "ben") == [["ben", "offline", left_ms]]


async def test_who_is_back_within_the_grace_was_never_away(scene):
    """A page reload tells nobody anything."""
    anna, ben = await friends(scene, "anna", "ben")
    await watch(anna, "ben")
    for _ in range(3):
        await ben.leave()
        await trio.sleep(GRACE_S - 1)
        assert await watch(anna, "ben") == [["ben", "online", 0]]
        ben = await scene.enter("ben")
    await trio.sleep(2 * GRACE_S)

    assert told(anna) == []


async def test_the_grace_begins_with_the_last_session(scene):
    anna, phone = await friends(scene, "anna", "ben")
    laptop = await scene.enter("ben", device="laptop")
    await watch(anna, "ben")
    await phone.leave()
    await trio.sleep(3 * GRACE_S)
    assert told(anna) == []

    await laptop.leave()
    await trio.sleep(GRACE_S + 1)

    assert [row[:2] for row in told(anna)] == [("ben", "offline")]


async def test_graces_end_in_the_order_they_began(scene):
    anna, *others = await friends(scene, "anna", "ben", "cleo", "dan")
    await watch(anna, "ben", "cleo", "dan")
    for other in others:
        await other.leave()
        await trio.sleep(2)
    await trio.sleep(GRACE_S + 1)

    assert [row[0] for row in told(anna)] == ["ben", "cleo", "dan"]


async def test_last_seen_outlives_the_engine_and_never_goes_back(scene):
    await friends(scene, "anna", "ben")
    left_ms = NOW_MS + round(trio.current_time() * 1000)
    await scene.cast[1].leave()
    await trio.sleep(2)
    assert await scene.store.real.people(["ben"]) == [Person("ben", "", left_ms)]

    await scene.store.real.put_people([Person("ben", "", left_ms + 99_000)])
    again = await scene.enter("ben")
    await trio.sleep(1)
    await again.leave()
    await trio.sleep(2)

    (person,) = await scene.store.real.people(["ben"])
    assert person.last_seen == left_ms + 99_000


async def test_even_the_shortest_session_was_seen(scene):
    """It ended before anything was known of its user; the time it ended is kept all the same."""
    step = scene.store.script("people", before=True)
    ben = await scene.enter("ben")
    await trio.sleep(0.1)
    left_ms = NOW_MS + round(trio.current_time() * 1000)
    await ben.leave()
    step.release()
    await trio.sleep(2)

    assert await scene.store.real.people(["ben"]) == [Person("ben", "", left_ms)]


# --- statuses ----------------------------------------------------------------------------------


async def test_of_several_sessions_the_best_is_shown(scene):
    anna, phone = await friends(scene, "anna", "ben")
    laptop = await scene.enter("ben", device="laptop")
    await watch(anna, "ben")
    await phone.ask("presence", status="away")
    await trio.sleep(1)
    assert told(anna) == []
    await laptop.ask("presence", status="away")
    await trio.sleep(1)
    await phone.ask("presence", status="online")
    await trio.sleep(1)
    await phone.leave()
    await trio.sleep(1)

    assert [row[1] for row in told(anna)] == ["away", "online", "away"]


async def test_changes_are_coalesced_and_the_latest_wins(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await watch(anna, "ben")
    for status in ("away", "online", "dnd", "online", "away"):
        await ben.ask("presence", status=status)
    await trio.sleep(1)

    assert len(told(anna)) <= 2
    assert told(anna)[-1] == ("ben", "away", 0)


@pytest.mark.parametrize(("wish", "seen"), [("dnd", "dnd"), ("invisible", "offline")])
async def test_a_wish_is_kept_beyond_sessions(scene, wish, seen):
    """Nobody sees its owner otherwise on the way: it is known before anybody is told."""
    anna, ben = await friends(scene, "anna", "ben")
    await ben.ask("presence", status=wish)
    await ben.leave()
    await trio.sleep(GRACE_S + 2)
    await watch(anna, "ben")

    await scene.enter("ben")
    await trio.sleep(2)

    assert [row[1] for row in told(anna)] == ([] if wish == "invisible" else ["dnd"])
    assert (await watch(anna, "ben"))[0][1] == seen
    assert (await scene.store.real.people(["ben"]))[0].status == wish


async def test_a_wish_is_not_undone_by_an_earlier_one_that_had_to_wait_for_the_store(scene):
    ben = await scene.enter("ben")
    scene.store.always("put_people", StoreUnavailable("away"))
    await ben.ask("presence", status="online")
    await ben.leave()
    left_at = scene.engine.clock.now_ms()
    await trio.sleep(GRACE_S + 1)
    scene.store.always("put_people")
    await scene.engine.presence.wish("ben", "invisible")
    assert (await scene.store.real.people(["ben"]))[0].status == "invisible"
    await trio.sleep(3)

    (kept,) = await scene.store.real.people(["ben"])
    assert (kept.status, kept.last_seen) == ("invisible", left_at)


async def test_a_wish_ends_by_another_status(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await ben.ask("presence", status="invisible")
    await watch(anna, "ben")
    await ben.ask("presence", status="online")
    await trio.sleep(2)

    assert told(anna) == [("ben", "online", 0)]
    assert (await scene.store.real.people(["ben"]))[0].status == ""


async def test_a_newcomer_is_known_before_anybody_is_told(scene):
    """However long the store takes; who asks meanwhile waits for it instead of being told wrong."""
    anna, ben = await friends(scene, "anna", "ben")
    await ben.ask("presence", status="invisible")
    await ben.leave()
    await trio.sleep(GRACE_S + 2)
    await watch(anna, "ben")
    step = scene.store.script("people", before=True)
    await scene.enter("ben")
    await trio.sleep(3)
    ref = await anna.say("watch", users=["ben"])
    await trio.sleep(1)
    assert told(anna) == []
    step.release()

    assert (await anna.answer(ref))["users"][0][:2] == ["ben", "offline"]
    await trio.sleep(2)
    assert told(anna) == []


async def test_newcomers_the_store_cannot_tell_of_are_told_later(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await ben.leave()
    await trio.sleep(GRACE_S + 2)
    await watch(anna, "ben")
    for _ in range(3):
        scene.store.script("people", error=StoreUnavailable("no"))

    await scene.enter("ben")
    await trio.sleep(6)

    assert told(anna) == [("ben", "online", 0)]


async def test_a_watch_that_is_cancelled_forgets_no_newcomer(scene):
    """The session that was reading them for itself ends; they are read again for all."""
    anna, ben, cleo = await friends(scene, "anna", "ben", "cleo")
    await ben.leave()
    await trio.sleep(GRACE_S + 2)
    await watch(anna, "ben")
    await trio.sleep(1)
    step = scene.store.script("people", before=True)
    await scene.enter("ben")
    await settled()
    await cleo.say("watch", users=["ben"])
    await settled()
    await cleo.cut()
    step.release()
    await trio.sleep(2)

    assert told(anna) == [("ben", "online", 0)]


# --- invisible ---------------------------------------------------------------------------------


async def test_who_is_invisible_is_offline_to_all_who_look(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await watch(anna, "ben")
    await ben.ask("presence", status="invisible")
    await trio.sleep(1)
    assert told(anna) == [("ben", "offline", told(anna)[0][2])]
    anna.forget()

    # Whatever he does afterwards.
    await ben.send("tea")
    tablet = await scene.enter("ben", device="tablet")
    await tablet.ask("presence", status="invisible")
    await tablet.leave()
    await ben.leave()
    await trio.sleep(GRACE_S + 2)
    await scene.enter("ben")
    await trio.sleep(2)

    assert told(anna) == []
    assert (await watch(anna, "ben"))[0][1] == "offline"


async def test_the_time_an_invisible_user_leaves_is_told_to_nobody(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await ben.ask("presence", status="invisible")
    await trio.sleep(60)
    here = await watch(anna, "ben")
    await ben.leave()
    await trio.sleep(GRACE_S + 2)

    assert await watch(anna, "ben") == here


# --- watching ----------------------------------------------------------------------------------


async def test_what_the_answer_says_is_not_said_again(scene):
    """Ben has just come: to answer is to learn of it, and he who asked has been told."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await scene.room("tea", anna, ben, subscribe=False)
    assert await watch(anna, "ben") == [["ben", "online", 0]]
    await trio.sleep(2)

    assert told(anna) == []


async def test_watchers_are_told_no_more_once_they_have_looked_away(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await watch(anna, "ben", "ben")
    await ben.ask("presence", status="away")
    await anna.ask("unwatch", users=["ben", "ben", "nobody"])
    await trio.sleep(2)
    anna.forget()
    await ben.ask("presence", status="online")
    await trio.sleep(2)

    assert told(anna) == []
    assert scene.engine.presence.watchers.by_user == {}


async def test_one_may_watch_oneself_and_each_session_watches_alone(scene):
    anna, ben = await friends(scene, "anna", "ben")
    laptop = await scene.enter("anna", device="laptop")
    assert await watch(anna, "anna") == [["anna", "online", 0]]
    await anna.ask("presence", status="dnd")
    await trio.sleep(1)

    assert told(anna) == [("anna", "dnd", 0)]
    assert told(laptop) == told(ben) == []


async def test_a_watcher_too_slow_is_told_the_latest_later():
    async with open_scene(outbox_bytes_high=8000, outbox_bytes_low=500) as scene:
        anna, ben = await friends(scene, "anna", "ben")
        await watch(anna, "ben")
        anna.stop_reading()
        for _ in range(100):
            await anna.say("ping")
            await settled()
        assert anna.session.outbox.size > 500
        for status in ("away", "online", "dnd"):
            await ben.ask("presence", status=status)
            await trio.sleep(1)
        anna.reading.set()
        await trio.sleep(2)

        assert told(anna) == [("ben", "dnd", 0)]


async def test_a_watcher_that_ends_is_forgotten(scene):
    anna, ben = await friends(scene, "anna", "ben")
    await watch(anna, "ben", "anna")
    await ben.ask("presence", status="away")
    await anna.leave()

    assert "ben" not in scene.engine.presence.watchers.by_user
    await trio.sleep(2)


async def test_snapshot_and_events_equal_a_fresh_snapshot(scene):
    """Snapshot law: who watched all along sees what a new watcher is told."""
    anna, ben, cleo = await friends(scene, "anna", "ben", "cleo")
    seen = {row[0]: row for row in await watch(anna, "ben", "cleo")}
    await ben.ask("presence", status="dnd")
    await cleo.ask("presence", status="invisible")
    await trio.sleep(1)
    await ben.leave()
    await trio.sleep(GRACE_S + 1)
    again = await scene.enter("ben")
    await again.ask("presence", status="away")
    await cleo.ask("presence", status="away")
    await cleo.leave()
    await trio.sleep(GRACE_S + 2)
    for row in told(anna):
        seen[row[0]] = list(row)
    fresh = {row[0]: row for row in await watch(anna, "ben", "cleo")}

    assert seen == fresh


# --- writing -----------------------------------------------------------------------------------


async def test_what_cannot_be_written_of_people_is_written_later(scene):
    await friends(scene, "anna", "ben")
    scene.store.script("put_people", error=StoreUnavailable("no"))
    await scene.cast[1].ask("presence", status="dnd")
    await trio.sleep(5)

    assert (await scene.store.real.people(["ben"]))[0].status == "dnd"


async def test_what_changes_while_it_is_written_is_written_again(scene):
    await friends(scene, "anna", "ben")
    ben = scene.cast[1]
    step = scene.store.script("put_people", before=True)
    await ben.ask("presence", status="dnd")
    await step.entered.wait()
    await ben.ask("presence", status="invisible")
    step.release()
    await trio.sleep(3)

    assert (await scene.store.real.people(["ben"]))[0].status == "invisible"


async def test_the_end_of_the_engine_writes_when_everybody_left():
    async with open_scene(inspect=False) as scene:
        await scene.enter("anna")
        store = scene.store.real
        await trio.sleep(3)
        left_ms = NOW_MS + round(trio.current_time() * 1000)

    assert await store.people(["anna"]) == [Person("anna", "", left_ms)]
