"""`triolet serve` as a process: what an operator and a client see of its life."""

import gc
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from joserfc.jwk import OKPKey
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from triolet._model.errors import ConfigurationError, Refusal, StoreUnavailable
from triolet.adapters.tokens import mint
from triolet.ports.gate import Opening
from triolet.ports.people import Revocation
from triolet_api.address import Address
from triolet_api.secret import Secret
from triolet_api.serve import Server, announce, command, open_server, raise_descriptor_limit
from triolet_api.settings import Settings

# In which a process starts or ends, on a machine that is busy with other things.
TIMEOUT_S = 120


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
        assert "/assets/chat.js" in server.get("/").text
        assert server.get("/ws").status_code == 426
        second = triolet("serve", "--data", str(data), "--port", "0")
        assert (second.returncode, second.stdout, second.stderr.count("\n")) == (2, "", 1)
        assert str(data / "triolet.db") in second.stderr
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
    config = tmp_path / "triolet.toml"
    config.write_text(f'data = "{tmp_path / "kept"}"\n[limits]\nlb_delay_s = 600\n')
    with serving("--config", str(config)) as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line("SIGTERM: draining")

        assert server.get("/health/ready").status_code == 503
        assert server.get("/health/live").status_code == 200

        status, errors = server.stop()
        assert status == 1
        assert "stopping at once" in errors
    assert (tmp_path / "kept" / "secret").exists()


class TestTheParts:
    """The composition root in this process."""

    @pytest.fixture
    def settings(self, tmp_path):
        return Settings(store=Address("memory:"), port=0, data=tmp_path / "data")

    async def test_it_is_one_async_with(self, settings):
        async with (
            open_server(settings) as server,
            httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as http,
        ):
            answer = await http.get(f"http://{server.address}/health/ready")
            assert answer.json() == {"status": "ready"}
            stopping = server.engine
        assert not stopping.statistics().connections

    async def test_the_gate_has_the_kept_secret_and_the_stores_revocations(self, settings):
        async with open_server(settings) as server:
            secret = (settings.data / "secret").read_bytes().strip()
            now_ms = server.engine.clock.now_ms()
            old = mint(secret, "anna", ttl_s=60, now_ms=now_ms - 5)
            assert (await server.engine.gate.admit(old, Opening())).user == "anna"
            await server.engine.store.revoke(Revocation("anna", now_ms))

            with pytest.raises(Refusal, match="revoked"):
                await server.engine.gate.admit(old, Opening())

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("127.0.0.1", "127.0.0.1:80"),
            ("0.0.0.0", "127.0.0.1:80"),
            ("::", "127.0.0.1:80"),
            ("::1", "[::1]:80"),
        ],
    )
    def test_an_address_is_as_a_url_has_it(self, host, address):
        assert Server(None, None, Settings(), host, 80).address == address

    @pytest.mark.parametrize(
        ("now", "asked", "warned"),
        [
            ((1024, 4096), (3000, 4096), False),
            ((1024, 2000), (2000, 2000), True),
            ((1024, resource.RLIM_INFINITY), (3000, resource.RLIM_INFINITY), False),
            ((4096, 4096), None, False),
            ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None, False),
        ],
    )
    def test_descriptors_are_asked_for(self, monkeypatch, caplog, now, asked, warned):
        """A connection is a descriptor, and many systems start a process with 1,024."""
        told = []
        monkeypatch.setattr(resource, "getrlimit", lambda which: now)
        monkeypatch.setattr(resource, "setrlimit", lambda which, limit: told.append(limit))

        raise_descriptor_limit(3000)

        assert told == ([asked] if asked else [])
        assert ("file descriptors" in caplog.text) == warned

    async def test_with_keys_from_elsewhere_no_secret_is_made(self, tmp_path, settings, capsys):
        """What is kept in memory, and signed by others, leaves nothing in the folder."""
        pair = OKPKey.generate_key("Ed25519")
        (tmp_path / "key.pem").write_bytes(pair.as_pem(private=False))
        settings = msgspec.structs.replace(settings, keys=(tmp_path / "key.pem",))

        async with open_server(settings) as server:
            announce(settings, server.address)
            assert "HS256" not in repr(server.engine.gate).replace("no HS256", "")

        said = capsys.readouterr().out
        assert "from whoever holds the keys" in said
        assert "in memory" in said
        assert not settings.data.exists()


class TestWhatCannotBe:
    def test_it_is_one_line_and_status_2(self, tmp_path):
        done = triolet("serve", "--data", str(tmp_path), "--port", "70000")

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "triolet: --port: expected `int` <= 65535\n"

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"host": "256.0.0.1"}, "cannot listen on 256.0.0.1:0"),
            ({"keys": (Path("nowhere.pem"),)}, "keys: nowhere.pem cannot be read"),
            ({"jwks": Path("nowhere.json")}, "nowhere.json cannot be read"),
        ],
    )
    async def test_settings_that_cannot_work_here(self, tmp_path, change, words):
        settings = Settings(**({"store": Address("memory:"), "port": 0, "data": tmp_path} | change))

        await self.refused(settings, words)

    async def test_a_port_that_is_taken(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            await self.refused(
                Settings(store=Address("memory:"), port=port, data=tmp_path),
                f"cannot listen on 127.0.0.1:{port}",
            )

    @staticmethod
    async def refused(settings, words):
        expected = pytest.RaisesExc(ConfigurationError, match=re.escape(words))
        with pytest.RaisesGroup(expected, allow_unwrapped=True, flatten_subgroups=True):
            async with open_server(settings):
                raise AssertionError


class TestSecretsOfSeveralMachines:
    """Each would make its own, and a token of one would be refused for good by the other."""

    @pytest.mark.parametrize(
        ("change", "is_told"),
        [
            ({"host": "0.0.0.0"}, True),
            ({"host": "127.0.0.1"}, False),
            ({"host": "0.0.0.0", "secret": Secret(b"s" * 32)}, False),
            ({"host": "0.0.0.0", "store": Address("memory:")}, False),
        ],
    )
    async def test_a_secret_that_is_made_here_is_told_of(self, caplog, tmp_path, change, is_told):
        settings = Settings(
            **{"store": Address("postgresql://127.0.0.1:1/db"), "port": 0, "data": tmp_path}
            | change
        )
        with suppress(StoreUnavailable):
            async with open_server(settings):
                pass

        assert ("TRIOLET_SECRET_FILE" in caplog.text) == is_told


def test_what_is_loaded_is_not_looked_through_for_garbage(monkeypatch):
    """Else it were when the server listens, for 40 ms in which nobody is answered."""
    loaded, looked_through = [], []
    gc.collect()
    assert any(one is loaded for one in gc.get_objects())

    def run(*_):
        looked_through.extend(one is loaded for one in gc.get_objects())
        return 0

    monkeypatch.setattr("triolet_api.serve.trio.run", run)
    done = CliRunner().invoke(command, [])

    assert (done.exit_code, done.output) == (0, "")
    assert looked_through
    assert not any(looked_through)
