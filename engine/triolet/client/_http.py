"""One HTTP/1.1 connection of the client: requests one after another, answers piece by piece."""

from collections.abc import Mapping
from typing import Final, cast, final

import h11
import trio

from .._model.errors import CloseCode
from ._link import LinkClosed
from .state import ABNORMAL

_RECEIVE_BYTES: Final = 64 * 1024
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)


@final
class HttpConnection:
    """See the module.

    Args:
        stream: the bytes' way; it is closed with this.
        headers: of every request; without those of the body.
    """

    def __init__(self, stream: trio.abc.Stream, headers: Mapping[str, str]) -> None:
        self._stream = stream
        self._headers = headers
        self._http = h11.Connection(h11.CLIENT)

    async def post(self, target: str, token: str, body: bytes) -> h11.Response:
        """Send a request, and return the head of its answer.

        Raises:
            LinkClosed: 1006, the connection has ended; 4001, what is no token.
        """
        headers = {
            **self._headers,
            **({"Authorization": f"Bearer {token}"} if token else {}),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        try:
            head = h11.Request(method="POST", target=target, headers=list(headers.items()))
        except h11.LocalProtocolError:
            raise LinkClosed(CloseCode.UNAUTHENTICATED, "the token cannot be sent") from None
        try:
            data = [self._http.send(one) for one in (head, h11.Data(body), h11.EndOfMessage())]
            await self._stream.send_all(b"".join(one or b"" for one in data))
        except (*_BROKEN, h11.LocalProtocolError) as error:
            raise LinkClosed(ABNORMAL, f"the connection is lost: {error}") from None
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise LinkClosed(ABNORMAL, "the server has hung up")

    async def piece(self) -> bytes:
        """Return what comes next of an answer's body; empty: that was all of it.

        Raises:
            LinkClosed: 1006, the connection ended before.
        """
        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def body(self, bytes_max: int) -> bytes:
        """Return all of an answer's body, and be ready for another request.

        Raises:
            LinkClosed: 1006, the connection ended before, or it is too much.
        """
        pieces: list[bytes] = []
        while piece := await self.piece():
            pieces.append(piece)
            if sum(map(len, pieces)) > bytes_max:
                raise LinkClosed(ABNORMAL, "an answer that is too large")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return b"".join(pieces)

    @property
    def is_idle(self) -> bool:
        """Whether another request may go this way."""
        return self._http.our_state is h11.IDLE

    async def aclose(self) -> None:
        """Close it at once."""
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(bytes(await self._stream.receive_some(_RECEIVE_BYTES)))
        except _BROKEN as error:
            raise LinkClosed(ABNORMAL, f"the connection is lost: {error}") from None
        return cast("h11.Event | type[h11.PAUSED]", event)
