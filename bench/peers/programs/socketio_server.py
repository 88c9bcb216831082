"""A chat server on python-socketio, as its documentation shows one."""

import os
import resource
import socket
from collections import defaultdict
from itertools import count

import jwt
import socketio
import uvicorn

SECRET = os.environ["BENCH_SECRET"]
BACKLOG = 4096

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])

numbers: defaultdict[str, count] = defaultdict(lambda: count(1))
users: dict[str, str] = {}


@sio.event
async def connect(sid: str, environ: dict, auth: dict) -> None:
    del environ
    try:
        users[sid] = jwt.decode(auth["token"], SECRET, algorithms=["HS256"])["sub"]
    except jwt.InvalidTokenError as error:
        raise socketio.exceptions.ConnectionRefusedError(str(error)) from error


@sio.event
async def disconnect(sid: str) -> None:
    users.pop(sid, None)


@sio.event
async def join(sid: str, asked: dict) -> dict:
    await sio.enter_room(sid, asked["room"])
    return {"room": asked["room"]}


@sio.event
async def send(sid: str, asked: dict) -> dict:
    room = asked["room"]
    seq = next(numbers[room])
    message = {"room": room, "seq": seq, "from": users[sid], "text": asked["text"]}
    await sio.emit("message", message, room=room, skip_sid=sid)
    return {"seq": seq}


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = uvicorn.Config(
        socketio.ASGIApp(sio),
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
