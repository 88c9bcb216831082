"""What follows when a room has taken an entry, whichever node committed it."""

from typing import TYPE_CHECKING

from .marks import mark_of
from .room import Room
from .seat import Seat

if TYPE_CHECKING:
    from .engine import Engine


def applied(engine: "Engine", room: Room, author: Seat | None) -> None:
    """Tell feeds, keep the author's marks, and know that they type no more."""
    is_ours = engine.nodes is None or not engine.nodes.is_hearing
    if not room.is_feed_due or engine.relay is not None:
        engine.feeder.moved(room, here=is_ours)
    if author is None:
        return
    # The node that committed it writes its author's marks, and those the author is connected
    # to: what was committed here may have waited for what was then heard.
    if not is_ours and not _is_here(engine, author.user):
        engine.marks.rung.take(mark_of(author))
    elif not author.are_marks_due:
        engine.marks.moved(author)
    if room.typists.until and room.typists.stop(author.user):
        room.typing_moved = True
        engine.states.mark(room)
        if engine.relay is not None and is_ours:
            engine.relay.typing(room, author.user, on=False)


def _is_here(engine: "Engine", user: str) -> bool:
    present = engine.presence.present.get(user)
    return present is not None and bool(present.sessions)


def membership_moved(engine: "Engine", room: Room, user: str, gained: bool) -> None:
    """Tell the feeds of who has come or gone."""
    if gained:
        engine.feeder.gained(user, room)
    else:
        engine.feeder.lost(user, room)
