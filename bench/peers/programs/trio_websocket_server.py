"""The plain protocol on trio-websocket, as most would write it: members are sent to in turn."""

import contextlib
import os
import resource
from collections import defaultdict

import jwt
import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

SECRET = os.environ["BENCH_SECRET"]


class Room:
    def __init__(self) -> None:
        self.seq = 0
        self.members: set[WebSocketConnection] = set()


rooms: defaultdict[str, Room] = defaultdict(Room)


async def deliver(member: WebSocketConnection, data: str) -> None:
    # Its own task sees the end of a connection too, and takes it out of the room.
    with contextlib.suppress(ConnectionClosed):
        await member.send_message(data)


async def converse(ws: WebSocketConnection, joined: set[str]) -> None:
    hello = orjson.loads(await ws.get_message())
    user = jwt.decode(hello["token"], SECRET, algorithms=["HS256"])["sub"]
    await ws.send_message(orjson.dumps({"op": "welcome", "user": user}).decode())
    while True:
        asked = orjson.loads(await ws.get_message())
        name = asked["room"]
        room = rooms[name]
        if asked["op"] == "send":
            room.seq += 1
            seq = room.seq
            entry = {
                "op": "message",
                "room": name,
                "seq": seq,
                "from": user,
                "text": asked["text"],
            }
            data = orjson.dumps(entry).decode()
            for member in room.members - {ws}:
                await deliver(member, data)
            answer = {"op": "ok", "ref": asked["ref"], "seq": seq}
        else:
            room.members.add(ws)
            joined.add(name)
            answer = {"op": "joined", "room": name}
        await ws.send_message(orjson.dumps(answer).decode())


async def handle(request: WebSocketRequest) -> None:
    ws = await request.accept()
    joined: set[str] = set()
    try:
        await converse(ws, joined)
    except ConnectionClosed:
        pass
    finally:
        for name in joined:
            rooms[name].members.discard(ws)


async def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with trio.open_nursery() as nursery:
        # Trio's own backlog is as long as the system allows.
        server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
        print(f"listening on 127.0.0.1:{server.port}", flush=True)


trio.run(main)
