"""Laws of addresses: nobody else's word moves where a connection is said to come from."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet._domain.addresses import (
    UNIX,
    UNKNOWN,
    AddressRules,
    NetworkMap,
    address_of,
    customer_of,
    is_local,
    network_of,
)

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)
addresses = v4 | v6
PROXIES = ["10.0.0.0/8", "fd00::/8"]
proxies = st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fd00::/8")


def networks(version):
    bits = 32 if version == 4 else 128
    return st.builds(
        lambda address, length: ip_network((address, length), strict=False),
        v4 if version == 4 else v6,
        st.integers(0, bits),
    )


def is_foreign(address):
    known = address_of(str(address))
    return not any(known in NetworkMap.of([text]) for text in PROXIES)


# --- addresses and networks --------------------------------------------------------------------


@given(v4)
def test_an_address_is_the_same_one_however_it_is_written(address):
    assert address_of(str(address)) == address
    assert address_of(f"::ffff:{address}") == address
    assert address_of(f"::ffff:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}") == address


@given(st.text(max_size=60))
def test_what_is_no_address_is_none_and_nothing_is_raised(text):
    found = address_of(text)
    assert found is None or isinstance(found, IPv4Address | IPv6Address)


@pytest.mark.parametrize("text", ["1.2.3", "01.2.3.4", "1.2.3.4.5", "::1::", "", "localhost", " "])
def test_what_only_looks_like_an_address_is_none(text):
    assert address_of(text) is None


@given(networks(4) | networks(6))
def test_a_network_is_read_as_it_is_written(network):
    expected = network
    if isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("::ffff:0:0/96")):
        mapped = network.network_address.ipv4_mapped
        expected = IPv4Network((mapped, network.prefixlen - 96))
    assert network_of(str(network)) == expected


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/0.0.0.255", "10.0.0.0/",
     "fe80::1%eth0/64", "::/129", "", "ten", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/\u0668"],
)  # fmt: skip
def test_what_may_be_meant_otherwise_is_no_network(text):
    with pytest.raises(ValueError, match=r"network|bits"):
        network_of(text)


@given(st.lists(networks(4) | networks(6), max_size=8), addresses)
def test_a_map_finds_exactly_the_networks_that_hold_an_address(held, address):
    known = {network_of(str(one)): str(one) for one in held}
    found = NetworkMap()
    for network, text in known.items():
        found.put(network, text)
    at = address_of(str(address))
    expected = {text for one, text in known.items() if at.version == one.version and at in one}

    assert set(found.holding(at)) == expected
    assert (at in found) == bool(expected)
    for network in known:
        found.drop(network)
        found.drop(network)
    assert not found
    assert list(found.holding(at)) == []


def test_every_ipv6_address_is_in_the_whole_of_ipv6_and_no_ipv4_address_is():
    whole = NetworkMap.of(["::/0"])

    assert address_of("2001:db8::1") in whole
    assert address_of("::ffff:192.0.2.1") not in whole
    assert None not in whole


@given(addresses)
def test_a_customer_is_an_ipv4_address_or_the_network_around_an_ipv6_address(address):
    known = address_of(str(address))
    text = customer_of(str(address))
    if isinstance(known, IPv4Address):
        assert text == str(known)
    else:
        assert known in IPv6Network(text)
        assert IPv6Network(text).prefixlen == 64


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), (UNIX, True),
     (UNKNOWN, False), ("", False), ("128.0.0.1", False), ("::2", False)],
)  # fmt: skip
def test_who_is_on_this_machine(address, expected):
    assert is_local(address) == expected


# --- whose a connection is -----------------------------------------------------------------------


@given(addresses.filter(is_foreign), st.text(max_size=60) | addresses.map(str))
def test_a_header_of_somebody_who_is_not_trusted_is_ignored(peer, forged):
    for header in ("x-forwarded-for", "forwarded"):
        rules = AddressRules(trusted=PROXIES, header=header)
        assert rules.client(str(peer), forwarded_for=forged, forwarded=forged) == str(peer)
        assert AddressRules(header=header).client("10.0.0.1", forwarded_for=forged) == "10.0.0.1"


@given(
    proxies,
    st.text(max_size=60) | addresses.map(str),
    addresses.filter(is_foreign),
    st.lists(proxies, max_size=3),
)
def test_behind_proxies_it_is_whom_the_first_of_them_saw_whatever_stands_before(
    peer, forged, client, chain
):
    """The client wrote `forged`; the first proxy appended the client, the next ones each other."""
    expected = str(address_of(str(client)))
    plain = ", ".join([forged, str(client), *map(str, chain)])
    assert AddressRules(trusted=PROXIES).client(str(peer), forwarded_for=plain) == expected
    elements = [
        f"for={one}" if isinstance(one, IPv4Address) else f'for="[{one}]:443"; proto=https'
        for one in (client, *chain)
    ]
    rules = AddressRules(trusted=PROXIES, header="forwarded")
    assert rules.client(str(peer), forwarded=", ".join([forged, *elements])) == expected


def test_only_the_header_that_the_proxies_write_is_looked_at():
    """The other one comes through as whoever connects to them wrote it."""
    rules = AddressRules(trusted=PROXIES)
    assert rules.client("10.0.0.1", forwarded="for=203.0.113.9") == "10.0.0.1"
    both = {"forwarded_for": "192.0.2.1", "forwarded": "for=203.0.113.9"}
    assert rules.client("10.0.0.1", **both) == "192.0.2.1"
    assert AddressRules(trusted=PROXIES, header="forwarded").client("10.0.0.1", **both) == (
        "203.0.113.9"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("unknown", UNKNOWN),
        ("192.0.2.1, unknown", UNKNOWN),
        ("192.0.2.1,", UNKNOWN),
        ("_hidden, 10.0.0.8", UNKNOWN),
        (", ".join(["192.0.2.1", *["10.0.0.8"] * 40]), UNKNOWN),
        ("", "10.0.0.1"),
    ],
)
def test_what_proxies_write(value, expected):
    assert AddressRules(trusted=PROXIES).client("10.0.0.1", forwarded_for=value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('for="192.0.2.1:80"', "192.0.2.1"),
        ('FOR="[2001:db8::1]";by=10.0.0.1', "2001:db8::1"),
        ('for="unbalanced, for=192.0.2.1', "192.0.2.1"),
        ("for=192.0.2.1, by=10.0.0.1", UNKNOWN),
        ("for=_secret", UNKNOWN),
        ("for=", UNKNOWN),
    ],
)
def test_what_proxies_write_by_rfc_7239(value, expected):
    rules = AddressRules(trusted=PROXIES, header="forwarded")
    assert rules.client("10.0.0.1", forwarded=value) == expected


def test_who_may_open_our_unix_socket_is_trusted():
    assert AddressRules().client(UNIX, forwarded_for="192.0.2.1") == "192.0.2.1"
    assert AddressRules().client(UNIX) == UNIX


# --- who may connect -----------------------------------------------------------------------------


def test_allowed_networks_are_an_exception_to_denied_ones():
    rules = AddressRules(deny=["0.0.0.0/0", "2001:db8::/32"], allow=["192.0.2.0/24"])

    assert rules.denies("198.51.100.1")
    assert rules.denies("::ffff:198.51.100.1")
    assert rules.denies("2001:db8::5")
    assert not rules.denies("192.0.2.7")
    assert not rules.denies("2001:db9::5")
    assert not rules.denies(UNIX)


def test_limits_are_for_all_but_this_machine_and_allowed_networks():
    rules = AddressRules(allow=["192.0.2.0/24"])

    assert rules.bounds("198.51.100.1")
    assert rules.bounds(UNKNOWN)
    assert not any(map(rules.bounds, ("192.0.2.7", "127.0.0.1", "::1", UNIX)))


def test_a_rule_that_is_none_is_said():
    for setting in ("trusted", "allow", "deny"):
        with pytest.raises(ValueError, match=r"10\.0\.0\.0/8 has not"):
            AddressRules(**{setting: ["10.0.0.1/8"]})
