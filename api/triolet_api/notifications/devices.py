"""Devices that are pushed to: what each user's browsers have subscribed, in one document a user."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final, final

from msgspec import Meta, Struct, structs

from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.documents import Documents

from .encryption import DeviceKeys, check_keys
from .kept import Kept
from .outgoing import URL_CHARACTERS_MAX, AddressRefused, Outgoing, RequestFailed, check_url
from .vapid import base64url

# Phones, tablets and browsers that somebody has used lately; the one unused for longest goes.
DEVICES_MAX: Final = 20

Endpoint = Annotated[str, Meta(min_length=10, max_length=URL_CHARACTERS_MAX)]
# What base64url says of 65 and of 16 bytes, with padding or without.
PointText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{87}=?\Z")]
AuthText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}(==)?\Z")]


@final
class Device(Struct, frozen=True, kw_only=True):
    """One subscription.

    Attributes:
        id: its name, made of the endpoint; tells nothing of it.
        endpoint: where pushes go. Whoever knows it can send there: it is a secret.
        keys: what they are encrypted for.
        agent: what the device calls itself.
        added_at: when it was subscribed, last (ms).
    """

    id: str
    endpoint: str
    keys: DeviceKeys
    agent: str
    added_at: int

    def __repr__(self) -> str:
        return f"Device({self.id})"


@final
class UserDevices(Struct, frozen=True):
    """A user's, the one subscribed longest ago first."""

    devices: tuple[Device, ...] = ()


def devices_key(user: str) -> str:
    """Return the key of a user's devices."""
    return f"push/{user}/devices"


@final
class Owner(Struct, frozen=True):
    """Whose device an endpoint is."""

    user: str


def _owner_key(name: str) -> str:
    return f"push-endpoint/{name}"


def device_id(endpoint: str) -> str:
    """Return what a device is called: the same for the same endpoint.

    >>> device_id("https://push.example.net/1")
    'Yn49Znau-Kl5T9Py'
    """
    return base64url(sha256(endpoint.encode()).digest())[:16]


async def owned_by(documents: Documents, user: str) -> list[str]:
    """Return the keys that say of endpoints that they are a user's.

    Raises:
        StoreUnavailable: they could not be read.
    """
    found = await Kept(documents, UserDevices).read(devices_key(user))
    return [] if found is None else [_owner_key(device.id) for device in found.devices]


@final
class Devices:
    """See the module.

    Args:
        documents: where they are kept.
        outgoing: says which endpoints are refused.
        hosts: ends of the hosts that endpoints may be of; empty: of any.
    """

    def __init__(
        self, documents: Documents, outgoing: Outgoing, *, hosts: Sequence[str] = ()
    ) -> None:
        self._kept = Kept(documents, UserDevices)
        self._owners = Kept(documents, Owner)
        self._outgoing = outgoing
        self._hosts = hosts

    async def of(self, user: str) -> tuple[Device, ...]:
        """Return a user's devices.

        Raises:
            StoreUnavailable: they could not be read.
        """
        found = await self._kept.read(devices_key(user))
        return () if found is None else found.devices

    async def of_all(self, users: list[str]) -> list[tuple[Device, ...]]:
        """Return the devices of several users, in their order.

        Raises:
            StoreUnavailable: they could not be read.
        """
        found = await self._kept.read_all([devices_key(user) for user in users])
        return [() if one is None else one.devices for one in found]

    async def add(
        self, user: str, *, endpoint: str, p256dh: str, auth: str, agent: str, now: int
    ) -> Device:
        """Subscribe a device of a user; the same endpoint again is the same device.

        Where somebody else had it (they shared a browser), they have it no more: nobody is shown
        what is for another.

        Raises:
            Refusal: `INVALID_FIELD`: an endpoint that may not be asked for, or keys that are none.
            StoreError: it may not be kept.
        """
        try:
            keys = DeviceKeys(_decoded(p256dh), _decoded(auth))
            check_keys(keys)
            self._check_host(endpoint)
        except (ValueError, AddressRefused) as error:
            raise Refusal(ErrorCode.INVALID_FIELD, str(error)) from None
        try:
            await self._outgoing.check(endpoint)
        except (AddressRefused, RequestFailed):
            # One answer to all: else whoever asks learns which names there are in our network.
            raise Refusal(ErrorCode.INVALID_FIELD, "the endpoint cannot be reached") from None
        name = device_id(endpoint)
        new = Device(id=name, endpoint=endpoint, keys=keys, agent=agent, added_at=now)

        dropped: tuple[Device, ...] = ()

        def joined(before: UserDevices | None) -> UserDevices:
            nonlocal dropped
            others = () if before is None else before.devices
            all_of_them = (*(one for one in others if one.id != name), new)
            dropped = all_of_them[:-DEVICES_MAX]
            return UserDevices(all_of_them[-DEVICES_MAX:])

        # It is theirs first, and only then among theirs: so of two users who subscribe one at
        # once, one finds the other here, or the other is found below.
        former = await self._claim(user, name)
        if former not in ("", user):
            await self.remove(former, name)
        await self._kept.change(devices_key(user), joined)
        for one in dropped:
            await self._disown(user, one.id)
        owner = await self._owners.read(_owner_key(name))
        if owner is not None and owner.user != user:
            await self.remove(user, name)
        return new

    async def _claim(self, user: str, name: str) -> str:
        """Have a device be a user's; return whose it was, empty: nobody's."""
        former = ""

        def claimed(before: Owner | None) -> Owner:
            nonlocal former
            former = "" if before is None else before.user
            return Owner(user)

        await self._owners.change(_owner_key(name), claimed)
        return former

    async def _disown(self, user: str, name: str) -> None:
        """Have a device be a user's no more, if it is."""

        def disowned(owner: Owner | None) -> Owner | None:
            return None if owner is not None and owner.user == user else owner

        await self._owners.change(_owner_key(name), disowned)

    def _check_host(self, endpoint: str) -> None:
        host, _ = check_url(endpoint)
        if self._hosts and not any(f".{host}".endswith(f".{one}") for one in self._hosts):
            raise AddressRefused("this push service is not among those that are used here")

    async def remove(self, user: str, name: str) -> bool:
        """Forget a device; return whether there was one.

        Raises:
            StoreError: it may still be there.
        """
        was_there = False

        def left(before: UserDevices | None) -> UserDevices | None:
            nonlocal was_there
            devices = () if before is None else before.devices
            rest = tuple(one for one in devices if one.id != name)
            was_there = len(rest) < len(devices)
            if not was_there:
                return before
            return structs.replace(before, devices=rest) if before and rest else None

        await self._kept.change(devices_key(user), left)
        await self._disown(user, name)
        return was_there


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
