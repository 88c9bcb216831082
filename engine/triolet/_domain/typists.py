"""Who is typing in a room: a small plain structure, owned by the room."""

from typing import final


@final
class Typists:
    """People with a mark that ends by itself; in the order in which they began.

    Attributes:
        until: when each mark ends.

    >>> typists = Typists()
    >>> typists.renew("anna", until=6.0), typists.renew("anna", until=8.0)
    (True, False)
    >>> typists.shown(5), typists.expire(7.9), typists.expire(8.0), typists.shown(5)
    ((('anna',), False), False, True, ((), False))
    """

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.until)

    def renew(self, user: str, *, until: float) -> bool:
        """Mark `user` as typing `until` then; return whether they were not before."""
        new = user not in self.until
        self.until[user] = until
        return new

    def stop(self, user: str) -> bool:
        """Take the mark away; return whether there was one."""
        return self.until.pop(user, None) is not None

    def expire(self, now: float) -> bool:
        """Take away the marks that have ended; return whether there were any."""
        ended = [user for user, until in self.until.items() if until <= now]
        for user in ended:
            del self.until[user]
        return bool(ended)

    def shown(self, most: int) -> tuple[tuple[str, ...], bool]:
        """Return at most `most` names, and whether there are others."""
        names = tuple(self.until)
        return names[:most], len(names) > most
