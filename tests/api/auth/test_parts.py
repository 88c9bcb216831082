"""Law: accounts are there where something signs their tokens, and nowhere else."""

from pathlib import Path

import pytest
import trio
from auth_house import SECRET

from triolet._model.errors import ConfigurationError, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.memory import open_memory_store
from triolet.embedded import open_engine
from triolet.ports.people import Revocation
from triolet.testing.contracts.home import StandingClock
from triolet.testing.entropy import CountingEntropy
from triolet_api.auth.issuing import Signing
from triolet_api.auth.parts import forget_families, has_accounts
from triolet_api.auth.settings import ACCESS_TTL_S_MAX, AuthSettings
from triolet_api.composition import open_api
from triolet_api.secret import Secret
from triolet_api.settings import Settings

OWN = Secret(SECRET)
JWKS = Path("jwks.json")


@pytest.mark.parametrize(
    ("accounts", "others", "expected"),
    [
        (None, {}, True),
        (None, {"secret": OWN}, True),
        (None, {"jwks": JWKS}, False),
        (None, {"secret": OWN, "jwks": JWKS}, False),
        (None, {"secret": OWN, "keys": (JWKS,)}, False),
        (True, {"secret": OWN, "jwks": JWKS}, True),
        (False, {}, False),
    ],
)
def test_whether_there_are_any(accounts, others, expected):
    """Not by default where tokens come from elsewhere."""
    settings = Settings(auth=AuthSettings(accounts=accounts), **others)
    assert has_accounts(settings) is expected


def test_there_are_none_without_a_secret():
    with pytest.raises(ConfigurationError, match=r"auth\.accounts"):
        has_accounts(Settings(auth=AuthSettings(accounts=True), jwks=JWKS))


@pytest.mark.parametrize("accounts", [True, False])
async def test_where_there_are_none_there_are_no_routes(serving, accounts):
    settings, signing = Settings(auth=AuthSettings(accounts=accounts)), Signing(Secret(SECRET))
    async with (
        open_engine() as engine,
        open_api(engine, settings, signing) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        for path in ("login", "register", "refresh", "logout", "keys", "me"):
            answer = await client.get(f"/v1/auth/{path}")
            assert (answer.status_code == 404) is not accounts
        assert any("/v1/auth" in one.path for one in api.endpoints) is accounts


async def test_families_are_forgotten_when_no_token_of_them_lives(autojump_clock):
    """Users are not, and a store that is away is asked again."""
    clock = StandingClock()
    async with open_memory_store(clock=clock, entropy=CountingEntropy()) as store:
        for subject in ("anna", "sid:anna:old", *(f"sid:ben:{i}" for i in range(2500))):
            await store.revoke(Revocation(subject, clock.ms))
        await store.revoke(Revocation("sid:anna:new", clock.ms + 60_000))
        forget, errors = store.forget_revocations, [StoreUnavailable("away")]

        async def fails_once(**how):
            if errors:
                raise errors.pop()
            return await forget(**how)

        store.forget_revocations = fails_once
        clock.ms += round(1000 * (ACCESS_TTL_S_MAX + Limits().token_leeway_s)) + 1
        with trio.move_on_after(301):
            await forget_families(store, clock, Limits())
        left = await store.revocations(since=0, after=None, limit=9)
        assert [one.subject for one in left] == ["anna", "sid:anna:new"]
