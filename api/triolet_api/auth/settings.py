"""What an operator decides of accounts."""

from typing import Annotated, Literal, TypeAlias, final

from msgspec import Meta, Struct

Registration: TypeAlias = Literal["open", "invite", "closed"]
Algorithm: TypeAlias = Literal["HS256", "EdDSA", "ES256"]

# Access tokens live this long at most, so that an ended family is remembered no longer.
ACCESS_TTL_S_MAX = 3600


@final
class AuthSettings(Struct, frozen=True, kw_only=True):
    """Accounts and the tokens they get.

    Attributes:
        accounts: whether people sign in here; None: unless `keys` or `jwks` say that tokens come
            from elsewhere.
        registration: who may register: anybody, who has an invite, or nobody.
        algorithm: what signs access tokens; `EdDSA` and `ES256` have keys that others can verify
            by, made on the first start and kept beside the secret.
        access_ttl_s: how long an access token is good for.
        refresh_ttl_days: how long a refresh token is good for, if it is not used.
        family_ttl_days: how long a sign-in lasts at most, however often it is refreshed.
        families_max: sign-ins of a user at once; the one unused for longest ends.
        reuse_grace_s: how long the token that was just replaced is answered as before: an answer
            got lost, or two tabs asked at once. 0: not at all.
        password_length_min: characters of a password.
        hash_memory_kib, hash_passes, hash_lanes: argon2id's parameters; a password hashed by
            others is hashed anew when its owner signs in.
        hash_concurrency: passwords hashed at once, each with its memory and a processor.
        hash_queue_max: passwords that wait for their turn; more are told to come back.
        refresh_cookie: whether a browser may ask for its refresh token as a cookie.
    """

    accounts: bool | None = None
    registration: Registration = "open"
    algorithm: Algorithm = "HS256"
    access_ttl_s: Annotated[int, Meta(ge=10, le=ACCESS_TTL_S_MAX)] = 900
    refresh_ttl_days: Annotated[float, Meta(gt=0, le=3650)] = 30
    family_ttl_days: Annotated[float, Meta(gt=0, le=36500)] = 365
    families_max: Annotated[int, Meta(ge=1, le=500)] = 32
    reuse_grace_s: Annotated[float, Meta(ge=0, le=60)] = 10
    # NIST SP 800-63B wants 8 at least.
    password_length_min: Annotated[int, Meta(ge=8, le=64)] = 10
    # OWASP's parameters: 28 ms of one core here; RFC 9106's second choice (64 MiB, 3 passes,
    # 4 lanes) takes 228 ms, which a server that also delivers messages has not.
    hash_memory_kib: Annotated[int, Meta(ge=8192, le=1_048_576)] = 19_456
    hash_passes: Annotated[int, Meta(ge=1, le=32)] = 2
    hash_lanes: Annotated[int, Meta(ge=1, le=16)] = 1
    hash_concurrency: Annotated[int, Meta(ge=1, le=64)] = 2
    # Half a second of work for two threads.
    hash_queue_max: Annotated[int, Meta(ge=1, le=1024)] = 32
    refresh_cookie: bool = False
