"""From samples to a table and to JSON: medians with their spread, beside the goals."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from .scenarios import Figure, Sample

# By whom: above which part of the time a reader must be told, and what.
# The kernel's own threads write what is synced, on whichever core: a tenth is more than that.
_DOUBTS: Final = {
    "generator": (0.9, "the generator was busy {:.0%} of the time: it bounds the rate"),
    "others": (0.1, "others took up to {:.0%} of a core that should have been ours alone"),
}


def grouped(samples: Iterable[Sample]) -> dict[tuple[str, str], list[Sample]]:
    """Return samples by scenario and variant, in the order they came."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.scenario, sample.variant), []).append(sample)
    return groups


def show(console: Console, machine: Mapping[str, str], samples: Sequence[Sample]) -> None:
    """Print the machine, the medians, and whatever makes them doubtful."""
    for name, fact in machine.items():
        console.print(f"[dim]{name:>8}[/]  {fact}", highlight=False, soft_wrap=True)
    for (scenario, variant), runs in grouped(samples).items():
        count = f"{len(runs)} runs" if len(runs) > 1 else "1 run"
        table = Table(title=f"{scenario}: {variant} ({count})", title_justify="left")
        table.add_column("figure")
        for column in ("median", "lowest", "highest", "goal"):
            table.add_column(column, justify="right")
        table.add_column("unit")
        for index, figure in enumerate(runs[0].figures):
            table.add_row(*_row(figure, [run.figures[index].value for run in runs]))
        console.print(table)
        told = ", ".join(
            f"{sum(run.verified[key] for run in runs):,} {key}" for key in runs[0].verified
        )
        console.print(f"  verified: {told}", highlight=False)
        for name, (limit, warning) in _DOUBTS.items():
            worst = max(run.busy.get(name, 0.0) for run in runs)
            if worst > limit:
                console.print(f"  [yellow]{warning.format(worst)}[/]", highlight=False)


def _row(figure: Figure, values: list[float]) -> list[str]:
    median = statistics.median(values)
    goal = ""
    if figure.goal is not None:
        met = "[green]✓[/]" if figure.goal.is_met(median) else "[red]✗[/]"
        goal = f"{figure.goal.sign} {_number(figure.goal.value)} {met}"
    numbers = [_number(value) for value in (median, min(values), max(values))]
    return [figure.name, *numbers, goal, figure.unit]


def _number(value: float) -> str:
    """Print three digits that matter.

    >>> _number(12345.6), _number(45.67), _number(1.2345)
    ('12,346', '45.7', '1.23')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_json(machine: Mapping[str, str], samples: Sequence[Sample]) -> bytes:
    """Return everything measured, every run apart."""
    results = [
        {
            "scenario": scenario,
            "variant": variant,
            "figures": [
                _figure(figure, [run.figures[index].value for run in runs])
                for index, figure in enumerate(runs[0].figures)
            ],
            "verified": [run.verified for run in runs],
            "busy": [run.busy for run in runs],
        }
        for (scenario, variant), runs in grouped(samples).items()
    ]
    packed = msgspec.json.encode({"machine": machine, "results": results})
    return msgspec.json.format(packed, indent=2) + b"\n"


def _figure(figure: Figure, values: list[float]) -> dict[str, object]:
    median = statistics.median(values)
    told: dict[str, object] = {
        "name": figure.name,
        "unit": figure.unit,
        "median": median,
        "runs": values,
    }
    if figure.goal is not None:
        told["goal"] = f"{figure.goal.sign} {figure.goal.value:g}"
        told["met"] = figure.goal.is_met(median)
    return told
