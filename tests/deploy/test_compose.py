"""compose.yaml by the compose specification's schema, and by what it promises.

`compose_spec.json` is that schema as its authors publish it (Compose Specification, October
2021), under the Apache License 2.0, which lies beside it.
"""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from deploy_scene import EXAMPLES, PATH, PATIENCE_S

from triolet._model.limits import Limits
from triolet_api.http import HttpLimits
from triolet_api.settings import load_settings

HERE = Path(__file__).parent
COMPOSE = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
NODES = [name for name in SERVICES if name.startswith("node")]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def seconds(text):
    found = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text)
    return 60 * int(found[1] or 0) + int(found[2] or 0)


def names(used):
    """Return the names in a list of names, of `source: …`, of `name:path`, or in a mapping."""
    return [(one if isinstance(one, str) else one["source"]).split(":")[0] for one in used or ()]


def test_it_is_what_the_specification_allows():
    """Law: no key is misspelled or in the wrong place."""
    schema = json.loads((HERE / "compose_spec.json").read_text())
    jsonschema.Draft201909Validator(schema).validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(schema).validate({**COMPOSE, "servces": {}})


@pytest.mark.parametrize("kind", ["volumes", "secrets", "configs", "networks"])
def test_what_is_used_is_declared_and_what_is_declared_is_used(kind):
    """Law: the two lists are one."""
    used = {name for service in SERVICES.values() for name in names(service.get(kind))}
    assert used == COMPOSE[kind].keys()


def test_who_waits_waits_for_somebody():
    """Law: dependencies are services, and have a health check to wait for."""
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name] or "build" in SERVICES[name]


def test_every_file_that_is_named_is_shipped_or_made():
    """Law: configurations lie here; secrets are made by the script, in a folder of their own."""
    for config in COMPOSE["configs"].values():
        assert (EXAMPLES / config["file"]).is_file()
    made = (EXAMPLES / "make-secrets.sh").read_text()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert name in made


# --- nobody may more than needed --------------------------------------------------------------


@each_service
def test_nobody_is_root_or_privileged(service):
    """Law: a number that is not root's, no capability, nothing to write but what is named."""
    user, group = map(int, service["user"].split(":"))
    assert user
    assert group
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & service.keys()
    assert not any(volume.startswith(("/", ".")) for volume in service.get("volumes", ()))
    for place in service["tmpfs"]:
        path, options = place.split(":")
        assert path.startswith("/")
        assert {"noexec", "nosuid", "nodev"} <= set(options.split(","))
        assert re.search(r"size=\d+m", options)


@each_service
def test_everybody_is_bounded_and_comes_back(service):
    """Law: memory, processors, processes and logs have limits; what ends is started again."""
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["pids_limit"] <= 300
    assert service["logging"]["options"]["max-size"]
    assert service["restart"] == "unless-stopped"
    assert "healthcheck" in service or "build" in service


@each_service
def test_images_are_versions_of_official_names(service):
    """Law: a name without a host, a version that is a number."""
    assert re.fullmatch(r"[a-z]+:\d+(\.\d+)*", service["image"])


def test_only_nginx_is_reachable_and_the_stores_are_not_from_there():
    """Law: ports are published by nginx alone, which shares no network with the stores."""
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["nginx"]
    outside = set(names(SERVICES["nginx"]["networks"]))
    for name in ("postgres", "redis", "backup"):
        assert not outside & set(names(SERVICES[name]["networks"]))
    for name in ("front", "back"):
        assert COMPOSE["networks"][name]["internal"] is True


def test_no_secret_is_in_the_environment():
    """Law: what is secret is named by a file, and that file is mounted."""
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert isinstance(value, str)
            if re.search("PASSWORD|SECRET", variable):
                assert variable.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"], name
            assert not re.search(r"://[^/]*:[^/]*@", value)


# --- it fits what it runs ----------------------------------------------------------------------


def settings_of(node, folder):
    """Return a node's settings as the server reads them, secrets from files in `folder`."""
    for name in node["secrets"]:
        (folder / name).write_text("x" * 48 + "\n")
    environ = {
        name: value.replace("/run/secrets", str(folder))
        for name, value in node["environment"].items()
    }
    return load_settings(environ=environ)


@pytest.mark.parametrize("name", NODES)
def test_the_server_takes_the_settings(name, tmp_path):
    """Law: no setting is misspelled; the passwords reach the addresses."""
    settings = settings_of(SERVICES[name], tmp_path)
    assert settings.store_url.reveal() == (f"postgresql://triolet:{'x' * 48}@postgres:5432/triolet")
    assert settings.bus_url.reveal() == f"redis://:{'x' * 48}@redis:6379"


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_time_to_leave(name, tmp_path):
    """Law: SIGKILL comes after everything that a node that leaves may wait for."""
    limits, http = settings_of(SERVICES[name], tmp_path).limits, HttpLimits()
    leaving_s = (
        limits.lb_delay_s
        + limits.append_deadline_s  # what was accepted is committed
        + limits.drain_window_s
        + 2 * limits.close_timeout_s  # to take a close, and to answer it
        + http.finish_timeout_s
        + http.stop_timeout_s
        + limits.append_deadline_s  # marks, presence, the bus
        + limits.bus_timeout_s
    )
    assert leaving_s < seconds(SERVICES[name]["stop_grace_period"])


def test_nodes_have_descriptors_for_their_connections():
    """Law: the limit covers what `connections_max` allows."""
    for name in NODES:
        assert SERVICES[name]["ulimits"]["nofile"] > Limits().connections_max


def test_the_balancers_know_the_nodes():
    """Law: nginx and HAProxy name the nodes that compose starts, and nginx finds them."""
    for source in ("nginx.conf", "haproxy.cfg"):
        named = re.findall(r"\b(node\d+):8000", (EXAMPLES / source).read_text())
        assert set(named) == set(NODES)
    hosts = dict(host.split(":") for host in SERVICES["nginx"]["extra_hosts"])
    assert hosts == {name: SERVICES[name]["networks"]["front"]["ipv4_address"] for name in NODES}


def test_nginx_writes_only_where_it_may():
    """Law: every path in its configuration that is written lies in memory, or is a stream."""
    text = (EXAMPLES / "nginx.conf").read_text()
    (place,) = SERVICES["nginx"]["tmpfs"]
    written = re.findall(r"^\s*(?:pid|\w+_temp_path)\s+(\S+);", text, re.MULTILINE)
    assert len(written) == 6
    assert all(path.startswith(place.split(":")[0] + "/") for path in written)
    assert re.findall(r"^\s*access_log (\S+)", text, re.MULTILINE) == ["/dev/stdout"]
    secrets = re.findall(r"/run/secrets/(\w+)", text)
    assert sorted(secrets) == sorted(SERVICES["nginx"]["secrets"])


# --- commands, run for real ---------------------------------------------------------------------


def test_redis_starts_with_its_password_and_is_found_healthy(tmp_path, ports):
    """Law: the command and the health check of compose.yaml do what they say."""
    for name in ("redis-server", "redis-cli"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    password, port = tmp_path / "redis_password", ports.held()
    password.write_text("a-long-password\n")

    def ours(text):
        # What compose makes of `$$`; and our place and port.
        text = text.replace("$$", "$").replace("/run/secrets", str(tmp_path))
        return text.replace("redis-server -", f"redis-server - --port {port} --bind 127.0.0.1", 1)

    service = SERVICES["redis"]
    command = [ours(part) for part in service["command"]]
    check = ours(service["healthcheck"]["test"][1]).replace("redis-cli", f"redis-cli -p {port}")
    log = (tmp_path / "log").open("wb")
    with log, subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log) as server:
        try:
            until = time.monotonic() + PATIENCE_S
            while subprocess.run(["sh", "-c", check], check=False).returncode:
                assert time.monotonic() < until, (tmp_path / "log").read_text()
                time.sleep(0.05)
            asked = ["redis-cli", "-p", str(port), "ping"]
            assert b"NOAUTH" in subprocess.run(asked, check=False, capture_output=True).stdout
            shown = Path(f"/proc/{server.pid}/cmdline").read_bytes()
            assert b"a-long-password" not in shown
        finally:
            server.terminate()


def test_secrets_are_made_once(tmp_path):
    """Law: the script makes what is missing, closed to others, and changes nothing it finds."""
    for name in ("bash", "openssl"):
        if shutil.which(name, path=PATH) is None:
            pytest.skip(f"{name} is not installed")
    script = shutil.copy(EXAMPLES / "make-secrets.sh", tmp_path)
    folder = tmp_path / "secrets"
    found = []
    for _ in range(2):
        subprocess.run(["bash", script, "--self-signed", "chat.example"], check=True)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert found[0] == found[1]
    assert found[0].keys() == COMPOSE["secrets"].keys()
    assert folder.stat().st_mode & 0o777 == 0o700
    values = [found[0][name] for name in ("postgres_password", "redis_password", "triolet_secret")]
    assert len(set(values)) == 3
    assert all(re.fullmatch(rb"[\w-]{48}\n", value) for value in values)
