"""A recorder around the Python client: the history of what one client did and saw.

It looks through two windows, and changes nothing.
The *wire*: every payload that leaves and arrives on each connection, for what the engine owes
(`wire=True` cursors; what was sent, acknowledged, told).
The *streams*: every event given to the application, for what the client owes with it
(cursors that live through all connections).

    recorder = Recorder("c1", "anna", write=events.append)
    dialer = recorder.dialer(WebSocketDialer(…))
    async with open_client(dialer, witness=recorder.witness, …) as client:
        …
    recorder.left()

A client of another make is recorded message by message, by a `Tap` for each connection.
"""

from collections.abc import Callable
from typing import final

import trio

from ..._wire.codec import Format
from ...client import Dialer
from ...client._effects import Effect
from ...client._link import Link
from .. import history
from .logs import log_of as log_of
from .logs import stored as stored
from .scribe import Scribe as Scribe
from .scribe import Write
from .streams import Streams
from .tap import Tap as Tap
from .wire import Wire


@final
class Recorder:
    """Records one client, from when it is made.

    Args:
        name: the client's name in the history; no other's of the same run.
        user: for whom it acts.
        write: takes each event, at once: a list's `append`, a `history.Writer`'s `write`.
        form: the format of its connections.
        clock: seconds, one clock for the whole history; by default Trio's.
        origin: what to tell of the run.
    """

    def __init__(
        self,
        name: str,
        user: str,
        write: Write,
        *,
        form: Format = "msgpack",
        clock: Callable[[], float] = trio.current_time,
        origin: str = "",
    ) -> None:
        self._scribe = Scribe(name, user, write, clock)
        self._form: Format = form
        self._streams = Streams(self._scribe)
        write(history.Opened(clock(), name, user=user, origin=origin))

    def dialer(self, dialer: Dialer) -> Dialer:
        """Return a dialer that gives the same links, watched."""
        return _Dialer(self._scribe, dialer, self._form)

    def witness(self, effect: Effect) -> None:
        """Take note of what the client gives to its application; for `open_client`."""
        self._streams.witness(effect)

    def reaches(self, node: str) -> None:
        """Note to which life of which node the next connection is."""
        self._scribe.node = node

    def vanished(self) -> None:
        """Note that the client's machine is gone: a farewell is said, and heard by nobody."""
        self._scribe.is_cut_off = True

    def left(self) -> None:
        """Note that the client was ended by its owner."""
        self._scribe.write(history.Left(*self._scribe.here))


@final
class _Dialer:
    def __init__(self, scribe: Scribe, dialer: Dialer, form: Format) -> None:
        self._scribe = scribe
        self._dialer = dialer
        self._form: Format = form

    async def dial(self) -> Link:
        """See `Dialer`."""
        return Wire(self._scribe, await self._dialer.dial(), self._form)
