"""Law: what Prometheus is told to do in the example reads every node's metrics."""

import httpx
import pytest
import yaml
from deploy_scene import EXAMPLES, METRICS_TOKEN, ask, get, open_tls

COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
(JOB,) = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())["scrape_configs"]
NODES = {name: one for name, one in COMPOSE["services"].items() if name.startswith("node")}


def test_every_node_is_asked_with_the_token_it_was_given():
    (group,) = JOB["static_configs"]
    assert group["targets"] == [f"{name}:8000" for name in NODES]
    named = JOB["authorization"]["credentials_file"]
    for node in NODES.values():
        assert node["environment"]["TRIOLET_ADMIN_METRICS_TOKEN_FILE"] == named
        assert named.removeprefix("/run/secrets/") in node["secrets"]


async def test_a_node_answers_it_and_nobody_else(nodes):
    """As Prometheus asks: its defaults are GET, http, /metrics and `Bearer`."""
    assert not {"scheme", "metrics_path", "params", "basic_auth"} & JOB.keys()
    kind = JOB["authorization"].get("type", "Bearer")
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for node in nodes:
            url = f"http://127.0.0.1:{node.port}{JOB.get('metrics_path', '/metrics')}"
            told = await client.get(url, headers={"Authorization": f"{kind} {METRICS_TOKEN}"})
            assert (told.status_code, "triolet_uptime_seconds " in told.text) == (200, True)
            for headers in ({}, {"Authorization": f"{kind} {METRICS_TOKEN}x"}):
                assert (await client.get(url, headers=headers)).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/%6detrics", "/metrics?x=1"])
async def test_nobody_asks_through_a_balancer(balancer, path):
    """It is on the same machine as the nodes, and its clients may be anywhere."""
    async with open_tls(balancer) as stream:
        status, _ = await ask(stream, get(path, f"Authorization: Bearer {METRICS_TOKEN}"))
        assert status == 404
