"""What peers on Node share: the runtime, and their packages."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..errors import Missing
from .installing import install_once
from .plain import PROGRAMS, PlainPeer

# By name, each within one major version. `bufferutil` is the native add-on that `ws` and
# Socket.IO recommend; its binaries come in the package. Of `utf-8-validate` nothing is used
# where Node has `buffer.isUtf8`.
_PACKAGES: Final = {"ws": "8", "socket.io": "4", "jsonwebtoken": "9", "bufferutil": "4"}
# 40 packages take 4 s here; a machine without a network finds out in time.
_TIMEOUT_S: Final = 120
_OPTIONS: Final = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")


class NodePeer(PlainPeer):
    """A program of `programs/` on Node.

    Attributes:
        program: the name of its file.
        package: the one whose version is told.
    """

    program: str
    package: str

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        node = _executable("node")
        said = (modules(told) / self.package / "package.json").read_text()
        runtime = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        return f"{json.loads(said)['version']}, Node {runtime.stdout.strip().lstrip('v')}"

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [_executable("node"), str(PROGRAMS / self.program), "{port}"]

    def environment(self) -> dict[str, str]:
        """See `PlainPeer.environment`."""
        found = {"NODE_PATH": str(modules(lambda _: None)), "NODE_ENV": "production"}
        return super().environment() | found


def modules(told: Callable[[str], None]) -> Path:
    """Return the folder of the packages, installed first if they are not here.

    Raises:
        Missing: they cannot be had.
    """
    wanted = json.dumps({"private": True, "dependencies": _PACKAGES})

    def fill(folder: Path) -> None:
        told(f"npm installs {', '.join(_PACKAGES)}")
        (folder / "package.json").write_text(wanted)
        _npm(folder)

    return install_once("node", wanted, fill) / "node_modules"


def _npm(folder: Path) -> None:
    command = [_executable("npm"), "install", *_OPTIONS]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=_TIMEOUT_S)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        raise Missing(f"Node's packages cannot be installed: {error} {said[-500:]}") from None


def _executable(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"Node's `{name}` is not on this machine")
    return found
