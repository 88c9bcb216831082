"""The command line of `triolet demo`."""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, final

import click
import trio
from rich.console import Console

from .show import ANNA, BEN, COLOURS, Show
from .stage import Stage

# The show lasts half a minute; on a very busy machine, much longer; for ever, never.
DEMO_TIMEOUT_S: Final = 300
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--fast", "is_fast", is_flag=True, help="Without pauses.")
@click.pass_context
def command(ctx: click.Context, *, is_fast: bool) -> None:
    """Show what it does: two people talk, the server is killed, and nothing is lost.

    Exit status: 0 nothing was lost; 1 something was, or the show did not come to its end.
    """
    ctx.exit(trio.run(_demo, is_fast))


@final
class _Console(Console):
    """A console whose reader may leave (`| head`) without the whole process being thrown away."""

    def on_broken_pipe(self) -> None:
        """Let it be known; what is still buffered goes nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


async def _demo(is_fast: bool) -> int:
    stage = Stage(_Console(), (ANNA, BEN), COLOURS)
    status = 1
    with tempfile.TemporaryDirectory(prefix="triolet-demo-") as folder:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_heed_signals, nursery.cancel_scope)
                status = await _show(stage, Path(folder), is_fast=is_fast)
                nursery.cancel_scope.cancel()
        except* BrokenPipeError:
            # Nobody looks any more.
            status = 1
    return status


async def _show(stage: Stage, folder: Path, *, is_fast: bool) -> int:
    stage.title("Triolet", "two people, one server, and what happens when it dies")
    with trio.move_on_after(DEMO_TIMEOUT_S):
        verdict = await Show(stage, folder, is_fast=is_fast).run()
        return 1 if verdict.faults else 0
    stage.aside(f"this took longer than {DEMO_TIMEOUT_S} s")
    return 1


async def _heed_signals(scope: trio.CancelScope) -> None:
    """End in order, and the server with us."""
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()
            return
