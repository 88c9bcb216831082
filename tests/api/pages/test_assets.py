"""Assets: the pages and all they load are here, are what they say, and are asked for once."""

import gzip
import re
from html.parser import HTMLParser

import pytest

from triolet._model.errors import ErrorCode, Refusal
from triolet_api.app import create_app
from triolet_api.dispatch import Dispatcher
from triolet_api.pages.assets import Assets, packed, read_assets
from triolet_api.pages.settings import WebSettings

ASSETS = read_assets()


async def nobody(token, opening):
    raise Refusal(ErrorCode.UNAUTHENTICATED)


@pytest.fixture
async def http(make_app, serving):
    async with serving(make_app()) as host, host.client() as client:
        yield client


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline, self.ids = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.loaded += [names[name] for name in ("src", "href") if name in names]
        self.inline += [name for name in names if name == "style" or name.startswith("on")]
        self.inline += [
            tag for _ in (1,) if tag == "style" or (tag == "script" and "src" not in names)
        ]
        self.ids += [names["id"]] if "id" in names else []


PAGES = [name for name in ASSETS if name.endswith(".html")]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_inline_and_loads_what_is_here(name):
    page = Page(ASSETS[name].data.decode())

    assert page.inline == []
    assert len(page.ids) == len(set(page.ids))
    for link in page.loaded:
        file = link.removeprefix("/assets/").removeprefix("/")
        assert link.startswith("#") or link in ("/docs", "/", "/admin") or file in ASSETS, link


@pytest.mark.parametrize("name", [name for name in ASSETS if name.endswith(".js")])
def test_a_script_imports_what_is_here_and_makes_no_html_of_strings(name):
    text = ASSETS[name].data.decode()

    for imported in re.findall(r'from "([^"]+)"', text):
        assert imported == "react" or imported.removeprefix("./") in ASSETS, imported
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(
        r"https?://(?!chat\.example)[a-z]", text.replace("http://www.w3.org/2000/svg", "")
    )


def imported(name):
    """Return what a module loads, now or when it is asked for."""
    return re.findall(r'(?:from |import\()"\./([^"]+)"', ASSETS[name].data.decode())


def test_the_chat_has_little_javascript_of_its_own():
    """60 KiB, with what is loaded on demand; the client and the CAPTCHA's frame are others'."""
    found, left = set(), ["chat.js"]
    while left:
        name = left.pop()
        if name not in found and name not in ("triolet.js", "captcha.js"):
            found.add(name)
            left += imported(name)

    assert "settings.js" in found
    assert sum(len(ASSETS[name].data) for name in found) <= 60 * 1024


async def test_the_chat_is_what_one_comes_to(http):
    response = await http.get("/")

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("outside", "frames"),
    [((), "frame-src 'none'"), (("https://captcha.example",), "frame-src https://captcha.example")],
)
async def test_a_page_loads_from_outside_a_captcha_alone(serving, outside, frames):
    app = create_app()
    Dispatcher(app, admit=nobody).add(Assets(WebSettings(), outside))
    async with serving(app) as host, host.client() as client:
        policy = (await client.get("/")).headers["content-security-policy"].split("; ")

    assert frames in policy
    assert " ".join(("script-src 'self'", *outside)) in policy
    assert "img-src 'self' data:" in policy
    assert sum("://" in one for one in policy) == 4 * len(outside)


async def test_what_is_had_already_is_not_sent_again(http):
    first = await http.get("/assets/triolet.js", headers={"Accept-Encoding": "identity"})
    again = await http.get("/assets/triolet.js", headers={"If-None-Match": first.headers["etag"]})

    assert first.content == ASSETS["triolet.js"].data
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


async def test_text_is_packed_for_who_unpacks_it(http):
    response = await http.get("/assets/triolet.js", headers={"Accept-Encoding": "gzip"})

    assert response.headers["content-encoding"] == "gzip"
    assert response.content == ASSETS["triolet.js"].data
    assert gzip.decompress(packed(ASSETS["triolet.js"].data)) == ASSETS["triolet.js"].data


async def test_what_is_packed_already_is_sent_as_it_is(http):
    response = await http.get("/assets/icon-192.png", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in response.headers
    assert response.content == ASSETS["icon-192.png"].data


def test_a_text_is_packed_once():
    assert packed(ASSETS["triolet.js"].data) is packed(ASSETS["triolet.js"].data)


@pytest.mark.parametrize("name", ["nope.js", "index.html", "..%2Fsecret.py", "x" * 300])
async def test_there_is_nothing_else(http, name):
    assert (await http.get(f"/assets/{name}")).status_code in (404, 422)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/sw.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/icon-192.png", "image/png"),
    ],
)
async def test_types(http, path, content_type):
    assert (await http.get(path)).headers["content-type"] == content_type
