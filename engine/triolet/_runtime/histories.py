"""Pages of history that were read before, of rooms that have not changed since.

A page is folded anew for each who asks: 280 µs for 50 messages on SQLite, more than all the
rest of a request. Where there are no other nodes, whatever changes a page goes through the room
that is loaded here; with others a page could be older than what somebody has just been told
there, so none is kept.
"""

from typing import Final, TypeAlias, final

from .._model.commands import History
from ..ports.store import HistorySlice
from .room import Room

# Who asks (they see their own reactions), and for which messages.
_Key: TypeAlias = tuple[str, int | None, int | None, int]

# Rooms whose pages are kept, and pages of one: 64 MiB if each is as large as a page may be,
# a thirtieth of it if they are as long as people write.
_ROOMS_MAX: Final = 64
_PAGES_MAX: Final = 4


@final
class Histories:
    """See the module. `rooms` are those that are loaded, by name."""

    def __init__(self, rooms: dict[str, Room], *, is_alone: bool) -> None:
        self._rooms = rooms
        self._is_alone = is_alone
        # Those that have pages, the one used longest ago first.
        self._kept: dict[Room, None] = {}

    def find(self, user: str, command: History) -> HistorySlice | None:
        """Return the page asked for, as it is now; None: it has to be read."""
        room = self._rooms.get(command.room)
        kept = None if room is None else room.histories.get(_key(user, command))
        if room is None or kept is None:
            return None
        floor, page = kept
        if (page.epoch, page.head, floor) != (room.epoch, room.head, room.floor):
            room.histories.clear()
            return None
        return page

    def floor(self, name: str) -> int | None:
        """Return up to where a room's entries have been removed, as `keep` wants it."""
        room = self._rooms.get(name)
        return None if room is None else room.floor

    def keep(self, user: str, command: History, page: HistorySlice, floor: int | None) -> None:
        """Remember a page that was read just now, if it is as new as the room.

        Args:
            user: for whom.
            command: what was asked for.
            page: the answer.
            floor: that of the room before it was read: what is removed since, it may still hold.
        """
        room = self._rooms.get(command.room)
        if not self._is_alone or room is None:
            return
        if (page.epoch, page.head, floor) != (room.epoch, room.head, room.floor):
            return
        self._kept.pop(room, None)
        self._kept[room] = None
        if len(self._kept) > _ROOMS_MAX:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            oldest.histories.clear()
        if len(room.histories) >= _PAGES_MAX:
            del room.histories[next(iter(room.histories))]
        room.histories[_key(user, command)] = (room.floor, page)


def _key(user: str, command: History) -> _Key:
    return (user, command.before, command.after, command.limit)
