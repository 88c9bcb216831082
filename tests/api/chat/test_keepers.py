"""The server is told what is so, once, however often it changes meanwhile."""

import pytest
import trio

from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import Watching
from triolet_api.chat.bell import Bell
from triolet_api.chat.keepers import WATCHED_MAX, Marker, Typist, Watcher


class FakeClient:
    """A client that remembers what it was asked, and answers when it may."""

    def __init__(self):
        self.asked = []
        self.may_answer = trio.Event()
        self.may_answer.set()
        self.refuses = False

    async def _answer(self, *question):
        self.asked.append(question)
        await self.may_answer.wait()
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise Refusal(ErrorCode.NO_SUCH_ROOM)

    async def receipt(self, room, *, delivered, read):
        await self._answer(room, delivered, read)

    async def typing(self, room, *, on):
        await self._answer(room, on)

    async def watch(self, users):
        await self._answer(*users)
        return Watching(users=tuple((user, "online", 0) for user in users))


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
async def keep(nursery):
    """Let a keeper run until it has nothing to do."""

    def start(keeper):
        nursery.start_soon(keeper.run)
        return trio.testing.wait_all_tasks_blocked

    return start


async def test_marks_are_moved_to_the_latest(client, keep):
    marker = Marker(client)
    settle = keep(marker)
    marker.turn_to("r")
    client.may_answer = trio.Event()
    marker.received(1)
    await settle()
    for seq in (2, 3):
        marker.received(seq)
        marker.shown(seq)
    client.may_answer.set()
    await settle()

    assert [("r", 1, None), ("r", 3, 3)] == client.asked


async def test_a_mark_that_is_told_is_not_told_again(client, keep):
    marker = Marker(client)
    settle = keep(marker)
    marker.turn_to("r")
    for _ in range(2):
        marker.shown(2)
        marker.received(1)
        await settle()

    assert [("r", 2, 2)] == client.asked


async def test_the_marks_of_another_room_begin_anew(client, keep):
    marker = Marker(client)
    settle = keep(marker)
    for room in ("a", "b"):
        marker.turn_to(room)
        marker.shown(1)
        await settle()
    marker.turn_to("")
    marker.shown(9)
    await settle()

    assert [("a", 1, 1), ("b", 1, 1)] == client.asked


async def test_a_refusal_ends_no_keeper(client, keep):
    client.refuses = True
    marker, typist = Marker(client), Typist(client)
    watcher = Watcher(client, lambda _: None)
    keep(marker), keep(typist)
    settle = keep(watcher)
    for number in (1, 2):
        marker.turn_to(f"r{number}")
        marker.shown(number)
        typist.typed(f"r{number}", "x")
        watcher.meet([f"user{number}"])
        await settle()

    assert {("r1", 1, 1), ("r2", 2, 2), ("r1", True), ("r2", True), ("user1",), ("user2",)} <= set(
        client.asked
    )


async def test_people_are_watched_once_and_not_without_end(client, keep):
    seen = []
    watcher = Watcher(client, seen.extend)
    settle = keep(watcher)
    watcher.meet(["ben", "carl"])
    watcher.meet(["ben"])
    await settle()
    watcher.meet(["carl"])
    await settle()
    watcher.meet(f"user{number}" for number in range(2 * WATCHED_MAX))
    await settle()

    assert ("ben", "carl") == client.asked[0]
    assert 2 == len(client.asked)
    assert WATCHED_MAX == len(seen)


async def test_typing_is_told_where_it_is_and_when_it_ends(client, keep):
    typist = Typist(client)
    settle = keep(typist)
    for room, text in (("a", "h"), ("a", "hi"), ("b", "x"), ("b", " "), ("b", "/who"), ("", "x")):
        typist.typed(room, text)
        await settle()

    assert [
        ("a", True),
        ("a", True),
        ("a", False),
        ("b", True),
        ("b", False),
    ] == client.asked


async def test_a_message_ends_typing_by_itself(client, keep):
    typist = Typist(client)
    settle = keep(typist)
    typist.typed("a", "hi")
    await settle()
    typist.sent()
    typist.typed("a", "")
    await settle()

    assert [("a", True)] == client.asked


async def test_a_bell_that_rang_is_heard_once():
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()

    with trio.move_on_after(0) as scope:
        await bell.wait()

    assert scope.cancelled_caught
