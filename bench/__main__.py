"""`python -m bench`: lists the scenarios, or runs them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .machine import GENERATOR_CORE, describe, pinned
from .peers import Peer, Unexpected
from .peers.triolet import Triolet
from .report import as_json, show
from .scenarios import Options, Run, Sample, Scenario, every
from .server import ServerFailed

# Who can be measured; the first one is, unless another is named.
_PEERS: Final[dict[str, type[Peer]]] = {"triolet": Triolet}
# A session has at most 64 unanswered requests: beyond it the server stops reading.
_WINDOW_MAX: Final = 64
_TEXT_BYTES_MAX: Final = 32_000
_SECONDS_MAX: Final = 600


def _parse(arguments: Sequence[str], scenarios: dict[str, Scenario]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures a real server process over loopback.",
        epilog="\n".join(f"{one.name}: {one.asks}" for one in scenarios.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", choices=[*scenarios, "all"])
    parser.add_argument("--n", type=int, default=0, help="connections (its own number)")
    parser.add_argument(
        "--window", type=int, default=0, help="messages a sender has on their way (its own number)"
    )
    parser.add_argument("--seconds", type=float, default=5, help="measured time of a run (5)")
    parser.add_argument("--text", type=int, default=100, help="bytes of a message's text (100)")
    parser.add_argument("--echo", action="store_true", help="direct: senders subscribe too")
    parser.add_argument("--store", default="", help="sqlite or memory (sqlite; all: both)")
    parser.add_argument("--repeat", type=int, default=5, help="runs, each on a fresh server (5)")
    parser.add_argument("--data", type=Path, help="where the servers keep their data (temporary)")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    parser.add_argument("--peer", choices=list(_PEERS), default=next(iter(_PEERS)))
    asked = parser.parse_args(arguments)
    for name, low, high in (
        ("n", 0, 50_000),
        ("window", 0, _WINDOW_MAX),
        ("seconds", 0.1, _SECONDS_MAX),
        ("text", 1, _TEXT_BYTES_MAX),
        ("repeat", 1, 100),
    ):
        if not low <= getattr(asked, name) <= high:
            parser.error(f"--{name} is from {low} to {high}")
    stores = _PEERS[asked.peer].stores
    if asked.store not in ("", *stores):
        parser.error(f"--store is one of {', '.join(stores)}")
    return asked


def _planned(asked: argparse.Namespace, scenarios: dict[str, Scenario]) -> list[tuple[str, Run]]:
    """Return the runs of one round, with what to call each."""
    peer = _PEERS[asked.peer]()
    plan: list[tuple[str, Run]] = []
    for one in scenarios.values() if asked.scenario == "all" else [scenarios[asked.scenario]]:
        # What durability costs is asked of `direct` alone.
        both = asked.scenario == "all" and one.name == "direct" and not asked.store
        for store in peer.stores if both else [asked.store or peer.stores[0]]:
            plan += [
                (f"{one.name} on {store}", _with_store(run, store))
                for run in one.runs(_options(asked, peer, store, lambda _, __: None))
            ]
    return plan


def _with_store(run: Run, store: str) -> Run:
    return lambda options: run(options._replace(store=store))


def _options(
    asked: argparse.Namespace, peer: Peer, store: str, told: Callable[[float, str], None]
) -> Options:
    return Options(
        peer=peer,
        n=asked.n,
        window=asked.window,
        seconds=asked.seconds,
        text_bytes=asked.text,
        echo=asked.echo,
        store=store,
        parent=asked.data,
        told=told,
    )


def _measure(
    console: Console, asked: argparse.Namespace, scenarios: dict[str, Scenario]
) -> list[Sample]:
    plan = _planned(asked, scenarios)
    samples: list[Sample] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # Drawn when a run reports, never by a thread of its own: that one would take the
    # generator's core whenever it likes.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=len(plan) * asked.repeat)

        def told(part: float, text: str) -> None:
            if console.is_terminal:
                progress.update(task, completed=len(samples) + part, description=text)
                progress.refresh()

        for round_number in range(asked.repeat):
            for name, run in plan:
                label = f"{name}, {round_number + 1} of {asked.repeat}"

                def told_of_run(part: float, text: str, label: str = label) -> None:
                    told(part, f"{label}: {text}")

                told_of_run(0, "starting")
                peer = _PEERS[asked.peer]()
                samples.append(run(_options(asked, peer, "", told_of_run)))
    return samples


def main(arguments: Sequence[str]) -> int:
    """Run what is asked; return 0 if everything counted was verified."""
    scenarios = every()
    asked = _parse(arguments, scenarios)
    console = Console()
    if asked.scenario is None:
        for one in scenarios.values():
            console.print(f"[bold]{one.name:>8}[/]  {one.asks}", highlight=False)
        return 0
    try:
        machine = describe(asked.data)
        with pinned(GENERATOR_CORE):
            samples = _measure(console, asked, scenarios)
    except (Unexpected, ServerFailed, ValueError, OSError) as error:
        console.print(f"[red]failed[/]: {type(error).__name__}: ", end="")
        console.print(str(error), markup=False)
        return 1
    show(console, machine, samples)
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_bytes(as_json(machine, samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
