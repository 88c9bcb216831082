"""Several servers asked at once, and what became of it: answers, or why there are none."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

import trio

from ..._model.errors import BusUnavailable
from .link import Answers, LinkLost, Refused, without_refusals

# What a server was asked: answers to be waited for, or none, for there is no connection.
Asked: TypeAlias = Answers | LinkLost
# What came of it.
Found: TypeAlias = list[object] | LinkLost | Refused


async def gather(asked: Sequence[Asked]) -> list[Found]:
    """Wait for what several servers were asked."""
    await trio.lowlevel.checkpoint_if_cancelled()
    return [await _found(one) for one in asked]


async def _found(asked: Asked) -> Found:
    try:
        if isinstance(asked, Answers):
            return without_refusals(await asked.wait())
    except (LinkLost, Refused) as error:
        return error
    await trio.lowlevel.checkpoint()
    return asked


def require(found: Sequence[Found]) -> list[list[object] | None]:
    """Return the answers, None for servers that gave none.

    Raises:
        BusUnavailable: all of them.
    """
    if not any(isinstance(one, list) for one in found):
        require_all(found)
    return [one if isinstance(one, list) else None for one in found]


def require_all(found: Sequence[Found], channels: Sequence[Collection[str]] | None = None) -> None:
    """Have all servers done what they were asked.

    Args:
        found: what came of it.
        channels: those that each of them was asked about, where it was about channels.

    Raises:
        BusUnavailable: one of them did not; with the channels of all that did not.
    """
    failed = [index for index, one in enumerate(found) if isinstance(one, Exception)]
    if not failed:
        return
    lost: list[str] | None = None
    if channels is not None:
        lost = [channel for index in failed for channel in channels[index]]
    why = found[failed[0]]
    assert isinstance(why, Exception)
    raise BusUnavailable(str(why), lost) from why


def is_done(asked: Asked) -> bool:
    """Whether a server has done all it was asked; 0 is what a lease that is gone answers."""
    return (
        isinstance(asked, Answers)
        and asked.is_whole
        and not any(isinstance(reply, Refused) or reply == 0 for reply in asked.replies)
    )
