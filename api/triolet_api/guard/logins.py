"""Guessing of passwords is slowed down, and nobody is locked out by somebody else's guesses.

What a user tries from one address gets slower in steps, from seconds to an hour. What is tried
as one user from all addresses is bounded too, loosely, since others may try it to keep the user
out: it takes a CAPTCHA then, where there is one, and does not count from an address from which
the user has signed in before. All of it is kept by the limiter, so that it holds over nodes.
"""

from collections.abc import Callable
from typing import Final, Protocol, final

from triolet._domain.addresses import AddressRules, customer_of
from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.limiter import Limiter, Quota, left_of

from .captcha import Captcha, CaptchaUnavailable

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

# `(how many at once, how many a second)`: five tries, then one each half a minute, from the
# tenth one on each five minutes, from the twentieth on each hour.
_PAIR: Final = ((5, 1 / 30), (10, 1 / 300), (20, 1 / _HOUR_S))
# Failures of one user from anywhere, and of one address as anybody: an office forgets, too.
_USER: Final = (100, 100 / _HOUR_S)
_ADDRESS: Final = (60, 60 / _HOUR_S)
# Accounts made from one address: a class that signs up together, and no more.
_REGISTER: Final = ((30, 30 / _HOUR_S), (100, 100 / _DAY_S))
# Since when somebody has signed in from an address.
_KNOWN: Final = (1, 1 / (30 * _DAY_S))
# Failures are forgotten so long after the last one, as far as CAPTCHAs are asked for.
_CAPTCHA_S: Final = _HOUR_S
_UNAVAILABLE_MS: Final = 10_000


class Attempted(Protocol):
    """Somebody tries to show who they are: see `auth.attempts.Attempt`."""

    @property
    def kind(self) -> str:
        """`login`, `password`, or `register`."""
        ...

    @property
    def user(self) -> str:
        """As whom."""
        ...

    @property
    def address(self) -> str:
        """From where."""
        ...

    @property
    def captcha(self) -> str:
        """What they have solved, if anything."""
        ...


@final
class Logins:
    """See the module; asked before any password is hashed.

    Args:
        limiter: keeps the counts; of its own, so that nothing else makes it forget them.
        rules: whose address is bounded.
        captcha: None: there is none.
        captcha_failures: failures after which one is asked for.
        captcha_fail_open: whether who answers one passes while it cannot be verified.
        registered: called with the address from which an account was made.
    """

    def __init__(
        self,
        limiter: Limiter,
        rules: AddressRules,
        captcha: Captcha | None = None,
        *,
        captcha_failures: int = 3,
        captcha_fail_open: bool = False,
        registered: Callable[[str], None] | None = None,
    ) -> None:
        self._limiter = limiter
        self._rules = rules
        self._captcha = captcha
        self._captcha_rate = (captcha_failures, captcha_failures / _CAPTCHA_S)
        self._captcha_fail_open = captcha_fail_open
        self._registered = registered

    async def check(self, attempt: Attempted) -> None:
        """Let an attempt pass, and count it.

        Raises:
            Refusal: `RATE_LIMITED`, or `CAPTCHA_REQUIRED`: with it, it may pass.
        """
        if attempt.kind == "register":
            takes_captcha = True
            quotas = [self._of_address("register", attempt, rate) for rate in _REGISTER]
            quotas = quotas if self._is_bounded(attempt) else []
        else:
            takes_captcha = await self._is_suspicious(attempt)
            quotas = self._pair(attempt)
        if self._captcha is not None and takes_captcha and not attempt.captcha:
            raise _captcha_required()
        taken = await self._limiter.take(quotas)
        if taken.wait_s:
            raise _too_often(taken.wait_s)
        if self._captcha is not None and takes_captcha:
            await self._verify(self._captcha, attempt)

    async def failed(self, attempt: Attempted) -> None:
        """Know that an attempt has failed."""
        quotas = [self._of_user("captcha-user", attempt, self._captcha_rate)]
        if attempt.kind != "register":
            quotas.append(self._of_user("failed-user", attempt, _USER))
        if self._is_bounded(attempt):
            quotas.append(self._of_address("failed-address", attempt, _ADDRESS))
            quotas.append(self._of_address("captcha-address", attempt, self._captcha_rate))
        for quota in quotas:
            # One by one: those that are exhausted must not keep the others from counting.
            await self._limiter.take([quota])

    async def succeeded(self, attempt: Attempted) -> None:
        """Know that an attempt has not failed: from this address they are known."""
        await self._limiter.refill([quota.key for quota in self._pair(attempt)])
        await self._limiter.take([self._known(attempt)])
        if self._registered is not None and attempt.kind == "register":
            self._registered(attempt.address)

    async def _is_suspicious(self, attempt: Attempted) -> bool:
        """Return whether it takes a CAPTCHA, if there is one.

        Raises:
            Refusal: `RATE_LIMITED`: too many have failed, and there are no CAPTCHAs.
        """
        user = self._of_user("failed-user", attempt, _USER)
        address = self._of_address("failed-address", attempt, _ADDRESS)
        few = [
            self._of_user("captcha-user", attempt, self._captcha_rate),
            self._of_address("captcha-address", attempt, self._captcha_rate),
        ]
        quotas = [self._known(attempt), user, address, *few]
        full_in_s = (await self._limiter.take(quotas, 0)).full_in_s
        is_over = [not left_of(quota, at) for quota, at in zip(quotas, full_in_s, strict=True)]
        is_known, is_user_over, is_address_over, *are_few_over = is_over
        if is_address_over or (is_user_over and not is_known):
            if self._captcha is None or is_address_over:
                over = zip((user, address), full_in_s[1:3], is_over[1:3], strict=True)
                raise _too_often(max(_wait_s(one, at) for one, at, is_it in over if is_it))
            return True
        return any(are_few_over)

    async def _verify(self, captcha: Captcha, attempt: Attempted) -> None:
        try:
            is_good = await captcha.verify(attempt.captcha, attempt.address)
        except CaptchaUnavailable:
            if self._captcha_fail_open:
                return
            message = "the CAPTCHA cannot be verified now"
            raise Refusal(ErrorCode.RATE_LIMITED, message, retry_after_ms=_UNAVAILABLE_MS) from None
        if not is_good:
            raise _captcha_required()

    def _is_bounded(self, attempt: Attempted) -> bool:
        return self._rules.bounds(attempt.address)

    def _pair(self, attempt: Attempted) -> list[Quota]:
        place = customer_of(attempt.address)
        return [
            Quota(f"try:{burst}:{attempt.user}:{place}", rate=rate, burst=burst)
            for burst, rate in _PAIR
        ]

    def _known(self, attempt: Attempted) -> Quota:
        burst, rate = _KNOWN
        key = f"known:{attempt.user}:{customer_of(attempt.address)}"
        return Quota(key, rate=rate, burst=burst)

    def _of_user(self, name: str, attempt: Attempted, rate: tuple[int, float]) -> Quota:
        return Quota(f"{name}:{attempt.user}", rate=rate[1], burst=rate[0])

    def _of_address(self, name: str, attempt: Attempted, rate: tuple[int, float]) -> Quota:
        key = f"{name}:{rate[0]}:{customer_of(attempt.address)}"
        return Quota(key, rate=rate[1], burst=rate[0])


def _wait_s(quota: Quota, full_in_s: float) -> float:
    """Return how long it is until one more is admitted."""
    return full_in_s - (quota.burst - 1) / quota.rate


def _too_often(wait_s: float) -> Refusal:
    message = "too many attempts; wait before the next one"
    return Refusal(ErrorCode.RATE_LIMITED, message, retry_after_ms=int(1000 * wait_s) + 1)


def _captcha_required() -> Refusal:
    return Refusal(ErrorCode.CAPTCHA_REQUIRED, "solve a CAPTCHA, and send what it says")
