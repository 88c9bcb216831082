"""The command line: what is asked, and the plan that follows from it."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from .errors import Missing, ServerFailed, Unexpected
from .load.recording import recorded
from .machine import GENERATOR_CORE, describe, pinned
from .peers import Peer
from .peers.all import PEERS
from .report import results
from .report.results import Results
from .report.table import show
from .running import Planned, Rounds
from .scenarios import Options, Scenario, every

# A session has at most 64 unanswered requests: beyond it the server stops reading.
_WINDOW_MAX: Final = 64
_TEXT_BYTES_MAX: Final = 32_000
_SECONDS_MAX: Final = 600
_RATE_MAX: Final = 100_000
_OURS: Final = "triolet"
_RECORDED: Final = ("direct", "resume", "day")


def parse(arguments: Sequence[str], scenarios: dict[str, Scenario]) -> argparse.Namespace:
    """Return what is asked; exits with a message for what cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures real servers over loopback, each doing the same work in turn.",
        epilog="\n".join(
            [f"{one.name}: {one.asks}" for one in scenarios.values()]
            + ["", *(f"{one.name}: {one.about}" for one in PEERS.values())]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help="or `all`; none: a list")
    parser.add_argument("--peers", default=_OURS, help="comma-separated, or `all` (triolet)")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--n", type=int, default=0, help="connections (its own numbers)")
    parser.add_argument(
        "--window", type=int, default=0, help="messages a sender has on their way (its own numbers)"
    )
    parser.add_argument(
        "--rate", type=int, default=0, help="messages a second of a schedule (its own numbers)"
    )
    parser.add_argument("--text", type=int, default=0, help="bytes of a text (its own numbers)")
    parser.add_argument("--seconds", type=float, default=3, help="measured time of a run (3)")
    parser.add_argument("--echo", action="store_true", help="direct: senders subscribe too")
    parser.add_argument("--full", action="store_true", help="growth: 10^7 entries too, minutes")
    parser.add_argument("--store", default="", help="sqlite or memory (what the scenario asks)")
    parser.add_argument("--repeat", type=int, default=5, help="runs, each on a fresh server (5)")
    parser.add_argument("--data", type=Path, help="where the servers keep their data (temporary)")
    parser.add_argument("--json", type=Path, help="write every run to this file, as they come")
    parser.add_argument(
        "--history",
        type=Path,
        help="write what the connections of one run sent and saw, for `triolet.testing check`",
    )
    asked = parser.parse_args(arguments)
    if asked.history is not None and (asked.repeat != 1 or asked.peers != _OURS):
        parser.error("--history is of one run of ours: `--repeat 1`")
    if asked.history is not None and not set(asked.scenario) <= set(_RECORDED):
        # The others compare bytes in bulk, and never look at single messages.
        parser.error(f"--history is of {' or '.join(_RECORDED)}")
    for name, low, high in (
        ("n", 0, 50_000),
        ("window", 0, _WINDOW_MAX),
        ("seconds", 0.1, _SECONDS_MAX),
        ("text", 0, _TEXT_BYTES_MAX),
        ("rate", 0, _RATE_MAX),
        ("repeat", 1, 100),
    ):
        if not low <= getattr(asked, name) <= high:
            parser.error(f"--{name} is from {low} to {high}")
    if asked.store not in ("", *PEERS[_OURS].stores):
        parser.error(f"--store is one of {', '.join(PEERS[_OURS].stores)}")
    asked.scenario = _names(parser, asked.scenario, scenarios)
    asked.peers = _names(parser, asked.peers.split(","), PEERS)
    return asked


def _names(
    parser: argparse.ArgumentParser, asked: Sequence[str], known: dict[str, object]
) -> list[str]:
    unknown = [name for name in asked if name not in (*known, "all")]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: {', '.join(known)}, or all")
    return list(known) if "all" in asked else list(asked)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked; return 0 if everything counted was verified."""
    scenarios = every()
    asked = parse(arguments, scenarios)
    console = Console()
    if not asked.scenario:
        _list(console, scenarios)
        return 0
    peers, missing = _installed(console, asked.peers)
    try:
        machine = describe(asked.data)
        plan = _plan(asked, scenarios, list(peers))
        with ExitStack() as stack:
            stack.enter_context(pinned(GENERATOR_CORE))
            if asked.history is not None:
                if len(plan) > 1:
                    raise ValueError("--history is of one run: name a `--case`")
                stack.enter_context(recorded(asked.history))
            found = Rounds(console, plan, asked.repeat).run(
                Results(machine, peers, missing, ()), asked.json
            )
    except (Unexpected, ServerFailed, ValueError, OSError) as error:
        console.print(f"[red]failed[/]: {type(error).__name__}: ", end="")
        console.print(str(error), markup=False)
        return 1
    show(console, found)
    if asked.json is not None:
        results.write(asked.json, found)
    return 0


def _list(console: Console, scenarios: dict[str, Scenario]) -> None:
    for kind, things in (("scenarios", scenarios), ("peers", PEERS)):
        console.print(f"[bold]{kind}[/]")
        for name, one in things.items():
            says = one.asks if isinstance(one, Scenario) else one.about
            console.print(f"  [bold]{name:>15}[/]  {says}", highlight=False)


def _installed(console: Console, names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return versions of the peers that are here, and the reasons of those that are not."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in names:
        with console.status(f"installing {name}") as status:
            try:
                versions[name] = PEERS[name].install(status.update)
            except Missing as error:
                missing[name] = str(error)
    return versions, missing


def _plan(
    asked: argparse.Namespace, scenarios: dict[str, Scenario], names: list[str]
) -> list[Planned]:
    """Return the runs of one round; those of one case follow each other, whoever is measured."""
    plan: dict[tuple[str, str], list[Planned]] = {}
    for scenario in asked.scenario:
        for peer in (PEERS[name] for name in names if scenario in PEERS[name].scenarios):
            for one in _of(asked, scenarios[scenario], peer):
                plan.setdefault((scenario, one.case.name), []).append(one)
    found = [one for group in plan.values() for one in group]
    if not found:
        raise ValueError("nothing of the kind can be measured of any of these peers")
    return found


def _of(asked: argparse.Namespace, scenario: Scenario, peer: Peer) -> list[Planned]:
    options = Options(
        peer=peer,
        n=asked.n,
        window=asked.window,
        rate=asked.rate,
        seconds=asked.seconds,
        text_bytes=asked.text,
        echo=asked.echo,
        full=asked.full,
        store=peer.stores[0],
        parent=asked.data,
        told=lambda _, __: None,
    )
    planned = []
    for case in scenario.cases(options):
        if asked.case not in case.name or not case.is_asked_of(peer.name):
            continue
        stores = [one for one in case.stores or peer.stores[:1] if one in peer.stores]
        if asked.store and len(peer.stores) > 1:
            stores = [asked.store]
        planned += [Planned(scenario.name, case, options._replace(store=one)) for one in stores]
    return planned
