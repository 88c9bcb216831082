"""Law: every example in a docstring of the packages runs, and prints what it says."""

import doctest
import importlib
import importlib.util
from pathlib import Path

import pytest

PACKAGES = ("triolet", "triolet_api")

# Modules that need what not every installation has: module (and all below it) → import names.
# Where one is missing they are skipped by name; any other failure to import is a failure.
OPTIONAL = {
    "triolet_api": ("click", "hypercorn", "quart", "quart_trio", "rich"),  # the extra `server`
}

PROMPT = ">>>"
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


def modules() -> list[str]:
    """Every module by its file, so that one that cannot be imported is not overlooked."""
    found = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            parts = (package, *path.relative_to(root).with_suffix("").parts)
            found.append(".".join(parts).removesuffix(".__init__"))
    return found


def missing(name: str) -> list[str]:
    """What a module needs and this installation has not."""
    needed = [
        each
        for module, names in OPTIONAL.items()
        if f"{name}.".startswith(f"{module}.")
        for each in names
    ]
    return [each for each in needed if importlib.util.find_spec(each) is None]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_are_true(name: str) -> None:
    """The module can be imported, and each of its examples prints what stands there."""
    if needed := missing(name):
        pytest.skip(f"{name} needs {', '.join(needed)}")

    module = importlib.import_module(name)
    assert module.__file__ is not None
    # To look for examples takes 30 ms, and most modules have none.
    if PROMPT in Path(module.__file__).read_text():
        assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


def test_the_table_of_optional_modules_is_true() -> None:
    """It names modules that exist."""
    names = modules()

    assert [name for name in OPTIONAL if name not in names] == []
