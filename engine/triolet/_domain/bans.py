"""Bans: of a user, or of a network, for a time or for good; and the table they are looked up in."""

from collections.abc import Iterable, Iterator
from typing import Final, final

from msgspec import Struct

from .._model.ids import is_user
from .addresses import IpNetwork, NetworkMap, address_of, network_of

# What all keys of bans begin with.
PREFIX: Final = "ban/"
# A note for other administrators.
REASON_CHARS_MAX: Final = 500


@final
class Ban(Struct, frozen=True, kw_only=True):
    """Somebody who may not connect, and what is kept of it.

    Attributes:
        user: the user; empty: it is of a network.
        network: the network, as `banned` writes it; one address is one of /32 or /128.
        reason: a note for administrators; the banned one is not told.
        by: who has banned.
        at: when, ms.
        until: when it ends, ms; 0: never.
    """

    user: str = ""
    network: str = ""
    reason: str = ""
    by: str = ""
    at: int = 0
    until: int = 0

    @property
    def key(self) -> str:
        """Where it is kept."""
        return key_of(user=self.user, network=self.network)

    def is_over(self, now: int) -> bool:
        """Whether it has ended (`now`: ms)."""
        return 0 < self.until <= now


def key_of(*, user: str = "", network: str = "") -> str:
    """Return the key of a ban, of one of both.

    Raises:
        ValueError: both, neither, no name of a user, or no network.

    >>> key_of(user="anna"), key_of(network="192.0.2.1")
    ('ban/user/anna', 'ban/network/192.0.2.1/32')
    """
    if bool(user) == bool(network):
        raise ValueError("a ban is of a user or of a network")
    if network:
        return f"{PREFIX}network/{network_of(network)}"
    if not is_user(user):
        raise ValueError(f"{user!r} is no name of a user")
    return f"{PREFIX}user/{user}"


def banned(ban: Ban, *, now: int) -> Ban:
    """Return a ban as it is kept: its network in the one way it is written, and when it was made.

    Raises:
        ValueError: as `key_of`; a reason that is too long; it would be over already.

    >>> banned(Ban(network="::ffff:10.0.0.0/104"), now=7)
    Ban(user='', network='10.0.0.0/8', reason='', by='', at=7, until=0)
    """
    key_of(user=ban.user, network=ban.network)
    if len(ban.reason) > REASON_CHARS_MAX:
        raise ValueError(f"a reason has {REASON_CHARS_MAX} characters at most")
    if ban.until < 0 or ban.is_over(now):
        raise ValueError("a ban ends later than it begins")
    network = str(network_of(ban.network)) if ban.network else ""
    return Ban(
        user=ban.user, network=network, reason=ban.reason, by=ban.by, at=now, until=ban.until
    )


@final
class BanTable:
    """The bans that are known, by whom they are of.

    >>> table = BanTable([Ban(network="192.0.2.0/24"), Ban(user="ben", until=5)])
    >>> table.of_address("192.0.2.7", now=0).network, table.of_user("ben", now=5)
    ('192.0.2.0/24', None)
    """

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._by_key: dict[str, Ban] = {}
        self._by_network = NetworkMap[Ban]()
        for ban in bans:
            self.put(ban)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Ban]:
        return iter(self._by_key.values())

    def get(self, key: str) -> Ban | None:
        """Return the ban that is kept by `key`, over or not."""
        return self._by_key.get(key)

    def put(self, ban: Ban) -> None:
        """Add a ban, in place of an earlier one of the same user or network."""
        self._by_key[ban.key] = ban
        if ban.network:
            self._by_network.put(self._network(ban), ban)

    def drop(self, key: str) -> None:
        """Forget what is kept by `key`, if anything."""
        ban = self._by_key.pop(key, None)
        if ban is not None and ban.network:
            self._by_network.drop(self._network(ban))

    def forget(self, now: int) -> None:
        """Forget bans that are over (`now`: ms)."""
        for key in [key for key, ban in self._by_key.items() if ban.is_over(now)]:
            self.drop(key)

    def of_user(self, user: str, *, now: int) -> Ban | None:
        """Return the ban of a user that holds now (ms)."""
        ban = self._by_key.get(f"{PREFIX}user/{user}") if self._by_key else None
        return None if ban is None or ban.is_over(now) else ban

    def of_address(self, address: str, *, now: int) -> Ban | None:
        """Return a ban that holds now (ms), of a network that holds an address."""
        if not self._by_network:
            return None
        found = self._by_network.holding(address_of(address))
        return next((ban for ban in found if not ban.is_over(now)), None)

    @staticmethod
    def _network(ban: Ban) -> IpNetwork:
        return network_of(ban.network)
