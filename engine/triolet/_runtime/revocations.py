"""Revoked tokens: their sessions end here and on other nodes, and nobody is let in by them.

What is revoked is a user, or a family: one sign-in of a user (`ids.subject_of`).
"""

import logging
from typing import Final, final

import trio

from .._model.errors import Close, CloseCode, ErrorCode, OutcomeUnknown, Refusal, StoreError
from .._model.ids import parts_of_subject, subject_of
from .._model.limits import Limits
from .._wire.peers import TokensRevoked
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
        # Revoked lately, by subject: when (ms), those remembered first in front. A gate may have
        # looked before it was stored.
        self._lately: dict[str, int] = {}
        if nodes is not None:
            nodes.handle(TokensRevoked, self._revoked_elsewhere)

    async def revoke(self, user: str, *, family: str = "") -> None:
        """End a user's sessions, and refuse tokens issued until now.

        Whoever asks for it may go meanwhile: what is stored is carried out all the same.

        Args:
            user: whose.
            family: only those of this family, of which no token counts any more, also none that
                is issued at this moment by a node whose clock is ahead.

        Raises:
            StoreUnavailable: no session has ended; tokens are refused by this node, for now.
            OutcomeUnknown: the sessions have ended, and tokens may count again before long.
        """
        subject, not_before = subject_of(user, family), self._clock.now_ms()
        if family:
            not_before += _OVERLAP_MS
        self._remember(subject, not_before)
        try:
            with trio.CancelScope(shield=True):
                await self._store.revoke(Revocation(subject, not_before))
        except OutcomeUnknown:
            # What may be stored other nodes find, and no session is worth more here than there.
            self._tell(subject, not_before)
            raise
        self._tell(subject, not_before)

    def _tell(self, subject: str, not_before: int) -> None:
        if self._nodes is not None:
            self._nodes.ring(ALL_NODES, TokensRevoked(subject, not_before))
        self._end_sessions(subject)

    def check(self, identity: Identity) -> None:
        """Refuse a token that was revoked while the gate looked at it.

        Raises:
            Refusal: `TOKEN_INVALID`.
        """
        lately = self._lately
        not_before = lately.get(identity.user, 0)
        if identity.family:
            family = subject_of(identity.user, identity.family)
            not_before = max(not_before, lately.get(family, 0))
        if identity.issued_at < not_before:
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
                self._take(revocation.subject, revocation.not_before)
            if len(found) < _PER_QUERY:
                return
            after = found[-1].subject

    def _revoked_elsewhere(self, node: str, message: TokensRevoked) -> None:
        del node
        self._take(message.subject, message.not_before)

    def _take(self, subject: str, not_before: int) -> None:
        # Once: who has come back since, vouched for by a host, stays.
        if not_before > self._lately.get(subject, 0):
            self._remember(subject, not_before)
            self._end_sessions(subject, not_before)

    def _remember(self, subject: str, not_before: int) -> None:
        lately, before = self._lately, self._clock.now_ms() - self._horizon_ms
        known = lately.pop(subject, 0)
        while lately:
            first = next(iter(lately))
            if lately[first] > before:
                break
            del lately[first]
        lately[subject] = max(known, not_before)

    def _end_sessions(self, subject: str, not_before: int | None = None) -> None:
        """End sessions: all, or those by tokens issued before a moment (ms)."""
        user, family = parts_of_subject(subject)
        present = self._presence.present.get(user)
        for session in list(present.sessions.values()) if present is not None else ():
            identity = session.identity
            if family and (identity is None or identity.family != family):
                continue
            issued_at = identity.issued_at if identity is not None else 0
            if not_before is None or issued_at < not_before:
                session.close(Close(CloseCode.UNAUTHENTICATED, "revoked"))
