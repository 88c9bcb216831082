"""Customers: how many connections an address has, and how much they may ask for together.

A customer is an address, or the /64 around an IPv6 address. Who is on this machine, and who is
in an allowed network, is not bounded and not counted.
"""

from typing import final

from .._domain.addresses import AddressRules, customer_of
from .._domain.rates import Bucket
from .._model.limits import Limits

# Customers without a connection looked at for each that comes: they go faster than they come.
_LOOKED_AT = 2


@final
class Customer:
    """One of them.

    Attributes:
        connections: of all kinds.
        others: those among them that are no WebSocket: HTTP's, and those whose request has not
            come yet.
    """

    __slots__ = ("bucket", "connections", "name", "others")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        self.others = 0
        # Made by the first command that counts.
        self.bucket: Bucket | None = None

    def take_command(self, limits: Limits, now: float) -> float:
        """Admit one command and return 0.0, or return how long to wait, s."""
        if self.bucket is None:
            rate, burst = limits.address_commands_rate, limits.address_commands_burst
            self.bucket = Bucket(rate=rate, burst=burst)
        return self.bucket.admit(now)


@final
class Customers:
    """See the module.

    Attributes:
        by_name: those with connections.
        idle: those without, as long as they would gain by being forgotten.
    """

    def __init__(self, rules: AddressRules, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self.by_name: dict[str, Customer] = {}
        self.idle: dict[str, Customer] = {}

    def has_room(self, address: str, *, is_upgrade: bool = False) -> bool:
        """Whether one more connection from an address is welcome.

        Args:
            address: where it comes from.
            is_upgrade: it is a WebSocket at once.
        """
        if not self._rules.bounds(address):
            return True
        customer = self.by_name.get(customer_of(address))
        if customer is None:
            return True
        if customer.connections >= self._limits.address_connections_max:
            return False
        return is_upgrade or customer.others < self._limits.address_http_connections_max

    def enter(self, address: str, now: float) -> Customer | None:
        """Count a connection that is no WebSocket yet; None: it is not bounded (`now`: s)."""
        if not self._rules.bounds(address):
            return None
        self._forget(now)
        name = customer_of(address)
        customer = self.by_name.get(name)
        if customer is None:
            customer = self.by_name[name] = self._of(name)
        customer.connections += 1
        customer.others += 1
        return customer

    def upgraded(self, customer: Customer | None) -> None:
        """One of a customer's connections has become a WebSocket."""
        if customer is not None:
            customer.others -= 1

    def leave(self, customer: Customer | None, *, was_upgraded: bool) -> None:
        """One of a customer's connections has ended."""
        if customer is None:
            return
        customer.connections -= 1
        customer.others -= not was_upgraded
        if not customer.connections:
            del self.by_name[customer.name]
            if customer.bucket is not None:
                self.idle[customer.name] = customer

    def _of(self, name: str) -> Customer:
        return self.idle.pop(name) if name in self.idle else Customer(name)

    def _forget(self, now: float) -> None:
        """Forget who has been away for so long that all is as at the beginning."""
        for _ in range(_LOOKED_AT):
            oldest = next(iter(self.idle.values()), None)
            if oldest is None or (oldest.bucket is not None and not oldest.bucket.is_whole(now)):
                break
            del self.idle[oldest.name]
