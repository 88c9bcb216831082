"""Stores and buses by URL: which there are, which go together, and how one is shown."""

import re
from typing import Final

from .._model.errors import ConfigurationError

STORES: Final = "`sqlite:PATH`, `postgresql://…` or `memory:`"
BUSES: Final = "`redis://…` (several: comma separated), `postgresql:` or `memory:`"
# What several nodes may have in common; everything else belongs to one process.
_is_postgres = re.compile(r"postgres(ql)?://\S*").fullmatch
_is_redis = re.compile(r"rediss?://(\S*@)?[^\s,@]+").fullmatch
# A comma may be part of a password, so only one before the next URL parts them.
_BETWEEN_URLS: Final = re.compile(r"\s*,\s*(?=\w+://)")
# Up to the last `@`: a password in which one was not written as `%40` is hidden as well.
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*):\S*@")
_PARAMETER: Final = re.compile(r"([?&][a-z]*password=)[^&\s]*", re.IGNORECASE)


def masked(url: str) -> str:
    """Return a URL, or several, without passwords.

    >>> masked("postgresql://anna:hunter2@db/chat?sslpassword=x")
    'postgresql://anna:***@db/chat?sslpassword=***'
    """
    shown = [_PASSWORD.sub(r"\1:***@", part) for part in split_urls(url)]
    return _PARAMETER.sub(r"\1***", ",".join(shown))


def split_urls(urls: str) -> list[str]:
    """Return URLs that are separated by commas.

    >>> split_urls("redis://one, redis://two")
    ['redis://one', 'redis://two']
    """
    return _BETWEEN_URLS.split(urls.strip())


def is_shared(store: str) -> bool:
    """Whether nodes on several machines can use a store at once."""
    return _is_postgres(store) is not None


def bus_of(bus: str, store: str) -> str:
    """Return the bus that is meant, as a whole URL.

    Args:
        bus: as it was set; empty: the best that the store has; `postgresql:`: its database.
        store: the store's URL; empty: it has none.

    >>> bus_of("", "postgresql://db/chat")
    'postgresql://db/chat'
    """
    if bus == "postgresql:" or (not bus and is_shared(store)):
        return store
    return bus or "memory:"


def check_store(url: str) -> None:
    """Make sure that a URL names a store.

    Raises:
        ConfigurationError: it does not.
    """
    is_one = url == "memory:" or re.fullmatch(r"sqlite:.+", url) or is_shared(url)
    if not is_one:
        raise ConfigurationError(f"{masked(url)!r} is no store: those are {STORES}")


def check_bus(bus: str, store: str) -> None:
    """Make sure that a bus is one, and can join nodes of this store.

    Args:
        bus: as it was set; see `bus_of`.
        store: the store's URL; empty: it has none.

    Raises:
        ConfigurationError: it is none, or the nodes would not have the same store.
    """
    if bus == "postgresql:" and not store:
        raise ConfigurationError("`postgresql:` is the store's database, and this store has no URL")
    if bus not in ("", "memory:") and store and not is_shared(store):
        raise ConfigurationError(
            "nodes that a bus joins need one store on PostgreSQL, or each would number a log of "
            f"its own: {masked(store)!r} is for one node, with the bus `memory:`"
        )
    url = bus_of(bus, store)
    if not (url == "memory:" or is_shared(url) or all(map(_is_redis, split_urls(url)))):
        raise ConfigurationError(f"{masked(bus)!r} is no bus: those are {BUSES}")
