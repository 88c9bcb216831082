"""Peers that are Python libraries: their servers run in a virtual environment of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from ..errors import Missing
from .installing import install_once
from .plain import PROGRAMS, PlainPeer

# One environment for all: none asks for what another refuses.
_REQUIREMENTS: Final = (
    "websockets>=17,<18",
    "trio-websocket>=0.12,<1",
    "trio>=0.31,<1",
    "channels>=4.3,<5",
    "Django>=5.2,<6",
    "python-socketio>=5.13,<6",
    "uvicorn>=0.36,<1",
    "httptools>=0.6,<1",
    "PyJWT>=2.10,<3",
    "orjson>=3.10,<4",
    "uvloop>=0.21,<1",
)


# A venv and its packages take 25 s here; a machine without a network finds out in time.
_TIMEOUT_S: Final = 300
_OPTIONS: Final = ("--quiet", "--disable-pip-version-check", "--retries", "1")


class PythonPeer(PlainPeer):
    """A program of `programs/` on the libraries of the environment.

    Attributes:
        program: the name of its file.
        packages: those whose versions are told, itself first.
    """

    program: str
    packages: tuple[str, ...]

    def install(self, told: Callable[[str], None]) -> str:
        """See `Peer.install`."""
        (site_packages,) = _environment(told).glob("lib/python*/site-packages")
        found = {
            one.metadata["Name"].lower(): one.version
            for one in metadata.distributions(path=[str(site_packages)])
        }
        first, *others = self.packages
        return ", ".join([found[first], *(f"{name} {found[name]}" for name in others)])

    def command(self) -> Sequence[str]:
        """See `PlainPeer.command`."""
        return [str(_python(_environment(lambda _: None))), "-I", str(PROGRAMS / self.program)]


def _environment(told: Callable[[str], None]) -> Path:
    """Return the virtual environment, made first if it is not here.

    Raises:
        Missing: the packages cannot be had.
    """

    def fill(folder: Path) -> None:
        told("making a virtual environment for the peers in Python")
        _run([sys.executable, "-I", "-m", "venv", str(folder)])
        told(f"installing {', '.join(_REQUIREMENTS)}")
        _run([str(_python(folder)), "-I", "-m", "pip", "install", *_OPTIONS, *_REQUIREMENTS])

    return install_once("python", "\n".join((sys.version, *_REQUIREMENTS)), fill)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _run(command: Sequence[str]) -> None:
    # pip would take the sources that this process sees for packages that are installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        subprocess.run(
            command, env=environment, capture_output=True, check=True, timeout=_TIMEOUT_S
        )
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        raise Missing(
            f"packages of the peers in Python cannot be installed: {error} {said[-500:]}"
        ) from None
