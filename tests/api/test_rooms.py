"""Rooms over HTTP: the engine's own rules, in HTTP's words."""

from contextlib import asynccontextmanager

import pytest
import trio

from triolet._model.errors import ErrorCode, Refusal
from triolet.embedded import open_engine
from triolet.ports.gate import FOREVER, Identity
from triolet_api.composition import open_api
from triolet_api.settings import Settings


class Names:
    """A gate to which a token is a name; `service` is a service that may act for others."""

    async def admit(self, token, opening):
        await trio.lowlevel.checkpoint()
        if token is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED)
        fields = {"tier": "service", "roles": ("admin",)} if token == "service" else {}
        return Identity(user=token, expires_at=FOREVER, **fields)

    def may(self, who, action, *, room="", user=""):
        return None


class Person:
    """Somebody with a token, and what they are answered."""

    def __init__(self, client, name):
        self._client = client
        self._headers = {"Authorization": f"Bearer {name}"}
        self.headers = {}

    async def ask(self, method, path, *, status=None, body=None, key=None, **headers):
        """Return the JSON of an answer; its status has to be `status`, or a good one."""
        if key is not None:
            headers["Idempotency-Key"] = key
        answer = await self._client.request(
            method, f"/v1{path}", json=body, headers=self._headers | headers
        )
        self.headers = answer.headers
        is_expected = answer.is_success if status is None else answer.status_code == status
        assert is_expected, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method, path, **asked):
        answer = await self.ask(method, path, status=asked.pop("status"), **asked)
        return answer["reason"]


@asynccontextmanager
async def open_house(serving):
    """Run an engine and its HTTP side; yield who makes people of it."""
    async with (
        open_engine(gate=Names()) as engine,
        open_api(engine, Settings()) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        yield lambda name: Person(client, name)


@pytest.fixture
async def house(serving):
    async with open_house(serving) as person:
        yield person


async def tea(house):
    """Have a room of anna and ben."""
    anna, ben = house("anna"), house("ben")
    await anna.ask(
        "POST", "/rooms", body={"kind": "group", "room": "tea", "members": ["ben"]}, status=201
    )
    return anna, ben


# --- rooms -------------------------------------------------------------------------------------


async def test_a_room_is_made_once_by_a_key(house):
    """It is named after the key, so that a retry names the same."""
    anna = house("anna")
    body = {"kind": "group", "title": "Tea"}
    first = await anna.ask("POST", "/rooms", body=body, key="k1", status=201)
    assert "Idempotent-Replayed" not in anna.headers
    again = await anna.ask("POST", "/rooms", body=body, key='"k1"', status=201)

    assert anna.headers["Idempotent-Replayed"] == "true"
    assert (again["room"], again["seq"], again["duplicate"]) == (first["room"], first["seq"], True)
    assert "duplicate" not in first
    assert (await anna.ask("GET", "/rooms"))["rooms"][0]["title"] == "Tea"


async def test_a_name_that_is_taken_is_a_conflict(house):
    anna, _ = await tea(house)
    body = {"kind": "group", "room": "tea"}

    assert await anna.refused("POST", "/rooms", body=body, status=409) == "already_exists"


async def test_a_room_is_seen_and_changed_by_who_may(house):
    anna, ben = await tea(house)
    cleo = house("cleo")
    assert await cleo.refused("GET", "/rooms/tea", status=404) == "no_such_room"
    change = {"title": "Tea", "public": True}
    assert await ben.refused("PATCH", "/rooms/tea", body=change, status=403) == "forbidden"
    assert await anna.refused("PATCH", "/rooms/tea", body={}, status=422) == "invalid_field"
    changed = await anna.ask("PATCH", "/rooms/tea", body=change)
    seen = await cleo.ask("GET", "/rooms/tea")

    assert (seen["title"], seen["head"], seen["role"]) == ("Tea", changed["seq"], None)


async def test_a_room_is_ended_by_its_owner(house):
    anna, ben = await tea(house)
    assert await ben.refused("DELETE", "/rooms/tea", status=403) == "forbidden"
    ended = await anna.ask("DELETE", "/rooms/tea", key="k1")
    again = await anna.ask("DELETE", "/rooms/tea", key="k1")

    assert (again["seq"], again["duplicate"]) == (ended["seq"], True)
    assert await ben.refused("GET", "/rooms/tea", status=404) == "no_such_room"
    assert (await ben.ask("GET", "/rooms"))["rooms"] == []


async def test_the_inbox_is_paged(house):
    anna = house("anna")
    for name in ("a", "b", "c"):
        await anna.ask("POST", "/rooms", body={"kind": "group", "room": name})
    first = await anna.ask("GET", "/rooms?limit=2")
    rest = await anna.ask("GET", f"/rooms?limit=2&after={first['rooms'][-1]['room']}")

    assert [[row["room"] for row in page["rooms"]] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert [first["more"], rest["more"]] == [True, False]


async def test_two_people_have_one_direct_room(house):
    made = [
        await house(one).ask("POST", "/direct", body={"user": other})
        for one, other in (("anna", "ben"), ("ben", "anna"))
    ]

    assert made == [{"room": "dm:anna:ben"}] * 2
    alone = await house("anna").refused("POST", "/direct", body={"user": "anna"}, status=422)
    assert alone == "invalid_field"


# --- members -----------------------------------------------------------------------------------


async def test_members_come_rise_and_go(house):
    anna, ben = await tea(house)
    cleo = house("cleo")
    body = {"user": "cleo", "role": "reader"}
    await anna.ask("POST", "/rooms/tea/members", body=body, status=201, key="k1")
    again = await anna.ask("POST", "/rooms/tea/members", body=body, status=201, key="k1")
    late = await anna.refused("POST", "/rooms/tea/members", body=body, status=409)
    await anna.ask("PATCH", "/rooms/tea/members/ben", body={"role": "admin"})
    await ben.ask("DELETE", "/rooms/tea/members/cleo")
    await ben.ask("DELETE", "/rooms/tea/members/ben")
    members = await anna.ask("GET", "/rooms/tea/members")

    assert (again["duplicate"], late) == (True, "already_exists")
    assert members == {"members": [{"user": "anna", "role": "owner"}], "more": False}
    assert await cleo.refused("GET", "/rooms/tea/members", status=404) == "no_such_room"


async def test_a_public_room_is_joined(house):
    anna, _ = await tea(house)
    cleo = house("cleo")
    assert await cleo.refused("POST", "/rooms/tea/join", status=404) == "no_such_room"
    await anna.ask("PATCH", "/rooms/tea", body={"public": True})
    assert await cleo.refused("GET", "/rooms/tea/members", status=403) == "not_a_member"
    await cleo.ask("POST", "/rooms/tea/join")
    pages = [
        await cleo.ask("GET", f"/rooms/tea/members?limit=2{after}") for after in ("", "&after=ben")
    ]

    assert [[row["user"] for row in page["members"]] for page in pages] == [
        ["anna", "ben"],
        ["cleo"],
    ]


# --- messages ----------------------------------------------------------------------------------


async def test_a_message_is_stored_once_by_a_key(house):
    anna, ben = await tea(house)
    body = {"body": {"text": "hello"}}
    first = await anna.ask("POST", "/rooms/tea/messages", body=body, key="k1", status=201)
    again = await anna.ask("POST", "/rooms/tea/messages", body=body, key="k1", status=201)
    assert anna.headers["Idempotent-Replayed"] == "true"
    page = await ben.ask("GET", "/rooms/tea/messages")

    assert (again["seq"], again["at"]) == (first["seq"], first["at"])
    assert [(one["seq"], one["cid"], one["body"]) for one in page["messages"]] == [
        (first["seq"], "k1", {"text": "hello"})
    ]
    assert (page["more"], page["as_of"][1]) == (False, first["seq"])


async def test_a_message_is_changed_reacted_to_and_erased(house):
    anna, ben = await tea(house)
    post = await anna.ask("POST", "/rooms/tea/messages", body={"body": {"text": "one"}})
    where = f"/rooms/tea/messages/{post['seq']}"
    new = {"body": {"text": "two"}}
    assert await ben.refused("PATCH", where, body=new, status=403) == "forbidden"
    await anna.ask("PATCH", where, body=new)
    await ben.ask("PUT", f"{where}/reactions/🙂")
    await anna.ask("PUT", f"{where}/reactions/🙂")
    await anna.ask("DELETE", f"{where}/reactions/🙂")
    (changed,) = (await anna.ask("GET", "/rooms/tea/messages"))["messages"]
    await anna.ask("DELETE", where)
    (erased,) = (await anna.ask("GET", "/rooms/tea/messages"))["messages"]

    assert changed["body"] == {"text": "two"}
    assert changed["reactions"] == {"🙂": {"count": 1, "mine": False, "users": ["ben"]}}
    assert (erased["erased"], "body" in erased) == (True, False)
    gone = await anna.refused("PATCH", "/rooms/tea/messages/99", body=new, status=404)
    assert gone == "no_such_entry"


async def test_history_is_paged_both_ways(house):
    anna, _ = await tea(house)
    seqs = []
    for number in range(5):
        body = {"body": {"n": number}}
        seqs.append((await anna.ask("POST", "/rooms/tea/messages", body=body))["seq"])
    last = await anna.ask("GET", "/rooms/tea/messages?limit=2")
    older = await anna.ask("GET", f"/rooms/tea/messages?limit=2&before={seqs[3]}")
    newer = await anna.ask("GET", f"/rooms/tea/messages?limit=9&after={seqs[3]}")

    assert [[one["seq"] for one in page["messages"]] for page in (last, older, newer)] == [
        seqs[3:],
        seqs[1:3],
        seqs[4:],
    ]
    assert [page["more"] for page in (last, older, newer)] == [True, True, False]


async def test_messages_are_found_by_their_words(house):
    anna, ben = await tea(house)
    for text in ("the kettle is on", "no tea today", "a new kettle"):
        await anna.ask("POST", "/rooms/tea/messages", body={"body": {"text": text}})
    first = await ben.ask("GET", "/rooms/tea/search?q=kettle&limit=1")
    rest = await ben.ask("GET", f"/rooms/tea/search?q=kettle&before={first['next_before']}")

    texts = [one["body"]["text"] for page in (first, rest) for one in page["messages"]]
    assert texts == ["a new kettle", "the kettle is on"]
    assert rest["next_before"] is None
    wordless = await ben.refused("GET", "/rooms/tea/search?q=%20", status=422)
    stranger = await house("cleo").refused("GET", "/rooms/tea/search?q=kettle", status=404)
    assert (wordless, stranger) == ("invalid_field", "no_such_room")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/rooms/tea/messages?limit=0", 422, "invalid_field"),
        ("/rooms/tea/messages?limit=201", 422, "invalid_field"),
        ("/rooms/tea/messages?before=-1", 422, "invalid_field"),
        ("/rooms/tea/messages?before=x", 422, "invalid_field"),
        ("/rooms/t%20a/messages", 422, "invalid_field"),
        ("/rooms/tea/search?q=x&limit=51", 422, "invalid_field"),
        ("/rooms/tea/search?q=%00", 422, "invalid_field"),
        ("/rooms/tea/search", 422, "invalid_field"),
    ],
)
async def test_what_is_no_question_is_refused(house, path, status, reason):
    anna, _ = await tea(house)

    assert await anna.refused("GET", path, status=status) == reason


async def test_a_body_too_large_or_too_deep_is_refused(house):
    anna, _ = await tea(house)
    deep = {}
    for _ in range(20):
        deep = {"a": deep}
    reasons = [
        await anna.refused("POST", "/rooms/tea/messages", body={"body": body}, status=status)
        for body, status in (({"text": "x" * 40_000}, 413), (deep, 422), ({"n": 2**60}, 422))
    ]

    assert reasons == ["too_large", "invalid_field", "invalid_field"]


async def test_a_key_that_is_none_is_refused(house):
    anna, _ = await tea(house)
    for key in ("", "x" * 65, '""'):
        body = {"body": {}}
        reason = await anna.refused("POST", "/rooms/tea/messages", body=body, key=key, status=422)
        assert reason == "invalid_field"


# --- receipts ----------------------------------------------------------------------------------


async def test_marks_are_set_and_listed(house):
    anna, ben = await tea(house)
    seq = (await anna.ask("POST", "/rooms/tea/messages", body={"body": {}}))["seq"]
    assert (await ben.ask("GET", "/rooms"))["rooms"][0]["unread"] == 1
    assert await ben.ask("POST", "/rooms/tea/receipt", body={"read": seq}, status=204) is None
    marks = await anna.ask("GET", f"/rooms/tea/receipts?seq={seq}")

    assert [row for row in marks["marks"] if row[0] == "ben"] == [["ben", seq, seq]]
    assert (await ben.ask("GET", "/rooms"))["rooms"][0]["unread"] == 0


# --- services ----------------------------------------------------------------------------------


async def test_a_service_acts_for_a_user_with_that_user_s_rights(house):
    anna, _ = await tea(house)
    service = house("service")
    said = {"body": {"body": {"text": "from a service"}}}
    await service.ask("POST", "/rooms/tea/messages", **said, **{"On-Behalf-Of": "ben"})
    stranger = await service.refused(
        "POST", "/rooms/tea/messages", **said, **{"On-Behalf-Of": "cleo"}, status=404
    )
    itself = await service.refused("POST", "/rooms/tea/messages", **said, status=404)
    nobody = await service.refused("GET", "/rooms", **{"On-Behalf-Of": "a b"}, status=422)
    (message,) = (await anna.ask("GET", "/rooms/tea/messages"))["messages"]

    assert message["from"] == "ben"
    assert (stranger, itself, nobody) == ("no_such_room", "no_such_room", "invalid_field")


async def test_nobody_acts_for_who_is_banned(house):
    await tea(house)
    service = house("service")
    await service.ask("POST", "/admin/bans", body={"user": "ben"})
    for path in ("/rooms", "/rooms/tea", "/rooms/tea/members", "/rooms/tea/messages"):
        assert await service.refused("GET", path, **{"On-Behalf-Of": "ben"}, status=403) == "banned"


async def test_nobody_else_acts_for_others(house):
    anna, _ = await tea(house)

    refused = await anna.refused("GET", "/rooms", **{"On-Behalf-Of": "ben"}, status=403)
    assert refused == "forbidden"
