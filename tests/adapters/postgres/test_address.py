"""Laws of `adapters.postgres.address`: URLs as libpq's, names looked up beside the loop."""

import socket
import threading

import pytest
import trio

from triolet._model.errors import ConfigurationError
from triolet.adapters.postgres import address
from triolet.adapters.postgres.address import attempts, hosts, parse


def test_a_url_is_read_as_libpq_reads_it():
    """Hosts, ports, names with escapes, and parameters; ours is not libpq's."""
    parsed = parse("postgresql://ann%40a:p%2Fw@one:5433,two:5434/chat?sslmode=require&prepare=0")

    assert not parsed.prepare
    assert {
        "user": "ann@a",
        "password": "p/w",
        "host": "one,two",
        "port": "5433,5434",
        "dbname": "chat",
        "sslmode": "require",
    }.items() <= parsed.parameters.items()
    assert "prepare" not in parsed.parameters


def test_what_the_url_says_stands_above_our_defaults():
    """A server that is gone is found out, also where nobody thought of it."""
    assert "30" == parse("postgresql://one/chat").parameters["keepalives_idle"]
    assert "5" == parse("postgresql://one/chat?keepalives_idle=5").parameters["keepalives_idle"]
    assert parse("postgresql://one/chat").prepare


def test_the_environment_counts_as_with_libpq(monkeypatch):
    """`PGHOST` and its like hold where the URL says nothing."""
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGPORT", "6000")

    assert [{"host": "elsewhere", "hostaddr": "", "port": "6000"}] == hosts(parse("postgresql:///"))
    assert "one" == parse("postgresql://one/chat").parameters["host"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@one/chat?nonsense=1",
        "postgresql://u:secret@[one/chat",
        "postgresql://u:secret@one/chat?sslmode",
        "postgresql://u:secret@one/chat?prepare=maybe",
    ],
)
def test_what_is_no_url_is_said_without_its_password(url):
    """The message goes to logs."""
    with pytest.raises(ConfigurationError) as caught:
        parse(url)

    assert "secret" not in str(caught.value)
    assert "database" in str(caught.value)


def test_ports_are_of_hosts():
    """One port is all hosts'; else each has its own."""
    assert ["7", "7"] == [host["port"] for host in hosts(parse("postgresql://a,b/c?port=7"))]
    with pytest.raises(ConfigurationError, match="port"):
        hosts(parse("postgresql://a,b,c/d?port=1,2"))


def lookups(monkeypatch, found):
    def getaddrinfo(host, port, **kinds):
        if host not in found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in found[host]]

    monkeypatch.setattr(address.socket, "getaddrinfo", getaddrinfo)


async def test_each_address_of_each_host_is_an_attempt(monkeypatch):
    """In the order of the URL; a host without an address is passed over; libpq looks up none."""
    lookups(monkeypatch, {"two": ["10.0.0.2", "10.0.0.3", "10.0.0.2"]})

    made = await attempts(parse("postgresql://gone:5,two:5,10.0.0.9:6/chat"))

    assert [b"10.0.0.2", b"10.0.0.3", b"10.0.0.9"] == [
        part.removeprefix(b"hostaddr=")
        for one in made
        for part in one.split()
        if part.startswith(b"hostaddr=")
    ]
    assert all(b"host=two" in one.split() for one in made[:2])


async def test_no_host_at_all_is_an_error(monkeypatch):
    """The last reason is told."""
    lookups(monkeypatch, {})
    with pytest.raises(OSError, match="no such name"):
        await attempts(parse("postgresql://gone,away/chat"))


async def test_sockets_and_given_addresses_are_not_looked_up(monkeypatch):
    """A path is one of a socket; `hostaddr` says all, and `host` is the name on the certificate."""
    lookups(monkeypatch, {})

    assert 1 == len(await attempts(parse("postgresql:///chat?host=/run/postgresql")))
    (one,) = await attempts(parse("postgresql://db.example/chat?hostaddr=10.0.0.1"))
    assert {b"host=db.example", b"hostaddr=10.0.0.1"} <= set(one.split())


async def test_a_slow_name_server_does_not_stop_the_loop(monkeypatch):
    """Names are looked up in threads, and whoever is cancelled does not wait for them."""
    answered = threading.Event()
    monkeypatch.setattr(address.socket, "getaddrinfo", lambda *_, **__: answered.wait())

    with trio.move_on_after(0.01) as scope:
        await attempts(parse("postgresql://slow/chat"))
    answered.set()

    assert scope.cancelled_caught
