"""Addresses: whose a connection is, behind proxies that are trusted, and which networks hold it.

An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address everywhere: a
rule for the one would else be no rule for the other.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Generic, Literal, TypeAlias, TypeVar, final

IpAddress: TypeAlias = IPv4Address | IPv6Address
IpNetwork: TypeAlias = IPv4Network | IPv6Network
ForwardedHeader: TypeAlias = Literal["x-forwarded-for", "forwarded"]
Value = TypeVar("Value")

# Whose connection came over a Unix socket, or whose proxy did not say.
UNIX: Final = "unix"
UNKNOWN: Final = "unknown"
# Who is in the engine's own process.
INSIDE: Final = "in-process"
# Proxies in a row; a chain that is longer is no chain of ours.
_HOPS_MAX: Final = 32
# The network of one customer: who has an IPv6 address has all of its /64.
_CUSTOMER_BITS: Final = 64
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


@lru_cache(maxsize=4096)
def address_of(text: str) -> IpAddress | None:
    """Return the address that `text` is, or None; without a zone, and IPv4 as such.

    >>> address_of("::ffff:192.0.2.1"), address_of("fe80::1%eth0"), address_of("unknown")
    (IPv4Address('192.0.2.1'), IPv6Address('fe80::1'), None)
    """
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def network_of(text: str) -> IpNetwork:
    """Return the network that `text` is: `10.0.0.0/8`, or one address.

    Raises:
        ValueError: it is none, or has bits set behind its prefix: it may be meant otherwise.

    >>> network_of("2001:db8::/32"), network_of("::ffff:10.0.0.0/104"), network_of("192.0.2.1")
    (IPv6Network('2001:db8::/32'), IPv4Network('10.0.0.0/8'), IPv4Network('192.0.2.1/32'))
    """
    address, slash, bits = text.partition("/")
    # Python would also take masks, of which 0.0.0.255 is read as its opposite, and zones.
    if "%" in address or (slash and not (bits.isascii() and bits.isdecimal())):
        raise ValueError(f"{text!r} is no network such as 10.0.0.0/8 or 2001:db8::/32")
    try:
        found = ip_network(text)
    except ValueError:
        raise ValueError(_why_none(text)) from None
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        mapped = found.network_address.ipv4_mapped
        return IPv4Network((mapped or 0, found.prefixlen - 96))
    return found


def _why_none(text: str) -> str:
    try:
        return f"{text!r} has bits set behind its prefix; {ip_network(text, strict=False)} has not"
    except ValueError:
        return f"{text!r} is no network such as 10.0.0.0/8 or 2001:db8::/32"


@final
class NetworkMap(Generic[Value]):
    """Values by network; what a look-up costs is a step for each length of a prefix in use.

    >>> networks = NetworkMap[str]()
    >>> networks.put(network_of("10.0.0.0/8"), "ours")
    >>> list(networks.holding(address_of("10.1.2.3"))), list(networks.holding(address_of("::1")))
    (['ours'], [])
    """

    __slots__ = ("_by_version",)

    def __init__(self) -> None:
        # By the version, then by how many bits of an address do not count.
        self._by_version: dict[int, dict[int, dict[int, Value]]] = {4: {}, 6: {}}

    @classmethod
    def of(cls, texts: Sequence[str]) -> "NetworkMap[str]":
        """Return the networks of `texts`, each with its own text.

        Raises:
            ValueError: one of them is none.
        """
        made = NetworkMap[str]()
        for text in texts:
            made.put(network_of(text), text)
        return made

    def put(self, network: IpNetwork, value: Value) -> None:
        """Have a value for a network, instead of another one."""
        ignored = network.max_prefixlen - network.prefixlen
        table = self._by_version[network.version].setdefault(ignored, {})
        table[int(network.network_address) >> ignored] = value

    def drop(self, network: IpNetwork) -> None:
        """Have no value for a network any more."""
        ignored = network.max_prefixlen - network.prefixlen
        tables = self._by_version[network.version]
        table = tables.get(ignored, {})
        table.pop(int(network.network_address) >> ignored, None)
        if not table:
            tables.pop(ignored, None)

    def holding(self, address: IpAddress | None) -> Iterator[Value]:
        """Yield the values of all networks that hold an address; of none, nothing."""
        if address is None:
            return
        number = int(address)
        for ignored, table in self._by_version[address.version].items():
            value = table.get(number >> ignored)
            if value is not None:
                yield value

    def __contains__(self, address: IpAddress | None) -> bool:
        return next(self.holding(address), None) is not None

    def __bool__(self) -> bool:
        return bool(self._by_version[4] or self._by_version[6])


@lru_cache(maxsize=4096)
def is_local(address: str) -> bool:
    """Whether somebody is on this machine: loopback, a Unix socket, this process.

    >>> is_local("127.0.0.1"), is_local("::1"), is_local(UNIX), is_local("192.0.2.1")
    (True, True, True, False)
    """
    found = address_of(address)
    if found is None:
        return address in (UNIX, INSIDE)
    return any(found in network for network in _LOOPBACK)


@lru_cache(maxsize=4096)
def customer_of(address: str) -> str:
    """Return what a limit for an address is kept by: it, or the /64 of an IPv6 address.

    >>> customer_of("192.0.2.1"), customer_of("2001:db8::1:2:3:4"), customer_of("unknown")
    ('192.0.2.1', '2001:db8::/64', 'unknown')
    """
    found = address_of(address)
    if not isinstance(found, IPv6Address):
        return address if found is None else str(found)
    return str(IPv6Network((found, _CUSTOMER_BITS), strict=False))


@final
class AddressRules:
    """What an operator says of addresses.

    Args:
        trusted: networks of proxies, whose word on where a connection comes from is taken.
        allow: networks of whom no limit, ban or other rule for addresses is applied to.
        deny: networks that may not connect, unless `allow` holds the address as well.
        header: the one in which the trusted proxies tell it. The other one may come from
            whoever connects to them, and is not looked at.

    Raises:
        ValueError: a network is none.

    >>> rules = AddressRules(trusted=["10.0.0.0/8"], deny=["0.0.0.0/0"], allow=["192.0.2.0/24"])
    >>> rules.client("10.0.0.1", forwarded_for="198.51.100.7, 192.0.2.9")
    '192.0.2.9'
    >>> rules.client("192.0.2.9", forwarded_for="198.51.100.7")
    '192.0.2.9'
    >>> rules.denies("192.0.2.9"), rules.denies("198.51.100.7")
    (False, True)
    """

    __slots__ = ("_allow", "_deny", "_header", "_trusted")

    def __init__(
        self,
        *,
        trusted: Sequence[str] = (),
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        header: ForwardedHeader = "x-forwarded-for",
    ) -> None:
        self._trusted = NetworkMap.of(trusted)
        self._allow = NetworkMap.of(allow)
        self._deny = NetworkMap.of(deny)
        self._header = header

    def trusts(self, peer: str) -> bool:
        """Whether a peer's word is taken: a trusted proxy, or whoever may open our Unix socket."""
        return peer == UNIX or address_of(peer) in self._trusted

    def allows(self, address: str) -> bool:
        """Whether the rules for addresses are not for this one."""
        return bool(self._allow) and address_of(address) in self._allow

    def denies(self, address: str) -> bool:
        """Whether nobody may connect from an address."""
        if not self._deny:
            return False
        return address_of(address) in self._deny and not self.allows(address)

    def bounds(self, address: str) -> bool:
        """Whether limits for addresses are for this one: not for this machine's own."""
        return not (is_local(address) or self.allows(address))

    def client(
        self, peer: str, *, forwarded_for: str | None = None, forwarded: str | None = None
    ) -> str:
        """Return where a connection comes from: its peer, or what trusted proxies say.

        Each proxy appends whom it was connected to by. So the list is believed from its end as
        far as those who appended are trusted: what somebody else has forged stands before that.

        Args:
            peer: the other end of the socket.
            forwarded_for: the X-Forwarded-For of the request, several of them joined by commas.
            forwarded: its Forwarded (RFC 7239), joined as well.

        Returns:
            `UNKNOWN` where a trusted proxy says something else than an address.
        """
        if not self.trusts(peer):
            return peer
        is_for = self._header == "x-forwarded-for"
        value = forwarded_for if is_for else forwarded
        if not value:
            return peer
        found = peer
        hops = value.rsplit(",", _HOPS_MAX)
        for hop in reversed(hops):
            address = address_of(_bare(hop if is_for else _for(hop)))
            if address is None:
                return UNKNOWN
            found = str(address)
            if address not in self._trusted:
                return found
        return found if len(hops) <= _HOPS_MAX else UNKNOWN


def _for(element: str) -> str:
    """Return the node of a Forwarded element's `for`, empty: it has none.

    >>> _for('proto=https; For="[2001:db8::1]:4711"'), _for("by=10.0.0.1")
    ('[2001:db8::1]:4711', '')
    """
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            value = value.strip()
            is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
            return value[1:-1] if is_quoted else value
    return ""


def _bare(node: str) -> str:
    """Return an address without the port and the brackets that some proxies write.

    >>> [_bare(node) for node in (" 192.0.2.1:80", "[2001:db8::1]:80", "[::1]", "2001:db8::1")]
    ['192.0.2.1', '2001:db8::1', '::1', '2001:db8::1']
    """
    node = node.strip()
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
