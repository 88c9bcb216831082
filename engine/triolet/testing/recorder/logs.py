"""What a store holds in the end, as the facts that a history ends with."""

from collections.abc import Iterable, Sequence

from ..._model.entries import Record
from ..._wire.codec import entry_of
from ...ports.store import RoomState, Store
from .. import history

# A page of a log: small enough to be a line of a file, large enough to be few.
_PAGE_ENTRIES = 1000
_PAGE_BYTES = 16 << 20


async def stored(store: Store, rooms: Iterable[str], t: float) -> list[history.Stored]:
    """Return the logs of those of `rooms` that exist, as events at time `t`.

    Raises:
        StoreError: it cannot be read.
    """
    found: list[history.Stored] = []
    for room in rooms:
        state = await store.room(room)
        if state is not None:
            found.extend(await _log(store, state, t))
    return found


async def _log(store: Store, state: RoomState, t: float) -> list[history.Stored]:
    pages: list[history.Stored] = []
    after = state.floor
    while after < state.head or not pages:
        records = await store.page(
            state.room, after=after, upto=state.head, limit=_PAGE_ENTRIES, bytes_max=_PAGE_BYTES
        )
        pages.append(log_of(state, records, t))
        if not records:
            # The log has an end that its head does not know of: the checker says so.
            break
        after = records[-1].seq
    return pages


def log_of(state: RoomState, records: Sequence[Record], t: float) -> history.Stored:
    """Return records of a room that stands so, as an event at time `t`."""
    return history.Stored(
        t,
        room=state.room,
        epoch=state.epoch,
        head=state.head,
        entries=tuple(history.logged(entry_of(record)) for record in records),
        floor=state.floor,
        floor_n=state.floor_n,
        public=state.public,
        lineage=state.lineage,
    )
