"""The Python client as a program that the conformance kit can judge.

python -m triolet.testing conformance -- python examples/conformance/client.py
"""

import json
import os
import urllib.request

import trio

import triolet
from triolet import Message, Reset
from triolet.client import ClientEvent, EventStream, Room


def say(**line: object) -> None:
    print(json.dumps(line), flush=True)


async def fresh_token() -> str:
    def fetch() -> str:
        with urllib.request.urlopen(os.environ["TRIOLET_TOKEN_URL"], timeout=10) as answer:  # noqa: S310 - the kit's
            return answer.read().decode()

    return await trio.to_thread.run_sync(fetch)


async def send_all(room: Room) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(int(os.environ["TRIOLET_SENDS"])):
            nursery.start_soon(send, room, str(number + 1))


async def send(room: Room, text: str) -> None:
    try:
        written = await room.send(text)
    except triolet.Refusal as refusal:
        say(refused=text, reason=refusal.code.reason)
    else:
        say(acked=text, seq=written.seq)


async def show(room: Room, events: EventStream[ClientEvent]) -> None:
    async for event in events:
        match event:
            case triolet.Entry(fact=Message(body=body)):
                say(seen=event.seq, text=body["text"])
                if body["text"] == "end":
                    return
            case Reset(since=(_, seq)):
                say(back=seq)
            case Reset():
                page = await room.history()
                say(history=[[message.seq, message.body["text"]] for message in page.messages])
            case triolet.Closed():
                say(closed=event.reason)
                return


async def main() -> None:
    async with triolet.connect(os.environ["TRIOLET_URL"], token=fresh_token) as client:
        room = client.room(os.environ["TRIOLET_ROOM"])
        # Opened first: what comes while nobody listens waits at the server.
        events = room.events()
        await room.subscribe()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, room)
            try:
                await show(room, events)
            except triolet.ConnectionClosed as closed:
                say(stopped=closed.code)


if __name__ == "__main__":
    trio.run(main)
