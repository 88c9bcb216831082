"""Several nodes, struck for real, and judged as one server."""

import sys
from pathlib import Path

import pytest

from triolet.testing import history
from triolet.testing.__main__ import main
from triolet.testing.chaos.cluster import open_cluster
from triolet.testing.services.postgres import NoPostgres, binaries
from triolet.testing.services.redis import NoRedis, run_redis


@pytest.fixture(scope="module", autouse=True)
def servers():
    try:
        binaries()
        with run_redis():
            pass
    except (NoPostgres, NoRedis) as missing:
        pytest.skip(str(missing))


# One of each kind: what is left out differs from these by whom it strikes.
FAULTS = ("kill", "freeze", "bus-gone", "bus-flushed", "store-gone", "store-paused", "apart")


def test_after_faults_of_each_kind_nothing_acknowledged_is_lost(tmp_path, capsys):
    """Law: each fault strikes, alone and with others, is healed, and everything holds."""
    kept = tmp_path / "history.jsonl"
    asked = ["--nodes", "2", "--faults", ",".join(FAULTS), "--cycles", str(len(FAULTS))]
    load = ["--clients", "8", "--rate", "60", "--tempo", "0.1"]
    status = main(["chaos", *asked, *load, "--history", str(kept)])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "0 acknowledged lost, 0 repeated, 0 out of order" in said
    found = list(history.read(kept.read_bytes().splitlines()))
    struck = [one for one in found if isinstance(one, history.Fault)]
    verbs = dict.fromkeys(one.verb.partition("_")[0] for one in struck)
    assert sorted(verbs) == ["apart", "crash", "flush", "freeze", "gone", "pause"]
    whole = {one.what for one in struck}
    assert {"postgres", "redis-1"} <= whole
    assert sum(isinstance(one, history.Acked) for one in found) > 100
    assert any(isinstance(one, history.Settled) for one in found)


def test_a_node_that_hears_nobody_is_found_out(tmp_path, capsys):
    """Law: what one node's clients never see makes it exit with 1, and keep the evidence."""
    server = f"{sys.executable} {Path(__file__).with_name('deaf_server.py')}"
    asked = ["chaos", "--nodes", "2", "--faults", "jump", "--cycles", "1", "--server", server]
    load = ["--clients", "8", "--rate", "60", "--tempo", "0.1", "--patience", "60"]
    assert main([*asked, *load, "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().out
    assert "violated: some clients have not seen everything" in said
    assert (tmp_path / "data" / "history.jsonl").exists()


async def test_postgres_joins_them_where_there_is_no_redis(tmp_path):
    """Law: `--redis 0`: the store's ways are the bus's, too, and nothing else is started."""
    async with open_cluster(tmp_path, 2, redis=0) as cluster:
        assert [backing.name for backing in cluster.backings] == ["postgres"]
        assert [len(links["bus"]) for links in cluster.links.values()] == [0, 0]
        assert len(dict.fromkeys(cluster.urls)) == 2
        assert cluster.token("anna").count(".") == 2
        assert all(process.pid for process in cluster.processes.values())
    assert not any(process.pid for process in cluster.processes.values())


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["--nodes", "2", "--url", "ws://localhost:1/ws"], "--nodes: not with --url"),
        (["--nodes", "2", "--faults", "full"], "'full' is none of kill, "),
        (["--nodes", "2", "--redis", "0", "--faults", "bus-gone"], "'bus-gone' is none of kill, "),
        (["--nodes", "2", "--redis", "0", "--faults", "apart"], "'apart' is none of kill, "),
        (["--faults", "freeze"], "'freeze' is none of kill, "),
    ],
)
def test_what_cannot_strike_is_told_with_2(tmp_path, capsys, asked, why):
    """Law: a fault of what is not there is refused before anything starts."""
    where = ["--token-command", "true", "--data", str(tmp_path)]
    assert main(["chaos", *asked, *where]) == 2
    assert why in capsys.readouterr().err
