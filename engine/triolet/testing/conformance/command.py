"""`python -m triolet.testing conformance -- PROGRAM…`: play the scenes, and judge."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, final

import msgspec
import trio
from rich.console import Console
from rich.table import Table

from ..progress import Bar, bar
from . import program
from .scenarios import SCENES
from .scene import Scene
from .stage import Stage
from .vectors import write_vectors

# Scenes mostly wait; a program in an interpreter takes half a second of a core to start.
_AT_ONCE: Final = 4


@final
class Result(msgspec.Struct, frozen=True):
    """What came of one scene: nothing to complain of, or what."""

    scene: type[Scene]
    complaints: list[str]
    took_s: float


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.epilog = "what the program has to do: pydoc triolet.testing.conformance"
    parser.add_argument("--list", action="store_true", help="name the scenes")
    parser.add_argument("--only", metavar="NAME,…", help="play these scenes alone")
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="write the wire vectors")
    parser.add_argument(
        "--jobs", type=int, default=_AT_ONCE, metavar="N", help=f"scenes at once ({_AT_ONCE})"
    )
    parser.add_argument("program", nargs="*", metavar="PROGRAM", help="and its arguments, after --")


def run(options: argparse.Namespace) -> int:
    """Play the scenes; 0: the program passed all of them."""
    if options.vectors is not None:
        count = write_vectors(options.vectors)
        sys.stdout.write(f"{count} vectors in {options.vectors}\n")
        return 0
    if options.list:
        for scene in SCENES:
            sys.stdout.write(f"{scene.name:25} {(scene.__doc__ or '').splitlines()[0]}\n")
        return 0
    names = options.only.split(",") if options.only else [scene.name for scene in SCENES]
    unknown = [name for name in names if name not in {scene.name for scene in SCENES}]
    if unknown or not options.program:
        sys.stderr.write(f"no such scene: {unknown}\n" if unknown else "which program?\n")
        return 2
    chosen = [scene for scene in SCENES if scene.name in names]
    results = trio.run(play_all, chosen, options.program, options.jobs)
    _print(results)
    return int(any(result.complaints for result in results))


async def play_all(
    scenes: Sequence[type[Scene]], command: Sequence[str], jobs: int = _AT_ONCE
) -> list[Result]:
    """Play scenes against a program, several at once; return what came of each, in order."""
    results: dict[type[Scene], Result] = {}
    free = trio.CapacityLimiter(max(1, jobs))
    with bar("scenes", len(scenes)) as progress:
        async with trio.open_nursery() as nursery:
            for scene in scenes:
                nursery.start_soon(_play_one, scene, command, free, results, progress)
    return [results[scene] for scene in scenes]


async def _play_one(
    scene: type[Scene],
    command: Sequence[str],
    free: trio.CapacityLimiter,
    results: dict[type[Scene], Result],
    progress: Bar,
) -> None:
    async with free:
        results[scene] = await play(scene, command)
    progress.advance()


async def play(scene: type[Scene], command: Sequence[str]) -> Result:
    """Play one scene against a program, and judge it."""
    began = trio.current_time()
    stage = Stage()
    playing = stage.play = scene(stage)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(stage.run)
        start = partial(program.run, port=port, sends=scene.sends, timeout_s=scene.timeout_s)
        ended = await start(command)
        nursery.cancel_scope.cancel()
    for complaint in ended.complaints:
        stage.complain(complaint)
    playing.judge(ended.printed)
    return Result(scene, stage.complaints, trio.current_time() - began)


def _print(results: Sequence[Result]) -> None:
    table = Table("scene", "", "s", "what was wrong, and where PROTOCOL.md says so")
    for result in results:
        verdict = "[red]wrong[/]" if result.complaints else "passed"
        told = "\n".join([*result.complaints, f"({result.scene.clause})"])
        row = (result.scene.name, verdict, f"{result.took_s:.1f}", told * bool(result.complaints))
        table.add_row(*row)
    console = Console()
    console.print(table)
    passed = sum(not result.complaints for result in results)
    console.print(f"{passed} of {len(results)} scenes passed")
