"""`triolet copy`: a store moves into another one, and is compared before anybody uses it."""

import signal
from typing import Final

import click
import trio

from triolet._model.errors import ConfigurationError
from triolet.adapters.urls import masked
from triolet.copying import Sum, Told, open_source, open_target, sum_of, transfer
from triolet.ports.transfer import Section, Source
from triolet.testing.progress import bar

_NAMES: Final = {
    Section.ROOMS: "rooms",
    Section.ENTRIES: "entries",
    Section.MEMBERS: "memberships",
    Section.PEOPLE: "people",
    Section.REVOCATIONS: "revocations",
    Section.CIDS: "cids",
    Section.TOMBSTONES: "deleted rooms",
    Section.DOCUMENTS: "documents",
    Section.JOBS: "jobs",
    Section.FOLDED: "changed messages",
}
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command("copy")
@click.argument("source")
@click.argument("target")
@click.pass_context
def command(ctx: click.Context, source: str, target: str) -> None:
    """Copy all of the store SOURCE into TARGET, which must be empty, and compare both.

    Both are as `store` in the settings: sqlite:PATH or postgresql://…
    No server may use either of them.

    Positions, epochs, marks, rights and cids stay as they are, so clients resume on TARGET
    where they were, and what they send again is found to be a duplicate.

    If it is stopped, however hard, the same command goes on where it was. Until it has ended
    with status 0, no server opens TARGET.

    Exit status: 0 TARGET holds what SOURCE holds; 1 it does not yet; 2 it was asked wrongly.
    """
    ctx.exit(trio.run(copy, source, target))


async def copy(source_url: str, target_url: str) -> int:
    """Copy, compare and finish; return the process's exit status."""
    if source_url == target_url:
        raise ConfigurationError("SOURCE and TARGET are the same store")
    status: int | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_heed_signals, nursery.cancel_scope)
        status = await _copy(source_url, target_url)
        nursery.cancel_scope.cancel()
    if status is None:
        click.echo("stopped; the same command goes on from here", err=True)
        return 1
    return status


async def _copy(source_url: str, target_url: str) -> int:
    async with open_source(source_url) as source:
        counts = (await source.origin()).counts
        async with open_target(target_url) as target:
            with bar("copying", sum(counts)) as progress:
                await transfer(source, target, progress.advance)
        async with open_source(target_url, may_be_unfinished=True) as copied:
            with bar("comparing", 2 * sum(counts)) as progress:
                is_equal = await compare(source, copied, progress.advance)
        if not is_equal:
            click.echo(
                f"triolet: {masked(target_url)} is not what {masked(source_url)} is, and stays "
                "unfinished: remove it, see that nothing uses the source, and copy again",
                err=True,
            )
            return 1
        async with open_target(target_url) as target:
            await target.finish()
    click.echo(f"{masked(target_url)} holds all that {masked(source_url)} does")
    return 0


async def compare(source: Source, copied: Source, told: Told) -> bool:
    """Print the sums of both stores, section by section; return whether all are equal."""
    is_equal = True
    for section, name in _NAMES.items():
        ours, theirs = await _both(source, copied, section, told)
        if ours == theirs:
            click.echo(f"{name:<16} {ours.rows:>12}  {ours.checksum}")
        else:
            is_equal = False
            for where, found in (("source", ours), ("target", theirs)):
                click.echo(f"{name:<16} {found.rows:>12}  {found.checksum}  in the {where}")
    return is_equal


async def _both(source: Source, copied: Source, section: Section, told: Told) -> tuple[Sum, Sum]:
    sums: dict[Source, Sum] = {}

    async def read(store: Source) -> None:
        sums[store] = await sum_of(store, section, told)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, source)
        nursery.start_soon(read, copied)
    return sums[source], sums[copied]


async def _heed_signals(scope: trio.CancelScope) -> None:
    """Let the transaction that runs be the last one."""
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()
            return
