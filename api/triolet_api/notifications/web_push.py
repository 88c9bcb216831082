"""Web Push (RFC 8030): one notice to one device, encrypted, and signed by the server's key."""

from hashlib import sha256
from typing import Final, final

import msgspec
from msgspec import structs

from triolet.ports.clock import Clock

from .devices import Device
from .encryption import PLAINTEXT_BYTES_MAX, encrypt
from .outgoing import AddressRefused, Outgoing, RequestFailed
from .providers import Again, Notice, Outcome, Refused, outcome_of
from .vapid import VapidKey, base64url

# A message that is a day old is read in the app, if at all.
_CUT: Final = "…"


def topic_of(tag: str) -> str:
    """Return the `Topic` of a tag: 32 characters of base64url, which tell nothing of it.

    >>> len(topic_of("dm:anna:ben"))
    32
    """
    return base64url(sha256(b"topic:" + tag.encode()).digest())[:32]


def payload_of(notice: Notice, *, bytes_max: int = PLAINTEXT_BYTES_MAX) -> bytes:
    """Return a notice as JSON of at most `bytes_max`: its text, then its title is cut for it.

    Where that is not enough it leads nowhere: a character of a URL may be six bytes of JSON.

    >>> payload_of(Notice(kind="host", user="anna", text="hello"))
    b'{"kind":"host","user":"anna","text":"hello"}'
    """
    payload = msgspec.json.encode(notice)
    for name in ("text", "title", "url"):
        while len(payload) > bytes_max and (said := getattr(notice, name)):
            # Each character is at least one byte.
            keep = max(len(said) - max(len(payload) - bytes_max, 16), 0)
            rest = said[:keep] + _CUT if keep and name != "url" else ""
            notice = structs.replace(notice, **{name: rest})
            payload = msgspec.json.encode(notice)
    assert len(payload) <= bytes_max, "what is left is made of names"
    return payload


@final
class WebPush:
    """Sends to devices.

    Args:
        outgoing: the way to the network.
        key: the server's.
        subject: whom a push service may ask.
        clock: for the tokens.
        ttl_s: how long a push service keeps what a device that is off cannot take.
    """

    def __init__(
        self, outgoing: Outgoing, key: VapidKey, *, subject: str, clock: Clock, ttl_s: int
    ) -> None:
        self._outgoing = outgoing
        self._key = key
        self._subject = subject
        self._clock = clock
        self._ttl_s = ttl_s

    async def push(self, device: Device, notice: Notice) -> Outcome:
        """Send a notice to a device, and say what came of it."""
        now = self._clock.now_ms() // 1000
        headers = {
            "Authorization": self._key.authorization(
                device.endpoint, subject=self._subject, now=now
            ),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(self._ttl_s),
            "Urgency": notice.urgency,
        }
        if notice.tag:
            headers["Topic"] = topic_of(notice.tag)
        body = encrypt(payload_of(notice), device.keys)
        try:
            answer = await self._outgoing.post(device.endpoint, body, headers)
        except AddressRefused as error:
            return Refused(str(error), is_lasting=True)
        except RequestFailed as error:
            return Again(None, str(error))
        return outcome_of(answer.status, answer.retry_after, now=now)
