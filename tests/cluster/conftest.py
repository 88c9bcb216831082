"""The servers that these tests share: each is up again after each test."""

import pytest


@pytest.fixture(scope="session")
def postgres(postgres_server):
    return postgres_server


@pytest.fixture(scope="session")
def redis(redis_server):
    return redis_server
