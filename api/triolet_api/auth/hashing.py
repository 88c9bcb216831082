"""Password hashes: argon2id in threads of its own, so many at once, and so many that wait.

Memory is bounded by concurrency: two hashes at once of 19 MiB are 38 MiB, whoever asks.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar, final

import trio
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from triolet._model.errors import ErrorCode, Refusal

from .passwords import normal
from .settings import AuthSettings

T = TypeVar("T")

# Whose turn does not come within this has asked at a bad time.
_RETRY_AFTER_MS: Final = 2000


class Hashes(Protocol):
    """Hashes one password at a time, in whatever thread it is called."""

    def hash(self, password: str) -> str:
        """Return a hash with its salt and parameters."""
        ...

    def verify(self, hashed: str, password: str) -> bool:
        """Whether it is the password's."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than it would be now."""
        ...


@final
class Argon2:
    """argon2id with the operator's parameters (RFC 9106), 16 bytes of salt, 32 of hash."""

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.hash_passes,
            memory_cost=settings.hash_memory_kib,
            parallelism=settings.hash_lanes,
            type=Type.ID,
        )

    def hash(self, password: str) -> str:
        """See `Hashes`."""
        return self._hasher.hash(password)

    def verify(self, hashed: str, password: str) -> bool:
        """See `Hashes`; what is no hash of ours is nobody's."""
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, hashed: str) -> bool:
        """See `Hashes`."""
        return self._hasher.check_needs_rehash(hashed)


@final
class Verdict(Struct, frozen=True):
    """What became of a password.

    Attributes:
        is_right: it is the one.
        renewed: its hash with the present parameters, where the old one had others.
    """

    is_right: bool
    renewed: str | None = None


@final
class Hashing:
    """See the module.

    Args:
        settings: how many at once, and how many wait.
        hashes: what hashes; argon2id if not given.
    """

    def __init__(self, settings: AuthSettings, hashes: Hashes | None = None) -> None:
        self._hashes: Hashes = hashes or Argon2(settings)
        self._limiter = trio.CapacityLimiter(settings.hash_concurrency)
        self._waiting_max = settings.hash_queue_max
        # Nobody's: compared with where there is no account, so that it takes as long.
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a new password.

        Raises:
            Refusal: `RATE_LIMITED`: too many wait already.
        """
        return await self._run(lambda: self._hashes.hash(normal(password)))

    async def verify(self, hashed: str | None, password: str) -> Verdict:
        """Compare a password with its hash; None: there is none, and it takes as long.

        Raises:
            Refusal: as `hash`.
        """

        def compare() -> Verdict:
            known, plain = hashed or self._nobodys(), normal(password)
            is_right = self._hashes.verify(known, plain) and hashed is not None
            if is_right and self._hashes.is_outdated(known):
                return Verdict(is_right=True, renewed=self._hashes.hash(plain))
            return Verdict(is_right=is_right)

        return await self._run(compare)

    async def prepare(self) -> None:
        """Make what the first failure would take twice as long without."""
        await self._run(self._nobodys)

    def _nobodys(self) -> str:
        if self._dummy is None:
            self._dummy = self._hashes.hash("nobody's password")
        return self._dummy

    async def _run(self, work: Callable[[], T]) -> T:
        statistics = self._limiter.statistics()
        if statistics.tasks_waiting >= self._waiting_max:
            raise Refusal(
                ErrorCode.RATE_LIMITED,
                "too many people sign in at this moment",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        return await trio.to_thread.run_sync(work, limiter=self._limiter)
