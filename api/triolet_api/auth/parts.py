"""Accounts and their endpoints, put together; and what is done for them from time to time."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final, final

import trio
from msgspec import Struct

from triolet._model.errors import ConfigurationError, StoreError
from triolet._model.limits import Limits
from triolet._runtime.engine import Engine
from triolet.ports.clock import Clock, Entropy
from triolet.ports.store import Store

from ..belongings import Belongings
from ..settings import Settings
from .accounts import Accounts
from .administering import Administering
from .administration import AdminAccounts, AdminInvites
from .attempts import Attempts, Unthrottled
from .cookies import RefreshCookie
from .families import Families, Revoke
from .hashing import Hashes, Hashing
from .invites import Invites
from .issuing import Issuer, Signing
from .own import OwnAccount, TokenKeys
from .own_data import OwnData
from .settings import ACCESS_TTL_S_MAX
from .sign_in import Auth
from .signing_in import SigningIn

logger = logging.getLogger(__name__)

# Revocations of families are forgotten so often, and so many in one transaction.
_FORGET_INTERVAL_S: Final = 300
_FORGET_AT_ONCE: Final = 1000


@final
class AuthParts(Struct, frozen=True):
    """What signs people in.

    Attributes:
        cookie: how browsers keep refresh tokens.
        endpoints: objects with endpoints.
    """

    signing_in: SigningIn
    invites: Invites
    hashing: Hashing
    cookie: RefreshCookie
    endpoints: Sequence[object]


def has_accounts(settings: Settings) -> bool:
    """Whether people sign in here: not by default where keys say that others issue tokens.

    Raises:
        ConfigurationError: they shall, and nothing signs their tokens.
    """
    signs = settings.secret is not None or settings.makes_its_secret
    if settings.auth.accounts and not signs:
        raise ConfigurationError("auth.accounts: without `secret` nothing signs their tokens")
    if settings.auth.accounts is None:
        return signs and not settings.keys and settings.jwks is None
    return settings.auth.accounts


def make_auth(
    store: Store,
    revoke: Revoke,
    settings: Settings,
    *,
    signing: Signing,
    attempts: Attempts,
    clock: Clock,
    entropy: Entropy,
    hashes: Hashes | None = None,
) -> AuthParts:
    """Put together what signs people in.

    Args:
        store: where accounts and families are kept.
        revoke: ends sessions and access tokens (`Engine.revoke`).
        settings: what an operator decided.
        signing: signs access tokens, and refresh tokens by its secret.
        attempts: throttles guessing.
        clock: when.
        entropy: the source of names.
        hashes: of passwords; argon2id if not given.
    """
    auth, documents = settings.auth, store.documents
    hashing = Hashing(auth, hashes)
    accounts = Accounts(documents, store, hashing, clock=clock, settings=auth)
    families = Families(
        documents,
        revoke,
        clock=clock,
        entropy=entropy,
        settings=auth,
        secret=signing.secret.reveal(),
    )
    issuer = Issuer(
        signing,
        settings=auth,
        issuer=settings.issuer,
        audience=settings.audience[0] if settings.audience else "",
    )
    signing_in = SigningIn(accounts, families, issuer, store, revoke=revoke, clock=clock)
    invites = Invites(documents, clock=clock, entropy=entropy)
    cookie = RefreshCookie(
        is_allowed=auth.refresh_cookie, ttl_days=auth.refresh_ttl_days, origins=settings.origins
    )
    endpoints = (
        Auth(signing_in, invites, attempts, cookie, auth.registration),
        OwnAccount(signing_in, attempts, cookie),
        TokenKeys(issuer),
        AdminAccounts(Administering(accounts, families, revoke)),
        AdminInvites(invites),
    )
    return AuthParts(signing_in, invites, hashing, cookie, endpoints)


async def open_accounts(
    engine: Engine,
    settings: Settings,
    signing: Signing,
    belongings: Belongings,
    attempts: Attempts | None = None,
) -> Sequence[object]:
    """Return the endpoints of accounts, around a running engine."""
    attempts = attempts or Unthrottled()
    parts = make_auth(
        engine.store,
        engine.revoke,
        settings,
        signing=signing,
        attempts=attempts,
        clock=engine.clock,
        entropy=engine.entropy,
    )
    await parts.hashing.prepare()
    engine.spawn(partial(forget_families, engine.store, engine.clock, engine.limits))
    data = OwnData(parts.signing_in, attempts, parts.cookie, belongings)
    return (*parts.endpoints, data)


async def forget_families(store: Store, clock: Clock, limits: Limits) -> None:
    """Forget, for as long as it runs, revoked families of which no access token lives any more."""
    lifetime_ms = round(1000 * (ACCESS_TTL_S_MAX + limits.token_leeway_s))
    while True:
        older_than = clock.now_ms() - lifetime_ms
        try:
            while await store.forget_revocations(older_than=older_than, limit=_FORGET_AT_ONCE):
                await trio.lowlevel.checkpoint()
        except StoreError as error:
            logger.warning("ended sign-ins are kept in memory for longer: %s", error)
        await trio.sleep(_FORGET_INTERVAL_S)
