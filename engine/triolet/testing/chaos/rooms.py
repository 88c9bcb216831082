"""The rooms of a run: made before it, and read in the end by clients that were never there."""

import time
from contextlib import AbstractAsyncContextManager

from ..._model.commands import Place
from ..._model.entries import Entry
from ...client import Client, connect
from .. import history
from .person import BACKOFF, LIMITS
from .plan import Plan
from .system import System


async def found(system: System, made: Plan) -> dict[Place, tuple[str, ...]]:
    """Make the rooms of a plan; return from where each is followed, and its members."""
    rooms: dict[Place, tuple[str, ...]] = {}
    for name, members in made.groups.items():
        async with _client(system, members[0]) as client:
            await client.create("group", room=name, members=members[1:], cid=f"make-{name}")
            rooms[await _beginning(client, name)] = members
    for pair in made.pairs:
        async with _client(system, pair[0]) as client:
            opened = await client.direct(pair[1])
            rooms[await _beginning(client, opened.room)] = pair
    return rooms


async def read(system: System, room: str, user: str, least: int) -> history.Stored:
    """Return a room's whole log; waits until it reaches `least`."""
    entries: list[history.Logged] = []
    async with _client(system, user) as client:
        asked = await client.subscribe(room)
        await client.unsubscribe(room)
        upto = max(asked.head, least)
        with client.room(room).events(since=(asked.epoch, asked.floor)) as events:
            while asked.floor + len(entries) < upto:
                event = await anext(events)
                if isinstance(event, Entry):
                    entries.append(history.logged(event))
    return history.Stored(
        t=time.monotonic(),
        room=room,
        epoch=asked.epoch,
        head=upto,
        entries=tuple(entries),
        floor=asked.floor,
    )


def _client(system: System, user: str) -> AbstractAsyncContextManager[Client]:
    url = system.urls[0]
    return connect(url, token=system.token(user), backoff=BACKOFF, limits=LIMITS)


async def _beginning(client: Client, room: str) -> Place:
    answer = await client.subscribe(room)
    await client.unsubscribe(room)
    return room, answer.epoch, answer.floor
