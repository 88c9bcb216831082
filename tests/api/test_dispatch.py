"""Dispatch: nobody gets to an endpoint but who may, with values of the declared shape."""

from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode, OutcomeUnknown, Refusal, StoreError, StoreUnavailable
from triolet.ports.gate import FOREVER, Identity
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.endpoints import Access, Call, endpoint
from triolet_api.problems import STATUS_OF
from triolet_api.secret import Secret

KEY = b"a key"


class Page(Struct):
    limit: Annotated[int, Meta(ge=1, le=10)] = 5
    users: Annotated[list[str], Meta(max_length=3)] | None = None


class Letter(Struct):
    text: Annotated[str, Meta(max_length=5)]


class Said(Struct):
    what: str


class Parts:
    def __init__(self):
        self.failure = None

    @endpoint("GET", "/anyone", access=Access.ANYONE, rate="read")
    async def anyone(self, call: Call) -> Said:
        """Ask, whoever you are."""
        call.set_header("X-Own", "yes")
        return Said(call.address)

    @endpoint("GET", "/user/{number}", access=Access.USER, rate="read")
    async def user(self, call: Call, number: int, query: Page) -> Said:
        """Ask as somebody."""
        return Said(f"{call.identity.user} {number} {query.limit} {query.users}")

    @endpoint("POST", "/user", access=Access.USER, rate="write", status=201)
    async def post(self, call: Call, body: Letter) -> Said:
        """Write."""
        if self.failure is not None:
            raise self.failure
        return Said(body.text)

    @endpoint("POST", "/service", access=Access.SERVICE, rate="write")
    async def service(self, call: Call) -> None:
        """Do something for services."""
        del call

    @endpoint("POST", "/admin", access=Access.ADMIN, rate="admin")
    async def admin(self, call: Call) -> None:
        """Do it."""
        if self.failure is not None:
            raise self.failure

    @endpoint("GET", "/opened", access=Access.USER, rate="stream", takes_query_token=True)
    async def opened(self, call: Call) -> Said:
        """Open it."""
        return Said(call.identity.user)


class Keyed:
    @endpoint("GET", "/keyed", access=Access.ADMIN, rate="free")
    async def read(self, call: Call) -> None:
        """Read it, as an admin or by the key."""
        del call


async def admit(token, opening):
    if token is None:
        raise Refusal(ErrorCode.UNAUTHENTICATED)
    if token not in ("anna", "root", "service"):
        raise Refusal(ErrorCode.TOKEN_INVALID)
    roles = ("admin",) if token == "root" else ()
    tier = "service" if token == "service" else ""
    return Identity(user=token, expires_at=FOREVER, roles=roles, tier=tier)


class Guard:
    def __init__(self):
        self.asked = []
        self.refuse_at = None

    def address(self, request):
        return "192.0.2.7"

    async def check(self, *, address, identity, rate):
        self.asked.append((address, identity and identity.user, rate))
        if rate == self.refuse_at:
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=2100)
        return {"RateLimit-Remaining": "9"}


class Audit:
    def __init__(self):
        self.told = []

    @asynccontextmanager
    async def around(self, call, endpoint, values):
        self.told.append((call.identity.user, endpoint.name, "begun"))
        try:
            yield
        except Refusal as refusal:
            self.told.append((call.identity.user, endpoint.name, refusal.code.reason))
            raise


@pytest.fixture
async def parts():
    return Parts()


@pytest.fixture
async def guard():
    return Guard()


@pytest.fixture
async def audit():
    return Audit()


@pytest.fixture
async def http(parts, guard, audit, serving):
    app = create_app()
    dispatcher = Dispatcher(app, admit=admit, guard=guard, audit=audit)
    dispatcher.add(parts)
    dispatcher.add(Keyed(), key=Secret(KEY))
    async with serving(app) as host, host.client() as client:
        yield client


def bearer(user):
    return {"Authorization": f"Bearer {user}"}


class TestAccess:
    async def test_anyone(self, http, guard):
        response = await http.get("/anyone")

        assert (response.status_code, response.json()) == (200, {"what": "192.0.2.7"})
        assert response.headers["ratelimit-remaining"] == "9"
        assert response.headers["x-own"] == "yes"
        assert guard.asked == [("192.0.2.7", None, "read")]

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, ErrorCode.UNAUTHENTICATED),
            (bearer("eve"), ErrorCode.TOKEN_INVALID),
            ({"Authorization": "Basic anna"}, ErrorCode.UNAUTHENTICATED),
            (bearer("x" * 9000), ErrorCode.TOKEN_INVALID),
        ],
    )
    async def test_somebody_has_to_say_who_they_are(self, http, headers, code):
        for method, path in (("GET", "/user/1"), ("POST", "/user"), ("POST", "/admin")):
            response = await http.request(method, path, headers=headers)

            assert (response.status_code, response.json()["code"]) == (401, code)
            assert response.headers["www-authenticate"] == "Bearer"

    async def test_what_is_for_admins(self, http, audit):
        response = await http.post("/admin", headers=bearer("anna"))

        assert (response.status_code, response.json()["reason"]) == (403, "forbidden")
        assert (await http.post("/admin", headers=bearer("root"))).status_code == 204
        assert audit.told == [("root", "parts.admin", "begun")]

    async def test_what_is_for_services_and_what_an_admin_does_of_it_is_audited(self, http, audit):
        answers = [
            (await http.post("/service", headers=bearer(one))).status_code
            for one in ("anna", "service", "root")
        ]
        assert answers == [403, 204, 204]
        assert (await http.post("/admin", headers=bearer("service"))).status_code == 403
        assert audit.told == [("root", "parts.service", "begun")]

    async def test_how_it_ended_is_audited(self, http, parts, audit):
        parts.failure = Refusal(ErrorCode.NO_SUCH_ROOM)

        await http.post("/admin", headers=bearer("root"))

        assert audit.told[-1] == ("root", "parts.admin", "no_such_room")

    async def test_a_token_in_the_query_only_where_it_must_be(self, http):
        assert (await http.get("/opened?token=anna")).json() == {"what": "anna"}
        assert (await http.get("/user/1?token=anna")).status_code == 401

    async def test_a_key_does_for_an_admins_token_where_it_is_and_nowhere_else(self, http):
        asked = [{}, bearer("a kez"), {"Authorization": "a key"}, bearer("anna"), bearer("root")]
        statuses = [(await http.get("/keyed", headers=one)).status_code for one in asked]

        assert statuses == [401, 401, 401, 403, 204]
        assert (await http.get("/keyed", headers=bearer("a key"))).status_code == 204
        assert (await http.get("/user/1", headers=bearer("a key"))).status_code == 401

    async def test_guesses_at_a_key_are_bounded_as_those_at_tokens(self, http, guard):
        guard.refuse_at = "free"

        response = await http.get("/keyed", headers=bearer("a key"))

        assert response.status_code == 429
        assert guard.asked == [("192.0.2.7", None, "free")]

    async def test_rates_are_asked_for_before_and_after_the_token(self, http, guard):
        await http.get("/user/1", headers=bearer("anna"))

        assert guard.asked == [("192.0.2.7", None, "free"), ("192.0.2.7", "anna", "read")]

    async def test_too_often(self, http, guard):
        guard.refuse_at = "write"

        response = await http.post("/user", headers=bearer("anna"), json={"text": "hi"})

        assert (response.status_code, response.headers["retry-after"]) == (429, "3")

    @pytest.mark.parametrize("code", [ErrorCode.RATE_LIMITED, ErrorCode.NO_SUCH_ROOM])
    async def test_what_is_refused_was_counted_and_says_so(self, http, parts, code):
        """Whoever refused it: the engine has rates of its own."""
        parts.failure = Refusal(code, retry_after_ms=900)

        response = await http.post("/user", headers=bearer("anna"), json={"text": "hi"})

        assert response.status_code == STATUS_OF[code]
        assert (response.headers["retry-after"], response.headers["ratelimit-remaining"]) == (
            "1",
            "9",
        )
        assert "x-own" not in response.headers

    async def test_a_value_that_cannot_be_was_counted_too(self, http):
        response = await http.get("/user/x", headers=bearer("anna"))

        assert response.headers["ratelimit-remaining"] == "9"

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/nope", 404), ("PUT", "/anyone", 405), ("OPTIONS", "/anyone", 204)],
    )
    async def test_what_is_for_no_endpoint_counts_for_its_address(
        self, http, guard, method, path, status
    ):
        asked = {"Access-Control-Request-Method": "PUT"}

        assert (await http.request(method, path, headers=asked)).status_code == status
        assert guard.asked == [("192.0.2.7", None, "free")]
        guard.refuse_at = "free"
        response = await http.request(method, path, headers=asked)
        assert (response.status_code, response.headers["retry-after"]) == (429, "3")


class TestValues:
    async def test_path_and_query(self, http):
        response = await http.get("/user/7?limit=3&users=a&users=b", headers=bearer("anna"))

        assert response.json() == {"what": "anna 7 3 ['a', 'b']"}

    @pytest.mark.parametrize(
        ("path", "detail"),
        [
            ("/user/x", "`number`: expected `int`, got `str`"),
            ("/user/1?limit=11", "expected `int` <= 10 - at `limit`"),
            ("/user/1?limit=1&limit=2", "`limit` comes 2 times"),
            ("/user/1?users=a&users=b&users=c&users=d", "expected `array` of length <= 3"),
        ],
    )
    async def test_what_they_cannot_be(self, http, path, detail):
        response = await http.get(path, headers=bearer("anna"))

        assert (response.status_code, response.json()["reason"]) == (422, "invalid_field")
        assert detail in response.json()["detail"]

    @pytest.mark.parametrize(
        ("content", "kind", "status", "reason"),
        [
            (b'{"text":"hi"}', "application/json; charset=utf-8", 201, None),
            (b'{"text":"hi"}', "text/plain", 400, "malformed"),
            (b'{"text":', "application/json", 400, "malformed"),
            (b"", "application/json", 400, "malformed"),
            (b'{"x":' + b"[" * 100_000, "application/json", 400, "malformed"),
            (b'{"text":"\xff"}', "application/json", 400, "malformed"),
            (b"{}", "application/json", 422, "invalid_field"),
            (b'{"text":"too long"}', "application/json", 422, "invalid_field"),
        ],
    )
    async def test_a_body(self, http, content, kind, status, reason):
        headers = bearer("anna") | {"Content-Type": kind}

        response = await http.post("/user", headers=headers, content=content)

        assert (response.status_code, response.json().get("reason")) == (status, reason)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (StoreUnavailable("busy"), 503, "store_unavailable"),
        (OutcomeUnknown("lost"), 503, "outcome_unknown"),
        (StoreError("odd"), 500, "internal"),
    ],
)
async def test_a_store_that_fails(http, parts, error, status, reason):
    parts.failure = error

    response = await http.post("/user", headers=bearer("anna"), json={"text": "hi"})

    assert (response.status_code, response.json()["reason"]) == (status, reason)
