"""Who may ask over HTTP, and how often: by user, by address, and by what is asked for.

Answers tell how much is left by the fields of draft-ietf-httpapi-ratelimit-headers-06, the last
version of that draft with a field for each number: `RateLimit-Limit` and `-Remaining`,
`RateLimit-Reset` in seconds, and `RateLimit-Policy`.
"""

import logging
from math import ceil
from typing import Final, final

from quart import Request, Websocket

from triolet._domain.addresses import UNIX, customer_of, is_local
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._runtime.binding import peer_of
from triolet._runtime.entrance import Entrance
from triolet._runtime.rates import factor_of
from triolet._runtime.vigilance import Vigilance
from triolet.adapters.memory import MemoryLimiter
from triolet.ports.gate import Identity
from triolet.ports.limiter import Limiter, Quota, Taken, left_of

from ..problems import HeadedRefusal
from .settings import GuardSettings

_log = logging.getLogger("triolet.guard")

RATES: Final = ("read", "write", "auth", "admin", "stream")
# What no class bounds, and requests whose token is not known to be good yet: each may cost a
# signature. Of one address, on this node.
_ANY_RATE: Final = 200.0
_ANY_BURST: Final = 1000
# By these a proxy says for whom it asks.
_PASSED_ON: Final = ("X-Forwarded-For", "Forwarded")


@final
class Guard:
    """See the module.

    Args:
        entrance: the engine's rules and bans.
        limiter: keeps the rates, of all nodes together if it can.
        limits: how much more tiers may ask for.
        settings: what an operator decided.
        vigilance: who behaves like a bot writes less; None: nobody looks for them.
    """

    def __init__(
        self,
        entrance: Entrance,
        limiter: Limiter,
        limits: Limits,
        settings: GuardSettings,
        vigilance: Vigilance | None = None,
    ) -> None:
        self._vigilance = vigilance
        self._rules = entrance.addresses
        self._bans = entrance.bans
        self._entrance = entrance
        self._limiter = limiter
        self._limits = limits
        self._address_factor = settings.address_factor
        self._here = MemoryLimiter()
        # Of a proxy that is not trusted, once.
        self._is_told = False
        # `(rate, burst)` of each class.
        self._rates: dict[str, tuple[float, int]] = {
            name: (getattr(settings, f"{name}_rate"), getattr(settings, f"{name}_burst"))
            for name in RATES
        }

    def address(self, request: Request | Websocket) -> str:
        """Return the client's address, trusted proxies considered."""
        client = request.scope.get("client")
        peer = UNIX if client is None else peer_of(tuple(client))
        headers = request.headers
        if not self._rules.trusts(peer):
            if not self._is_told and is_local(peer) and any(map(headers.get, _PASSED_ON)):
                self._is_told = True
                _log.warning(
                    "a proxy on this machine says for whom it asks, and guard.trusted_proxies does "
                    "not name it: whoever comes by it counts as this machine, without limits"
                )
            return peer
        return self._rules.client(
            peer,
            forwarded_for=", ".join(headers.getlist("X-Forwarded-For")),
            forwarded=", ".join(headers.getlist("Forwarded")),
        )

    async def check(self, *, address: str, identity: Identity | None, rate: str) -> dict[str, str]:
        """Let a request pass; return the headers that tell how many more may.

        Args:
            address: where it comes from.
            identity: who asks; None: it is not known, or does not matter.
            rate: its class; `free`: it has none.

        Raises:
            Refusal: `BANNED`, `RATE_LIMITED` with the same headers, or `STORE_UNAVAILABLE`: it
                is not known who is banned.
        """
        factor = 1.0
        if identity is None:
            # Not more: whether a node lives is asked also while nobody knows who is banned.
            if self._entrance.keeps_out(address):
                raise Refusal(ErrorCode.BANNED)
        else:
            self._bans.check(identity.user, address)
            if self._rules.denies(address):
                raise Refusal(ErrorCode.BANNED)
            factor = factor_of(identity.tier, self._limits)
            if not factor:
                return {}
            if self._vigilance is not None and rate == "write":
                factor *= self._vigilance.factor(identity.user)
        if rate == "free":
            self._check_any(address)
            return {}
        quotas = self._quotas(address, identity, rate, factor)
        taken = self._limiter.take_now(quotas) or await self._limiter.take(quotas)
        if taken.wait_s:
            raise _too_often(quotas, taken)
        return _told(quotas, taken)

    def _check_any(self, address: str) -> None:
        if not self._rules.bounds(address):
            return
        quotas = [Quota(customer_of(address), rate=_ANY_RATE, burst=_ANY_BURST)]
        taken = self._here.take_now(quotas)
        if taken.wait_s:
            raise _too_often(quotas, taken)

    def _quotas(
        self, address: str, identity: Identity | None, rate: str, factor: float
    ) -> list[Quota]:
        per_s, burst = self._rates[rate]
        quotas: list[Quota] = []
        if identity is not None:
            key = f"{rate}:user:{identity.user}"
            quotas.append(Quota(key, rate=per_s * factor, burst=ceil(burst * factor)))
        if self._rules.bounds(address):
            key = f"{rate}:address:{customer_of(address)}"
            many = self._address_factor
            quotas.append(Quota(key, rate=per_s * many, burst=ceil(burst * many)))
        return quotas


def _too_often(quotas: list[Quota], taken: Taken) -> HeadedRefusal:
    return HeadedRefusal(
        ErrorCode.RATE_LIMITED,
        headers=_told(quotas, taken),
        retry_after_ms=int(taken.wait_s * 1000) + 1,
    )


def _told(quotas: list[Quota], taken: Taken) -> dict[str, str]:
    """Return the headers: of the quota of which the least is left."""
    if not quotas:
        return {}
    left, tightest, full_in_s = (
        left_of(quotas[0], taken.full_in_s[0]),
        quotas[0],
        taken.full_in_s[0],
    )
    if len(quotas) > 1 and (other := left_of(quotas[1], taken.full_in_s[1])) < left:
        left, tightest, full_in_s = other, quotas[1], taken.full_in_s[1]
    return {
        "RateLimit-Limit": str(tightest.burst),
        "RateLimit-Remaining": str(left),
        "RateLimit-Reset": str(ceil(full_in_s)),
        "RateLimit-Policy": f"{tightest.burst};w={ceil(tightest.burst / tightest.rate)}",
    }
