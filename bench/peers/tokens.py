"""HS256 tokens, minted with nothing but `hmac`: the generator trusts nobody's library."""

import base64
import hmac
import json
import time
from typing import Final

_TTL_S: Final = 3600


def mint(secret: str, user: str, tier: str = "service") -> str:
    """Return a token; Triolet's rate limits leave those of tier `service` alone."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + _TTL_S, "tier": tier}
    signed = ".".join(_segment(part) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.digest(secret.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _segment(part: dict[str, object]) -> str:
    text = json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
