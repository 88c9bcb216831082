"""Law: only the public internet is reached, however an address is spelled."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet_api.notifications.addresses import is_reachable


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_reached(address: str) -> None:
    assert is_reachable(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",  # Alibaba's metadata
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",  # everybody's metadata
        "172.31.0.1",
        "192.0.0.192",  # Oracle's metadata
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",  # IPv4, translated (RFC 2765)
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:0:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",  # Amazon's metadata
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "localhost",
        "",
    ],
)
def test_no_others_are(address: str) -> None:
    assert not is_reachable(address)


@given(st.ip_addresses(v=4))
def test_ipv4_in_ipv6_is_judged_as_what_it_is(address: object) -> None:
    assert is_reachable(str(address)) == is_reachable(f"::ffff:{address}")


def test_a_network_may_be_allowed() -> None:
    allowed = [ip_network("127.0.0.0/8")]

    assert is_reachable("127.0.0.1", allowed=allowed)
    assert is_reachable("::ffff:127.0.0.1", allowed=allowed)
    assert not is_reachable("10.0.0.1", allowed=allowed)
    assert not is_reachable("::1", allowed=allowed)
