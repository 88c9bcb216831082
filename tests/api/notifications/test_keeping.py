"""Law: what notifying keeps of somebody is told for erasing it, and nothing of others."""

import pytest
from notices import Browser, FakeOutgoing

from triolet.adapters.memory import MemoryStore
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet_api.notifications.devices import Devices
from triolet_api.notifications.keeping import PushKeeper


@pytest.fixture
def documents():
    return MemoryStore(clock=SystemClock(), entropy=SystemEntropy()).documents


async def add(documents, user, endpoint):
    browser = Browser(endpoint)
    await Devices(documents, FakeOutgoing()).add(
        user, endpoint=endpoint, p256dh=browser.p256dh, auth=browser.auth, agent="", now=1
    )


async def test_all_that_is_kept_of_a_user_is_told_for_erasing_it(documents):
    await add(documents, "anna", "https://push.example.net/1")
    prefix, *keys = await PushKeeper(documents).documents_of("anna")

    assert prefix == "push/anna/"
    kept = [one.key for one in await documents.scan("p", limit=99)]
    assert sorted(kept) == sorted([f"{prefix}devices", *keys])


async def test_a_browser_that_is_another_users_now_stays_theirs(documents):
    await add(documents, "anna", "https://push.example.net/1")
    await add(documents, "ben", "https://push.example.net/1")

    assert await PushKeeper(documents).documents_of("anna") == ["push/anna/"]


async def test_no_secret_tells_anything(documents):
    telling = PushKeeper(documents).telling_of("anna")

    assert telling == ["push/anna/preferences", "push/anna/email"]
