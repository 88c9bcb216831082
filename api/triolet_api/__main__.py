"""The console script `triolet`, and `python -m triolet_api`."""

import gc
import sys
from importlib.util import find_spec

# What `triolet[server]` adds to a bare install.
_NEEDED = ("click", "hypercorn", "quart_trio", "rich")
# What is loaded stays. To look for garbage in it after each 700 objects, as Python does by itself,
# is 0.1 s of a start's 1.1.
_GC_THRESHOLD = 50_000


def main() -> None:
    """Run the command line, and exit with its status."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"triolet: {', '.join(missing)} not found; install `triolet[server]` "
            "to have the command line\n"
        )
        sys.exit(2)
    gc.set_threshold(_GC_THRESHOLD)
    from .cli import cli  # noqa: PLC0415 - it needs what was looked for above

    cli(prog_name="triolet")


if __name__ == "__main__":
    main()
