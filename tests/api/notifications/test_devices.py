"""Law: a device is pushed to for the user who subscribed it last, and for nobody else."""

import pytest
import trio
from notices import Browser, FakeOutgoing

from triolet._model.errors import ErrorCode, Refusal
from triolet.adapters.memory import MemoryStore
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet_api.notifications.devices import DEVICES_MAX, Devices, device_id, owned_by
from triolet_api.notifications.outgoing import RequestFailed


@pytest.fixture
def outgoing():
    return FakeOutgoing()


@pytest.fixture
def devices(outgoing):
    return Devices(MemoryStore(clock=SystemClock(), entropy=SystemEntropy()).documents, outgoing)


async def add(devices, user, endpoint="https://push.example.net/1", now=1, **changes):
    browser = Browser(endpoint)
    fields = {"p256dh": browser.p256dh, "auth": browser.auth, "agent": "Firefox", **changes}
    return await devices.add(user, endpoint=endpoint, now=now, **fields)


async def test_a_device_that_was_added_is_there_until_it_is_removed(devices):
    phone = await add(devices, "anna")
    assert await devices.of("anna") == (phone,)
    assert await devices.of("ben") == ()

    assert await devices.remove("anna", phone.id)
    assert not await devices.remove("anna", phone.id)
    assert await devices.of("anna") == ()


async def test_the_same_endpoint_again_is_the_same_device(devices):
    await add(devices, "anna", now=1)
    again = await add(devices, "anna", now=2)

    assert await devices.of("anna") == (again,)
    assert again.added_at == 2


async def test_a_browser_that_another_signs_in_with_shows_nothing_of_the_first(devices):
    await add(devices, "anna")
    shared = await add(devices, "ben")

    assert await devices.of("anna") == ()
    assert await devices.of("ben") == (shared,)
    # What is removed late for the first one does not take it from the second.
    assert not await devices.remove("anna", shared.id)
    await add(devices, "anna")
    assert await devices.of("ben") == ()


async def test_beyond_a_bound_the_oldest_goes(devices):
    for number in range(DEVICES_MAX + 2):
        await add(devices, "anna", f"https://push.example.net/{number}", now=number)

    assert [one.added_at for one in await devices.of("anna")] == list(range(2, DEVICES_MAX + 2))


async def test_nothing_is_kept_of_a_device_that_has_gone(outgoing):
    """Else whoever subscribes again and again fills the store, and erasing leaves their name."""
    documents = MemoryStore(clock=SystemClock(), entropy=SystemEntropy()).documents
    devices = Devices(documents, outgoing)
    for number in range(DEVICES_MAX + 5):
        await add(devices, "anna", f"https://push.example.net/{number}", now=number)

    kept = [one.key for one in await documents.scan("push-endpoint/", limit=1000)]
    assert sorted(kept) == sorted(await owned_by(documents, "anna"))
    assert len(kept) == DEVICES_MAX


async def test_of_two_who_subscribe_one_browser_at_once_one_has_it(devices):
    for number in range(20):
        endpoint = f"https://push.example.net/shared/{number}"
        async with trio.open_nursery() as nursery:
            for user in ("anna", "ben"):
                nursery.start_soon(add, devices, user, endpoint)
        name = device_id(endpoint)
        theirs = [one.id for user in ("anna", "ben") for one in await devices.of(user)]
        assert theirs.count(name) == 1


async def test_an_endpoint_in_a_private_network_is_refused(devices, outgoing):
    """In the words of one that is nowhere: which names there are inside is nobody's to learn."""
    outgoing.refused = ["https://push.example.net/1"]
    with pytest.raises(Refusal, match="the endpoint cannot be reached") as refused:
        await add(devices, "anna")

    assert refused.value.code is ErrorCode.INVALID_FIELD
    assert await devices.of("anna") == ()


@pytest.mark.parametrize(
    ("host", "is_used"),
    [
        ("push.example.net", True),
        ("eu.push.example.net", True),
        ("evilpush.example.net", False),
        ("push.example.net.evil.org", False),
        ("example.net", False),
    ],
)
async def test_push_services_may_be_named(outgoing, host, is_used):
    documents = MemoryStore(clock=SystemClock(), entropy=SystemEntropy()).documents
    devices = Devices(documents, outgoing, hosts=("push.example.net",))
    if is_used:
        await add(devices, "anna", f"https://{host}/1")
    else:
        with pytest.raises(Refusal, match="not among those"):
            await add(devices, "anna", f"https://{host}/1")
    assert bool(await devices.of("anna")) == is_used


@pytest.mark.parametrize(
    "changes", [{"p256dh": "A" * 87}, {"auth": "A"}, {"auth": "AAAA"}, {"p256dh": "A" * 86}]
)
async def test_keys_that_are_none_are_refused(devices, changes):
    with pytest.raises(Refusal, match=r"p256dh|auth|base64"):
        await add(devices, "anna", **changes)


async def test_a_host_that_cannot_be_resolved_is_refused(devices, outgoing, monkeypatch):
    async def check(url):
        raise RequestFailed("the host cannot be resolved")

    monkeypatch.setattr(outgoing, "check", check)
    with pytest.raises(Refusal, match="the endpoint cannot be reached"):
        await add(devices, "anna")


def test_a_device_tells_nobody_where_it_is():
    endpoint = "https://push.example.net/secret"

    assert "secret" not in device_id(endpoint)
    assert device_id(endpoint) == device_id(endpoint) != device_id(endpoint + "2")


async def test_a_device_shows_no_secret(devices):
    phone = await add(devices, "anna", "https://push.example.net/secret")

    assert "secret" not in repr(phone)
