"""Announcements: a notice to all sessions of all nodes, or to some of them. At most once."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, final

import trio

from .._model.errors import ErrorCode, Refusal
from .._model.events import Notice
from .._model.json import JsonMap
from .._model.limits import Limits
from .._wire.body import check_body
from .._wire.peers import Announced
from .heartbeat import Heartbeat
from .hub import Hub
from .nodes import ALL_NODES, Nodes
from .ops.messages import body_bytes
from .presence import Presence
from .room import event_frame

if TYPE_CHECKING:
    from .session import Session

# Sessions told between two checkpoints, 1 to 2 ms; the flusher writes 64 of them in a part, so
# that their frames leave while the next ones are told.
_TOLD_PER_TURN: Final = 250


@final
class Announcing:
    """See the module. `nodes`: None where there are no others."""

    def __init__(
        self,
        *,
        heartbeat: Heartbeat,
        presence: Presence,
        hub: Hub,
        nodes: Nodes | None,
        limits: Limits,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._heartbeat = heartbeat
        self._presence = presence
        self._hub = hub
        self._nodes = nodes
        self._limits = limits
        self._spawn = spawn
        if nodes is not None:
            nodes.handle(Announced, self._announced_elsewhere)

    async def announce(
        self, body: JsonMap, *, users: Sequence[str] | None = None, room: str | None = None
    ) -> int:
        """Tell sessions here and on other nodes something; return how many are told here.

        Whoever has half an outbox waiting is passed over.

        Args:
            body: as of a message.
            users: only to the sessions of these.
            room: only to who follows it now.

        Raises:
            Refusal: `TOO_LARGE` or `INVALID_FIELD`: the body; or both `users` and `room`.
        """
        if users is not None and room is not None:
            raise Refusal(ErrorCode.INVALID_FIELD, "an announcement is to users or to a room")
        # The size first: it bounds how much there is to look at.
        if body_bytes(body) > self._limits.body_bytes_max:
            most = self._limits.body_bytes_max
            raise Refusal(ErrorCode.TOO_LARGE, f"a body has at most {most} bytes")
        check_body(body, depth_max=self._limits.body_depth_max)
        told = Announced(body, None if users is None else tuple(users), room)
        if self._nodes is not None:
            self._nodes.ring(ALL_NODES, told)
        return await self._tell(told)

    def _announced_elsewhere(self, node: str, message: Announced) -> None:
        del node
        self._spawn(partial(self._tell, message))

    async def _tell(self, message: Announced) -> int:
        notice = Notice(kind="announcement", body=message.body)
        frames: dict[bool, bytes] = {}
        count = 0
        for index, session in enumerate(self._sessions(message)):
            if not index % _TOLD_PER_TURN:
                await trio.lowlevel.checkpoint()
            if session.present is None or session.is_gone:
                continue
            text, outbox = session.text, session.outbox
            if text not in frames:
                frames[text] = event_frame(notice, text=text)
            if outbox.size + len(frames[text]) <= self._limits.outbox_bytes_high // 2:
                outbox.post(frames[text])
                count += 1
        return count

    def _sessions(self, message: Announced) -> "Iterable[Session]":
        if message.room is not None:
            room = self._hub.rooms.get(message.room)
            return [] if room is None else list(room.cursors)
        if message.users is None:
            # One by one, for they are in no cache: 15,000 of them at once take 9 ms.
            return (connection.session for connection in list(self._heartbeat.connections))
        present = (self._presence.present.get(user) for user in dict.fromkeys(message.users))
        return [one for found in present if found is not None for one in found.sessions.values()]
