"""Laws of the feed: every session of a member hears that a room moved, seldom, and right."""

import itertools

import pytest
import trio
from scene import open_scene, settled

from triolet._model.errors import Close


async def tea(scene, *others, **fields):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben, *others, subscribe=False, **fields)
    await trio.sleep(2)
    for one in (anna, ben, *others):
        one.forget()
    return anna, ben, head


def rows(who, room="tea"):
    """Return every row of a room, as (head, unread, read), in the order told."""
    return [tuple(row[2:]) for event in who.all("feed") for row in event["rooms"] if row[0] == room]


async def test_members_hear_of_movement_without_a_subscription(scene):
    anna, ben, head = await tea(scene)
    tablet = await scene.enter("ben", device="tablet")
    await anna.send("tea")
    await trio.sleep(2)

    assert rows(ben) == rows(tablet) == [(head + 1, 1, head)]
    # Sending reads up to one's own message.
    assert rows(anna) == [(head + 1, 0, head + 1)]
    epoch = (await scene.store.real.room("tea")).epoch
    assert ben.all("feed")[0]["rooms"][0][:2] == ["tea", epoch]


async def test_who_is_no_member_hears_nothing(scene):
    vera = await scene.enter("vera")
    anna, _, _ = await tea(scene, public=True)
    await vera.ask("subscribe", room="tea")
    await anna.send("tea")
    await trio.sleep(2)

    assert vera.all("feed") == []


async def test_a_room_is_told_at_once_and_then_at_most_once_a_second(scene):
    anna, ben, head = await tea(scene)
    times = []
    for _ in range(50):
        before = len(ben.all("feed"))
        await anna.send("tea")
        await trio.sleep(0.1)
        if len(ben.all("feed")) > before:
            times.append(trio.current_time())
    await trio.sleep(2)

    assert len(ben.all("feed")) <= 7
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.85
    assert rows(ben)[-1] == (head + 50, 50, head)


async def test_several_rooms_share_an_event(scene):
    anna, ben, _ = await tea(scene)
    await scene.room("milk", anna, ben, subscribe=False)
    await trio.sleep(2)
    ben.forget()
    await anna.send("tea")
    await trio.sleep(0.1)
    await anna.send("milk")
    await anna.send("tea")
    await trio.sleep(2)

    assert [len(event["rooms"]) for event in ben.all("feed")] == [1, 2]


async def test_gains_and_losses_are_told(scene):
    anna, _ben, _ = await tea(scene)
    cleo = await scene.enter("cleo")
    await anna.ask("invite", room="tea", user="cleo")
    await trio.sleep(2)
    assert [event.get("added") for event in cleo.all("feed")] == [["tea"]]
    assert rows(cleo)
    await anna.ask("kick", room="tea", user="cleo")
    await trio.sleep(2)
    cleo_losses = [event.get("removed") for event in cleo.all("feed")]
    assert cleo_losses[-1] == ["tea"]
    cleo.forget()
    await anna.send("tea")
    await trio.sleep(2)

    assert cleo.all("feed") == []


async def test_created_and_direct_rooms_are_told_to_all_their_members(scene):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    await anna.ask("create", room="tea", kind="group", members=["ben"])
    await anna.ask("direct", user="ben")
    await trio.sleep(3)

    added = [room for event in ben.all("feed") for room in event.get("added", [])]
    assert added == ["tea", "dm:anna:ben"]


async def test_members_hear_of_a_new_room_though_its_maker_is_gone(scene):
    """The session ended while the commit was under way; the room is there, and so is the news."""
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    step = scene.store.script("append", before=True)
    await anna.say("create", room="tea", kind="group", members=["ben"])
    await settled()
    await anna.cut()
    step.release()
    await trio.sleep(2)

    assert [event.get("added") for event in ben.all("feed")] == [["tea"]]


async def test_joining_and_leaving_without_an_entry_is_told_too(scene):
    cleo = await scene.enter("cleo")
    _anna, _, _ = await tea(scene, public=True)
    tablet = await scene.enter("cleo", device="tablet")
    await cleo.ask("join", room="tea")
    await trio.sleep(2)
    await cleo.ask("leave", room="tea")
    await trio.sleep(2)

    for one in (cleo, tablet):
        assert [e["added"] for e in one.all("feed") if "added" in e] == [["tea"]]
        assert [e["removed"] for e in one.all("feed") if "removed" in e] == [["tea"]]


async def test_gained_and_lost_in_one_breath_is_told_as_it_ended(scene):
    anna, _, _ = await tea(scene)
    cleo = await scene.enter("cleo")
    await anna.ask("meta", room="tea", title="busy")
    await settled()
    await anna.ask("invite", room="tea", user="cleo")
    await anna.ask("kick", room="tea", user="cleo")
    await trio.sleep(3)
    gained = [room for event in cleo.all("feed") for room in event.get("added", [])]
    lost = [room for event in cleo.all("feed") for room in event.get("removed", [])]

    assert (gained, lost) == ([], ["tea"])


async def test_reading_is_told_to_ones_own_sessions_alone(scene):
    """The other devices lower their count; the other members are not concerned."""
    anna, phone, head = await tea(scene)
    laptop = await scene.enter("ben", device="laptop")
    await anna.send("tea")
    await trio.sleep(2)
    for one in (anna, phone, laptop):
        one.forget()
    await phone.ask("receipt", room="tea", read=head + 1)
    await trio.sleep(2)

    assert rows(laptop) == rows(phone) == [(head + 1, 0, head + 1)]
    assert rows(anna) == []


async def test_large_rooms_are_left_to_sync():
    async with open_scene(feed_members_max=2) as scene:
        cleo = await scene.enter("cleo")
        anna, ben, _ = await tea(scene, cleo)
        await anna.send("tea")
        await trio.sleep(2)

        assert rows(ben) == rows(cleo) == []


async def test_a_room_that_grows_too_large_is_left_to_sync():
    async with open_scene(feed_members_max=2) as scene:
        anna, ben, _ = await tea(scene)
        await anna.send("tea")
        await anna.ask("invite", room="tea", user="cleo")
        await trio.sleep(2)
        assert scene.loaded("tea").complete is False
        ben.forget()
        await anna.send("tea")
        await trio.sleep(2)

        assert rows(ben) == []


async def test_many_rooms_and_sessions_are_told_in_turns_and_all_of_them():
    """More of each than fit between two checkpoints; one goes in the middle of it."""
    async with open_scene(commands_burst=1000) as scene:
        anna = await scene.enter("anna")
        friends = [await scene.enter(f"user-{number:02}") for number in range(70)]
        for number in range(40):
            await scene.room(f"room-{number}", anna, *friends[number : number + 2], subscribe=False)
        await trio.sleep(2)
        anna.forget()
        for number in range(40):
            await anna.send(f"room-{number}")
        friends[1].session.close(Close(1012, "cut"))
        await trio.sleep(2)

        assert sorted(row[0] for event in anna.all("feed") for row in event["rooms"]) == sorted(
            f"room-{number}" for number in range(40)
        )
        for number in (0, *range(2, 41)):
            assert friends[number].all("feed"), number


# --- slow sessions -----------------------------------------------------------------------------


def narrow(**changes):
    return open_scene(outbox_bytes_high=8000, outbox_bytes_low=500, **changes)


async def clog(who):
    """Have a session take nothing until its outbox is above the low mark."""
    who.stop_reading()
    for _ in range(100):
        await who.say("ping")
        await settled()
    assert who.session.outbox.size > 500


async def test_a_slow_session_hears_the_latest_later():
    async with narrow() as scene:
        anna, ben, head = await tea(scene)
        await clog(ben)
        for _ in range(5):
            await anna.send("tea")
            await trio.sleep(1.5)
        ben.reading.set()
        await trio.sleep(3)

        assert rows(ben) == [(head + 5, 5, head)]


async def test_a_slow_session_costs_the_others_no_event():
    async with narrow() as scene:
        anna, ben, _ = await tea(scene)
        await clog(ben)
        await anna.send("tea")
        await trio.sleep(3)
        anna.forget()
        await trio.sleep(20)

        assert anna.all("feed") == []
        ben.reading.set()
        await trio.sleep(3)
        assert len(rows(ben)) == 1


async def test_news_of_a_slow_session_are_bounded():
    """Rooms moved, gained and lost alike; `sync` heals what was left out."""
    async with narrow(feed_rooms_max=3, commands_burst=1000) as scene:
        anna, ben, head = await tea(scene)
        await clog(ben)
        await anna.send("tea")
        await trio.sleep(1.5)
        for number in range(10):
            await anna.ask("create", room=f"r-{number}", kind="group", members=["ben"])
            await anna.ask("kick", room=f"r-{number}", user="ben")
            await anna.ask("create", room=f"s-{number}", kind="group", members=["ben"])
        await trio.sleep(1.5)
        await anna.send("tea")
        await trio.sleep(1.5)
        news = scene.engine.feeder._news[ben.session]
        assert (len(news.rooms), len(news.added), len(news.removed)) == (3, 3, 3)
        ben.reading.set()
        await trio.sleep(3)

        # What is told of the rooms within the bound is the latest all the same.
        assert rows(ben) == [(head + 2, 2, head)]


async def test_a_dropped_and_reloaded_room_is_not_told_from_memory():
    """A slow session that is told later is told what is, not what was."""
    async with narrow(idle_rooms_max=1, commands_burst=1000) as scene:
        anna, ben, head = await tea(scene)
        await clog(ben)
        await anna.send("tea")
        await trio.sleep(1.5)
        await scene.room("other", anna, subscribe=False)
        assert "tea" not in scene.hub.rooms
        await anna.send("tea")
        await trio.sleep(3)
        anna.forget()
        ben.reading.set()
        await trio.sleep(3)

        assert rows(ben)[-1] == (head + 2, 2, head)
        assert rows(anna) == []


async def test_what_a_session_was_not_told_goes_with_it():
    async with narrow() as scene:
        anna, ben, _ = await tea(scene)
        await clog(ben)
        await anna.send("tea")
        await trio.sleep(2)
        assert ben.session in scene.engine.feeder._news
        await ben.leave()

        assert scene.engine.feeder._news == {}


# --- the snapshot law --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_inbox_and_feed_equal_a_fresh_inbox(scene, seed):
    """Snapshot law: who took the inbox once and heard the feed knows what a fresh one says."""
    anna, ben, _ = await tea(scene)
    await scene.room("milk", ben, anna, subscribe=False)
    inbox = {row["room"]: summary(row) for row in (await ben.ask("rooms"))["rooms"]}
    await trio.sleep(1)
    ben.forget()
    for turn in range(12):
        match (turn * 7 + seed * 5) % 6:
            case 0:
                await anna.send("tea")
            case 1:
                await anna.send("milk")
            case 2:
                await ben.send("tea")
            case 3:
                await ben.ask("receipt", room="milk", read=2**40)
            case 4:
                await anna.ask("direct", user="ben")
                await anna.send("dm:anna:ben")
            case 5:
                if "milk" in inbox:
                    await anna.ask("leave", room="milk")
                    await ben.ask("invite", room="milk", user="anna")
        await trio.sleep(0.4 * (turn % 4))
    await trio.sleep(2)
    for event in ben.all("feed"):
        for room, epoch, head, unread, read in event["rooms"]:
            inbox[room] = (epoch, head, unread, read)
        for room in event.get("removed", []):
            del inbox[room]
    fresh = {row["room"]: summary(row) for row in (await ben.ask("rooms"))["rooms"]}

    assert inbox == fresh


def summary(row):
    return (row["epoch"], row["head"], row["unread"], row["read"])
