"""The protocol without WebSocket: a stream is a session, and requests go by any way."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11
import pytest
import trio

from triolet._model.commands import Send
from triolet._model.errors import Close, CloseCode, ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.pipe import Carriage
from triolet.adapters.system import SystemClock
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.app import create_app
from triolet_api.composition import open_api
from triolet_api.dispatch import Dispatcher
from triolet_api.settings import Settings
from triolet_api.stream import streams
from triolet_api.stream.events import EventWriter, Positions, read_id

PATIENCE_S = 60


class Names:
    """A gate to which a token is a name, that may end: `anna/60` does in a minute."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if token is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        name, _, ttl_s = token.partition("/")
        expires_at = SystemClock().now_ms() + 1000 * int(ttl_s) if ttl_s else FOREVER
        return Identity(user=name, expires_at=expires_at, issued_at=1)

    def may(self, who, action, *, room="", user=""):
        return None


@dataclass
class Event:
    """An event as a browser would dispatch it."""

    data: dict
    id: str
    retry: str | None


class Stream:
    """What a browser's `EventSource` does with a response."""

    def __init__(self, tcp):
        self._tcp = tcp
        self._http = h11.Connection(h11.CLIENT)
        self._text = ""
        self.status = 0
        self.headers = {}
        self.body = b""
        self.last_id = ""
        self.heartbeats = 0
        self.heard = []

    async def open(self, method, target, headers, body):
        """Send the request, and read the head of the response; of a refusal all of it."""
        content = b"" if body is None else json.dumps(body).encode()
        length = {} if body is None else {"Content-Length": str(len(content))}
        headers = {"Host": "h", "Content-Type": "application/json"} | length | headers
        head = h11.Request(method=method, target=target, headers=list(headers.items()))
        sent = [self._http.send(one) for one in (head, h11.Data(content), h11.EndOfMessage())]
        await self._tcp.send_all(b"".join(sent))
        response = await self._part()
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}
        if self.status != 200:
            while isinstance(part := await self._part(), h11.Data):
                self.body += part.data

    @property
    def reason(self):
        return json.loads(self.body)["reason"]

    async def _part(self):
        while (part := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._tcp.receive_some())
        return part

    async def _line(self):
        """Return the next line; None at the end."""
        while "\n" not in self._text:
            part = await self._part()
            if not isinstance(part, h11.Data):
                assert isinstance(part, h11.EndOfMessage), part
                return None
            self._text += bytes(part.data).decode()
        line, _, self._text = self._text.partition("\n")
        return line

    async def next(self, op=None, **match):
        """Return the next event of a kind; others before it are in `heard`."""
        with trio.fail_after(PATIENCE_S):
            while True:
                event = await self._next()
                assert event is not None, f"the stream ended: {self.heard}"
                self.heard.append(event.data)
                is_it = op is None or event.data["op"] == op
                if is_it and all(event.data.get(k) == v for k, v in match.items()):
                    return event

    async def rest(self, within_s=PATIENCE_S):
        """Read to the end, and return the events."""
        found = []
        with trio.fail_after(within_s):
            while (event := await self._next()) is not None:
                found.append(event)
        return found

    async def _next(self):
        data, retry = None, None
        while (line := await self._line()) is not None:
            name, _, value = line.partition(": ")
            if line == "" and data is not None:
                return Event(json.loads(data), self.last_id, retry)
            if name == "id":
                self.last_id = value
            elif name == "data":
                assert data is None
                data = value
            elif name == "retry":
                retry = value
            elif line.startswith(":"):
                self.heartbeats += 1
        return None


class Person:
    """Somebody with a token."""

    def __init__(self, client, port, name):
        self.client = client
        self.port = port
        self.headers = {"Authorization": f"Bearer {name}"}

    @asynccontextmanager
    async def stream(self, query="", *, body=None, **headers):
        async with self.asked(query, body=body, **headers) as stream:
            assert stream.status == 200, stream.body
            yield stream

    @asynccontextmanager
    async def asked(self, query="", *, body=None, **headers):
        method = "GET" if body is None else "POST"
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as tcp:
            stream = Stream(tcp)
            await stream.open(method, f"/v1/stream{query}", self.headers | headers, body)
            yield stream

    async def say(self, *commands, session=None):
        """Send commands, and return their answers."""
        query = {} if session is None else {"session": session}
        answer = await self.client.post(
            "/v1/commands", params=query, json=list(commands), headers=self.headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, op, **fields):
        (answer,) = await self.say({"op": op, **fields})
        assert answer["op"] == "ok", answer
        return answer

    async def send(self, room, text):
        return await self.ask("send", room=room, body={"text": text})


class House:
    """An engine with its HTTP side, and who comes there."""

    def __init__(self, engine, client, port):
        self.engine = engine
        self.client = client
        self.port = port

    def __call__(self, name):
        return Person(self.client, self.port, name)

    async def gone(self):
        """Wait until nobody is connected."""
        with trio.fail_after(PATIENCE_S):
            while self.engine.heartbeat.connections:  # noqa: ASYNC110 - nothing tells it
                await trio.sleep(0.01)


@asynccontextmanager
async def open_house(serving, **limits):
    async with (
        open_engine(gate=Names(), limits=Limits(**limits)) as engine,
        open_api(engine, Settings()) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        yield House(engine, client, host.port)


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def tea(house, *others, name="tea"):
    """Have a room of anna, ben and others; return its head."""
    members = ["ben", *others]
    made = await house("anna").ask("create", kind="group", room=name, members=members)
    return made["seq"] + len(members)


# --- following ---------------------------------------------------------------------------------


async def test_a_stream_is_a_session(house):
    """First the welcome, then the answer, then entries in their order, as on a WebSocket."""
    head = await tea(house)
    anna, ben = house("anna"), house("ben")
    async with ben.stream("?room=tea&device=phone") as stream:
        headers = {name.lower(): value for name, value in stream.headers.items()}
        welcome, answer = await stream.next(), await stream.next()
        sent = [await anna.send("tea", f"{number}") for number in range(3)]
        entries = [await stream.next("entry") for _ in sent]
        seen = house.engine.presence.present["ben"].shown

    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-store")
    assert (welcome.data["op"], welcome.data["device"], seen) == ("welcome", "phone", "online")
    assert [row["head"] for row in answer.data["rooms"]] == [head]
    assert [one.data["seq"] for one in entries] == [one["seq"] for one in sent]
    await house.gone()


async def test_it_goes_on_where_it_was_in_every_room(house):
    """The last id resumes all rooms: what came meanwhile comes once, and nothing else."""
    await tea(house)
    await tea(house, name="milk")
    anna, ben = house("anna"), house("ben")
    query = "?room=tea&room=milk&room=none"
    async with ben.stream(query) as stream:
        await stream.next("ok")
        await anna.send("tea", "one")
        seen = await stream.next("entry")
    missed = [await anna.send(room, "two") for room in ("tea", "milk")]
    async with ben.stream(query, **{"Last-Event-ID": seen.id}) as stream:
        answer = await stream.next("ok")
        late = [await anna.send("tea", "three")]
        entries = [await stream.next("entry") for _ in range(3)]

    rows = {row["room"]: row for row in answer.data["rooms"]}
    assert [rows[room].get("recovered") for room in ("tea", "milk")] == [True, True]
    assert rows["none"]["reason"] == "no_such_room"
    got = sorted((one.data["room"], one.data["seq"]) for one in entries)
    assert got == sorted((one["room"], one["seq"]) for one in missed + late)


async def test_a_client_may_keep_its_positions_itself(house):
    head = await tea(house)
    anna, ben = house("anna"), house("ben")
    sent = await anna.send("tea", "one")
    epoch = house.engine.hub.rooms["tea"].epoch
    body = {"subscribe": [["tea", epoch, head]], "watch": ["anna"]}
    async with ben.stream(body=body) as stream:
        entry = await stream.next("entry")
        while not any("users" in one for one in stream.heard):
            await stream.next("ok")

    assert (entry.data["seq"], stream.last_id) == (sent["seq"], "")


async def test_who_opens_it_may_tell_the_token_in_the_query(house):
    """A browser's `EventSource` sends no headers."""
    await tea(house)
    anonymous = house("")
    anonymous.headers = {}
    async with anonymous.stream("?room=tea&token=ben") as stream:
        assert (await stream.next("welcome")).data["user"] == "ben"
    answer = await house.client.get("/v1/rooms?token=ben")
    assert answer.status_code == 401


async def test_who_asks_for_the_head_alone_opens_nothing(house, monkeypatch):
    """A link checker's HEAD would hold a session that nobody reads, and show somebody online."""
    await tea(house)
    opened = []
    monkeypatch.setattr(house.engine, "open_pipe", lambda *of: opened.append(of))
    anna = house("anna").headers

    with trio.fail_after(PATIENCE_S):
        told = await house.client.head("/v1/stream?room=tea", headers=anna)
        unknown = await house.client.head("/v1/stream?room=tea")
        wrong = await house.client.head("/v1/stream?device=", headers=anna)

    assert (told.status_code, told.headers["content-type"]) == (200, "text/event-stream")
    assert (unknown.status_code, wrong.status_code, told.content) == (401, 422, b"")
    assert (opened, house.engine.statistics().sessions) == ([], 0)


async def test_a_silent_stream_shows_that_it_is_there(serving):
    async with open_house(serving, heartbeat_s=0.05) as house:
        await tea(house)
        async with house("ben").stream("?room=tea") as stream:
            await stream.next("ok")
            with trio.fail_after(PATIENCE_S):
                while stream.heartbeats < 2:
                    with trio.move_on_after(0.2):
                        await stream._next()


# --- ends --------------------------------------------------------------------------------------


async def test_a_client_that_goes_leaves_nothing(house):
    await tea(house)
    async with house("ben").stream("?room=tea") as stream:
        await stream.next("ok")
    await house.gone()

    assert not house.engine.hub.rooms["tea"].cursors
    assert house.engine.presence.present["ben"].sessions == {}


async def test_a_client_that_goes_before_the_head_is_sent_leaves_nothing(house):
    """However many do so, streams stay to be had, and no session waits to be found silent."""
    app = create_app()
    Dispatcher(app, admit=house.engine.admit).add(streams.Streams(house.engine, streams_max=1))
    for _ in range(3):
        is_leaving, statuses = trio.Event(), []

        async def receive(is_leaving=is_leaving):
            await is_leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message, is_leaving=is_leaving, statuses=statuses):
            statuses.append(message["status"])
            is_leaving.set()
            await trio.sleep_forever()

        with trio.fail_after(PATIENCE_S):
            await app(stream_scope("ben"), receive, send)
        assert statuses == [200]
        await house.gone()


def stream_scope(token):
    """What ASGI knows of a request for a stream."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/stream",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"h"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {},
        "state": {},
    }


async def test_the_end_is_told_with_its_code(house):
    await tea(house)
    async with house("ben").stream("?room=tea") as stream:
        await stream.next("ok")
        await house.engine.revoke("ben")
        *_, last = await stream.rest()

    assert last.data == {"op": "close", "code": 4001, "reason": "revoked"}


async def test_a_token_that_ends_ends_the_stream(house, leaping):
    await tea(house)
    async with house(f"ben/{PATIENCE_S}").stream("?room=tea") as stream:
        await stream.next("ok")
        with leaping():
            *_, last = await stream.rest(2 * PATIENCE_S)

    assert (last.data["op"], last.data["code"]) == ("close", 4002)


async def test_a_drain_says_when_to_come_back(serving):
    async with open_house(serving, drain_window_s=0.1) as house:
        await tea(house)
        async with house("ben").stream("?room=tea") as stream:
            await stream.next("ok")
            await house.engine.drain()
            events = await stream.rest()
        async with house("ben").asked() as refused:
            pass

    notice, last = events[-2:]
    assert (notice.data["kind"], notice.retry) == ("draining", str(notice.data["retry_after_ms"]))
    assert (last.data["code"], last.retry) == (1012, notice.retry)
    assert last.data["retry_after_ms"] == notice.data["retry_after_ms"]
    assert (refused.status, refused.reason) == (503, "shutting_down")


async def test_a_response_that_nobody_takes_further_is_given_up(serving):
    """Its client was cut off between the session's welcome and the first event."""
    async with open_house(serving, heartbeat_s=0.1, stall_s=0.1) as house:
        identity = Identity(user="ben", expires_at=FOREVER)
        pipe = house.engine.open_pipe(identity, Carriage(text=True, silence_s=0.5))
        await pipe.send(b'{"op":"hello"}')
        await pipe.receive()
        await house.gone()

        assert pipe.close == Close(CloseCode.TOO_SLOW, "too slow")


async def test_a_slow_reader_is_bounded_and_gets_everything(house):
    """Its cursor falls behind; the log, not memory, keeps what it has not taken."""
    head = await tea(house)
    text = "x" * 20_000
    async with house("ben").stream("?room=tea") as stream:
        await stream.next("ok")
        for _ in range(20):
            await house.engine.ask_each(
                Identity(user="anna", expires_at=FOREVER, tier="service"),
                [_send("tea", text) for _ in range(10)],
            )
            for connection in house.engine.heartbeat.connections:
                assert connection.outbox.size <= house.engine.limits.outbox_bytes_high + 65536
        entries = [(await stream.next("entry")).data["seq"] for _ in range(200)]

    assert entries == list(range(head + 1, head + 201))


def _send(room, text):
    return Send(room=room, body={"text": text})


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers", "status", "reason"),
    [
        ("?room=tea", {"Last-Event-ID": "x"}, 422, "invalid_field"),
        ("?room=tea", {"Last-Event-ID": "00000000;e;1"}, 422, "invalid_field"),
        ("?room=t%20", {}, 422, "invalid_field"),
        ("?device=%20", {}, 422, "invalid_field"),
        ("?" + "&".join(f"room=r{n}" for n in range(101)), {}, 422, "invalid_field"),
    ],
)
async def test_what_cannot_be_followed_is_refused(house, query, headers, status, reason):
    async with house("ben").asked(query, **headers) as answer:
        assert (answer.status, answer.reason) == (status, reason)
    assert house.engine.heartbeat.connections == {}


async def test_a_user_has_so_many_sessions_and_a_node_so_many_streams(serving, monkeypatch):
    async with open_house(serving, sessions_per_user_max=1) as house:
        async with house("ben").stream() as stream:
            await stream.next("welcome")
            async with house("ben").asked() as answer:
                assert (answer.status, answer.reason) == (429, "too_many_sessions")
        await house.gone()

    full = streams.Streams(None, streams_max=0)
    with pytest.raises(Refusal) as caught:
        await full._stream(None, None, [], [], EventWriter(None))
    assert caught.value.code is ErrorCode.TOO_MANY_SESSIONS


# --- positions ---------------------------------------------------------------------------------


def test_positions_of_several_epochs_and_of_what_is_closed():
    rooms = ["a", "b", "c"]
    positions = Positions([("a", "", 0), ("b", "e,;1", 7), ("c", "", 0)])
    rows = [
        {"room": "a", "epoch": "e2", "head": 5, "recovered": False},
        {"room": "b", "epoch": "e2", "head": 9, "recovered": True, "since": ["e2", 6]},
        {"room": "c", "code": 3002, "reason": "no_such_room"},
    ]
    for message, is_move in (
        ({"op": "ok", "rooms": rows}, True),
        ({"op": "ok", "ref": 3, "rooms": rows}, False),
        ({"op": "feed", "rooms": []}, False),
        ({"op": "entry", "room": "b", "seq": 7}, True),
        ({"op": "entry", "room": "elsewhere", "seq": 7}, False),
        ({"op": "reset", "room": "a", "epoch": "e1", "head": 4, "floor": 3}, True),
    ):
        payload = json.dumps(message, separators=(",", ":")).encode()
        assert positions.take(payload) is is_move, message

    assert read_id(positions.id, rooms) == [("a", "e1", 4), ("b", "e2", 7), ("c", "", 0)]
    assert positions.take(b'{"op":"closed","room":"b","reason":"removed"}')
    assert read_id(positions.id, rooms)[1] == ("b", "", 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";;",
        "x;y;z;w",
        "{check};e;1",
        "{check};e;1,2.9",
        "{check};e;-1,2",
        "{check};e;1,2,3",
        "{check};e;99999999999999999,1",
        "{check};e;1.x,1",
    ],
)
def test_what_is_no_id_of_these_rooms_is_refused(text):
    check = Positions([("a", "", 0), ("b", "", 0)]).id.partition(";")[0]
    with pytest.raises(ValueError):
        read_id(text.replace("{check}", check), ["a", "b"])


# --- commands ----------------------------------------------------------------------------------


async def test_commands_are_answered_in_their_order(house):
    head = await tea(house)
    anna = house("anna")
    answers = await anna.say(
        {"op": "send", "ref": 4, "room": "tea", "cid": "c1", "body": {"text": "one"}},
        {"op": "send", "ref": 5, "room": "tea", "cid": "c1", "body": {"text": "one"}},
        {"op": "dance", "ref": 6},
        {"op": "send", "ref": 7, "room": "tea"},
        {"op": "subscribe", "ref": 8, "room": "tea"},
        {"op": "history", "ref": 9, "room": "milk"},
        {"op": "hello"},
        {"ping": 1},
        {"op": "ping"},
    )

    assert [one.get("ref") for one in answers] == [4, 5, 6, 7, 8, 9, None, None, None]
    assert [one["op"] for one in answers] == ["ok"] * 2 + ["error"] * 6 + ["ok"]
    assert [one["seq"] for one in answers[:2]] == [head + 1] * 2
    assert [one["duplicate"] for one in answers[:2]] == [False, True]
    assert [one["reason"] for one in answers[2:8]] == [
        "unknown_op",
        "invalid_field",
        "invalid_field",
        "no_such_room",
        "invalid_field",
        "malformed",
    ]
    assert "/v1/stream" in answers[4]["message"]


async def test_one_command_has_one_answer(house):
    answer = await house.client.post(
        "/v1/commands", json={"op": "ping", "ref": 1}, headers=house("anna").headers
    )

    assert (answer.json()["op"], answer.json()["ref"]) == ("ok", 1)


@pytest.mark.parametrize("body", ["[]", "1", "[1]", '"x"', json.dumps([{"op": "ping"}] * 65)])
async def test_what_is_no_list_of_maps_is_refused(house, body):
    headers = house("anna").headers | {"Content-Type": "application/json"}
    answer = await house.client.post("/v1/commands", content=body, headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_field")


async def test_what_is_of_a_session_is_handed_to_it(house):
    """Its answer comes by the stream; another user's session is none."""
    await tea(house)
    anna, ben = house("anna"), house("ben")
    async with ben.stream() as stream:
        session = (await stream.next("welcome")).data["session"]
        said = await ben.say(
            {"op": "history", "ref": 1, "room": "tea"},
            {"op": "subscribe", "ref": 2, "room": "tea"},
            {"op": "presence", "ref": 3, "status": "away"},
            {"op": "ping", "ref": 4},
            session=session,
        )
        answer = await stream.next("ok", ref=2)
        pong = await stream.next("ok", ref=4)
        await anna.send("tea", "hello")
        await stream.next("entry")
        others = await anna.say({"op": "unsubscribe", "ref": 1, "room": "tea"}, session=session)
        shown = house.engine.presence.present["ben"].shown

    assert said[0]["op"] == "ok"
    assert said[1:] == [{"op": "sent", "ref": ref} for ref in (2, 3, 4)]
    assert "now" in pong.data
    assert (answer.data["room"], shown) == ("tea", "away")
    assert (others[0]["op"], others[0]["reason"]) == ("error", "invalid_field")
    await house.gone()
    late = await ben.say({"op": "subscribe", "ref": 2, "room": "tea"}, session=session)
    assert late[0]["reason"] == "invalid_field"
