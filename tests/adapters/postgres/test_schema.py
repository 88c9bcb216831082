"""Laws of `adapters.postgres.schema`: nodes that start together find one schema, and one store."""

import pytest
import trio

from triolet._model.errors import ConfigurationError, SchemaTooNew
from triolet._model.limits import Limits
from triolet.adapters.postgres import open_postgres_store
from triolet.testing.contracts import Home
from triolet.testing.contracts import drafting as d


async def test_nodes_that_start_together_open_one_store(postgres_url, tmp_path):
    """The first of them makes the schema and begins the log, and the others find both."""
    home = Home(tmp_path)
    epochs = []

    async def start(number):
        async with open_postgres_store(
            postgres_url, clock=home.clock, entropy=home.entropy, limits=Limits()
        ) as store:
            await d.append(store, d.founding(f"r{number}", "anna"))
            epochs.append((await d.state(store, f"r{number}")).epoch)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(start, number)
    assert 4 == len(epochs)
    assert 1 == len(set(epochs))


async def test_a_newer_schema_is_left_alone(postgres_server, postgres_url, tmp_path):
    """A store that a newer Triolet has written is not opened."""
    home = Home(tmp_path)
    name = postgres_url.rsplit("/", 1)[1]
    arguments = {"clock": home.clock, "entropy": home.entropy, "limits": Limits()}
    async with open_postgres_store(postgres_url, **arguments):
        pass
    postgres_server.execute("UPDATE triolet_schema SET version = version + 1", name)
    with pytest.raises(SchemaTooNew):
        async with open_postgres_store(postgres_url, **arguments):
            pass


async def test_a_database_must_keep_every_text(postgres_server, tmp_path):
    """Another encoding than UTF-8 is refused, by its name."""
    home = Home(tmp_path)
    postgres_server.execute(
        "CREATE DATABASE narrow TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    )
    with pytest.raises(ConfigurationError, match="SQL_ASCII"):
        async with open_postgres_store(
            postgres_server.url("narrow"), clock=home.clock, entropy=home.entropy, limits=Limits()
        ):
            pass
    postgres_server.drop_database("narrow")
