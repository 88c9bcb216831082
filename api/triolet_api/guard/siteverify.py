"""What somebody has solved, verified over the network: the one module that knows httpx.

Loaded where an operator has chosen a CAPTCHA: httpx is 80 ms of the second that a start takes.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self, cast, final

import httpx
import msgspec
import trio
from msgspec import Struct

from triolet._runtime.complaint import Complaint

from ..secret import Secret
from .captcha import ANSWER_CHARS_MAX, CaptchaUnavailable

_log = logging.getLogger("triolet.guard")

# What is said of an answer has some hundred bytes.
_RESPONSE_BYTES_MAX: Final = 64 * 1024


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
