"""How a user stands to a room, and whether they are here: what a notifier asks of this node."""

from collections.abc import Sequence

from ..ports.store import InboxItem
from .hub import Hub
from .marks import Marks
from .presence import Presence


async def present_among(presence: Presence, users: Sequence[str]) -> list[str]:
    """Return those of `users`, in their order, who have a session on any node.

    Nobody is on another node as long as the bus does not answer. A grace is no session.
    """
    here = {
        user: None
        for user in users
        if (present := presence.present.get(user)) is not None and present.sessions
    }
    told = await presence.asked([user for user in users if user not in here])
    return [
        user
        for user in users
        if user in here or any(not one.is_grace for one in told.get(user, ()))
    ]


def read_by(hub: Hub, marks: Marks, item: InboxItem) -> int:
    """Return how far the user of an inbox's row has read: as stored, or known here to be further.

    Read the row under `Marks.reading`, so that what is written meanwhile is not missed.
    """
    room, user = item.state.room, item.membership.user
    pending = marks.pending(room, user)
    heard = marks.heard(room, item.state.epoch, user)
    seat = hub.seat_here(room, user)
    known = [
        item.membership.read,
        0 if pending is None else pending.read,
        0 if heard is None else min(heard.read, item.state.head),
        0 if seat is None or seat.role is None else seat.read,
    ]
    return max(known)
