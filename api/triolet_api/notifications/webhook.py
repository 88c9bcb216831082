"""A webhook: each notice as one signed POST to a service of the operator's own.

`Triolet-Signature: t=1800000000,v1=HEX` where HEX is HMAC-SHA256, by the shared secret, of
`1800000000.` and the body. A receiver computes the same, compares in constant time, and refuses
what is older than a few minutes: `verify` is that, for receivers in Python. The same notice may
come twice; `Idempotency-Key` is the same then.
"""

import hmac
from hashlib import sha256
from typing import Final, final

import msgspec

from triolet.ports.clock import Clock

from ..secret import Secret
from .outgoing import AddressRefused, Outgoing, RequestFailed
from .providers import Again, Gone, Notice, Outcome, Refused, outcome_of

SIGNATURE_HEADER: Final = "Triolet-Signature"
# Clocks differ, and a request is on its way for a while; what is older was recorded by somebody.
REPLAY_WINDOW_S: Final = 300
SECRET_BYTES_MIN: Final = 32


def sign(secret: bytes, body: bytes, *, now: int) -> str:
    """Return the value of `Triolet-Signature`; `now`: s since the epoch.

    >>> sign(b"hunter2", b"{}", now=7)[:16]
    't=7,v1=ac7c79d5c'
    """
    return f"t={now},v1={_digest(secret, body, now)}"


def verify(secret: bytes, body: bytes, signature: str, *, now: int) -> bool:
    """Whether a body was signed with the secret, within the last five minutes.

    Args:
        secret: what sender and receiver share.
        body: the request's, as it came.
        signature: the header `Triolet-Signature`.
        now: s since the epoch.

    >>> verify(b"hunter2", b"{}", sign(b"hunter2", b"{}", now=7), now=8)
    True
    """
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    at, told = parts.get("t", ""), parts.get("v1", "")
    if not (at.isascii() and at.isdigit() and len(at) < 16):
        return False
    if abs(now - int(at)) > REPLAY_WINDOW_S:
        return False
    return hmac.compare_digest(_digest(secret, body, int(at)).encode(), told.encode())


def _digest(secret: bytes, body: bytes, at: int) -> str:
    return hmac.new(secret, f"{at}.".encode() + body, sha256).hexdigest()


@final
class Webhook:
    """Sends notices to one URL.

    Args:
        outgoing: the way to the network.
        url: where.
        secret: what the receiver knows, too.
        clock: for the time in the signature.
    """

    def __init__(self, outgoing: Outgoing, url: str, secret: Secret, clock: Clock) -> None:
        self._outgoing = outgoing
        self._url = url
        self._secret = secret
        self._clock = clock

    async def deliver(self, notice: Notice, *, key: str) -> Outcome:
        """See `Provider`."""
        now = self._clock.now_ms() // 1000
        body = msgspec.json.encode(notice)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            SIGNATURE_HEADER: sign(self._secret.reveal(), body, now=now),
        }
        try:
            answer = await self._outgoing.post(self._url, body, headers)
        except AddressRefused as error:
            return Refused(str(error), is_lasting=True)
        except RequestFailed as error:
            return Again(None, str(error))
        outcome = outcome_of(answer.status, answer.retry_after, now=now)
        # The operator's own service is not gone: it is misconfigured.
        return Refused("answered 404 or 410", is_lasting=True) if outcome == Gone() else outcome
