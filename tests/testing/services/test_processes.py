"""Laws of `testing.services.processes`: what is started has an end."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from triolet.testing.services.processes import free_port, guard, spawn, unprivileged


def test_a_free_port_can_be_had():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free_port()))


def test_a_process_runs_in_its_folder_as_its_owner(tmp_path):
    """Root starts servers that refuse to be root."""
    owner = unprivileged()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if owner is not None and folder.owner() == "root":
            folder.chmod(0o755)
    done = spawn(
        ["/bin/sh", "-c", "pwd; id -u"], folder=tmp_path, owner=owner, output=subprocess.PIPE
    )
    said, _ = done.communicate(timeout=30)

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

    deadline = time.monotonic() + 30
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
