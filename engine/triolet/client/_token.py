"""Where a client's token comes from, and when it is asked for again."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

TokenProvider: TypeAlias = Callable[[], str | Awaitable[str]]


@final
class TokenSource:
    """The present token, and the provider that can make another.

    A provider is asked at first use and after `spend`, not at each reconnection:
    asking may cost a round trip to an identity service.
    """

    def __init__(self, token: str | TokenProvider | None) -> None:
        self._provider = token if callable(token) else None
        self._present = None if callable(token) else token

    @property
    def is_renewable(self) -> bool:
        """Whether another token can be had."""
        return self._provider is not None

    def spend(self) -> None:
        """Forget the present token, so that the provider is asked; no effect without one."""
        if self._provider is not None:
            self._present = None

    def keep(self, token: str) -> None:
        """Take `token` as the present one."""
        self._present = token

    async def current(self) -> str | None:
        """Return the present token, asking the provider if there is none.

        Raises:
            Exception: whatever the provider raises.
        """
        if self._present is None and self._provider is not None:
            answer = self._provider()
            self._present = await answer if inspect.isawaitable(answer) else answer
        return self._present
