"""The plain protocol on websockets, as its documentation shows a broadcast."""

import os
import resource
from collections import defaultdict

import jwt
import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

SECRET = os.environ["BENCH_SECRET"]
BACKLOG = 4096


class Room:
    def __init__(self) -> None:
        self.seq = 0
        self.members: set[ServerConnection] = set()


rooms: defaultdict[str, Room] = defaultdict(Room)


async def handle(websocket: ServerConnection) -> None:
    joined: set[str] = set()
    try:
        hello = orjson.loads(await websocket.recv())
        user = jwt.decode(hello["token"], SECRET, algorithms=["HS256"])["sub"]
        await websocket.send(orjson.dumps({"op": "welcome", "user": user}), text=True)
        async for message in websocket:
            asked = orjson.loads(message)
            name = asked["room"]
            room = rooms[name]
            if asked["op"] == "send":
                room.seq += 1
                entry = {
                    "op": "message",
                    "room": name,
                    "seq": room.seq,
                    "from": user,
                    "text": asked["text"],
                }
                broadcast(room.members - {websocket}, orjson.dumps(entry), text=True)
                answer = {"op": "ok", "ref": asked["ref"], "seq": room.seq}
            else:
                room.members.add(websocket)
                joined.add(name)
                answer = {"op": "joined", "room": name}
            await websocket.send(orjson.dumps(answer), text=True)
    except ConnectionClosed:
        pass
    finally:
        for name in joined:
            rooms[name].members.discard(websocket)


async def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with serve(handle, "127.0.0.1", 0, compression=None, backlog=BACKLOG) as server:
        print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


uvloop.run(main())
