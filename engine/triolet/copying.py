"""Copying a store into another one, whatever adapters they are of, and comparing both."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, TypeAlias, final

import msgspec
from msgspec import Struct

from ._model.errors import ConfigurationError
from ._model.limits import Limits
from .adapters.sqlite import open_sqlite_source, open_sqlite_target
from .adapters.system import SystemEntropy
from .adapters.urls import check_store, is_shared
from .ports.transfer import Page, Place, Section, Source, Target

# A page in memory is a few megabytes; larger ones are no faster.
ROWS_MAX: Final = 5_000
BYTES_MAX: Final = 4 * 1024 * 1024

# What hears how many rows were just done.
Told: TypeAlias = Callable[[int], None]

_CHECKSUM_BYTES: Final = 16

_pack = msgspec.msgpack.Encoder().encode


@final
class Sum(Struct, frozen=True):
    """How many rows a section has, and a checksum of them that no order changes."""

    rows: int
    checksum: str


@asynccontextmanager
async def open_source(url: str, *, may_be_unfinished: bool = False) -> AsyncIterator[Source]:
    """Open the store that `url` names, to read all its rows: `sqlite:PATH` or `postgresql://…`.

    Raises:
        ConfigurationError: it names none, or one that is in use or an unfinished copy.
        SchemaTooNew: the data was written by a newer Triolet.
        StoreError: it cannot be opened.
    """
    _check(url)
    entropy, limits = SystemEntropy(), Limits()
    if is_shared(url):
        opened = _postgres().open_postgres_source(
            url, entropy=entropy, limits=limits, may_be_unfinished=may_be_unfinished
        )
    else:
        opened = open_sqlite_source(
            _path_of(url), entropy=entropy, limits=limits, may_be_unfinished=may_be_unfinished
        )
    async with opened as source:
        yield source


@asynccontextmanager
async def open_target(url: str) -> AsyncIterator[Target]:
    """Open the store that `url` names, to take another one's rows; see `open_source`."""
    _check(url)
    entropy = SystemEntropy()
    if is_shared(url):
        opened = _postgres().open_postgres_target(url, entropy=entropy, limits=Limits())
    else:
        opened = open_sqlite_target(_path_of(url), entropy=entropy)
    async with opened as target:
        yield target


def _check(url: str) -> None:
    check_store(url)
    if url == "memory:":
        raise ConfigurationError("`memory:` ends with its process, and cannot be copied")


def _path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:"))


def _postgres() -> ModuleType:
    """Import the adapter, whose driver is an extra of the installation."""
    try:
        return import_module(f"{__package__}.adapters.postgres")
    except ImportError as error:
        raise ConfigurationError(f"{error}; install `triolet[postgres]`") from None


def untold(rows: int) -> None:
    """Hear of progress, and do nothing."""


async def transfer(source: Source, target: Target, told: Told = untold) -> None:
    """Have the target take all rows, from where an earlier transfer of them has stopped.

    It is not finished then: compare both first. `told` hears at once of what was taken before.

    Raises:
        ConfigurationError: the target holds something else.
        StoreError: one of them failed; again, it goes on from there.
    """
    place = await target.begin(await source.origin())
    told(place.rows)
    while place.section != Section.FOLDED:
        page = await _page(source, place)
        upto = place.following(page)
        await target.take(page.rows, after=place, upto=upto)
        told(len(page.rows))
        place = upto
    await target.settle()


async def sum_of(source: Source, section: Section, told: Told = untold) -> Sum:
    """Return the sum of a section's rows, as the store reads them.

    Raises:
        StoreUnavailable: they could not be read.
    """
    place, total = Place(section), 0
    while place.section == section:
        page = await _page(source, place)
        for row in page.rows:
            digest = blake2b(_pack(row), digest_size=_CHECKSUM_BYTES).digest()
            total += int.from_bytes(digest, "big")
        told(len(page.rows))
        if page.after is None:
            break
        place = place.following(page)
    checksum = total % (1 << 8 * _CHECKSUM_BYTES)
    return Sum(place.rows + len(page.rows), f"{checksum:032x}")


async def _page(source: Source, place: Place) -> Page:
    return await source.rows(
        place.section, after=place.after, rows_max=ROWS_MAX, bytes_max=BYTES_MAX
    )
