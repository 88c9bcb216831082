"""What is kept of somebody beside rooms: handed out, and erased with all else, as one act.

The engine knows what a user said; each part of the HTTP layer knows what it keeps of them, and
says so here. Who asks for it, an admin or the user, makes no difference to what happens.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Protocol, final

import msgspec
from quart import Response

from triolet._model.exported import Exported
from triolet._runtime.engine import Engine

from .application import HeldBody
from .endpoints import LINES

# The last line of an export that is whole.
_END: Final = b'{"kind":"end"}\n'
# Lines are sent together, up to so many bytes.
_PIECE_BYTES: Final = 64 * 1024


class Keeper(Protocol):
    """A part that keeps documents of users."""

    def telling_of(self, user: str) -> list[str]:
        """Return keys of what tells the user something, and holds no secret."""
        ...

    async def documents_of(self, user: str) -> list[str]:
        """Return the keys of all that can be removed; one with a slash at its end is a prefix.

        Raises:
            StoreUnavailable: they could not be read.
        """
        ...

    async def close(self, user: str) -> None:
        """Have nothing kept of the user from now on; again, it is so already.

        Raises:
            StoreError: ask again.
        """
        ...


@final
class Belongings:
    """See the module.

    Args:
        engine: exports and erases what was said.
        keepers: all parts that keep something of users.
    """

    def __init__(self, engine: Engine, keepers: Sequence[Keeper]) -> None:
        self._engine = engine
        self._keepers = keepers

    def export(self, user: str, *, ended: Callable[[], None] = lambda: None) -> Response:
        """Return all that is kept of a user, as lines; see `Export.export`.

        Args:
            user: whose.
            ended: called once, when nothing more of it is read.
        """
        telling = [key for keeper in self._keepers for key in keeper.telling_of(user)]
        lines = Lines(self._engine.export(user, telling), ended)
        response = Response(lines, 200, content_type=LINES)
        # As long as there is something to be sent; a peer that takes nothing is let go.
        response.timeout = None
        return response

    async def erase(self, user: str) -> None:
        """Erase a user: sessions and sign-ins at once, all else by a job; see `Erasure.erase`.

        The job is kept first: whoever has lost their account could not ask for it again.

        Raises:
            StoreUnavailable, OutcomeUnknown: some of it may happen; asking again is harmless.
        """
        documents: list[str] = []
        for keeper in self._keepers:
            documents += await keeper.documents_of(user)
        await self._engine.erase(user, documents)
        for keeper in self._keepers:
            await keeper.close(user)
        # What began between the two.
        await self._engine.revoke(user)


@final
class Lines(HeldBody):
    """The body of an export: lines as they are read, and no more is read than is taken."""

    def __init__(self, found: AsyncGenerator[Exported, None], ended: Callable[[], None]) -> None:
        self._found = found
        self._ended = ended
        self._is_over = self._is_released = False

    async def __aenter__(self) -> "Lines":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._found.aclose()

    def release(self) -> None:
        """Say that it has ended; see `HeldBody`."""
        if not self._is_released:
            self._is_released = True
            self._ended()

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        lines = bytearray()
        while len(lines) < _PIECE_BYTES:
            one = await anext(self._found, None)
            if one is None:
                self._is_over = True
                return bytes(lines) + _END
            lines += msgspec.json.encode(one) + b"\n"
        return bytes(lines)
