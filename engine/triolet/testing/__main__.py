"""`python -m triolet.testing COMMAND`: prove an engine, a deployment, a client.

Each command lives in a module of its own, which has `configure(parser)` and `run(options)`;
it is imported when it is asked for, so that none needs what only another one does.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Final

# What each command is for, in the order in which a newcomer tries them.
COMMANDS: Final = {
    "world": "run seeds of a simulated world: nodes, store, bus, network, clients, faults",
    "check": "judge a recorded history of what clients sent and saw",
    "chaos": "kill, pause, cut off and starve real processes, and judge what their clients saw",
    "fuzz": "feed codec, frame edge and HTTP head with hostile bytes",
    "conformance": "let a client of any language prove itself against a scripted server",
    "faults": "plant a fault in the engine for each promise, and see that it is caught",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status: 0 it holds, 1 it does not, 2 misuse."""
    parser = argparse.ArgumentParser(
        prog="python -m triolet.testing", description="Prove an engine, a deployment, a client."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, add_help=False)
    known, rest = parser.parse_known_args(arguments)
    module = import_module(f"{__package__}.{known.command}.command")
    own = argparse.ArgumentParser(
        prog=f"python -m triolet.testing {known.command}", description=COMMANDS[known.command]
    )
    module.configure(own)
    status: int = module.run(own.parse_args(rest))
    return status


if __name__ == "__main__":
    if find_spec("rich") is None:
        sys.exit("this needs more: pip install 'triolet[testing]'")
    sys.exit(main())
