"""`/metrics`: what Prometheus reads, and for whom."""

import re

import pytest
from admin_house import open_house

from triolet_api.admin.metrics import _is_here
from triolet_api.admin.settings import AdminSettings
from triolet_api.secret import Secret
from triolet_api.settings import Settings

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+\Z')


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


def values(text):
    """Return `{name with labels: value}`."""
    pairs = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


async def test_every_line_is_prometheus_and_every_family_has_a_type(house):
    async with house.engine.connect("anna") as anna:
        room = await anna.create("group")
        await anna.send(room.room, "hi")
        answer = await house.client.get("/metrics")
    text = answer.text
    typed = set(re.findall(r"^# TYPE (\S+) (?:gauge|counter|histogram)$", text, re.MULTILINE))
    lines = [line for line in text.splitlines() if not line.startswith("#")]

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert all(map(LINE.match, lines)), [line for line in lines if not LINE.match(line)]
    assert {
        re.sub(r"_(bucket|sum|count)$", "", re.split(r"[ {]", one)[0]) for one in lines
    } <= typed
    found = values(text)
    assert found["triolet_messages_total"] == 1
    assert found["triolet_sessions"] == found["triolet_ready"] == 1
    assert found["triolet_memory_bytes"] > 0


async def test_a_histogram_grows_to_its_count(house):
    async with house.engine.connect("anna") as anna:
        room = await anna.create("group")
        for number in range(40):
            await anna.send(room.room, str(number))
        found = values((await house.client.get("/metrics")).text)
    buckets = [v for name, v in found.items() if name.startswith("triolet_store_append_seconds_b")]

    assert buckets == sorted(buckets)
    assert buckets[-1] == found["triolet_store_append_seconds_count"] > 0


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
async def test_what_a_proxy_passes_on_is_not_from_here(house, name):
    """Without trusted proxies everybody behind one has its address."""
    answer = await house.client.get("/metrics", headers={name: "127.0.0.1"})

    assert answer.status_code == 403


def test_only_loopback_is_here():
    assert [_is_here(one) for one in ("127.0.0.1", "::1", "10.0.0.1", "", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]


async def test_with_a_token_in_the_settings_that_is_needed(serving):
    settings = Settings(admin=AdminSettings(metrics_token=Secret(b"a good token")))
    async with open_house(serving, settings) as house:
        said = {"Authorization": "Bearer a good token", "X-Forwarded-For": "192.0.2.1"}
        statuses = [
            (await house.client.get("/metrics", headers=headers)).status_code
            for headers in (
                {},
                {"Authorization": "Bearer a bad one"},
                {"Authorization": "a good token"},
                said,
                said | {"Authorization": "bearer a good token"},
            )
        ]

    assert statuses == [401, 401, 401, 200, 200]
