"""What is known of users: what they wish, where they can be told, and what they were told."""

from collections.abc import Callable, Sequence
from typing import Final, final

import trio
from msgspec import Struct

from triolet.ports.clock import Clock
from triolet.ports.documents import Documents

from .devices import Device, Devices, UserDevices, devices_key
from .kept import Kept
from .preferences import Preferences

# What is known of a user is used so long: whoever subscribes on another node waits no longer.
_FRESH_S: Final = 3.0
_KNOWN_MAX: Final = 20_000
# Whoever was told of a room, and has not read it for so long, is told anew.
_NOTIFIED_TTL_MS: Final = 90 * 24 * 3_600_000


@final
class Notified(Struct, frozen=True):
    """How far a user was told of a room."""

    seq: int


@final
class Mailed(Struct, frozen=True):
    """When a user got the last digest (ms)."""

    at: int


@final
class Verified(Struct, frozen=True):
    """The e-mail address that is the user's, as the host says."""

    email: str


@final
class Person(Struct, frozen=True):
    """What is known of a user.

    Attributes:
        wishes: what they want to be told of.
        devices: where pushes go.
        email: where digests go; empty: nowhere.
        can_be_told: whether there is any way to them.
    """

    wishes: Preferences
    devices: tuple[Device, ...]
    email: str
    can_be_told: bool


def wishes_key(user: str) -> str:
    """Return the key of a user's preferences."""
    return f"push/{user}/preferences"


def _verified_key(user: str) -> str:
    return f"push/{user}/email"


def telling_of(user: str) -> list[str]:
    """Return the keys of what tells a user something of themselves."""
    return [wishes_key(user), _verified_key(user)]


def _notified_key(user: str, room: str) -> str:
    return f"push/{user}/notified/{room}"


def _mailed_key(user: str) -> str:
    return f"push/{user}/mailed"


@final
class People:
    """See the module.

    Args:
        documents: where all of it is kept.
        devices: where pushes go.
        clock: for what is kept for a while.
        has_webhook: everybody can be told, by the webhook.
        has_mail: who has a verified address can be told, by mail.
    """

    def __init__(
        self,
        documents: Documents,
        devices: Devices,
        clock: Clock,
        *,
        has_webhook: bool,
        has_mail: bool,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._has_webhook = has_webhook
        self._has_mail = has_mail
        self._subscribed = Kept(documents, UserDevices)
        self._wishes = Kept(documents, Preferences)
        self._notified = Kept(documents, Notified)
        self._mailed = Kept(documents, Mailed)
        self._verified = Kept(documents, Verified)
        self.devices = devices
        # The one looked up longest ago first: when, and what was found.
        self._known: dict[str, tuple[float, Person]] = {}
        self._asked_at = float("-inf")
        self._are_any = False

    async def are_any(self) -> bool:
        """Whether anybody at all can be told of anything, as known a few seconds ago.

        Raises:
            StoreUnavailable: it could not be read.
        """
        if self._has_webhook:
            return True
        if not self._are_any and self._asked_at + _FRESH_S < trio.current_time():
            self._asked_at = trio.current_time()
            self._are_any = bool(await self._documents.scan("push/", limit=1))
        return self._are_any

    async def of(self, users: Sequence[str]) -> dict[str, Person]:
        """Return what is known of users, by name, as it was a few seconds ago.

        Raises:
            StoreUnavailable: it could not be read.
        """
        oldest = trio.current_time() - _FRESH_S
        known = {user: self._known[user] for user in users if user in self._known}
        stale = [user for user in users if user not in known or known[user][0] < oldest]
        found = await self.now(stale) if stale else {}
        return {user: found[user] if user in found else known[user][1] for user in users}

    async def now(self, users: Sequence[str]) -> dict[str, Person]:
        """Return what is known of users, by name, as it is.

        Raises:
            StoreUnavailable: it could not be read.
        """
        subscribed = await self._subscribed.read_all([devices_key(user) for user in users])
        wishes = await self._wishes.read_all([wishes_key(user) for user in users])
        verified: list[Verified | None] = [None] * len(users)
        if self._has_mail:
            verified = await self._verified.read_all([_verified_key(user) for user in users])
        found: dict[str, Person] = {}
        for user, devices, wish, address in zip(users, subscribed, wishes, verified, strict=True):
            found[user] = self._person(devices, wish or Preferences(), address)
            self._known.pop(user, None)
            self._known[user] = (trio.current_time(), found[user])
        while len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return found

    def _person(
        self, devices: UserDevices | None, wishes: Preferences, verified: Verified | None
    ) -> Person:
        mine = () if devices is None else devices.devices
        is_verified = verified is not None and verified.email == wishes.email
        email = wishes.email if is_verified else ""
        return Person(wishes, mine, email, bool(mine or email or self._has_webhook))

    def forget(self, user: str) -> None:
        """What is known of a user has changed here: it is read again."""
        self._known.pop(user, None)
        self._are_any = True

    # --- wishes ------------------------------------------------------------------------------

    async def wishes(self, user: str) -> Preferences:
        """Return what a user wishes.

        Raises:
            StoreUnavailable: it could not be read.
        """
        return await self._wishes.read(wishes_key(user)) or Preferences()

    async def change_wishes(self, user: str, change: Callable[[Preferences], Preferences]) -> None:
        """Have a user wish what `change` makes of what they wish; it may raise.

        Raises:
            StoreError: it may not be kept.
        """
        await self._wishes.change(wishes_key(user), lambda before: change(before or Preferences()))
        self.forget(user)

    async def verify_email(self, user: str, email: str) -> None:
        """The host says that an address is the user's; empty: it says so of none any more.

        Raises:
            StoreError: it may not be kept.
        """
        await self._verified.change(
            _verified_key(user), lambda _: Verified(email) if email else None
        )
        self.forget(user)

    # --- what they were told -------------------------------------------------------------------

    async def notified(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Return how far users were told of rooms, of each `(user, room)`; 0: not at all.

        Raises:
            StoreUnavailable: it could not be read.
        """
        found = await self._notified.read_all([_notified_key(*pair) for pair in pairs])
        return [0 if one is None else one.seq for one in found]

    async def tell(self, user: str, room: str, seq: int) -> None:
        """A user is told of a room up to a message.

        Raises:
            StoreError: it may not be kept: they may be told again.
        """
        expires_at = self._clock.now_ms() + _NOTIFIED_TTL_MS
        key = _notified_key(user, room)

        def further(before: Notified | None) -> Notified:
            return Notified(max(seq, 0 if before is None else before.seq))

        await self._notified.change(key, further, expires_at=expires_at)

    async def mailed_at(self, user: str) -> int:
        """Return when a user got the last digest (ms); 0: none yet.

        Raises:
            StoreUnavailable: it could not be read.
        """
        found = await self._mailed.read(_mailed_key(user))
        return 0 if found is None else found.at

    async def mail(self, user: str, at: int) -> None:
        """A user was sent a digest (ms), or there was nothing to be sent.

        Raises:
            StoreError: it may not be kept: they may be sent it again.
        """
        await self._mailed.put(_mailed_key(user), Mailed(at))
