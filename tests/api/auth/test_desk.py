"""Law: an operator's word counts alike, whether it goes to a server or into the store."""

import socket

import pytest
import trio
from auth_house import PASSWORD, open_house

from triolet._model.errors import ConfigurationError, ErrorCode, Refusal
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.embedded import open_store
from triolet_api.address import Address
from triolet_api.auth.administering import AccountChange, AccountToAdd
from triolet_api.auth.desk import HttpDesk, by_folder, by_url, open_desk
from triolet_api.auth.settings import AuthSettings
from triolet_api.running import FILE_NAME
from triolet_api.serve import open_server
from triolet_api.settings import Settings

FAST = AuthSettings(hash_memory_kib=8192, hash_passes=1)


async def story(desk):
    """Do all there is to do, and return what was seen."""
    seen = []

    async def refused(awaitable):
        with pytest.raises(Refusal) as refusal:
            await awaitable
        seen.append(refusal.value.code)

    def note(account):
        seen.append((account.user, account.roles, account.tier, account.disabled))

    note(await desk.add(AccountToAdd(user="Anna", password=PASSWORD, roles=("admin",))))
    await refused(desk.add(AccountToAdd(user="anna", password=PASSWORD)))
    await refused(desk.add(AccountToAdd(user="ben", password="short")))
    note(await desk.add(AccountToAdd(user="b@n", password=PASSWORD)))
    note(await desk.change("ANNA", AccountChange(roles=(), tier="premium")))
    note(await desk.change("anna", AccountChange(disabled=True)))
    note(await desk.change("b@n", AccountChange(password="another horse")))
    await refused(desk.change("eve", AccountChange(disabled=True)))
    page = await desk.page(after="", limit=1)
    seen.append(([one.user for one in page.accounts], page.after))
    rest = await desk.page(after=page.after, limit=9)
    seen.append([one.user for one in rest.accounts])
    await desk.remove("b@n")
    await refused(desk.remove("b@n"))
    return seen


SEEN = [
    ("anna", ("admin",), "", False),
    ErrorCode.ALREADY_EXISTS,
    ErrorCode.INVALID_FIELD,
    ("b@n", (), "", False),
    ("anna", (), "premium", False),
    ("anna", (), "premium", True),
    ("b@n", (), "", False),
    ErrorCode.NO_SUCH_ENTRY,
    (["anna"], "anna"),
    ["b@n"],
    ErrorCode.NO_SUCH_ENTRY,
]


async def test_in_the_store(tmp_path):
    """What was begun ends there, for servers to find."""
    settings = Settings(data=tmp_path, auth=FAST)
    async with open_desk(settings) as desk:
        assert await story(desk) == SEEN
    url, limits = settings.store_url.reveal(), settings.limits
    opening = open_store(url, clock=SystemClock(), entropy=SystemEntropy(), limits=limits)
    async with opening as store:
        assert await store.revoked("anna")
        assert await store.revoked("b@n")


async def test_by_a_server():
    async with open_house() as house:
        desk = HttpDesk(by_url(str(house.client.base_url)), house.root())
        assert await story(desk) == SEEN


async def test_who_is_no_admin_is_told_so():
    async with open_house() as house:
        token = (await house.sign_up())["access_token"]
        with pytest.raises(Refusal) as refused:
            await HttpDesk(by_url(str(house.client.base_url)), token).page(after="", limit=1)
        assert refused.value.code == ErrorCode.FORBIDDEN


async def test_a_server_that_was_killed_is_not_waited_for(tmp_path):
    """Its door is still there, and nobody answers."""
    settings = Settings(data=tmp_path, auth=FAST)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / FILE_NAME))
    async with open_desk(settings) as desk:
        assert (await desk.page(after="", limit=1)).accounts == ()


async def test_who_has_the_port_of_a_server_that_was_killed_is_told_nothing(tmp_path):
    """Neither a token nor a password: no port is looked at, whatever says which it was."""
    settings = Settings(data=tmp_path, auth=FAST)
    heard = []

    async def stranger(stream):
        heard.append(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, stranger, listeners)
        port = listeners[0].socket.getsockname()[1]
        (tmp_path / "address").write_text(f"127.0.0.1:{port}\n")
        async with open_desk(settings) as desk:
            await desk.add(AccountToAdd(user="anna", password=PASSWORD))
        nursery.cancel_scope.cancel()

    assert heard == []


async def test_through_the_door_of_a_folder(tmp_path):
    """However long its path is; a server that ends meanwhile is told of."""
    settings = Settings(data=tmp_path / ("x" * 120), port=0, auth=FAST)
    async with open_server(settings), open_desk(settings) as desk:
        assert isinstance(desk, HttpDesk)
        assert (await desk.add(AccountToAdd(user="anna", password=PASSWORD))).user == "anna"
    with pytest.raises(ConfigurationError, match=r"no server answers at .*socket: it has ended"):
        await HttpDesk(by_folder(settings.data), "x").page(after="", limit=1)


async def test_a_door_that_may_not_be_opened_is_told_of(tmp_path):
    """Such as another user's; else the store would be tried, and said to be in use."""
    (tmp_path / FILE_NAME).symlink_to(FILE_NAME)
    with pytest.raises(ConfigurationError, match="socket: no server is reached: "):
        async with open_desk(Settings(data=tmp_path, auth=FAST)):
            raise AssertionError


async def test_where_there_is_no_desk(tmp_path):
    memory = Settings(data=tmp_path, store=Address("memory:"))
    with pytest.raises(ConfigurationError, match="memory"):
        async with open_desk(memory):
            raise AssertionError
    with pytest.raises(ConfigurationError, match="no secret"):
        async with open_desk(Settings(data=tmp_path), "http://127.0.0.1:9"):
            raise AssertionError
    with pytest.raises(ConfigurationError, match="no server answers"):
        await HttpDesk(by_url("http://127.0.0.1:9"), "x").page(after="", limit=1)
