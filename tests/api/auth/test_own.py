"""Law: who is signed in sees and ends their own sign-ins, and nobody else's."""

import base64
import json

import pytest
from auth_house import PASSWORD, ended, open_house, reason
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from triolet.adapters.tokens import SigningKeys, new_signing_key

NEW = "another horse"


@pytest.fixture
async def house():
    async with open_house() as house:
        yield house


async def test_i_am_who_my_token_says(house):
    """Also where it comes from no account."""
    me = (await house.call("GET", "/auth/me", token=house.root())).json()
    assert (me["user"], me["roles"], me["session"]) == ("root", ["admin"], "")
    assert reason(await house.call("GET", "/auth/me")) == (401, "unauthenticated")


async def test_my_sign_ins_are_listed(house):
    agent = {"User-Agent": "Browser/" * 100}
    first = await house.sign_up(device="phone", headers=agent)
    second = await house.sign_in(device="desk")
    await house.sign_up("ben")
    found = await house.call("GET", "/auth/sessions", token=second["access_token"])
    listed = {one["device"]: one for one in found.json()["sessions"]}
    assert sorted(listed) == ["desk", "phone"]
    assert [listed[name]["is_current"] for name in ("phone", "desk")] == [False, True]
    assert listed["phone"]["agent"] == ("Browser/" * 100)[:200]
    assert listed["phone"]["network"] == "127.0.0.0/24"
    assert listed["phone"]["id"] == first["refresh_token"].split(":")[1]


async def test_i_end_one_of_mine_and_nobody_elses(house):
    lost, kept, bens = await house.sign_up(), await house.sign_in(), await house.sign_up("ben")
    async with house.connect(lost["access_token"]) as client:
        path = f"/auth/sessions/{lost['refresh_token'].split(':')[1]}"
        other = await house.call("DELETE", path, token=bens["access_token"])
        assert reason(other) == (404, "no_such_entry")
        answer = await house.call("DELETE", path, token=kept["access_token"])
        assert answer.status_code == 204
        assert await ended(client) == 4001
    assert (await house.refresh(lost["refresh_token"])).status_code == 401
    assert await house.is_in(kept["access_token"])


async def test_logging_out_everywhere_ends_all_of_mine(house):
    tokens = [await house.sign_up(), await house.sign_in()]
    bens = await house.sign_up("ben")
    answer = await house.post("/auth/logout-all", token=tokens[0]["access_token"])
    assert answer.status_code == 204
    for one in tokens:
        assert not await house.is_in(one["access_token"])
        assert (await house.refresh(one["refresh_token"])).status_code == 401
    assert await house.is_in(bens["access_token"])
    again = await house.sign_in()
    assert await house.is_in(again["access_token"])


class TestPassword:
    async def test_the_other_sign_ins_end(self, house):
        mine, other = await house.sign_up(), await house.sign_in()
        token = mine["access_token"]
        answer = await house.post("/auth/password", token=token, old=PASSWORD, new=NEW)
        assert answer.status_code == 204
        assert await house.is_in(token)
        assert not await house.is_in(other["access_token"])
        assert (await house.refresh(mine["refresh_token"])).status_code == 200
        old = await house.post("/auth/login", user="anna", password=PASSWORD)
        assert reason(old) == (401, "unauthenticated")
        assert (await house.post("/auth/login", user="anna", password=NEW)).status_code == 200

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("wrong horse", NEW, (403, "forbidden")),
            (PASSWORD, "short", (422, "invalid_field")),
            (PASSWORD, "qwertyuiop", (422, "invalid_field")),
        ],
    )
    async def test_what_does_not_do_changes_nothing(self, house, old, new, why):
        token = (await house.sign_up())["access_token"]
        assert reason(await house.post("/auth/password", token=token, old=old, new=new)) == why
        await house.sign_in()

    async def test_who_has_no_account_has_no_password(self, house):
        answer = await house.post("/auth/password", token=house.root(), old=PASSWORD, new=NEW)
        assert reason(answer) == (403, "forbidden")


class TestKeys:
    async def test_there_are_none_where_a_secret_signs(self, house):
        assert (await house.call("GET", "/auth/keys")).json() == {"keys": []}

    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
    async def test_others_verify_by_them(self, algorithm):
        """By `cryptography` alone, from nothing but the answer."""
        keys = SigningKeys([new_signing_key(algorithm), new_signing_key("ES256")])
        async with open_house(keys=keys) as house:
            tokens = await house.sign_up()
            assert await house.is_in(tokens["access_token"])
            answer = await house.call("GET", "/auth/keys")
        assert answer.headers["Content-Type"] == "application/jwk-set+json"
        told = answer.json()["keys"]
        assert len(told) == 2
        assert all("d" not in key for key in told)
        head, claims, signature = tokens["access_token"].split(".")
        (key,) = [one for one in told if one["kid"] == json.loads(raw(head))["kid"]]
        verify(key, raw(signature), f"{head}.{claims}".encode())
        assert json.loads(raw(claims))["sub"] == "anna"


def raw(segment):
    return base64.urlsafe_b64decode(segment + "==")


def verify(jwk, signature, message):
    """Raise if the signature is not the key's."""
    if jwk["alg"] == "EdDSA":
        Ed25519PublicKey.from_public_bytes(raw(jwk["x"])).verify(signature, message)
        return
    x, y = (int.from_bytes(raw(jwk[name])) for name in ("x", "y"))
    r, s = (int.from_bytes(signature[at : at + 32]) for at in (0, 32))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
