"""What is kept of somebody: handed out, and erased, at their request."""

from typing import final

from quart import Response

from triolet._model.errors import ErrorCode
from triolet._model.ids import User

from ..belongings import Belongings
from ..endpoints import LINES, Access, Call, endpoint
from .audit import Audit


@final
class AdminUsers:
    """Endpoints of what is kept of users; their accounts have endpoints of their own."""

    def __init__(self, belongings: Belongings, audit: Audit) -> None:
        self._belongings = belongings
        self._audit = audit

    @endpoint(
        "GET",
        "/v1/admin/users/{user}/export",
        access=Access.ADMIN,
        rate="admin",
        produces=LINES,
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
            return self._belongings.export(user)

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
        end; their devices, what they wish to be told of, and invites of theirs are removed. Of an
        account its name stays, so that nobody else gets it; bans stay, and who did it is written
        down. Users of whom tokens come from elsewhere can come back by a new one.
        """
        del call
        await self._belongings.erase(user)
