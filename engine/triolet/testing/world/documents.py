"""The documents of a world's store, as a node reaches them: with the disk's faults."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, final

from ...ports.documents import Change, Document, Documents
from .bans import Bans

T = TypeVar("T")


class Way(Protocol):
    """A node's way to the disk; each call may fail with `StoreUnavailable`."""

    async def reach(self, *, writes: bool = False) -> None:
        """Get to the disk; if that fails, nothing was done."""
        ...

    async def answered(self) -> None:
        """Bring the answer back to the node."""
        ...

    async def commit(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have `work` done, or fail before or after that: then it is `OutcomeUnknown`, too."""
        ...


@final
class NodeDocuments(Documents):
    """One life of a node's way to the documents."""

    def __init__(self, memory: Documents, way: Way, bans: Bans) -> None:
        self._memory = memory
        self._way = way
        self._bans = bans

    async def read(self, keys: Sequence[str]) -> list[Document | None]:
        """See `Documents`."""
        await self._way.reach()
        found = await self._memory.read(keys)
        await self._way.answered()
        return found

    async def scan(
        self, prefix: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[Document]:
        """See `Documents`."""
        await self._way.reach()
        found = await self._memory.scan(prefix, after=after, limit=limit, descending=descending)
        await self._way.answered()
        return found

    async def write(self, changes: Sequence[Change]) -> bool:
        """See `Documents`; like an append, it may fail before or after the commit."""
        return await self._way.commit(lambda: self._bans.commit(self._memory, changes))

    async def prune(self, *, now: int, limit: int) -> int:
        """See `Documents`."""
        await self._way.reach(writes=True)
        return await self._memory.prune(now=now, limit=limit)
