"""The plain protocol on Django Channels, its layer in memory; a consumer as its tutorial has it."""

import os
import resource
import socket
from collections import defaultdict

import django
import jwt
import orjson
import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

SECRET = os.environ["BENCH_SECRET"]
BACKLOG = 4096

settings.configure(
    SECRET_KEY=SECRET,
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()


class Room:
    def __init__(self) -> None:
        # Names of groups are not as free as those of rooms are.
        self.group = f"room.{len(rooms)}"
        self.seq = 0


rooms: defaultdict[str, Room] = defaultdict(Room)


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.user = ""
        self.joined: set[str] = set()
        await self.accept()

    async def disconnect(self, code: int) -> None:
        del code
        for group in self.joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str = "", bytes_data: bytes = b"") -> None:
        asked = orjson.loads(text_data or bytes_data)
        if not self.user:
            claims = jwt.decode(asked["token"], SECRET, algorithms=["HS256"])
            self.user = claims["sub"]
            answer = {"op": "welcome", "user": self.user}
        elif asked["op"] == "send":
            answer = await self.pass_on(asked)
        else:
            group = rooms[asked["room"]].group
            await self.channel_layer.group_add(group, self.channel_name)
            self.joined.add(group)
            answer = {"op": "joined", "room": asked["room"]}
        await self.send(orjson.dumps(answer).decode())

    async def pass_on(self, asked: dict) -> dict:
        room = rooms[asked["room"]]
        room.seq += 1
        entry = {
            "op": "message",
            "room": asked["room"],
            "seq": room.seq,
            "from": self.user,
            "text": asked["text"],
        }
        # Encoded once, for all.
        data = orjson.dumps(entry).decode()
        event = {"type": "chat.message", "sender": self.channel_name, "data": data}
        answer = {"op": "ok", "ref": asked["ref"], "seq": room.seq}
        await self.channel_layer.group_send(room.group, event)
        return answer

    async def chat_message(self, event: dict) -> None:
        if event["sender"] != self.channel_name:
            await self.send(event["data"])


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = uvicorn.Config(
        ProtocolTypeRouter({"websocket": Chat.as_asgi()}),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        backlog=BACKLOG,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


main()
