"""Two routes of Quart-Trio under Hypercorn, as their documentation shows them.

Hypercorn's settings are those that Triolet's HTTP layer gives it: no access log, no version told.
"""

import logging
import os

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response
from quart_trio import QuartTrio

# What `GET …/messages` of Triolet answers for a room of 50 messages, byte for byte as long.
PAGE = os.environ["BENCH_PAGE"].encode()

app = QuartTrio(__name__, static_folder=None)


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}


@app.get("/v1/rooms/<room>/messages")
async def messages(room: str) -> Response:
    del room
    return Response(PAGE, content_type="application/json")


async def main() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn")
    config.include_server_header = False
    config.keep_alive_timeout = 75
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, app, config)
        print(f"listening on {url.removeprefix('http://')}", flush=True)


trio.run(main)
