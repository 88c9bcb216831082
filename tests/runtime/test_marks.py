"""Laws of marks: in memory at once, in the store within a second, forward only, none forgotten."""

from functools import partial

import trio
from scene import open_scene, settled

from triolet._model.errors import StoreUnavailable
from triolet.ports.store import Mark


async def tea(scene, messages=5):
    anna, ben = await scene.enter("anna"), await scene.enter("ben")
    head = await scene.room("tea", anna, ben)
    for _ in range(messages):
        await anna.send("tea")
    await trio.sleep(2)
    return anna, ben, head


async def stored(scene, user="ben"):
    membership = await scene.store.real.membership("tea", user)
    return membership.delivered, membership.read, membership.read_n


async def test_marks_are_written_within_the_interval(scene):
    _, ben, head = await tea(scene)
    await ben.ask("receipt", room="tea", delivered=head + 4, read=head + 3)
    await trio.sleep(scene.limits.marks_interval_s + 0.1)

    assert await stored(scene) == (head + 4, head + 3, 3)


async def test_many_movements_are_one_write(scene):
    _, ben, head = await tea(scene)
    before = scene.store.count("put_marks")
    for seq in range(1, 6):
        await ben.ask("receipt", room="tea", read=head + seq)
    await trio.sleep(3)

    assert scene.store.count("put_marks") - before <= 2
    assert await stored(scene) == (head + 5, head + 5, 5)


async def test_sending_moves_ones_own_marks(scene):
    _anna, _, head = await tea(scene)

    assert await stored(scene, "anna") == (head + 5, head + 5, 5)


async def test_marks_that_cannot_be_written_are_kept_and_known(scene):
    _, ben, head = await tea(scene)
    scene.store.always("put_marks", StoreUnavailable("no"))
    await ben.ask("receipt", room="tea", read=head + 5)
    await trio.sleep(5)
    assert (await stored(scene))[1] == head
    assert (await ben.ask("rooms"))["rooms"][0]["read"] == head + 5
    scene.store.always("put_marks", None)
    await trio.sleep(2)

    assert (await stored(scene))[1] == head + 5


async def test_marks_that_move_while_they_are_written_are_written_again(scene):
    _, ben, head = await tea(scene)
    step = scene.store.script("put_marks", before=True)
    await ben.ask("receipt", room="tea", read=head + 2)
    await step.entered.wait()
    await ben.ask("receipt", room="tea", read=head + 5)
    step.release()
    await trio.sleep(3)

    assert await stored(scene) == (head + 5, head + 5, 5)


async def test_marks_that_sending_moves_while_they_are_written_are_written_again(scene):
    """What is due already is not marked twice; what is being written is due no more."""
    anna, _, head = await tea(scene)
    step = scene.store.script("put_marks", before=True)
    await anna.send("tea")
    await step.entered.wait()
    await anna.send("tea")
    step.release()
    await trio.sleep(3)

    assert await stored(scene, "anna") == (head + 7, head + 7, 7)


async def test_who_asks_for_receipts_sees_marks_that_are_just_being_written(scene):
    anna, ben, head = await tea(scene)
    step = scene.store.script("put_marks", before=True)
    await ben.ask("receipt", room="tea", read=head + 5)
    await step.entered.wait()
    ref = await anna.say("receipts", room="tea", seq=head + 5)
    await settled()
    step.release()

    marks = (await anna.answer(ref))["marks"]
    assert ["ben", head + 5, head + 5] in marks


async def test_a_reader_of_receipts_that_is_cancelled_forgets_no_mark(scene):
    """It flushes for itself; what it had taken in hand is written all the same."""
    anna, ben, head = await tea(scene)
    await ben.ask("receipt", room="tea", read=head + 1)
    await settled()
    # That was written at once; the next round is a second away when Anna asks.
    await ben.ask("receipt", room="tea", read=head + 5)
    step = scene.store.script("put_marks", before=True)
    await anna.say("receipts", room="tea", seq=head)
    await step.entered.wait()
    await anna.cut()
    await trio.sleep(2)

    assert (await stored(scene))[1] == head + 5


async def test_the_end_of_the_engine_writes_the_last_marks():
    """Also those that another round is just writing."""
    async with open_scene(inspect=False) as scene:
        _anna, ben, head = await tea(scene)
        await ben.ask("receipt", room="tea", read=head + 2)
        await settled()
        await ben.ask("receipt", room="tea", read=head + 5)
        store = scene.store.real

    membership = await store.membership("tea", "ben")
    assert membership.read == head + 5


async def test_the_end_of_the_engine_waits_for_marks_on_their_way():
    async with open_scene(inspect=False) as scene:
        _anna, ben, head = await tea(scene)
        scene.store.script("put_marks", hook=partial(trio.sleep, 3))
        await ben.ask("receipt", room="tea", read=head + 5)
        await settled()
        store = scene.store.real

    assert (await store.membership("tea", "ben")).read == head + 5


async def test_a_member_that_has_left_has_no_marks(scene):
    _anna, ben, head = await tea(scene)
    await ben.ask("receipt", room="tea", read=head + 5)
    await ben.ask("leave", room="tea")
    await trio.sleep(3)

    assert await scene.store.real.membership("tea", "ben") is None
    assert scene.engine.marks._seats == {}


async def test_what_was_written_is_remembered_until_the_reads_under_way_have_ended(scene):
    """Each for those that began before it was written, and no longer."""
    anna, _, head = await tea(scene)
    marks = scene.engine.marks
    first, second = marks.reading(), marks.reading()
    with first:
        await anna.send("tea")
        await trio.sleep(2)
        assert marks.pending("tea", "anna").read == head + 6
        second.__enter__()
    assert marks.pending("tea", "anna") is None
    await anna.send("tea")
    await trio.sleep(2)
    assert marks.pending("tea", "anna").read == head + 7
    second.__exit__(None, None, None)
    assert marks.pending("tea", "anna") is None


class Notifier:
    def __init__(self):
        self.read_by = []

    def read(self, marks):
        self.read_by += [(mark.room, mark.user, mark.read) for mark in marks]


async def test_a_notifier_hears_of_what_the_store_has(scene):
    _, ben, head = await tea(scene)
    notifier = scene.engine.marks.notifier = Notifier()
    for seq in range(1, 5):
        await ben.ask("receipt", room="tea", read=head + seq)
        if seq == 1:
            await trio.sleep(0.1)
    assert ("tea", "ben", head + 4) not in notifier.read_by
    await trio.sleep(2)

    # Together with what moved within the interval: not once for each receipt.
    assert notifier.read_by == [("tea", "ben", head + 1), ("tea", "ben", head + 4)]


async def test_a_notifier_hears_of_what_another_node_wrote(scene):
    notifier = scene.engine.marks.notifier = Notifier()
    mark = Mark(room="tea", user="ben", delivered=3, read=3, read_n=3)
    scene.engine.marks.written_elsewhere(mark)

    assert notifier.read_by == [("tea", "ben", 3)]
