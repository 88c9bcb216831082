"""Docs: all endpoints are described, to machines and to people, with nothing from outside."""

import re
from html.parser import HTMLParser

import pytest

from triolet.embedded import open_engine
from triolet_api.composition import open_api
from triolet_api.settings import Settings


@pytest.fixture
async def client(serving):
    async with (
        open_engine() as engine,
        open_api(engine, Settings()) as api,
        serving(api.app) as host,
        host.client() as client,
    ):
        client.endpoints = api.endpoints
        yield client


async def test_each_endpoint_is_in_both(client):
    described = (await client.get("/openapi.json")).json()
    page = (await client.get("/docs")).text

    for one in client.endpoints:
        assert described["paths"][one.path][one.method.lower()]["operationId"] == one.name
        assert f"<code>{one.method} {one.path}</code>" in page


class Outside(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.ids, self.tags = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)


async def test_the_page_loads_nothing_from_outside_and_links_lead_somewhere(client):
    response = await client.get("/docs")
    page = Outside()
    page.feed(response.text)

    assert "script" not in page.tags
    assert not re.search(r"style=|onclick=", response.text)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("/"):
            assert (await client.get(link)).status_code == 200, link
        else:
            assert link.removeprefix("#") in page.ids
    assert "style-src 'self'" in response.headers["content-security-policy"]
