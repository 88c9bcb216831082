"""The rooms of a run: made before it, and read in the end by clients that were never there."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from math import inf

import trio

from ..._model.commands import Place
from ..._model.entries import Entry
from ...client import Client
from .. import history
from .plan import Plan
from .recording import open_recorded
from .system import System

_Write = Callable[[history.Event], None]


async def found(system: System, made: Plan, write: _Write) -> dict[Place, tuple[str, ...]]:
    """Make the rooms of a plan; return from where each is followed, and its members."""
    rooms: dict[Place, tuple[str, ...]] = {}
    for name, members in made.groups.items():
        async with _client(system, f"founder-{name}", members[0], write) as client:
            await client.create("group", room=name, members=members[1:], cid=f"make-{name}")
            rooms[await _beginning(client, name)] = members
    for number, pair in enumerate(made.pairs):
        async with _client(system, f"founder-{number}", pair[0], write) as client:
            opened = await client.direct(pair[1])
            rooms[await _beginning(client, opened.room)] = pair
    return rooms


async def read(
    system: System, room: str, user: str, write: _Write, *, least: int, until: float
) -> int:
    """Write down a room's whole log, and return its head.

    Args:
        system: where it is.
        room: its name.
        user: one of its members.
        write: takes what is seen.
        least: a seq that was acknowledged; a node may hear of it a little later.
        until: how long to wait for that, on Trio's clock.
    """
    entries: list[history.Logged] = []
    async with _client(system, f"reader-{room}"[:64], user, write) as client:
        asked = await client.subscribe(room)
        await client.unsubscribe(room)
        with client.room(room).events(since=(asked.epoch, asked.floor)) as events:
            while (head := asked.floor + len(entries)) < max(asked.head, least):
                with trio.move_on_at(inf if head < asked.head else until) as waiting:
                    event = await anext(events)
                if waiting.cancelled_caught:
                    break
                if isinstance(event, Entry):
                    entries.append(history.logged(event))
    write(
        history.Stored(
            time.monotonic(),
            room=room,
            epoch=asked.epoch,
            head=head,
            entries=tuple(entries),
            floor=asked.floor,
        )
    )
    return head


def _client(
    system: System, name: str, user: str, write: _Write
) -> AbstractAsyncContextManager[Client]:
    return open_recorded(system.urls, system.token(user), name=name, user=user, write=write)


async def _beginning(client: Client, room: str) -> Place:
    answer = await client.subscribe(room)
    return room, answer.epoch, answer.floor
