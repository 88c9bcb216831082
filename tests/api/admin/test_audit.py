"""Law: no act of an admin without a row, written before it, that says how it ended."""

import re

import pytest
import trio
from admin_house import open_house

from triolet._model.errors import ErrorCode, OutcomeUnknown, Refusal, StoreUnavailable
from triolet.adapters.memory import open_memory_store
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet_api.admin.audit import Audit
from triolet_api.endpoints import Access

# What to ask of each endpoint that changes something: its body, where it has one. Path
# parameters are these; a new endpoint that needs others says so here.
PATH = {"session": "s", "user": "ben", "room": "tea", "invite": "0" * 64}
BODIES = {
    "admin-accounts.add": {"user": "newcomer", "password": "hunter2 hunter3 hunter4"},
    "admin-accounts.change": {"password": "hunter2 hunter3 hunter4"},
    "admin-invites.make": {"uses": 2},
    "notifications.send": {"user": "ben", "title": "Tea is ready"},
    "notifications.verify_email": {"email": "ben@mail.example"},
    "admin.announce": {"body": {"text": "hi"}},
    "admin-bans.ban": {"user": "eve"},
    "admin-jobs.requeue": {"ids": [1]},
}
# And the query, where it has to have one.
QUERIES = {"admin-bans.lift": {"user": "eve"}, "admin-jobs.drop": {"ids": 1}}


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


def changing(api):
    of_admins = (Access.ADMIN, Access.SERVICE)
    return [one for one in api.endpoints if one.access in of_admins and one.method != "GET"]


async def test_every_endpoint_that_changes_something_leaves_a_row(house):
    """Whatever comes of it; made from the endpoints, so none is forgotten."""
    assert changing(house.api)
    for one in changing(house.api):
        path = re.sub(r"\{(\w+)\}", lambda found: PATH[found[1]], one.path)
        assert one.body is None or one.name in BODIES, f"say in BODIES what to ask of {one.name}"
        answer = await house.client.request(
            one.method,
            path,
            json=BODIES.get(one.name),
            params=QUERIES.get(one.name),
            headers={"Authorization": "Bearer root"},
        )
        assert answer.status_code != 422, answer.text
        row = (await house.ask("GET", "/admin/audit?limit=1"))["rows"][0]

        assert (row["action"], row["who"]) == (one.name, "root")
        reason = "done" if answer.is_success else answer.json()["reason"]
        assert row["outcome"] == reason
        assert "hunter" not in str(row)


async def test_who_may_not_leaves_none(house):
    await house.ask("DELETE", "/admin/sessions/s", who="anna", status=403)
    await house.ask("POST", "/admin/announce", body={"body": {}}, who=None, status=401)

    assert (await house.ask("GET", "/admin/audit"))["rows"] == []


async def test_a_row_says_who_what_whom_and_from_where(house):
    await house.ask("DELETE", "/admin/users/ben/sessions?keep_tokens=true")
    (row,) = (await house.ask("GET", "/admin/audit"))["rows"]

    assert row["target"] == "user=ben"
    assert row["address"] == "127.0.0.1"
    assert row["details"] == {"query": {"keep_tokens": True}}


async def test_rows_are_read_page_by_page_the_newest_first(house):
    for number in range(5):
        await house.ask("DELETE", f"/admin/sessions/s{number}", status=404)
    seen, before = [], ""
    while True:
        page = await house.ask("GET", f"/admin/audit?limit=2&before={before}")
        seen += [row["target"] for row in page["rows"]]
        if not page["more"]:
            break
        before = page["rows"][-1]["id"]

    assert seen == [f"session=s{number}" for number in (4, 3, 2, 1, 0)]


# --- the log itself ----------------------------------------------------------------------------


class Documents:
    """Those of memory, which can be made to fail."""

    def __init__(self, real):
        self._real = real
        self.failures = []
        self.writes = []

    async def write(self, changes):
        self.writes.append(changes)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return await self._real.write(changes)

    async def scan(self, *args, **kwargs):
        return await self._real.scan(*args, **kwargs)


@pytest.fixture
async def documents():
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_memory_store(clock=clock, entropy=entropy) as store:
        yield Documents(store.documents)


@pytest.fixture
async def audit(documents):
    return Audit(documents, SystemClock(), SystemEntropy(), days=30)


async def outcomes(audit):
    return [row.outcome for row in await audit.page(limit=10)]


async def test_the_row_is_there_before_the_act(audit):
    async with audit.acting(who="root", action="x"):
        assert await outcomes(audit) == ["begun"]

    assert await outcomes(audit) == ["done"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Refusal(ErrorCode.FORBIDDEN), "forbidden"),
        (StoreUnavailable("gone"), "store_unavailable"),
        (OutcomeUnknown("lost"), "outcome_unknown"),
        (KeyError("a bug"), "internal"),
    ],
)
async def test_how_it_failed_is_written_and_goes_on(audit, error, outcome):
    with pytest.raises(type(error)):
        async with audit.acting(who="root", action="x"):
            raise error

    assert await outcomes(audit) == [outcome]


async def test_an_act_that_was_cancelled_says_so(audit):
    with trio.move_on_after(0.01):
        async with audit.acting(who="root", action="x"):
            await trio.sleep_forever()

    assert await outcomes(audit) == ["cancelled"]


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), OutcomeUnknown("lost")])
async def test_what_cannot_be_written_down_is_not_done(audit, documents, error):
    documents.failures = [error]
    is_done = False
    with pytest.raises((Refusal, StoreUnavailable)):
        async with audit.acting(who="root", action="x"):
            is_done = True

    assert not is_done


async def test_an_outcome_that_cannot_be_written_leaves_the_act_done(audit, documents, caplog):
    documents.failures = [None, StoreUnavailable("gone")]
    async with audit.acting(who="root", action="x"):
        pass

    assert await outcomes(audit) == ["begun"]
    assert "x by root ended as done" in caplog.text


async def test_an_outcome_that_takes_too_long_is_told_as_well(
    audit, documents, caplog, monkeypatch, autojump_clock
):
    write = documents.write

    async def hang(changes):
        await trio.sleep_forever()

    async with audit.acting(who="root", action="x"):
        monkeypatch.setattr(documents, "write", hang)
    monkeypatch.setattr(documents, "write", write)

    assert await outcomes(audit) == ["begun"]
    assert "x by root ended as done" in caplog.text


async def test_secrets_are_left_out_and_long_things_cut(audit):
    details = {
        "body": {
            "new_password": "abc",
            "captcha_token": ["abc"],
            "keep_tokens": True,
            "text": "token=abc " + "x" * 1000,
            "many": list(range(100)),
            "deep": {"a": {"b": {"c": {"d": 1}}}},
        }
    }
    async with audit.acting(who="root", action="x", details=details):
        pass
    (row,) = await audit.page(limit=1)

    assert "abc" not in repr(row)
    assert row.details["body"]["keep_tokens"] is True
    assert len(row.details["body"]["text"]) <= 200
    assert len(row.details["body"]["many"]) == 20
    assert row.details["body"]["deep"] == {"a": {"b": "…"}}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
async def test_a_number_that_cannot_be_written_down_is_left_out(house, number):
    """What asks for it is refused all the same, and is no error of ours."""
    text = '{"users": ["ben"], "body": {"x": %s}}'
    answer = await house.client.post(
        "/v1/admin/announce",
        content=text % number,
        headers={"Authorization": "Bearer root", "Content-Type": "application/json"},
    )

    assert answer.status_code == 422, answer.text


async def test_rows_are_kept_for_so_many_days(audit, documents):
    async with audit.acting(who="root", action="x"):
        pass
    (row,) = await audit.page(limit=1)

    assert {change.expires_at - row.at for (change,) in documents.writes} == {30 * 86_400_000}
