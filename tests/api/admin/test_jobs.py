"""Jobs over HTTP: what is dead is seen without what it carries, tried again, or given up."""

import pytest
import trio
from admin_house import PATIENCE_S, open_house

from triolet import Abandon


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def dead(house, count):
    """Have so many jobs die, and return what is listed of them."""

    async def fail(job):
        raise Abandon("no answer from https://anna:hunter2@push.example, token=hunter2")

    house.engine.jobs.handle("push", fail)
    for number in range(count):
        await house.engine.jobs.add("push", f"k{number}", b"hunter2")
    with trio.fail_after(PATIENCE_S):
        while len(found := (await house.ask("GET", "/admin/jobs"))["jobs"]) < count:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.05)
    return found


async def test_dead_jobs_are_listed_without_what_they_carry(house):
    found = await dead(house, 3)

    assert [row["key"] for row in found] == ["k2", "k1", "k0"]
    assert {row["state"] for row in found} == {"dead"}
    assert "no answer" in found[0]["error"]
    assert "hunter2" not in str(found)


async def test_pages_follow_each_other(house):
    await dead(house, 3)
    first = await house.ask("GET", "/admin/jobs?limit=2")
    rest = await house.ask("GET", f"/admin/jobs?limit=2&after={first['next']}")

    assert [row["key"] for row in first["jobs"] + rest["jobs"]] == ["k2", "k1", "k0"]
    assert "next" not in rest


async def test_dead_jobs_are_tried_again_and_given_up(house):
    found = await dead(house, 2)
    again = await house.ask("POST", "/admin/jobs/requeue", body={"ids": [found[0]["id"]]})
    gone = await house.ask("DELETE", f"/admin/jobs?ids={found[1]['id']}&ids=999999")

    assert (again, gone) == ({"count": 1}, {"count": 1})
    with trio.fail_after(PATIENCE_S):
        while [row["key"] for row in (await house.ask("GET", "/admin/jobs"))["jobs"]] != ["k1"]:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.05)


async def test_counts_are_seen_in_the_statistics_too(house):
    await house.engine.jobs.add("later", "k", delay_s=1000)
    with trio.fail_after(PATIENCE_S):
        while not (rows := (await house.ask("GET", "/admin/stats")).get("jobs")):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.2)

    assert [row[:4] for row in rows] == [["later", 1, 0, 0]]
    page = await house.ask("GET", "/admin/jobs?state=waiting")
    assert [row["kind"] for row in page["jobs"]] == ["later"]
    assert page["kinds"][0]["waiting"] == 1


@pytest.mark.parametrize("body", [{"ids": []}, {"ids": [0]}, {"ids": ["x"]}, {}])
async def test_what_names_no_job_is_refused(house, body):
    await house.ask("POST", "/admin/jobs/requeue", body=body, status=422)


@pytest.mark.parametrize("who", ["anna", None])
async def test_nobody_else_may(house, who):
    for method, path in (("GET", "jobs"), ("POST", "jobs/requeue"), ("DELETE", "jobs?ids=1")):
        await house.ask(method, f"/admin/{path}", who=who, status=403 if who else 401)
