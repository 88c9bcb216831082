"""`triolet serve`, unchanged, that answers each line on its standard input with its counts."""

import gc
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from triolet_api import serve
from triolet_api.__main__ import main

LINE_BYTES_MAX = 64
_open_server = serve.open_server


def _resident_kib():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss"))


def _counts(engine):
    # Cycles are let go seldom by design; what is only waiting for that is no leak.
    gc.collect()
    hub, presence, rooms = engine.hub, engine.presence, engine.hub.rooms.values()
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "open_files": len(list(Path("/proc/self/fd").iterdir())),
        "connections": len(engine.heartbeat.connections),
        "watched_sockets": engine._poller.watched(),
        "sessions": engine.statistics().sessions,
        "rooms": len(rooms),
        "rooms_idle": len(list(hub.idle)),
        "rooms_loading": hub.loading,
        "pages_loading": len(hub.pages._pages),
        "pins": sum(room.pins for room in rooms),
        "visitors": sum(seat.role is None for room in rooms for seat in room.seats.values()),
        "cursors": engine.statistics().cursors,
        "seat_cursors": sum(len(s.cursors) for room in rooms for s in room.seats.values()),
        "live": sum(len(audience.live) for room in rooms for audience in room.audiences),
        "typists": sum(len(room.typists) for room in rooms) + len(engine.states._typing),
        "present": len(presence.present),
        "watchers": len(presence.watchers.by_user),
        "graces": len(presence._graces),
        "people_unwritten": len(presence._unwritten),
        "marks_unwritten": len(engine.marks._seats),
        "feed_news": len(engine.feeder._news),
        "outbox_bytes_most": max(map(_held_bytes, engine.heartbeat.connections), default=0),
        "drafts_pending_bytes": engine.sequencer.pending_bytes,
        "resident_kib": _resident_kib(),
    }


def _held_bytes(connection):
    """Return what an outbox really holds, whatever it says of its size."""
    outbox = connection.outbox
    return sum(map(len, [outbox._tail, *(outbox.urgent or ()), *(outbox.ordinary or ())]))


async def _answer(engine):
    while True:
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        if not os.read(sys.stdin.fileno(), LINE_BYTES_MAX):
            return
        sys.stdout.write(json.dumps(_counts(engine)) + "\n")
        sys.stdout.flush()


@asynccontextmanager
async def _open_counted(settings):
    async with _open_server(settings) as server, trio.open_nursery() as nursery:
        nursery.start_soon(_answer, server.engine)
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    serve.open_server = _open_counted
    main()
