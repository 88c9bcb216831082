"""Backups: of SQLite a file in the data folder, beside a server that goes on; else how to."""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, final

import trio
from msgspec import Struct

from triolet._model.errors import ErrorCode, Refusal
from triolet.adapters.sqlite.backup import back_up
from triolet.adapters.urls import is_shared
from triolet.ports.clock import Clock

from ..endpoints import Access, Call, endpoint

logger = logging.getLogger(__name__)

FOLDER: Final = "backups"
_FILES: Final = "triolet-*Z.db"
# Of the database's size: so much must be free, its write-ahead log grows meanwhile.
_ROOM_NEEDED: Final = 1.2
# PostgreSQL has tools of its own, which know of replicas and of other databases.
_COMMAND: Final = "pg_dump --format=custom --schema=triolet --file=triolet.dump --dbname=URL"


@final
class Backup(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A backup that was made, or how to make one.

    Attributes:
        file: its name in the folder `backups` of the data folder.
        size: bytes.
        took_ms: how long it took.
        command: for a store with tools of its own: what to run, with its URL.
    """

    store: Literal["sqlite", "postgresql"]
    file: str = ""
    size: int = 0
    took_ms: int = 0
    command: str = ""


@final
class AdminBackup:
    """See the module.

    Args:
        store: the store's URL.
        folder: the data folder.
        clock: names files by the time.
        kept: so many of them are kept, the oldest are removed; 0: all.
    """

    def __init__(self, store: str, folder: Path, clock: Clock, *, kept: int) -> None:
        self._store = store
        self._folder = folder / FOLDER
        self._clock = clock
        self._kept = kept
        self._is_running = False

    @endpoint(
        "POST",
        "/v1/admin/backup",
        access=Access.ADMIN,
        rate="admin",
        refuses=(ErrorCode.ALREADY_EXISTS, ErrorCode.NO_SUCH_ENTRY, ErrorCode.STORE_UNAVAILABLE),
    )
    async def make(self, call: Call) -> Backup:
        """Copy the database as it is now, beside a server that goes on.

        Of SQLite: into a new file in the data folder, one at a time. Of PostgreSQL nothing is
        made, and the answer says what to run. Of a store in memory there is nothing to keep.
        """
        del call
        if is_shared(self._store):
            return Backup(store="postgresql", command=_COMMAND)
        if not self._store.startswith("sqlite:"):
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "a store in memory is not kept")
        if self._is_running:
            raise Refusal(ErrorCode.ALREADY_EXISTS, "a backup is being made")
        self._is_running = True
        try:
            return await self._make(Path(self._store.removeprefix("sqlite:")))
        finally:
            self._is_running = False

    async def _make(self, source: Path) -> Backup:
        began = self._clock.now_ms()
        at = datetime.fromtimestamp(began / 1000, UTC)
        await trio.to_thread.run_sync(self._make_room, source)
        # To the millisecond: two never have one name.
        target = self._folder / f"triolet-{at:%Y%m%dT%H%M%S}{began % 1000:03}Z.db"
        size = await back_up(source, target)
        await trio.to_thread.run_sync(self._remove_oldest)
        took_ms = self._clock.now_ms() - began
        return Backup(store="sqlite", file=target.name, size=size, took_ms=took_ms)

    def _make_room(self, source: Path) -> None:
        """Make the folder, and see that the disk has room. Blocks.

        Raises:
            Refusal: `STORE_UNAVAILABLE`.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A process that was killed over one has left a part as large as the database.
            for part in self._folder.glob(f"{_FILES}.part"):
                part.unlink(missing_ok=True)
            needed = int(source.stat().st_size * _ROOM_NEEDED)
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            message = f"the folder for backups cannot be used: {error.strerror}"
            raise Refusal(ErrorCode.STORE_UNAVAILABLE, message) from None
        if free < needed:
            raise Refusal(ErrorCode.STORE_UNAVAILABLE, f"a backup needs {needed} free bytes")

    def _remove_oldest(self) -> None:
        """Keep as many as the settings say. Blocks."""
        made = sorted(self._folder.glob(_FILES))
        for old in made[: -self._kept] if self._kept else ():
            logger.info("the backup %s is removed: %s newer ones are kept", old.name, self._kept)
            old.unlink(missing_ok=True)
