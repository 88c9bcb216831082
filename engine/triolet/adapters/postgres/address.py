"""Where the database is: a URL of libpq's kind, taken apart into attempts to connect.

libpq would try several hosts by itself, but it looks names up while the loop waits, and its
`connect_timeout` does not hold for connections made without blocking. So each attempt names one
host and one address, which were looked up in a thread, and has a time of its own.
"""

import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, final

import psycopg
import trio
from msgspec import Struct
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..._model.errors import ConfigurationError

# Names are looked up by threads of their own, not by those that stores and passwords use.
_LOOKUPS_MAX: Final = 4
# What libpq does not know by itself, and what holds where the URL says nothing else.
_DEFAULTS: Final = {
    "application_name": "triolet",
    "client_encoding": "UTF8",
    # Looks for Kerberos tickets, which may ask the network while the loop waits.
    "gssencmode": "disable",
    # A server whose machine is gone says nothing: found out in 30 + 3 x 10 s while idle,
    # in 10 s while it owes an answer.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


@final
class Address(Struct, frozen=True):
    """A URL, read.

    Attributes:
        parameters: libpq's, by keyword.
        prepare: whether statements are prepared; `prepare=0` where a pooler gives each
            transaction another session.
    """

    parameters: Mapping[str, str]
    prepare: bool


def parse(url: str) -> Address:
    """Read `postgresql://user:password@host:port,host:port/database?sslmode=verify-full&…`.

    >>> parse("postgresql://u@a,b:6432/chat?prepare=0").parameters["host"]
    'a,b'

    Raises:
        ConfigurationError: libpq does not understand it.
    """
    base, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    ours = [pair for pair in pairs if pair.startswith("prepare=")]
    if not set(ours) <= {"prepare=0", "prepare=1"}:
        raise ConfigurationError("prepare in the URL of the database: this is 0 or 1")
    rest = "&".join(pair for pair in pairs if pair not in ours)
    try:
        given = conninfo_to_dict(f"{base}?{rest}" if rest else base)
    except psycopg.Error:
        # Not libpq's words: they may repeat a password.
        raise ConfigurationError("the URL of the database is none that libpq understands") from None
    named = {name: str(value) for name, value in given.items() if value is not None}
    return Address(_DEFAULTS | _environment() | named, "prepare=0" not in ours)


def _environment() -> dict[str, str]:
    """Return what libpq takes from the environment (`PGHOST` and so on)."""
    return {
        option.keyword.decode(): option.val.decode()
        for option in pq.Conninfo.get_defaults()
        if option.val is not None and option.val != option.compiled
    }


def hosts(address: Address) -> list[dict[str, str]]:
    """Return the parameters that differ from host to host, one dict for each."""
    named = {
        name: address.parameters.get(name, "").split(",") for name in ("host", "hostaddr", "port")
    }
    count = max(len(values) for values in named.values())
    for name, values in named.items():
        if len(values) == 1:
            named[name] = values * count
        elif len(values) != count:
            raise ConfigurationError(
                f"{name} in the URL of the database: {len(values)} for {count} hosts"
            )
    return [{name: values[i] for name, values in named.items()} for i in range(count)]


async def attempts(address: Address) -> list[bytes]:
    """Return what libpq is told for each address of each host, in their order.

    Raises:
        OSError: no name could be looked up.
    """
    found: list[bytes] = []
    failed: OSError | None = None
    for host in hosts(address):
        try:
            places = [host["hostaddr"]] if host["hostaddr"] else await _addresses(host["host"])
        except OSError as error:
            failed = error
            continue
        for place in places:
            named = {**address.parameters, **host, "hostaddr": place}
            given = {name: value for name, value in named.items() if value}
            found.append(make_conninfo("", **given).encode())
    if not found and failed is not None:
        raise failed
    return found


async def _addresses(host: str) -> list[str]:
    """Look a host's addresses up; an empty one: a Unix socket, or libpq's default."""
    if not host or host.startswith(("/", "@")):
        await trio.lowlevel.checkpoint()
        return [""]
    try:
        return [str(ip_address(host))]
    except ValueError:
        answers = await trio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM),
            abandon_on_cancel=True,
            limiter=_lookups(),
        )
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("postgres lookups")


def _lookups() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_LOOKUPS_MAX)
        _limiter.set(limiter)
        return limiter
