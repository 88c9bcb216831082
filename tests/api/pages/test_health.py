"""Health: alive is not yet ready."""

from triolet_api.pages.health import Health


async def test_ready_says_why_not():
    health = Health(lambda: "store")

    response = await health.ready(None)

    assert response.status_code == 503
    assert await response.get_data() == b'{"status":"not ready","reason":"store"}'


async def test_alive_all_the_same():
    assert (await Health(lambda: "store").live(None)).status == "live"
