"""The Containerfile, as far as that can be seen where no container is built."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch

from deploy_scene import EXAMPLES
from e2e_scene import Server

ROOT = EXAMPLES.parents[1]


def instructions():
    """Return `[(instruction, its arguments)]`, continued lines joined, comments left out."""
    text = (EXAMPLES / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line]


def arguments(name):
    return [rest for instruction, rest in instructions() if instruction == name]


def health_command():
    (rest,) = arguments("HEALTHCHECK")
    return json.loads(rest[rest.index("CMD") + 3 :])


def test_two_stages_of_one_official_version():
    """Law: what builds does not run; both have the Python that dependencies were built for."""
    build, final = arguments("FROM")
    assert build == f"{final} AS build"
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", final)[1]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version}" in classifiers


def test_it_runs_as_nobody():
    """Law: the last word on the user is a number, and not root's."""
    user, group = arguments("USER")[-1].split(":")
    assert int(user)
    assert int(group)
    last_stage = [name for name, _ in instructions()]
    last_stage = last_stage[len(last_stage) - last_stage[::-1].index("FROM") :]
    assert last_stage.index("COPY") < last_stage.index("USER") < last_stage.index("ENTRYPOINT")
    assert "ADD" not in last_stage


def test_what_is_copied_is_there_and_reaches_the_builder():
    """Law: each source exists, is in the context, and the wheel needs no other."""
    ignored = (EXAMPLES / "Containerfile.containerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for rest in arguments("COPY")
        if not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed |= {package.split("/")[0] for package in packages}
    assert needed <= copied
    assert any(fnmatch("engine/triolet/__pycache__", line) for line in ignored)


def test_it_installs_extras_that_there_are():
    """Law: what several nodes need is asked for by its name in pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = [re.search(r"\[(.*)\]", rest)[1] for rest in arguments("RUN") if "*.whl" in rest]
    assert {"server", "postgres", "redis"} == set(asked.split(","))
    assert set(asked.split(",")) <= extras["optional-dependencies"].keys()


def test_the_health_check_tells_ready_from_not(tmp_path):
    """Law: 0 while the server is ready, another status once it is gone."""
    server = Server(tmp_path / "data", TRIOLET_STORE="memory:")
    python, option, code = health_command()
    assert (python, option) == ("python", "-c")
    assert ", 8000," in code
    ours = [sys.executable, "-c", code.replace("8000", str(server.port))]
    assert subprocess.run(ours, check=False).returncode == 0
    server.stop()
    assert subprocess.run(ours, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_it_starts_what_the_command_line_has():
    """Law: the entry point is the wheel's, the command one of its own, the signal a heeded one."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = map(json.loads, arguments("ENTRYPOINT"))
    (command,) = map(json.loads, arguments("CMD"))
    assert entry[0] in scripts
    asked = [sys.executable, "-m", "triolet_api", *command, "--help"]
    assert subprocess.run(asked, check=False, capture_output=True).returncode == 0
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
