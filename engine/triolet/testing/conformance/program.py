"""The program under test: a process of its own, and the lines that it prints."""

import os
import subprocess
from collections.abc import Sequence
from typing import Final, final

import msgspec
import trio

from .log import ROOM

# Of what a failed program wrote to stderr, this much is repeated.
_STDERR_CHARS: Final = 300


@final
class Printed(msgspec.Struct, frozen=True):
    """One line of the program; each has one of the first fields of a kind."""

    seen: int | None = None
    text: str = ""
    acked: str | None = None
    seq: int = 0
    refused: str | None = None
    reason: str = ""
    back: int | None = None
    history: list[tuple[int, str]] | None = None
    closed: str | None = None
    stopped: int | None = None


_decode: Final = msgspec.json.Decoder(Printed).decode


@final
class Ended(msgspec.Struct, frozen=True):
    """How the program ended: its exit status, None if it had to be killed, and what it wrote."""

    status: int | None
    printed: list[Printed]
    complaints: list[str]


async def run(command: Sequence[str], *, port: int, sends: int, timeout_s: float) -> Ended:
    """Run the program against a scene's server until it exits, or its time is over.

    Args:
        command: the program and its arguments.
        port: the scripted server's, on 127.0.0.1.
        sends: what `TRIOLET_SENDS` says.
        timeout_s: it is killed then.
    """
    environment = {
        **os.environ,
        "TRIOLET_URL": f"ws://127.0.0.1:{port}/ws",
        "TRIOLET_TOKEN_URL": f"http://127.0.0.1:{port}/token",
        "TRIOLET_ROOM": ROOM,
        "TRIOLET_SENDS": str(sends),
    }
    with trio.move_on_after(timeout_s):
        done = await trio.run_process(
            list(command),
            env=environment,
            capture_stdout=True,
            capture_stderr=True,
            stdin=b"",
            check=False,
            deliver_cancel=_kill,
        )
        return _read(done)
    return Ended(None, [], [f"it did not exit within {timeout_s:g} s"])


async def _kill(process: trio.Process) -> None:
    process.kill()


def _read(done: "subprocess.CompletedProcess[bytes]") -> Ended:
    printed, complaints = [], []
    for line in done.stdout.splitlines():
        try:
            printed.append(_decode(line))
        except msgspec.DecodeError as error:
            complaints.append(f"a line that it printed cannot be read: {line[:100]!r}: {error}")
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-_STDERR_CHARS:]
        complaints.append(f"it exited with {done.returncode}: {said}")
    return Ended(done.returncode, printed, complaints)
