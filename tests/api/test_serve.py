"""`triolet serve` as a process: what an operator and a client see of its life."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

TIMEOUT_S = 30


def environment(**more):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TRIOLET_")}
    return plain | {"PYTHONWARNINGS": "error"} | more


def triolet(*args, **env):
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "triolet_api", *args],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(**env),
        check=False,
    )


class Process:
    """A server that runs, and what it has said."""

    def __init__(self, args, env):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "triolet_api", "serve", "--port", "0", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
        )
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("stop"):
                break
        found = re.search(r"running at (http://127\.0\.0\.1:(\d+))", self.said)
        assert found, self.said + self.process.stderr.read()
        self.url, self.port = found[1], int(found[2])

    def get(self, path):
        return httpx.get(self.url + path, trust_env=False, timeout=TIMEOUT_S)

    @contextmanager
    def session(self, token):
        """Connect and say hello; yield the link and the answer."""
        with connect(
            f"ws://127.0.0.1:{self.port}/ws",
            subprotocols=["triolet.v1.json"],
            compression=None,
            proxy=None,
        ) as link:
            link.send(json.dumps({"op": "hello", "token": token}))
            yield link, json.loads(link.recv(TIMEOUT_S))

    def wait_for_line(self, words):
        """Read stderr until a line says `words`."""
        for line in self.process.stderr:
            if words in line:
                return
        raise AssertionError(words)

    def stop(self, how=signal.SIGTERM):
        """Signal, wait, and return the status and what was said on stderr."""
        self.process.send_signal(how)
        said, errors = self.process.communicate(timeout=TIMEOUT_S)
        assert said == ""
        return self.process.returncode, errors


@contextmanager
def serving(*args, **env):
    server = Process(args, env)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def ask(link, **request):
    """Send a request and return its reply."""
    link.send(json.dumps({"ref": 1} | request))
    while True:
        answer = json.loads(link.recv(TIMEOUT_S))
        if answer.get("ref") == 1:
            return answer


def close_code(link):
    """Read to the end, and return why it was."""
    with pytest.raises(ConnectionClosed) as closed:
        read_on(link)
    return closed.value.rcvd.code


def read_on(link):
    while True:
        link.recv(TIMEOUT_S)


def test_a_life_and_the_next(tmp_path):
    """Start with nothing, serve, drain at SIGTERM with 0; the next start has it all."""
    data = tmp_path / "data"
    with serving("--data", str(data), TRIOLET_LIMIT_DRAIN_WINDOW_S="0.1") as server:
        assert server.get("/health/live").json() == {"status": "live"}
        assert server.get("/health/ready").json() == {"status": "ready"}
        assert f"ws://127.0.0.1:{server.port}/ws" in server.get("/").text
        assert server.get("/ws").status_code == 426
        token = triolet("token", "anna", "--data", str(data)).stdout.strip()
        with server.session(token) as (link, welcome):
            assert (welcome["op"], welcome["user"]) == ("welcome", "anna")
            room = ask(link, op="create", kind="group", cid="c")["room"]
            sent = ask(link, op="send", room=room, cid="m", body={"text": "kept"})
            assert sent["op"] == "ok"

            status, errors = server.stop()

            assert close_code(link) == 1012
        assert status == 0
        for hint in ("triolet token NAME", "triolet chat", str(data)):
            assert hint in server.said
        assert token not in server.said + errors
        for line in errors.splitlines():
            assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ triolet", line)

    with serving("--data", str(data)) as server:
        with server.session(token) as (link, welcome):
            assert welcome["op"] == "welcome"
            page = ask(link, op="history", room=room)
            assert [message["body"] for message in page["messages"]] == [{"text": "kept"}]
        assert server.stop(signal.SIGINT)[0] == 0


def test_draining_is_told_and_a_second_signal_ends_it(tmp_path):
    """While a load balancer looks away the server says 503, and goes on serving."""
    with serving("--data", str(tmp_path), TRIOLET_LIMIT_LB_DELAY_S="600") as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM: draining")

        assert server.get("/health/ready").status_code == 503
        assert server.get("/health/live").status_code == 200

        status, errors = server.stop()
        assert status == 1
        assert "stopping at once" in errors


def test_everything_may_be_in_memory_with_keys_from_elsewhere(tmp_path):
    """Then nothing is written: no secret is made where none is used."""
    key = tmp_path / "key.pem"
    pair = subprocess.run(
        [sys.executable, "-c", MAKE_KEY], capture_output=True, timeout=TIMEOUT_S, check=True
    )
    key.write_bytes(pair.stdout)
    data = tmp_path / "data"
    with serving("--data", str(data), TRIOLET_STORE="memory:", TRIOLET_KEYS=str(key)) as server:
        with server.session("eyJhbGciOiJub25lIn0.e30.") as (_, refused):
            assert refused["reason"] == "token_invalid"
        assert "whoever holds the keys" in server.said
        assert server.stop()[0] == 0
    assert not data.exists()


MAKE_KEY = """
import sys
from joserfc.jwk import OKPKey
sys.stdout.buffer.write(OKPKey.generate_key("Ed25519").as_pem(private=False))
"""


def test_a_file_of_settings(tmp_path):
    config = tmp_path / "triolet.toml"
    config.write_text(f'data = "{tmp_path / "kept"}"\nlog_level = "error"\n')
    with serving("--config", str(config)) as server:
        status, errors = server.stop()

    assert (status, errors) == (0, "")
    assert (tmp_path / "kept" / "secret").exists()


class TestWhatCannotBe:
    """One line, status 2, no traceback."""

    @staticmethod
    def assert_misuse(done, words):
        assert done.returncode == 2
        assert done.stderr.startswith("triolet: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
        assert done.stdout == ""

    @pytest.mark.parametrize(
        ("args", "env", "words"),
        [
            (["--port", "70000"], {}, "--port: expected `int` <= 65535"),
            (["--host", "256.0.0.1", "--port", "0"], {}, "host, port: "),
            ([], {"TRIOLET_KEYS": "nowhere.pem"}, "keys: nowhere.pem cannot be read"),
        ],
    )
    def test_settings(self, tmp_path, args, env, words):
        done = triolet("serve", "--data", str(tmp_path), *args, **env)

        self.assert_misuse(done, words)

    def test_a_port_that_is_taken(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            done = triolet("serve", "--data", str(tmp_path), "--port", str(port))

        self.assert_misuse(done, f"cannot listen on 127.0.0.1:{port}")

    def test_data_that_another_server_uses(self, tmp_path):
        with serving("--data", str(tmp_path)):
            done = triolet("serve", "--data", str(tmp_path), "--port", "0")

        self.assert_misuse(done, "triolet.db")
