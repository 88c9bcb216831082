"""The servers that these tests share: each starts once, and is up again after each test."""

import pytest

from triolet.testing.services.postgres import NoPostgres, run_postgres
from triolet.testing.services.redis import NoRedis, run_redis


@pytest.fixture(scope="session")
def postgres():
    try:
        with run_postgres() as server:
            yield server
    except NoPostgres as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def redis():
    try:
        with run_redis() as server:
            yield server
    except NoRedis as missing:
        pytest.skip(str(missing))
