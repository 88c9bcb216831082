"""Laws of `adapters.postgres.drafts`: a batch means what it means in memory, whatever it holds."""

from contextlib import AsyncExitStack, asynccontextmanager

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_pair import Pair, steps

from triolet._model.errors import StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.testing.contracts import CountingEntropy, Home


class Nodes:
    """Two nodes on one database, as one store: calls go to them by turns."""

    def __init__(self, stores):
        self.stores = stores
        self.calls = 0

    def __getattr__(self, name):
        self.calls += 1
        return getattr(self.stores[self.calls % 2], name)

    async def append(self, batch):
        self.calls += 1
        store = self.stores[self.calls % 2]
        try:
            return await store.append(batch)
        except StoreUnavailable:
            # The other one has begun a generation, and this one has not appended since.
            return await store.append(batch)

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "_entropy":
            for store in self.stores:
                store._appender._entropy = value


@settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(script=st.lists(steps, max_size=14))
async def test_two_nodes_say_what_memory_says(
    postgres_server, postgres_template, tmp_path_factory, script
):
    """The law: whatever is done through either node, both answer as the store in memory does."""
    home = Home(tmp_path_factory.mktemp("pair"))
    url = postgres_server.url(postgres_server.create_database(postgres_template))

    @asynccontextmanager
    async def open_nodes():
        limits = Limits(head_check_s=0, postgres_connections_max=2)
        async with AsyncExitStack() as stack:
            yield Nodes(
                [
                    await stack.enter_async_context(
                        open_postgres_store(
                            url, clock=home.clock, entropy=CountingEntropy(), limits=limits
                        )
                    )
                    for _ in range(2)
                ]
            )

    await Pair(home, open_nodes).play(script)
