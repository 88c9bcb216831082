"""The entrance: all that decides who comes in, put together, and what ends who has come in."""

from typing import TYPE_CHECKING, final

import trio

from .._domain.addresses import AddressRules
from .admission import Admission
from .bans import Bans
from .customers import Customers
from .revocations import Revocations

if TYPE_CHECKING:
    from .engine import Engine


@final
class Entrance:
    """See the module.

    Args:
        engine: with its store, gate, presence and heartbeat.
        addresses: the operator's rules; None: there are none.

    Attributes:
        addresses: the same.
        customers: what each address holds.
    """

    def __init__(self, engine: "Engine", addresses: AddressRules | None) -> None:
        store, clock, limits, nodes = engine.store, engine.clock, engine.limits, engine.nodes
        self.addresses = addresses or AddressRules()
        self.customers = Customers(self.addresses, limits)
        self.revocations = Revocations(store, engine.presence, clock, limits, nodes)
        here = (engine.presence, engine.heartbeat, self.addresses)
        self.bans = Bans(store.documents, *here, clock=clock, limits=limits, nodes=nodes)
        refusing = (self.revocations, self.bans)
        self.admission = Admission(engine.gate, *refusing, entropy=engine.entropy, limits=limits)

    @property
    def is_blind(self) -> bool:
        """Whether the store does not tell who is to be kept out."""
        return self.revocations.is_blind or self.bans.is_blind

    def keeps_out(self, address: str) -> bool:
        """Whether nobody may connect from an address."""
        return self.addresses.denies(address) or self.bans.is_banned(address)

    async def run(self) -> None:
        """Follow the store, for as long as the engine lives."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.revocations.run)
            nursery.start_soon(self.bans.run)
