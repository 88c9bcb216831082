"""`/metrics`: what Prometheus reads, and for whom."""

import re

import pytest
from admin_house import Names, open_house

from triolet._model.errors import ConfigurationError, ErrorCode, Refusal
from triolet._model.observation import Post, Sample
from triolet_api.admin.metrics import by_worker, lines
from triolet_api.admin.settings import AdminSettings
from triolet_api.secret import Secret
from triolet_api.settings import Settings, load_settings

ROOT = {"Authorization": "Bearer root"}
KEY = "a key of twenty-two bytes or more"
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
        answer = await house.client.get("/metrics", headers=ROOT)
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
        found = values((await house.client.get("/metrics", headers=ROOT)).text)
    buckets = [v for name, v in found.items() if name.startswith("triolet_store_append_seconds_b")]

    assert buckets == sorted(buckets)
    assert buckets[-1] == found["triolet_store_append_seconds_count"] > 0


def sample(post=None, *, up_ms=1000, **fields):
    """Return what a node counts that did little."""
    usual = {"node": "n", "at": 5, "gauges": {"sessions": 3}, "counts": {"cpu_ms": 2500}}
    durations = {"append_us": {}, "bus_us": {}, "lag_us": {}}
    state = {"not_ready": "", "unheard": (), "is_store_failing": False, "busiest": (), "errors": ()}
    events = {"closes": {"1000": 4}, "refusals": {}}
    return Sample(**usual | durations | state | events | {"up_ms": up_ms, "post": post} | fields)


def told(*crew):
    return list(lines(by_worker(crew)))


def test_each_worker_has_its_lines_and_those_of_one_name_stand_together():
    """So has Prometheus it; a name's type is told once."""
    one, two = Post("c", 1), Post("c", 2)
    found = told(sample(two, gauges={"sessions": 5, "new": 1}), sample(one, append_us={16: 2}))

    assert found[:4] == [
        "# TYPE triolet_sessions gauge",
        'triolet_sessions{worker="1"} 3',
        'triolet_sessions{worker="2"} 5',
        "# TYPE triolet_cpu_seconds_total counter",
    ]
    assert 'triolet_closes_total{worker="2",code="1000"} 4' in found
    assert 'triolet_store_append_seconds_bucket{worker="1",le="+Inf"} 2' in found
    assert 'triolet_store_append_seconds_count{worker="2"} 0' in found
    # What one does not count, as one of an older version, is not there; nothing is there twice.
    assert [line for line in found if line.startswith("triolet_new")] == [
        'triolet_new{worker="2"} 1'
    ]
    types = [line for line in found if line.startswith("#")]
    names = [line.rpartition(" ")[0] for line in found]
    assert len(types) == len({line.split()[2] for line in types})
    assert len(names) == len(set(names))


def test_a_server_by_itself_has_no_label():
    assert "triolet_sessions 3" in told(sample())
    assert not [line for line in told(sample()) if "worker" in line]


def test_who_takes_over_a_number_has_it_and_who_leaves_is_told_as_well():
    old, new = sample(Post("c", 2), up_ms=9000), sample(Post("c", 2), up_ms=1000)
    other = sample(Post("c", 1))

    for crew in ((old, new, other), (new, other, old)):
        assert {label: one.up_ms for label, one in by_worker(crew).items()} == {
            "1": 1000,
            "2": 1000,
            "2-leaving": 9000,
        }
    assert list(by_worker([old])) == ["2"]


async def statuses(house, *asked):
    return [(await house.client.get("/metrics", headers=headers)).status_code for headers in asked]


async def test_where_a_request_comes_from_is_no_reason(house):
    """All that comes through a proxy on this machine comes from here, whatever it says or not."""
    names = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
    asked = [{}, *({name: "127.0.0.1"} for name in names)]

    assert await statuses(house, *asked) == [401, 401, 401, 401]
    assert await statuses(house, {"Authorization": "Bearer anna"}, ROOT) == [403, 200]


async def test_who_has_the_key_reads_them_and_nothing_else(serving):
    settings = Settings(admin=AdminSettings(metrics_token=Secret(KEY.encode())))

    class Strict(Names):
        async def admit(self, token, opening):
            if token not in (None, "anna", "root"):
                raise Refusal(ErrorCode.TOKEN_INVALID)
            return await super().admit(token, opening)

    async with open_house(serving, settings, gate=Strict()) as house:
        said = {"Authorization": f"Bearer {KEY}", "X-Forwarded-For": "192.0.2.1"}
        asked = (
            {},
            {"Authorization": "Bearer a bad one"},
            {"Authorization": f"Bearer {KEY[:-1]}"},
            {"Authorization": KEY},
            {"Authorization": "Bearer anna"},
            said,
            said | {"Authorization": f"bearer {KEY}"},
            ROOT,
        )
        assert await statuses(house, *asked) == [401, 401, 401, 401, 403, 200, 200, 200]
        await house.ask("GET", "/admin/stats", who=KEY, status=401)
        await house.ask("GET", "/rooms", who=KEY, status=401)


def test_a_key_that_can_be_guessed_is_none():
    with pytest.raises(ConfigurationError, match="TRIOLET_ADMIN_METRICS_TOKEN: at least 22 bytes"):
        load_settings(environ={"TRIOLET_ADMIN_METRICS_TOKEN": "x" * 21})
    assert load_settings(environ={"TRIOLET_ADMIN_METRICS_TOKEN": "x" * 22}).admin.metrics_token
