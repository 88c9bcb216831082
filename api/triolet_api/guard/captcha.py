"""CAPTCHAs: what a person has solved, verified by whoever set it."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Final, Protocol, Self, cast, final

import httpx
import msgspec
import trio
from msgspec import Struct

from triolet._runtime.complaint import Complaint

from ..secret import Secret

_log = logging.getLogger("triolet.guard")

# Where answers are verified: the request is the same at both.
URLS: Final = {
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    "hcaptcha": "https://api.hcaptcha.com/siteverify",
}
# Answers are up to 2 KiB at one, some 4 KiB at the other.
ANSWER_CHARS_MAX: Final = 8192
# What is said of an answer has some hundred bytes.
_RESPONSE_BYTES_MAX: Final = 64 * 1024


@final
class CaptchaUnavailable(Exception):
    """Whoever verifies answers cannot be asked."""


class Captcha(Protocol):
    """Verifies what somebody has solved."""

    async def verify(self, answer: str, address: str) -> bool:
        """Return whether an answer is good; each is, once.

        Raises:
            CaptchaUnavailable: that cannot be found out.
        """
        ...


@final
class _Verdict(Struct, frozen=True):
    success: bool
    codes: tuple[str, ...] = msgspec.field(name="error-codes", default=())


_verdict: Final = msgspec.json.Decoder(_Verdict)
# Faults of ours, not of who answers.
_OURS: Final = ("missing-input-secret", "invalid-input-secret", "bad-request", "internal-error")


@final
class SiteVerify:
    """Asks by the request that Turnstile and hCaptcha share; an async context manager.

    Args:
        url: where.
        secret: says for which site.
        timeout_s: of one request, as a whole.
        transport: the way there, if not the network.
    """

    def __init__(
        self,
        url: str,
        secret: Secret,
        *,
        timeout_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        # Proxies of the environment are none that an operator chose for this.
        self._client = httpx.AsyncClient(timeout=timeout_s, transport=transport, trust_env=False)
        self._complaint = Complaint(_log, now=trio.current_time)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def verify(self, answer: str, address: str) -> bool:
        """See `Captcha`."""
        if not answer or len(answer) > ANSWER_CHARS_MAX:
            await trio.lowlevel.checkpoint()
            return False
        fields = {"secret": self._secret.reveal().decode(), "response": answer}
        if address:
            fields["remoteip"] = address
        try:
            with trio.fail_after(self._timeout_s):
                verdict = _verdict.decode(await self._post(fields))
        except (trio.TooSlowError, httpx.HTTPError, msgspec.DecodeError) as error:
            # Never the request: it holds the secret.
            raise self._unavailable(type(error).__name__) from None
        if not verdict.success and any(code in _OURS for code in verdict.codes):
            raise self._unavailable(", ".join(verdict.codes)[:200])
        self._complaint.over("CAPTCHAs can be verified again")
        return verdict.success

    async def _post(self, fields: dict[str, str]) -> bytes:
        async with self._client.stream("POST", self._url, data=fields) as response:
            response.raise_for_status()
            body = b""
            # As it is: an async generator, which has to be closed where it is left early.
            whole = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
            async with aclosing(whole) as pieces:
                async for piece in pieces:
                    body += piece
                    if len(body) > _RESPONSE_BYTES_MAX:
                        raise httpx.DecodingError("the answer is too long")
        return body

    def _unavailable(self, why: str) -> CaptchaUnavailable:
        self._complaint.again(f"CAPTCHAs cannot be verified: {why}")
        return CaptchaUnavailable(why)


@final
class RecordedCaptcha:
    """Takes the answers it was given, each once: for tests, and for trying a page out.

    Attributes:
        good: answers that are good.
        asked: what was asked, `(answer, address)`.
        is_gone: nothing can be found out.
    """

    def __init__(self, *good: str) -> None:
        self.good = list(good)
        self.asked: list[tuple[str, str]] = []
        self.is_gone = False

    async def verify(self, answer: str, address: str) -> bool:
        """See `Captcha`."""
        await trio.lowlevel.checkpoint()
        self.asked.append((answer, address))
        if self.is_gone:
            raise CaptchaUnavailable("gone")
        if answer not in self.good:
            return False
        self.good.remove(answer)
        return True
