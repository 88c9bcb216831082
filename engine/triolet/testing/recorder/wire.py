"""A link of the Python client that is watched."""

from typing import final

from ..._wire.codec import Format
from ...client._link import Link, LinkClosed
from .scribe import Scribe
from .tap import Tap


@final
class Wire:
    """See `Link` for its methods."""

    def __init__(self, scribe: Scribe, link: Link, form: Format) -> None:
        self._link = link
        self._tap = Tap(scribe, form)

    async def send(self, payload: bytes) -> None:
        """See `Link`."""
        self._tap.leaves(payload)
        await self._link.send(payload)

    async def receive(self) -> bytes:
        """See `Link`."""
        try:
            payload = await self._link.receive()
        except LinkClosed as closed:
            self._tap.ended(closed.code)
            raise
        self._tap.arrives(payload)
        return payload

    async def aclose(self, code: int, reason: str) -> None:
        """See `Link`."""
        try:
            await self._link.aclose(code, reason)
        finally:
            self._tap.ended(code)
