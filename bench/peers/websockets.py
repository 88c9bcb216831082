"""websockets: its asyncio server, and its own `broadcast`."""

from typing import final

from .python import PythonPeer


@final
class Websockets(PythonPeer):
    """See the module."""

    name = "websockets"
    about = (
        "its asyncio server with `broadcast`, on uvloop, orjson and PyJWT: "
        "nothing stored, no backpressure, no presence"
    )
    program = "websockets_server.py"
    packages = ("websockets", "uvloop")
