"""Who comes in: hellos at the node's rate, and what the gate says of a token."""

from typing import final

import trio

from .._domain.rates import Bucket
from .._model.errors import ErrorCode, Refusal
from .._model.limits import Limits
from ..ports.clock import Entropy
from ..ports.gate import Gate, Identity, Opening, PromptGate
from .bans import Bans
from .revocations import Revocations


@final
class Admission:
    """See the module. `revocations` are those that came while the gate looked."""

    def __init__(
        self,
        gate: Gate,
        revocations: Revocations,
        bans: Bans,
        *,
        entropy: Entropy,
        limits: Limits,
    ) -> None:
        self._gate = gate
        self._prompt_gate = gate if isinstance(gate, PromptGate) else None
        self._revocations = revocations
        self._bans = bans
        self._entropy = entropy
        self._hellos = Bucket(rate=limits.hellos_rate, burst=limits.hellos_burst)
        self._patience_s = limits.hello_wait_s

    def check_rate(self) -> float:
        """Admit one hello of the node's rate; return how long it must wait for its turn, s.

        Raises:
            Refusal: `RATE_LIMITED`, to come back spread over the time the queue needs.
        """
        wait_s = self._hellos.admit(trio.current_time(), patience_s=self._patience_s)
        if wait_s > self._patience_s:
            spread_ms = int(1000 * self._entropy.uniform(wait_s, wait_s + 2))
            raise Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=spread_ms)
        return wait_s

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        """Return who holds `token`, if they may connect from where they are.

        Raises:
            Refusal: the gate's, `TOKEN_INVALID`, or `BANNED`.
            StoreError: the gate could not look.
        """
        self._bans.check(None, opening.address)
        identity = await self._gate.admit(token, opening)
        self.check(identity, opening)
        return identity

    def admit_now(self, token: str | None, opening: Opening) -> Identity | None:
        """Do what `admit` does, if the gate need not wait; else do nothing: None.

        Raises:
            Refusal: as `admit`.
        """
        if self._prompt_gate is None:
            return None
        self._bans.check(None, opening.address)
        identity = self._prompt_gate.admit_now(token, opening)
        if identity is not None:
            self.check(identity, opening)
        return identity

    def vouched(self, identity: Identity | None, opening: Opening) -> Identity | None:
        """Return whom a host vouches for; None: it vouches for nobody.

        Raises:
            Refusal: `BANNED`.
        """
        if identity is not None:
            self._bans.check(identity.user, opening.address)
        return identity

    def check(self, identity: Identity, opening: Opening) -> None:
        """Refuse somebody who was admitted, and whose token was revoked or who was banned since.

        Raises:
            Refusal: `TOKEN_INVALID` or `BANNED`.
        """
        self._revocations.check(identity)
        self._bans.check(identity.user, opening.address)
