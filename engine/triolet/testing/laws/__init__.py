"""Laws that hold for every feature, for engines, deployments and clients to be held to.

    picture    what somebody knows of their rooms, inbox and people, and how two pictures differ
    following  a picture kept by folding events
    looking    the same picture, asked for afresh
    script     what people do meanwhile: steps, and a Hypothesis strategy for them
    snapshot   the law itself: snapshot + events = fresh snapshot
    cutting    cancellation at every single step of a scene

The first in one call, against anything a `Dialer` reaches::

    async with trio.open_nursery() as nursery:

        def dial(user: str) -> Door:
            return Door(WebSocketDialer(URL, "msgpack", nursery, ClientLimits()), token_of(user))

        await check_snapshots(dial, steps)

Users and rooms of a script are made there: give it a prefix of its own (`Cast`).
"""

from .cutting import Cut as Cut
from .cutting import cuts as cuts
from .cutting import open_files as open_files
from .cutting import tasks as tasks
from .picture import Picture as Picture
from .picture import RoomPicture as RoomPicture
from .picture import differences as differences
from .script import Cast as Cast
from .script import Step as Step
from .script import scripts as scripts
from .snapshot import Door as Door
from .snapshot import LawBroken as LawBroken
from .snapshot import check_snapshots as check_snapshots
