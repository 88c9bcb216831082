"""Who behaves like a bot shows that they are none, and may write again, on every node.

What they did is known to each node alone (`Vigilance`), so that they have shown it goes by the
store: a document that lives for a moment, which nodes that hold somebody back look for.
"""

import logging
from typing import Final, final

import trio

from triolet._model.errors import ErrorCode, Refusal, StoreError
from triolet._runtime.vigilance import Vigilance
from triolet.ports.clock import Clock
from triolet.ports.documents import CHANGES_MAX, Change, Documents

from ..endpoints import Access, Call, endpoint
from .captcha import Captcha, CaptchaUnavailable

logger = logging.getLogger(__name__)

_PREFIX: Final = "pardon/"
# Nodes look so often, and what they look for lives long enough to be found by all.
_INTERVAL_S: Final = 1.0
_KEPT_MS: Final = 10_000
_CHARACTERS_MAX: Final = 8192
_UNAVAILABLE_MS: Final = 10_000


@final
class Pardons:
    """See the module."""

    def __init__(
        self, documents: Documents, clock: Clock, vigilance: Vigilance, captcha: Captcha
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._vigilance = vigilance
        self._captcha = captcha

    @endpoint(
        "POST",
        "/v1/guard/captcha",
        access=Access.USER,
        rate="auth",
        refuses=(ErrorCode.CAPTCHA_REQUIRED, ErrorCode.STORE_UNAVAILABLE),
    )
    async def solve(self, call: Call) -> None:
        """Show that I am no bot, after `captcha_required`: its answer is the header `X-Captcha`.

        Which CAPTCHA it is tells `GET /v1/auth/captcha`. Other nodes know it within a second.
        """
        answer = (call.header("X-Captcha") or "")[:_CHARACTERS_MAX]
        if not answer or not await self._is_good(answer, call.address):
            raise Refusal(ErrorCode.CAPTCHA_REQUIRED, "solve a CAPTCHA, and send what it says")
        user = call.identity.user
        self._vigilance.pardon(user)
        expires_at = self._clock.now_ms() + _KEPT_MS
        await self._documents.write([Change(_PREFIX + user, b"", None, expires_at)])

    async def _is_good(self, answer: str, address: str) -> bool:
        try:
            return await self._captcha.verify(answer, address)
        except CaptchaUnavailable:
            message = "the CAPTCHA cannot be verified now"
            raise Refusal(ErrorCode.RATE_LIMITED, message, retry_after_ms=_UNAVAILABLE_MS) from None

    async def run(self) -> None:
        """Look for what was shown on other nodes, while anybody is held back here."""
        while True:
            await trio.sleep(_INTERVAL_S)
            suspects = self._vigilance.suspects()
            try:
                for start in range(0, len(suspects), CHANGES_MAX):
                    await self._look(suspects[start : start + CHANGES_MAX])
            except StoreError as error:
                logger.info("who is no bot is looked for again: %s", error)

    async def _look(self, users: list[str]) -> None:
        found = await self._documents.read([_PREFIX + user for user in users])
        for user, pardon in zip(users, found, strict=True):
            if pardon is not None:
                self._vigilance.pardon(user)
