"""`http`: what a request costs, beside the same answer of the bare framework."""

import http.client
import json
from functools import partial
from typing import Any, Final

from ..errors import Unexpected
from ..load.requests import RequestLoad
from ..peers.quart_trio import QuartTrio
from ..peers.triolet import Triolet
from ..server import Server
from . import Case, Figure, Options, Sample, Scenario, busy_of

_CONNECTIONS: Final = 16
_MESSAGES: Final = 50
_TEXT_BYTES: Final = 100
_TOKEN_BYTES: Final = 180
_USER: Final = "anna"
_ROOM: Final = "tea"
PAGE: Final = f"/v1/rooms/{_ROOM}/messages?limit={_MESSAGES}"


def _run(path: str, count: int, options: Options) -> Sample:
    peer = options.peer
    # As long as ours: what is compared is the way, not the length.
    token = peer.token(_USER) if isinstance(peer, Triolet) else "x" * _TOKEN_BYTES
    if isinstance(peer, QuartTrio):
        peer.page = _page_like()
    with peer.start(store=options.store, parent=options.parent) as server:
        if isinstance(peer, Triolet) and path == PAGE:
            fill(server, token)
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
        ).encode()
        outcome = RequestLoad(server.ports, count, request, options.load(server, 1)).run()
    _verify(path, outcome.body)
    spent = outcome.spent
    (answers,) = spent.counts
    return Sample(
        "http",
        _case_name(path, count),
        options.who,
        (
            Figure("server CPU a request", "µs", 1e6 * spent.server_cpu_s / max(1, answers)),
            Figure("requests", "1/s", answers / spent.wall_s),
            Figure("server CPU used", "%", 100 * spent.server_cpu_s / spent.wall_s),
            Figure("answer", "bytes", len(outcome.body)),
        ),
        {"answered": outcome.answers},
        busy_of(spent),
    )


def fill(server: Server, token: str) -> None:
    """Make the room, and say what is to be read there."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def post(path: str, body: Any) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        client.request("POST", path, json.dumps(body), headers)
        answer = client.getresponse()
        said = answer.read()
        if answer.status != http.client.CREATED:
            raise Unexpected(f"{answer.status}: {said[:200]!r}")

    post("/v1/rooms", {"kind": "group", "room": _ROOM})
    for number in range(_MESSAGES):
        post(f"/v1/rooms/{_ROOM}/messages", {"body": {"text": _text(number)}})
    client.close()


def _text(number: int) -> str:
    return f"{number:02d} ".ljust(_TEXT_BYTES, "x")


def _page_like() -> str:
    """Return a page as ours: of the same messages, under keys and times of the same length."""
    messages = [
        {
            "seq": number + 2,
            "n": number + 1,
            "at": 1_700_000_000_000,
            "cid": "c" * 32,
            "from": _USER,
            "reactions": {},
            "body": {"text": _text(number)},
        }
        for number in range(_MESSAGES)
    ]
    page = {"messages": messages, "more": False, "as_of": ["e" * 32, _MESSAGES + 1]}
    return json.dumps(page, separators=(",", ":"))


def _verify(path: str, body: bytes) -> None:
    found = json.loads(body)
    if path != PAGE:
        if found != {"status": "live"}:
            raise Unexpected(f"not as it should be: {body[:200]!r}")
        return
    texts = [one["body"]["text"] for one in found["messages"]]
    if texts != [_text(number) for number in range(_MESSAGES)] or found["more"]:
        raise Unexpected(f"not the page that was asked for: {body[:200]!r}")


def _case_name(path: str, count: int) -> str:
    what = f"a page of {_MESSAGES} messages" if path == PAGE else path
    return f"{what}, {count} connections"


def _cases(options: Options) -> list[Case]:
    count = options.n or _CONNECTIONS
    return [
        Case(_case_name(path, count), partial(_run, path, count), peers=("quart-trio",))
        for path in ("/health/live", PAGE)
    ]


SCENARIO: Final = Scenario("http", "requests over HTTP, beside the bare framework's", _cases)
