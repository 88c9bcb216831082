"""Who is typing in a room: a small plain structure, owned by the room."""

from typing import final


@final
class Typists:
    """People with a mark that ends by itself; in the order in which they began.

    >>> typists = Typists()
    >>> typists.renew("anna", until=6.0), typists.renew("anna", until=8.0)
    (True, False)
    >>> typists.shown(5), typists.expire(7.9), typists.expire(8.0), typists.shown(5)
    ((('anna',), False), False, True, ((), False))
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def renew(self, user: str, *, until: float) -> bool:
        """Mark `user` as typing `until` then; return whether they were not before."""
        new = user not in self._until
        self._until[user] = until
        return new

    def stop(self, user: str) -> bool:
        """Take the mark away; return whether there was one."""
        return self._until.pop(user, None) is not None

    def expire(self, now: float) -> bool:
        """Take away the marks that have ended; return whether there were any."""
        ended = [user for user, until in self._until.items() if until <= now]
        for user in ended:
            del self._until[user]
        return bool(ended)

    def shown(self, most: int) -> tuple[tuple[str, ...], bool]:
        """Return at most `most` names, and whether there are others."""
        names = tuple(self._until)
        return names[:most], len(names) > most
