"""Who is who by JSON Web Tokens: the gate that admits them, and how one is made.

- `TokenGate`: the `Gate` port; HS256 by a secret, RS256, ES256 and EdDSA by public keys.
- `mint`: a token for `triolet token`, for tests, and for a host's own sign-in.
"""

from .gate import TokenGate as TokenGate
from .jwt import SECRET_BYTES_MIN as SECRET_BYTES_MIN
from .jwt import TOKEN_BYTES_MAX as TOKEN_BYTES_MAX
from .jwt import check_secret as check_secret
from .jwt import encode_segment as encode_segment
from .jwt import mint as mint
