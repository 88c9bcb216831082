"""Laws of the listener: whose a connection is behind proxies, and who is not taken at all."""

import socket

import pytest
from edge_peer import Caller, open_port, request_head
from scene import settled

from triolet._domain import addresses
from triolet._domain.addresses import AddressRules
from triolet._domain.bans import Ban

pytestmark = pytest.mark.usefixtures("standing_time")

PROXY = AddressRules(trusted=["127.0.0.1"])
CHAIN = "X-Forwarded-For: 203.0.113.66, 198.51.100.7"
PLAIN = request_head("/", upgrade=False)


@pytest.fixture
def far(monkeypatch):
    """The loopback is as far away as any other address."""
    monkeypatch.setattr(addresses, "is_local", lambda address: address == "unix")


async def address_seen(port, *lines):
    caller = await port.dial()
    await caller.upgrade(*lines)
    (connection,) = port.connections()
    caller.hang_up()
    seen = connection.session.opening.address
    await port.empty()
    return seen


async def status_of(port, *lines):
    """Return how an upgrade is answered, empty: the connection is closed at once."""
    caller = await port.dial()
    try:
        await caller.send(request_head("/ws", *lines))
        answered = await caller.read_all()
    except ConnectionError:
        answered = b""
    caller.hang_up()
    return answered.partition(b"\r\n")[0].decode()


# --- where it comes from -------------------------------------------------------------------------


async def test_a_forged_header_of_somebody_who_is_no_proxy_is_ignored():
    async with open_port() as port:
        assert await address_seen(port, CHAIN) == "127.0.0.1"


async def test_from_a_proxy_the_last_one_it_does_not_trust_counts():
    async with open_port(addresses=PROXY) as port:
        assert await address_seen(port, CHAIN) == "198.51.100.7"
        assert await address_seen(port, "X-Forwarded-For: 1.2.3.4", CHAIN) == "198.51.100.7"
        assert await address_seen(port) == "127.0.0.1"


async def test_a_proxy_may_speak_by_rfc_7239():
    rules = AddressRules(trusted=["127.0.0.1"], header="forwarded")
    async with open_port(addresses=rules) as port:
        said = ('Forwarded: for=1.2.3.4, for="[2001:db8::7]:443";proto=https', CHAIN)
        assert await address_seen(port, *said) == "2001:db8::7"


async def test_over_a_unix_socket_a_proxy_is_trusted(tmp_path):
    async with open_port() as port:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        port.engine.listen_on([listening])
        await settled()
        seen = []
        for lines in ((CHAIN,), ()):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(tmp_path / "s"))
            sock.setblocking(False)
            caller = Caller.__new__(Caller)
            caller.sock, caller._data, caller.pings, caller._refs = sock, bytearray(), 0, 0
            await caller.upgrade(*lines)
            seen.append(port.connections()[-1].session.opening.address)
            caller.hang_up()
            await settled()

        assert seen == ["198.51.100.7", "unix"]


# --- who is not taken ----------------------------------------------------------------------------


async def test_a_denied_peer_is_hung_up_on_before_it_says_anything():
    async with open_port(addresses=AddressRules(deny=["127.0.0.0/8"])) as port:
        caller = await port.dial()
        assert await caller.ended()


async def test_whom_a_proxy_brings_is_refused_by_the_head():
    rules = AddressRules(trusted=["127.0.0.1"], deny=["198.51.100.0/24"], allow=["198.51.100.9"])
    async with open_port(addresses=rules) as port:
        assert await status_of(port, CHAIN) == "HTTP/1.1 403 Forbidden"
        assert await address_seen(port, "X-Forwarded-For: 198.51.100.9") == "198.51.100.9"


async def test_a_banned_peer_is_hung_up_on_and_a_banned_client_of_a_proxy_refused():
    async with open_port(addresses=PROXY) as port:
        await port.engine.bans.add(Ban(network="198.51.100.0/24"))
        assert await status_of(port, CHAIN) == "HTTP/1.1 403 Forbidden"
        await port.engine.bans.lift(network="198.51.100.0/24")
        assert await address_seen(port, CHAIN) == "198.51.100.7"
    async with open_port() as port:
        await port.engine.bans.add(Ban(network="127.0.0.1"))
        caller = await port.dial()
        assert await caller.ended()


async def test_who_is_banned_while_the_head_is_on_its_way_is_refused():
    async with open_port() as port:
        caller = await port.dial()
        await settled()
        await port.engine.bans.add(Ban(network="127.0.0.1"))
        await caller.send(request_head())
        assert (await caller.head()).startswith(b"HTTP/1.1 403 ")


# --- how many ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("far")
async def test_one_address_holds_so_many_connections_and_the_next_is_not_taken():
    async with open_port(address_connections_max=3, address_http_connections_max=2) as port:
        await port.enter("anna")
        silent, _ = await port.dial(), await port.dial()
        await settled()
        over = await port.dial()
        assert await over.ended()
        silent.hang_up()
        await settled()
        await port.enter("ben")
        assert [one.connections for one in port.engine.entrance.customers.by_name.values()] == [3]


@pytest.mark.usefixtures("far")
async def test_half_open_connections_of_one_address_leave_room_for_its_websockets():
    async with open_port(address_connections_max=9, address_http_connections_max=2) as port:
        anna, _ = await port.enter("anna")
        for _ in range(2):
            await port.dial()
        await settled()
        over = await port.dial()
        assert await over.ended()
        # Who sends no request in time makes room again.
        await port.pass_s(port.engine.limits.handshake_timeout_s + 1)
        await port.enter("ben")
        anna.hang_up()


async def test_clients_of_a_proxy_are_counted_each_by_their_own_address():
    async with open_port(addresses=PROXY, address_connections_max=1) as port:
        first = await port.dial()
        await first.upgrade(CHAIN)
        assert await status_of(port, CHAIN) == "HTTP/1.1 429 Too Many Requests"
        other = await port.dial()
        await other.upgrade("X-Forwarded-For: 198.51.100.8")
        first.hang_up()
        other.hang_up()
        await port.empty()
        assert await address_seen(port, CHAIN) == "198.51.100.7"
        assert port.engine.entrance.customers.by_name == {}


async def test_users_of_one_address_share_its_rate_and_those_of_another_do_not():
    rates = {"address_commands_rate": 1, "address_commands_burst": 2}
    async with open_port(addresses=PROXY, **rates) as port:
        people = []
        for user, line in (("a", CHAIN), ("b", CHAIN), ("c", "X-Forwarded-For: 192.0.2.9")):
            port.gate.knows(user, user)
            caller = await port.dial()
            await caller.upgrade(line)
            await caller.hello(user)
            people.append(caller)
        anna, ben, carl = people
        await anna.ask("ping")
        await ben.ask("ping")
        await anna.say("ping")
        refused = await anna.hear("error")
        await carl.ask("ping")

        assert (refused["reason"], refused["retry_after_ms"]) == ("rate_limited", 1001)


async def test_a_service_is_not_bounded_by_its_address():
    rates = {"address_commands_rate": 1, "address_commands_burst": 1}
    async with open_port(addresses=PROXY, **rates) as port:
        port.gate.knows("s", "s", tier="service")
        caller = await port.dial()
        await caller.upgrade(CHAIN)
        await caller.hello("s")
        for _ in range(5):
            await caller.ask("ping")


async def test_requests_that_are_no_websocket_go_on_unread_also_from_a_proxy():
    async with open_port(addresses=PROXY) as port:
        caller = await port.dial()
        await caller.send(PLAIN)
        assert (await caller.head()).startswith(b"HTTP/1.1 404 ")
