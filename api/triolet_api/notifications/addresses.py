"""Which addresses the server may be sent to: those of the public internet, and no others.

An endpoint is whatever a user says, so that a server which follows it everywhere is a way into
the network it stands in: to its metadata service, its database, its own admin pages.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# All of IPv6 that is public; outside it are translators of many kinds, which reach IPv4.
_PUBLIC: Final = IPv6Network("2000::/3")
# Besides what `is_global` refuses. Versions of Python differ in some of these, and IPv6 has
# ways to spell IPv4 that it takes for public.
_REFUSED: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own, and some clouds' metadata
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_reachable(text: str, *, allowed: Sequence[Network] = ()) -> bool:
    """Whether a request may go to an address.

    Args:
        text: the address as a number, without a port; a zone (`%eth0`) makes it local.
        allowed: networks that may be reached although they are private.

    >>> is_reachable("93.184.216.34"), is_reachable("127.0.0.1"), is_reachable("::ffff:10.0.0.1")
    (True, False, False)
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return True
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv6Address) and address not in _PUBLIC:
        return False
    return not any(address in network for network in _REFUSED)
