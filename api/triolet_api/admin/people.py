"""What is kept of somebody: handed out, and erased, at their request."""

from collections.abc import AsyncGenerator
from typing import Final, final

import msgspec
from quart import Response
from quart.wrappers.response import ResponseBody

from triolet._model.errors import ErrorCode
from triolet._model.exported import Exported
from triolet._model.ids import User
from triolet._runtime.engine import Engine

from ..endpoints import Access, Call, endpoint
from .audit import Audit

LINES_TYPE: Final = "application/x-ndjson"
# Documents that are somebody's: what they wish to be told of, and where they signed in.
_PERSONAL: Final = ("push/{}/", "family/{}/")
# Those of them that tell them something; the others are keys and secrets.
_TELLING: Final = ("push/{}/preferences", "push/{}/email")
# The last line of an export that is whole.
_END: Final = b'{"kind":"end"}\n'
# Lines are sent together, up to so many bytes.
_PIECE_BYTES: Final = 64 * 1024


@final
class AdminUsers:
    """Endpoints of what is kept of users; their accounts have endpoints of their own."""

    def __init__(self, engine: Engine, audit: Audit) -> None:
        self._engine = engine
        self._audit = audit

    @endpoint(
        "GET",
        "/v1/admin/users/{user}/export",
        access=Access.ADMIN,
        rate="admin",
        produces=LINES_TYPE,
        refuses=(ErrorCode.STORE_UNAVAILABLE,),
    )
    async def export(self, call: Call, user: User) -> Response:
        """Hand out what is kept of a user: one JSON map a line, told apart by `kind`.

        First the `person`, then each `room` and their `message`s and `reaction`s in it, then
        `document`s. The last line is `{"kind":"end"}`; without it the export is not whole.
        """
        async with self._audit.acting(
            who=call.identity.user,
            action="admin-users.export",
            target=f"user={user}",
            address=call.address,
        ):
            found = self._engine.export(user, [key.format(user) for key in _TELLING])
        response = Response(Lines(found), 200, content_type=LINES_TYPE)
        # As long as there is something to be sent; a peer that takes nothing is let go.
        response.timeout = None
        return response

    @endpoint(
        "DELETE",
        "/v1/admin/users/{user}",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN),
    )
    async def erase(self, call: Call, user: User) -> None:
        """Erase a user: sessions and sign-ins at once, all else by a job, whatever crashes.

        What they said is erased in all rooms, their reactions are taken back, their memberships
        end. An account is removed by `DELETE /v1/admin/accounts/{user}`: first, so that they do
        not come back meanwhile.
        """
        del call
        await self._engine.erase(user, [key.format(user) for key in _PERSONAL])


@final
class Lines(ResponseBody):
    """The body of an export: lines as they are read, and no more is read than is taken."""

    def __init__(self, found: AsyncGenerator[Exported, None]) -> None:
        self._found = found
        self._is_over = False

    async def __aenter__(self) -> "Lines":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._found.aclose()

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
