"""What these tests share: a browser that can be pushed to, and a way out that records."""

from base64 import urlsafe_b64encode

import http_ece
import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from triolet_api.notifications.outgoing import AddressRefused, Answer


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Browser:
    """Subscribes to pushes, and reads them by an implementation of its own."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._private = ec.generate_private_key(ec.SECP256R1())
        point = self._private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        self.p256dh = base64url(point)
        self._secret = bytes(range(16))
        self.auth = base64url(self._secret)

    @property
    def subscription(self) -> dict[str, object]:
        """What a page sends: `PushSubscription.toJSON()`."""
        keys = {"p256dh": self.p256dh, "auth": self.auth}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, body: bytes) -> dict[str, object]:
        plain = http_ece.decrypt(body, private_key=self._private, auth_secret=self._secret)
        return msgspec.json.decode(plain)


class FakeOutgoing:
    """Sends nothing; answers as it is told: statuses, whole answers, or what is to be raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, bytes, dict[str, str]]] = []
        self.refused: list[str] = []

    async def check(self, url: str) -> None:
        await trio.lowlevel.checkpoint()
        if url in self.refused:
            raise AddressRefused("the host is in a private network")

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        await trio.lowlevel.checkpoint()
        self.sent.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else 201
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(answer, "", b"")
