"""Laws of giving way: what comes over a WebSocket within a request goes before its answer."""

import socket

import httpx
import pytest
from edge_peer import PING, PONG, frame, request_head
from msgspec import Struct

from triolet._runtime import poller
from triolet.embedded import open_engine
from triolet_api import dispatch
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.endpoints import Access, Call, endpoint
from triolet_api.http import open_http_door

PATIENCE_S = 60


class Greeting(Struct):
    text: str


class Greetings:
    """Somebody's ping comes while their request is answered."""

    def __init__(self, sock):
        self.sock = sock

    @endpoint("GET", "/greeting", access=Access.ANYONE, rate="read")
    async def greet(self, call: Call) -> Greeting:
        """Be greeted."""
        del call
        self.sock.send(frame(b"hurry", opcode=PING))
        return Greeting("hello")


@pytest.fixture
def sock(tmp_path):
    """A pair of places: where it is listened, and one to connect with; what is sent is there."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connecting:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        connecting.settimeout(PATIENCE_S)
        connecting.connect(str(tmp_path / "s"))
        connecting.send(request_head())
        yield listening, connecting


async def test_a_ping_that_comes_within_a_request_is_answered_before_it(sock, monkeypatch):
    listening, pinging = sock
    heard = []
    respond = dispatch._response

    def respond_late(one, result):
        heard.append(pinging.recv(4096, socket.MSG_DONTWAIT))
        return respond(one, result)

    # The machine may be quick: it is looked every time.
    monkeypatch.setattr(poller, "_GLANCE_S", -1.0)
    monkeypatch.setattr(dispatch, "_response", respond_late)
    async with open_engine() as engine:
        app = create_app(give_way=engine.give_way)
        Dispatcher(app, admit=engine.admit).add(Greetings(pinging))
        async with open_http_door(app, give_way=engine.give_way) as door:
            engine.listen_on([listening], fallback=door.serve)
            _, port = await engine.listen("127.0.0.1", 0, fallback=door.serve)
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
                answer = await http.get(f"http://127.0.0.1:{port}/greeting")

    assert answer.json() == {"text": "hello"}
    (upgraded_and_ponged,) = heard
    assert upgraded_and_ponged.startswith(b"HTTP/1.1 101 ")
    assert upgraded_and_ponged.endswith(bytes((0x80 | PONG, 5)) + b"hurry")
