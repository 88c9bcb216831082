"""Laws of `testing.services.processes`: what is started has an end."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triolet.testing.services.processes import guard, held_port, spawn, unprivileged


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody listens beside us")
def test_a_held_port_is_for_servers_alone():
    """Law: one after the other, and in between nobody is there, or gets it by chance."""
    with held_port() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", port))
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port)),
                server.accept()[0],
            ):
                pass
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_process_runs_in_its_folder_as_its_owner(tmp_path):
    """Root starts servers that refuse to be root."""
    owner = unprivileged()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if owner is not None and folder.owner() == "root":
            folder.chmod(0o755)
    done = spawn(
        ["/bin/sh", "-c", "pwd; id -u"], folder=tmp_path, owner=owner, output=subprocess.PIPE
    )
    said, _ = done.communicate(timeout=250)

    assert [str(tmp_path), str(os.getuid() if owner is None else owner[0])] == said.decode().split()


def test_a_server_goes_with_whoever_started_it(tmp_path):
    """Also when that is killed: its folder, too."""
    folder = tmp_path / "data"
    folder.mkdir()
    script = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from triolet.testing.services.processes import guard\n"
        "server = subprocess.Popen(['sleep', '300'])\n"
        f"guard(server.pid, Path({str(folder)!r}))\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(300)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.communicate()

    deadline = time.monotonic() + 60
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
    try:
        # A zombie until somebody reaps it: its parent is gone, so that is the system.
        os.kill(pid, 0)
        assert " Z " in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        pass


def test_a_guard_that_is_killed_ends_nobody(tmp_path):
    """A server that is ended in order needs none."""
    server = subprocess.Popen(["sleep", "300"])
    watchdog = guard(server.pid, tmp_path)
    watchdog.kill()
    watchdog.communicate()

    assert server.poll() is None
    assert tmp_path.exists()
    server.kill()
    server.wait()
