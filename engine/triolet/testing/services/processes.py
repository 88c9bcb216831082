"""What servers of others have in common: a port, a user who is not root, and an end."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """Yield a TCP port of 127.0.0.1 that the system gives to nobody else while the block lasts.

    Servers that set SO_REUSEADDR, as all do, listen there, one after the other; between them
    connections are refused. A port that was merely free may be somebody's by the time that a
    server comes back to it: any that asks for port 0, or the near end of any connection.

    Elsewhere than on Linux the port is only free: there nobody could listen beside us.
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        if sys.platform != "linux":
            sock.close()
        yield port


def unprivileged() -> tuple[int, int] | None:
    """Return a user and group for servers that refuse to be root.

    None: we are not root, or there is nobody else.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return None


def spawn(
    command: list[str],
    *,
    folder: Path,
    owner: tuple[int, int] | None,
    output: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start a process in its folder, as its owner; Ctrl-C at our terminal is for us alone."""
    uid, gid = owner or (None, None)
    return subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        user=uid,
        group=gid,
        extra_groups=None if owner is None else [],
        cwd=folder,
        start_new_session=True,
    )


def guard(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Have a server end, and its folder go, when this process is gone, however it went.

    Returns:
        The guard: kill it before the server is ended in order.
    """
    # Who is started in the background of a shell may ignore SIGQUIT.
    script = f'read -r _; kill -QUIT {pid}; sleep 1; kill -KILL {pid}; rm -rf "{folder}"'
    return subprocess.Popen(  # noqa: S603 - our own command
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
    )


def end(
    process: subprocess.Popen[bytes],
    watchdog: subprocess.Popen[bytes] | None,
    how: signal.Signals,
    *,
    timeout_s: float,
) -> None:
    """End a server that a guard watches, also where it was paused; one that stays is killed.

    Raises:
        subprocess.TimeoutExpired: it stayed.
    """
    if watchdog is not None:
        watchdog.kill()
        watchdog.communicate()
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
