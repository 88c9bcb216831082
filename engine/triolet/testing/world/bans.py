"""Who is banned in a world: noted with the commit, whatever its node hears of that."""

from collections.abc import Callable, Sequence
from typing import Final, final

import msgspec
import trio

from ..._domain.bans import Ban, key_of
from ...ports.documents import Change, Documents
from .. import history
from .chance import moment_s

_USERS: Final = key_of(user="x")[:-1]
_decode: Final = msgspec.msgpack.Decoder(Ban).decode


@final
class Bans:
    """See the module.

    Attributes:
        held: the bans of users that there are, those that are over included.
        ever: who was banned at any time.
        write: where they are noted.
    """

    def __init__(self) -> None:
        self.held: dict[str, Ban] = {}
        self.ever: dict[str, None] = {}
        self.write: Callable[[history.Event], None] | None = None

    def banned(self) -> list[str]:
        """Return who is banned now, by a clock that is right."""
        now = trio.current_time()
        return [
            user for user, ban in self.held.items() if not ban.until or moment_s(ban.until) > now
        ]

    async def commit(self, documents: Documents, changes: Sequence[Change]) -> bool:
        """Make changes of documents, and note which bans they make and end."""
        # Whoever asked may die meanwhile; what is made is noted.
        with trio.CancelScope(shield=True):
            is_made = await documents.write(changes)
        for change in changes if is_made else ():
            if change.key.startswith(_USERS):
                self._note(change)
        return is_made

    def _note(self, change: Change) -> None:
        user = change.key.removeprefix(_USERS)
        if change.value is not None:
            ban = self.held[user] = _decode(change.value)
            self.ever[user] = None
            self.tell(ban)
        elif self.held.pop(user, None) is not None:
            self.tell_lifted(user)

    def tell(self, ban: Ban, node: str = "") -> None:
        """Note that there is a ban; `node`: says that it is in force there."""
        if self.write is not None:
            until = moment_s(ban.until) if ban.until else 0
            now = trio.current_time()
            self.write(history.Banned(now, user=ban.user, until=until, node=node))

    def tell_lifted(self, user: str, node: str = "") -> None:
        """Note that there is none any more; `node`: says so."""
        if self.write is not None:
            self.write(history.Pardoned(trio.current_time(), user=user, node=node))
