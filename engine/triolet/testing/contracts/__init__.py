"""Contract suites: what every adapter of a port promises, as tests its author runs.

An adapter of `ports.store.Store` is proved by a subclass in a test module. pytest and
pytest-trio are needed, and Hypothesis for the law of history::

    from triolet.testing.contracts import Home, StoreContract


    class TestMyStore(StoreContract):
        durable = True  # what was acknowledged is there when the same home is opened again

        def open_store(self, home: Home):
            return open_my_store(home.path / "store", clock=home.clock, entropy=home.entropy)

Each test opens a store at a home of its own, with a clock that stands still until it is moved
and entropy that counts. The docstring of each test is the sentence of the port that it proves.
The store's jobs (`ports.jobs`) are proved by `JobContract` in the same way, an adapter of
`ports.bus.Bus` by `BusContract`, one of `ports.limiter.Limiter` by `LimiterContract`, and the
source and the target of `ports.transfer` by `TransferContract`.
"""

from ..entropy import CountingEntropy as CountingEntropy
from .bus import BusContract as BusContract
from .home import Home as Home
from .home import StandingClock as StandingClock
from .jobs import JobContract as JobContract
from .limiting import LimiterContract as LimiterContract
from .store import StoreContract as StoreContract
from .transfers import TransferContract as TransferContract
