"""The contract of `ports.bus.Bus`, whole."""

from .leasing import LeaseContract
from .ringing import RingContract


class BusContract(RingContract, LeaseContract):
    """Every sentence of the port. Subclass it, say how a bus is joined, and run pytest::

    class TestMyBus(BusContract):
        def open_bus(self, home: Home):
            return open_my_bus(url, prefix=str(home.path))
    """
