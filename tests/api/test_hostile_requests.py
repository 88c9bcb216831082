"""Bad requests: whatever is sent, the answer is one that OpenAPI describes, and never a 5xx.

Requests are made by schemathesis of the description that the server itself gives: some that fit
it, others that break it in one place.
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from triolet.adapters.tokens import mint  # noqa: E402

SECRET = "a secret of thirty-two bytes and more"
# In which a server starts, answers or ends, on a machine that is busy with other things.
PATIENCE_S = 120
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# They answer for as long as somebody listens.
ENDLESS = ("/v1/stream",)
# They end what the other requests need, a token or an address: they come last.
LAST = ("/v1/auth/logout-all", "/v1/admin/bans", "/v1/admin/users/{user}/sessions")
# Of what is refused to who asks anyway one request tells all.
TIMES = 4
WHO = {
    "nobody": None,
    "somebody": {"tier": "service"},
    "an admin": {"tier": "service", "roles": ("admin",)},
}


@contextmanager
def serving(folder: Path):
    """A real server in its own process; what it said is in `log`."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "triolet_api", "serve", "--port=0", "--store=memory:"],
            env=os.environ | {"TRIOLET_DATA": str(folder / "data"), "TRIOLET_SECRET": SECRET},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + PATIENCE_S
        # All of it: what is being written ends anywhere.
        while not (found := re.search(r"(http://\S+)\s", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.05)  # it is another process
        yield found[1], log
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("hostile")) as found:
        yield found


@pytest.fixture(scope="module")
def described(server):
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(
        f"{server[0]}/openapi.json", timeout=PATIENCE_S
    ) as answer:
        return schemathesis.openapi.from_dict(json.load(answer))


def headers_of(who):
    if WHO[who] is None:
        return {}
    token = mint(SECRET.encode(), "anna", ttl_s=3600, now_ms=time.time_ns() // 10**6, **WHO[who])
    return {"Authorization": f"Bearer {token}"}


def takes_something(operation):
    return bool(operation.path_parameters or operation.query or operation.body)


def ask(operation, mode, *, times, url, headers):
    """Ask, judge each answer, and return how often it was asked."""
    asked = []

    @settings(
        max_examples=times,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask_once(case):
        asked.append(case)
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS, timeout=PATIENCE_S)

    ask_once()
    return len(asked)


def times_of(operation, who):
    """How often to ask: what is for admins as an admin, the rest as somebody, all as nobody."""
    is_admins = operation.path.startswith("/v1/admin")
    if who == "nobody":
        return 1
    return TIMES if is_admins == (who == "an admin") else 0


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("who", WHO)
def test_whatever_is_sent(server, described, who, mode):
    url, log = server
    headers = headers_of(who)
    operations = [found.ok() for found in described.get_all_operations()]
    operations.sort(key=lambda one: one.path in LAST)
    for operation in operations:
        is_breakable = mode is GenerationMode.POSITIVE or takes_something(operation)
        times = times_of(operation, who)
        if operation.path not in ENDLESS and is_breakable and times:
            assert ask(operation, mode, times=times, url=url, headers=headers)
    assert "Traceback" not in log.read_text()
