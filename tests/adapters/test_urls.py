"""Laws of URLs: which pairs of a store and a bus can work, and that none shows its password."""

import pytest

from triolet._model.errors import ConfigurationError
from triolet.adapters.urls import bus_of, check_bus, check_store, is_shared, masked, split_urls

SHARED = ("postgresql://db/chat", "postgres://anna@db:5432/chat", "postgresql:///chat?host=/run")
OWN = ("memory:", "sqlite:a/b.db")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://anna:pw@db/chat", "postgresql://anna:***@db/chat"),
        ("redis://:pw@h", "redis://:***@h"),
        ("redis://h:6379", "redis://h:6379"),
        ("postgresql://db/chat?user=a@b", "postgresql://db/chat?user=a@b"),
        ("postgresql://a:p/q@r:s@db/chat", "postgresql://a:***@db/chat"),
        ("postgresql://db/c?password=pw&x=1", "postgresql://db/c?password=***&x=1"),
        ("redis://:p,q@one, redis://two", "redis://:***@one,redis://two"),
        ("sqlite:a:b@c", "sqlite:a:b@c"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    """Also where its special characters were not written as such."""
    assert masked(url) == shown


def test_a_comma_parts_urls_only():
    assert split_urls("redis://:a,b@one , rediss://two,redis://three") == [
        "redis://:a,b@one",
        "rediss://two",
        "redis://three",
    ]


def test_stores_that_several_nodes_can_share():
    assert [is_shared(url) for url in (*SHARED, *OWN)] == [True] * len(SHARED) + [False] * len(OWN)
    for url in (*SHARED, *OWN):
        check_store(url)


@pytest.mark.parametrize("bus", ["redis://h", "rediss://u:p@h:1/0,redis://[::1]", "postgresql:"])
def test_a_bus_joins_nodes_of_a_shared_store_only(bus):
    """Two nodes with a bus and a database each would number one room's log twice."""
    for store in SHARED:
        check_bus(bus, store)
    for store in OWN:
        with pytest.raises(ConfigurationError, match="need one store on PostgreSQL"):
            check_bus(bus, store)


@pytest.mark.parametrize("bus", ["", "memory:"])
def test_one_node_may_have_any_store(bus):
    for store in (*SHARED, *OWN, ""):
        check_bus(bus, store)


def test_what_is_meant_by_what_was_set():
    """LISTEN needs a connection of its own, so another address than the store's may be named."""
    store = SHARED[0]

    assert [bus_of(bus, store) for bus in ("", "postgresql:", "memory:")] == [
        store,
        store,
        "memory:",
    ]
    assert bus_of("postgresql://direct/chat", store) == "postgresql://direct/chat"
    assert [bus_of("", own) for own in (*OWN, "")] == ["memory:"] * 3
