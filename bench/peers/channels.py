"""Django Channels in memory, on uvicorn."""

from typing import final

from .python import PythonPeer


@final
class Channels(PythonPeer):
    """See the module."""

    name = "channels"
    about = (
        "Django Channels on uvicorn with uvloop, orjson and PyJWT, its layer in memory: it "
        "looks through all groups for each delivery, stores nothing, drops what fills a channel"
    )
    program = "channels_server.py"
    packages = ("channels", "django", "uvicorn")
