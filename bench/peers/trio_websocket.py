"""trio-websocket, used as most would: the nearest to Triolet without Triolet."""

from typing import final

from .python import PythonPeer


@final
class TrioWebsocket(PythonPeer):
    """See the module."""

    name = "trio-websocket"
    about = (
        "a task a connection, `await send_message` for each member in turn; orjson and PyJWT: "
        "nothing stored, one slow reader holds up its room"
    )
    program = "trio_websocket_server.py"
    packages = ("trio-websocket", "trio")
