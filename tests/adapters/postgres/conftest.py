"""What tests of the store share: a database that has the schema already."""

import pytest
import trio

from triolet.adapters.postgres.migrations import migrate
from triolet.adapters.postgres.schema import steps


@pytest.fixture(scope="session")
def postgres_template(postgres_server):
    """Return the name of a database with the schema and nothing in it: copied in 30 ms."""
    name = postgres_server.create_database()
    trio.run(lambda: migrate(postgres_server.url(name), steps(), timeout_s=10))
    return name
