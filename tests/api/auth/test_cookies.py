"""Law: a refresh token in a cookie is seen by no script, and used by no other site's page."""

import pytest
from auth_house import open_house, reason

URL_HOST = "127.0.0.1"


@pytest.fixture
async def house():
    async with open_house(refresh_cookie=True) as house:
        yield house


async def refresh(house, cookie, **headers):
    headers |= {"Cookie": f"triolet_refresh={cookie}"}
    return await house.post("/auth/refresh", headers=headers)


def token_of(answer):
    return answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


async def test_who_asks_for_it_gets_it(house):
    answer = await house.post("/auth/register", user="anna", password="correct horse", cookie=True)
    said = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/v1/auth"):
        assert f"; {part}" in said
    assert answer.json()["refresh_token"] == ""
    assert "Set-Cookie" not in (await house.post("/auth/refresh", refresh_token="x")).headers
    plain = await house.post("/auth/login", user="anna", password="correct horse")
    assert "Set-Cookie" not in plain.headers
    assert plain.json()["refresh_token"]


async def test_it_rotates_and_goes(house):
    answer = await house.post("/auth/register", user="anna", password="correct horse", cookie=True)
    own = {"Origin": str(house.client.base_url)}
    second = await refresh(house, token_of(answer), **own)
    assert second.json()["refresh_token"] == ""
    assert token_of(second) != token_of(answer)
    headers = own | {"Cookie": f"triolet_refresh={token_of(second)}"}
    gone = await house.post("/auth/logout", headers=headers)
    assert gone.status_code == 204
    assert "Max-Age=0" in gone.headers["Set-Cookie"]
    assert (await refresh(house, token_of(second), **own)).status_code == 401


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": "x"}]
)
async def test_another_sites_page_cannot_use_it(house, headers):
    answer = await house.post("/auth/register", user="anna", password="correct horse", cookie=True)
    assert reason(await refresh(house, token_of(answer), **headers)) == (403, "forbidden")


async def test_where_there_are_none():
    async with open_house() as house:
        asked = await house.post("/auth/register", user="a", password="correct horse", cookie=True)
        assert reason(asked) == (403, "forbidden")
        tokens = await house.sign_up("anna")
        own = {"Origin": str(house.client.base_url)}
        assert (await refresh(house, tokens["refresh_token"], **own)).status_code == 401
