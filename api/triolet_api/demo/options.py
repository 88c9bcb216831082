"""The command line of `triolet demo`."""

import signal
import tempfile
from pathlib import Path
from typing import Final

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


async def _demo(is_fast: bool) -> int:
    stage = Stage(Console(), (ANNA, BEN), COLOURS)
    stage.title("Triolet", "two people, one server, and what happens when it dies")
    status = 1
    with tempfile.TemporaryDirectory(prefix="triolet-demo-") as folder:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed_signals, nursery.cancel_scope)
            with trio.move_on_after(DEMO_TIMEOUT_S) as scope:
                verdict = await Show(stage, Path(folder), is_fast=is_fast).run()
                status = 1 if verdict.faults else 0
            if scope.cancelled_caught:
                stage.aside(f"this took longer than {DEMO_TIMEOUT_S} s")
            nursery.cancel_scope.cancel()
    return status


async def _heed_signals(scope: trio.CancelScope) -> None:
    """End in order, and the server with us."""
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()
            return
