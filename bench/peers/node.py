"""What peers on Node share: the runtime, and their packages."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import Missing
from .installing import INSTALLED, install_once

# By name, each within one major version. `bufferutil` is the native add-on that `ws` and
# Socket.IO recommend; its binaries come in the package.
_PACKAGES: Final = {"ws": "8", "socket.io": "4", "jsonwebtoken": "9", "bufferutil": "4"}
# 40 packages take 4 s here; a machine without a network finds out in time.
_TIMEOUT_S: Final = 120
_OPTIONS: Final = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
_FOLDER: Final = "node"
_MODULES: Final = INSTALLED / _FOLDER / "node_modules"
# Of a program that uses the packages.
ENVIRONMENT: Final = {"NODE_PATH": str(_MODULES), "NODE_ENV": "production"}


def install(package: str, told: Callable[[str], None]) -> str:
    """Install all packages of Node's peers, unless they are here; return this one's version.

    Raises:
        Missing: there is no Node, or npm cannot install.
    """
    node = program("node")
    wanted = json.dumps({"private": True, "dependencies": _PACKAGES})

    def fill(folder: Path) -> None:
        told(f"npm installs {', '.join(_PACKAGES)}")
        (folder / "package.json").write_text(wanted)
        _npm(folder)

    install_once(_FOLDER, wanted, fill)
    found = json.loads((_MODULES / package / "package.json").read_text())["version"]
    runtime = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return f"{found}, Node {runtime.stdout.strip().lstrip('v')}"


def program(name: str) -> str:
    """Return the path of `node` or `npm`.

    Raises:
        Missing: it is not on this machine.
    """
    found = shutil.which(name)
    if found is None:
        raise Missing(f"Node's `{name}` is not on this machine")
    return found


def _npm(folder: Path) -> None:
    command = [program("npm"), "install", *_OPTIONS]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=_TIMEOUT_S)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        raise Missing(f"Node's packages cannot be installed: {error} {said[-500:]}") from None
