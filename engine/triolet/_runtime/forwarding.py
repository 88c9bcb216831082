"""What is said of a session beside it: by whoever has its name, on whatever node.

A session whose carrier goes one way only, from the engine to the client, is told this way what
its client wants of it. Its answers come by itself.
"""

from typing import final

import trio

from .._model.errors import ErrorCode, Refusal
from .._wire.peers import Forwarded
from ..ports.gate import Identity
from .nodes import Nodes, user_channel
from .pipe import Pipe
from .presence import Presence


@final
class Forwarding:
    """See the module. `nodes`: None where there are no others."""

    def __init__(self, presence: Presence, nodes: Nodes | None) -> None:
        self._presence = presence
        self._nodes = nodes
        if nodes is not None:
            nodes.handle(Forwarded, self._forwarded)

    async def forward(self, identity: Identity, session: str, payload: bytes) -> None:
        """Hand a message to a session of the same user, here or on another node, in JSON.

        On another node it may get lost, as a connection may: then it is not answered.

        Raises:
            Refusal: `INVALID_FIELD`, there is no such session, as far as can be known here.
        """
        pipe = self._pipe(identity.user, session)
        if pipe is not None:
            try:
                await pipe.send(payload)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise _unknown() from None
            return
        if self._nodes is None:
            raise _unknown()
        self._nodes.ring(user_channel(identity.user), Forwarded(identity.user, session, payload))
        await trio.lowlevel.checkpoint()

    def _forwarded(self, node: str, message: Forwarded) -> None:
        del node
        pipe = self._pipe(message.user, message.session)
        if pipe is not None:
            try:
                pipe.send_nowait(message.payload)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                # Its client waits for answers: it does not send so many at once.
                return

    def _pipe(self, user: str, session: str) -> Pipe | None:
        present = self._presence.present.get(user)
        found = None if present is None else present.sessions.get(session)
        connection = None if found is None else found.connection
        return connection if isinstance(connection, Pipe) and connection.outbox.text else None


def _unknown() -> Refusal:
    return Refusal(ErrorCode.INVALID_FIELD, "`session`: none of yours, or it has ended")
