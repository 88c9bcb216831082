"""Who is who by JSON Web Tokens: the gate that admits them, and how one is made.

- `TokenGate`: the `Gate` port; HS256 by a secret, RS256, ES256 and EdDSA by public keys.
- `SigningKeys`: keys of one's own, for tokens that others can verify.
- `mint`: a token for `triolet token`, for tests, and for a host's own sign-in.
"""

from .gate import TokenGate as TokenGate
from .jwt import SECRET_BYTES_MIN as SECRET_BYTES_MIN
from .jwt import TOKEN_BYTES_MAX as TOKEN_BYTES_MAX
from .jwt import check_secret as check_secret
from .jwt import encode_segment as encode_segment
from .jwt import mint as mint
from .jwt import sign_hs256 as sign_hs256
from .jwt import write_claims as write_claims
from .keys import KeyRing as KeyRing
from .signing import SigningAlgorithm as SigningAlgorithm
from .signing import SigningKeys as SigningKeys
from .signing import SigningKeysFile as SigningKeysFile
from .signing import new_signing_key as new_signing_key
from .signing import read_signing_keys as read_signing_keys
