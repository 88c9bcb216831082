"""The process that `coverage` starts: a script, for nothing of Triolet may be imported before it.

What a target is about is instrumented, and nothing else: not what judges it, and of the engine
no more than it feeds. Each module takes 50 ms.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

_WIRE: Final = ("_model", "_wire")
_FED: Final = {
    "codec": _WIRE,
    "frames": _WIRE,
    "head": _WIRE,
    "edge": (*_WIRE, "_domain", "_runtime", "adapters.memory"),
}


def _left_alone(target: str) -> list[str]:
    """Return the names of the modules that are not instrumented."""
    package = Path(__file__).parents[2]
    fed = tuple(f"triolet.{name}." for name in _FED[target])
    parts = (path.relative_to(package.parent) for path in package.rglob("*.py"))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in parts)
    return [name for name in names if not f"{name}.".startswith(fed)]


def main() -> None:
    """Fuzz as the only argument says, a `guided.Order` as JSON."""
    atheris = import_module("atheris")
    left_alone = _left_alone(json.loads(sys.argv[1])["target"])
    with atheris.instrument_imports(include=["triolet"], exclude=left_alone):
        guided = import_module("triolet.testing.fuzz.guided")
    guided.fuzz(atheris, guided.msgspec.json.decode(sys.argv[1], type=guided.Order))


if __name__ == "__main__":
    main()
