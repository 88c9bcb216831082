"""python-socketio on uvicorn."""

from typing import final

from .python import PythonPeer
from .socketio_packets import SocketIoPeer


@final
class PythonSocketIo(SocketIoPeer, PythonPeer):
    """See the module."""

    name = "python-socketio"
    about = (
        "python-socketio on uvicorn with uvloop, WebSocket alone, PyJWT: acknowledged emits, "
        "nothing stored"
    )
    program = "socketio_server.py"
    packages = ("python-socketio", "uvicorn")
