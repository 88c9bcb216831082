"""Fills a store through its own port: a log to read in, or rooms to write in.

    python -m bench.filling FILE log ROOMS MESSAGES
    python -m bench.filling FILE rooms ROOMS WRITERS

In large batches a message takes 19 µs. Each line it prints is the number of messages, or of
rooms, that are stored by then.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final

import trio

from triolet._model.entries import Fact, Member, Message
from triolet._model.limits import Limits
from triolet._wire.codec import pack_fact
from triolet.adapters.sqlite import open_sqlite_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.ports.store import Appended, Draft, RoomSpec, Store

from ..peers import triolet_rooms
from ..peers.triolet_log import AUTHOR, Log, cid_of, room_name, text_at

# Drafts of one commit: more are no faster.
_BATCH: Final = 5_000


def _draft(room: int, cid: str, fact: Fact, create: RoomSpec | None = None) -> Draft:
    return Draft(
        room=room_name(room),
        sender=AUTHOR,
        cid=cid,
        op="send" if create is None else "create",
        facts=((fact, pack_fact(fact)),),
        create=create,
    )


def _makings(log: Log) -> Iterator[Draft]:
    spec = RoomSpec(kind="group", public=True)
    return (_draft(room, "make", Member(AUTHOR, "owner"), spec) for room in range(log.rooms))


def _messages(log: Log) -> Iterator[Draft]:
    """All rooms in turn, as if they were equally busy."""
    for number in range(1, log.messages + 1):
        for room in range(log.rooms):
            body = {"text": text_at(room, number)}
            yield _draft(room, cid_of(number), Message(body=body))


async def _append(store: Store, drafts: Iterator[Draft]) -> int:
    batch = list(islice(drafts, _BATCH))
    outcomes = await store.append(batch) if batch else []
    assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes[:1]
    return len(batch)


def _rooms(count: int, writers: int) -> Iterator[Draft]:
    """The rooms that writers would make, as `create` makes them."""
    for one in triolet_rooms.Rooms(count, writers, "", 0).writers:
        members = [Member(triolet_rooms.user_of(guest), "member") for guest in one.guests]
        facts = [Member(one.user, "owner"), *members]
        for room in one.follows:
            name = triolet_rooms.room_name(room)
            yield Draft(
                room=name,
                sender=one.user,
                cid=name,
                op="create",
                facts=tuple((fact, pack_fact(fact)) for fact in facts),
                create=RoomSpec(kind="group"),
            )


async def _fill(file: str, kind: str, first: int, second: int) -> None:
    opened = open_sqlite_store(file, clock=SystemClock(), entropy=SystemEntropy(), limits=Limits())
    async with opened as store:
        if kind == "log":
            log = Log(first, second)
            await _append(store, _makings(log))
            drafts = _messages(log)
        else:
            drafts = _rooms(first, second)
        stored = 0
        while count := await _append(store, drafts):
            stored += count
            print(stored, flush=True)


if __name__ == "__main__":
    trio.run(_fill, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
