"""Law: who is erased is named by nothing that is kept, but a name that is taken, and the audit."""

import string
import sys
from pathlib import Path

import msgspec
import pytest
import trio

from triolet.ports.documents import Change
from triolet_api.notifications.devices import Device, Owner, UserDevices, device_id
from triolet_api.notifications.encryption import DeviceKeys

sys.path.append(str(Path(__file__).parent / "admin"))

from admin_house import PATIENCE_S, open_house

ENDPOINT = "https://push.example.net/1"
PASSWORD = "correct horse battery"
pack = msgspec.msgpack.encode


@pytest.fixture
async def house(serving):
    async with open_house(serving) as house:
        yield house


async def naming(house, user):
    """Return the keys of all documents that name somebody, whatever part keeps them."""
    found = []
    for first in string.printable:
        found += await house.engine.store.documents.scan(first, limit=1000)
    name = user.encode()
    return [one.key for one in found if name in one.key.encode() or name in one.value]


async def settle(house):
    with trio.fail_after(PATIENCE_S):
        while any(one.waiting + one.running for one in await house.engine.store.jobs.counts()):  # noqa: ASYNC110 - they tell nobody
            await trio.sleep(0.05)


async def live(house, user):
    """Have somebody do all that leaves a trace."""
    account = {"user": user, "password": PASSWORD}
    await house.ask("POST", "/auth/register", body=account, who=None)
    await house.ask("PUT", "/notifications/preferences", body={"level": "none"}, who=user)
    keys = DeviceKeys(b"p" * 65, b"a" * 16)
    name = device_id(ENDPOINT)
    device = Device(id=name, endpoint=ENDPOINT, keys=keys, agent=user, added_at=1)
    await house.engine.store.documents.write(
        [
            Change(f"push/{user}/devices", pack(UserDevices((device,)))),
            Change(f"push-endpoint/{name}", pack(Owner(user))),
            Change(f"push/{user}/notified/tea", b"\x90"),
        ]
    )


@pytest.mark.parametrize("by", ["root", "anna"])
async def test_of_who_is_erased_a_name_is_left_and_who_has_done_it(house, by):
    await live(house, "anna")
    if by == "root":
        await house.ask("DELETE", "/admin/users/anna")
    else:
        await house.ask("DELETE", "/auth/me", body={"password": PASSWORD}, who="anna")
    await settle(house)
    left = [key for key in await naming(house, "anna") if not key.startswith("audit/")]

    assert left == ["account/anna"]
    (account,) = await house.engine.store.documents.read(left)
    told = msgspec.msgpack.decode(account.value)
    assert (told["password"], told["roles"], told["removed"]) == ("", [], True)


async def test_who_is_erased_again_is_found_erased(house):
    await live(house, "anna")
    for _ in range(2):
        await house.ask("DELETE", "/admin/users/anna")
    await settle(house)

    assert [key for key in await naming(house, "anna") if key[:6] != "audit/"] == ["account/anna"]


async def test_a_ban_stays(house):
    await house.ask("POST", "/admin/bans", body={"user": "anna"})
    await house.ask("DELETE", "/admin/users/anna")
    await settle(house)

    assert [key for key in await naming(house, "anna") if key[:6] != "audit/"] == ["ban/user/anna"]
