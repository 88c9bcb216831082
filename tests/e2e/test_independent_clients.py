"""Clients written from the protocol alone speak to the server, and through it to each other.

One knows only `websockets` and `msgpack`, the other only Node's `ws` and `@msgpack/msgpack`.
Each checks what it is told (`independent_client`), here it is checked that both were told the
same, whatever their formats.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_scene import running, token

HERE = Path(__file__).parent
# Each conversation has people of its own.
PAIRS = itertools.count()
# Longer than either of them waits for the other (120 s), who has to start first.
PATIENCE_S = 150
PYTHON = [sys.executable, str(HERE / "independent_client.py")]


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("independent") / "data") as server:
        yield server


def start(server, command, environment, **task):
    task |= {"url": server.url, "token": token(task["me"])}
    return subprocess.Popen(
        [*command, json.dumps(task)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def converse(server, one, other, *, forms, environment):
    """Let two programs talk; return what each saw."""
    pair = next(PAIRS)
    names = [f"anna-{pair}", f"ben-{pair}"]
    halves = [
        start(server, command, environment, half=half, form=form, me=me, other=them)
        for command, half, form, me, them in zip(
            (one, other), ("first", "second"), forms, names, reversed(names), strict=True
        )
    ]
    try:
        said = [process.communicate(timeout=PATIENCE_S) for process in halves]
    finally:
        for process in halves:
            process.kill()
            process.communicate()
    # Of both, for one that fails has the other wait for nothing.
    complaints = [err for process, (_, err) in zip(halves, said, strict=True) if process.returncode]
    assert complaints == []
    return [json.loads(out) for out, _ in said]


def check_equal(first_saw, second_saw):
    assert first_saw["entries"].keys() == second_saw["entries"].keys()
    for room, entries in first_saw["entries"].items():
        # They did not begin at the same place.
        both = [{entry["seq"]: entry for entry in entries}]
        both.append({entry["seq"]: entry for entry in second_saw["entries"][room]})
        shared = both[0].keys() & both[1].keys()
        assert shared
        assert max(shared) == max(both[0]) == max(both[1])
        assert [both[0][seq] for seq in sorted(shared)] == [both[1][seq] for seq in sorted(shared)]
    for message in first_saw["messages"] + second_saw["messages"]:
        for reaction in message["reactions"].values():
            # Whose it is differs, as it must.
            del reaction["mine"]
    assert first_saw["messages"] == second_saw["messages"]


@pytest.mark.parametrize("forms", [("msgpack", "json"), ("json", "msgpack")], ids="-".join)
def test_two_clients_made_of_websockets_and_msgpack_understand_each_other(shared_server, forms):
    check_equal(*converse(shared_server, PYTHON, PYTHON, forms=forms, environment={}))


@pytest.mark.parametrize("forms", [("msgpack", "msgpack"), ("json", "msgpack")], ids="-".join)
@pytest.mark.parametrize("begins", ["python", "node"])
def test_a_client_in_node_and_one_in_python_understand_each_other(
    shared_server, node_modules, begins, forms
):
    node = [shutil.which("node"), str(HERE / "node" / "independent_client.cjs")]
    pair = (PYTHON, node) if begins == "python" else (node, PYTHON)
    environment = {"NODE_PATH": str(node_modules / "node_modules")}
    check_equal(*converse(shared_server, *pair, forms=forms, environment=environment))
