"""Who tries to sign in, and how often: what the guard says of it."""

from typing import Literal, Protocol, TypeAlias, final

from msgspec import Struct

Kind: TypeAlias = Literal["login", "register", "password"]


@final
class Attempt(Struct, frozen=True, kw_only=True):
    """Somebody tries to show who they are.

    Attributes:
        kind: what they try.
        user: as whom, lower case.
        address: from where.
        captcha: what they have solved, if anything (`X-Captcha`).
    """

    kind: Kind
    user: str
    address: str
    captcha: str = ""


class Attempts(Protocol):
    """Throttles guessing; asked before any password is hashed."""

    async def check(self, attempt: Attempt) -> None:
        """Let an attempt pass.

        Raises:
            Refusal: `RATE_LIMITED`: too many have failed; `CAPTCHA_REQUIRED`: with one it passes.
        """
        ...

    async def failed(self, attempt: Attempt) -> None:
        """Know that it has failed."""
        ...

    async def succeeded(self, attempt: Attempt) -> None:
        """Know that it has not."""
        ...


@final
class Unthrottled:
    """Lets everything pass: for tests, and where something in front counts."""

    async def check(self, attempt: Attempt) -> None:
        """See `Attempts`."""

    async def failed(self, attempt: Attempt) -> None:
        """See `Attempts`."""

    async def succeeded(self, attempt: Attempt) -> None:
        """See `Attempts`."""
