"""HTTP/2 on the outside: pages through both balancers, WebSockets through HAProxy (RFC 8441)."""

import json

import h2.config
import h2.connection
import h2.events
import h2.settings
from deploy_scene import open_tls, token
from e2e_scene import frame


class Http2:
    """A client of one HTTP/2 connection: what came, by stream."""

    def __init__(self, stream, host):
        self._stream = stream
        self._host = host
        self._state = h2.connection.H2Connection(h2.config.H2Configuration())
        self.heads, self.data = {}, {}
        self.server_settings = None

    async def begin(self):
        self._state.initiate_connection()
        await self._flush()
        await self._read_until(lambda: self.server_settings is not None)

    async def request(self, method, path, *headers, ends=True):
        """Send a request head; return its stream when the head of the answer is here."""
        number = self._state.get_next_available_stream_id()
        first = [(":method", method), (":scheme", "https"), (":authority", self._host)]
        self._state.send_headers(number, [*first, (":path", path), *headers], end_stream=ends)
        await self._flush()
        await self._read_until(lambda: number in self.heads)
        return number

    async def websocket(self, path="/ws"):
        """Ask for a WebSocket by an extended CONNECT; return its stream."""
        headers = (
            (":protocol", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "triolet.v1.json"),
        )
        return await self.request("CONNECT", path, *headers, ends=False)

    async def send(self, number, data):
        self._state.send_data(number, data)
        await self._flush()

    async def wait_data(self, number, size):
        await self._read_until(lambda: len(self.data.get(number, b"")) >= size)
        return self.data[number]

    async def _flush(self):
        await self._stream.send_all(self._state.data_to_send())

    async def _read_until(self, is_so):
        while not is_so():
            part = await self._stream.receive_some()
            assert part, "the connection has ended"
            for event in self._state.receive_data(part):
                self._take(event)
            await self._flush()

    def _take(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.server_settings = {
                code: changed.new_value for code, changed in event.changed_settings.items()
            }
        elif isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data


def status(client, number):
    heads = client.heads[number]
    return int(heads.get(b":status") or heads[":status"])


async def test_pages_come_by_http2(balancer):
    """Law: both speak it, and one connection carries several requests."""
    async with open_tls(balancer, "h2") as stream:
        assert stream.selected_alpn_protocol() == "h2"
        client = Http2(stream, f"localhost:{balancer.port}")
        await client.begin()
        for path, expected in (("/", 200), ("/ws", 426), ("/health/ready", 200), ("/none", 404)):
            assert status(client, await client.request("GET", path)) == expected


async def test_a_websocket_comes_by_http2_where_it_is_offered(balancer):
    """Law: who offers RFC 8441 keeps the word; who does not, says so in its settings.

    A browser then opens a connection of HTTP/1.1 for its WebSocket.
    """
    enabled = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
    async with open_tls(balancer, "h2") as stream:
        client = Http2(stream, f"localhost:{balancer.port}")
        await client.begin()
        is_offered = bool(client.server_settings.get(enabled))
        assert is_offered == (balancer.name == "haproxy")
        if not is_offered:
            return
        assert status(client, await client.request("GET", "/")) == 200
        for _ in range(3):
            number = await client.websocket()
            assert status(client, number) == 200
            hello = json.dumps({"op": "hello", "token": token("anna")}).encode()
            await client.send(number, frame(hello, opcode=1))
            welcome = await client.wait_data(number, 100)
            assert b'"welcome"' in welcome
