"""Revoked tokens: their sessions end here and on other nodes, and nobody is let in by them."""

import logging
from typing import Final, final

import trio

from .._model.errors import Close, CloseCode, ErrorCode, Refusal, StoreError
from .._model.limits import Limits
from .._wire.peers import UserRevoked
from ..ports.clock import Clock
from ..ports.gate import Identity
from ..ports.people import Revocation
from ..ports.store import Store
from .complaint import Complaint
from .nodes import ALL_NODES, Nodes
from .presence import Presence

logger = logging.getLogger(__name__)

# Revocations of one query.
_PER_QUERY: Final = 1000
# How far back the store is asked: more than clocks of nodes differ.
_OVERLAP_MS: Final = 60_000
# Between two tries of a store that does not answer.
_RETRY_S: Final = 1.0


@final
class Revocations:
    """See the module. `nodes`: None where there are no others.

    Attributes:
        is_blind: there are other nodes, and the store does not tell what they have revoked.
    """

    def __init__(
        self, store: Store, presence: Presence, clock: Clock, limits: Limits, nodes: Nodes | None
    ) -> None:
        self._store = store
        self._presence = presence
        self._clock = clock
        self._limits = limits
        self._nodes = nodes
        self.is_blind = nodes is not None
        self._complaint = Complaint(logger, now=trio.current_time)
        # How long they are remembered: longer than a gate looks, or than a sweep looks back.
        self._horizon_ms = int(1000 * limits.hello_timeout_s)
        if nodes is not None:
            self._horizon_ms += 2 * _OVERLAP_MS + int(1000 * limits.revocations_check_s)
        # Revoked lately, by user: when (ms). A gate may have looked before it was stored.
        self._lately: dict[str, int] = {}
        if nodes is not None:
            nodes.handle(UserRevoked, self._revoked_elsewhere)

    async def revoke(self, user: str) -> None:
        """End a user's sessions, and refuse tokens issued until now.

        Raises:
            StoreError: the sessions have not ended; tokens are refused by this node, for now.
        """
        now = self._clock.now_ms()
        self._remember(user, now)
        await self._store.revoke(Revocation(user, now))
        if self._nodes is not None:
            self._nodes.ring(ALL_NODES, UserRevoked(user, now))
        self._end_sessions(user)

    def check(self, identity: Identity) -> None:
        """Refuse a token that was revoked while the gate looked at it.

        Raises:
            Refusal: `TOKEN_INVALID`.
        """
        if identity.issued_at < self._lately.get(identity.user, 0):
            raise Refusal(ErrorCode.TOKEN_INVALID, "the token was revoked")

    async def run(self) -> None:
        """Ask the store for what no doorbell has told, for as long as the engine lives."""
        while self._nodes is not None:
            try:
                with trio.fail_after(self._limits.revocations_check_s / 2):
                    await self.sweep()
            except (StoreError, trio.TooSlowError) as error:
                self.is_blind = True
                self._complaint.again(f"revocations cannot be asked for: {error!r}")
                await trio.sleep(min(_RETRY_S, self._limits.revocations_check_s))
            else:
                self.is_blind = False
                self._complaint.over("revocations can be asked for again")
                await trio.sleep(self._limits.revocations_check_s)

    async def sweep(self) -> None:
        """End the sessions of whose tokens were revoked elsewhere.

        Raises:
            StoreError: it is tried again.
        """
        interval_ms = int(1000 * self._limits.revocations_check_s)
        since = self._clock.now_ms() - interval_ms - _OVERLAP_MS
        after: str | None = None
        while True:
            found = await self._store.revocations(since=since, after=after, limit=_PER_QUERY)
            for revocation in found:
                self._take(revocation.user, revocation.not_before)
            if len(found) < _PER_QUERY:
                return
            after = found[-1].user

    def _revoked_elsewhere(self, node: str, message: UserRevoked) -> None:
        del node
        self._take(message.user, message.not_before)

    def _take(self, user: str, not_before: int) -> None:
        # Once: who has come back since, vouched for by a host, stays.
        if not_before > self._lately.get(user, 0):
            self._remember(user, not_before)
            self._end_sessions(user, not_before)

    def _remember(self, user: str, not_before: int) -> None:
        lately = self._clock.now_ms() - self._horizon_ms
        self._lately = {other: at for other, at in self._lately.items() if at > lately}
        self._lately[user] = max(self._lately.get(user, 0), not_before)

    def _end_sessions(self, user: str, not_before: int | None = None) -> None:
        """End sessions: all, or those by tokens issued before a moment (ms)."""
        present = self._presence.present.get(user)
        for session in list(present.sessions.values()) if present is not None else ():
            issued_at = session.identity.issued_at if session.identity is not None else 0
            if not_before is None or issued_at < not_before:
                session.close(Close(CloseCode.UNAUTHENTICATED, "revoked"))
