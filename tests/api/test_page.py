"""The front page: readable by everybody, with nothing from elsewhere."""

from html.parser import HTMLParser

import pytest

from triolet_api.page import STYLE, front_page


class Page(HTMLParser):
    """What a page fetches and does, and its headings."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched, self.inline = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.fetched += [attributes[name] for name in ("src", "href") if name in attributes]
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]


def test_it_says_how_to_begin():
    text = front_page("chat.example", is_secure=True)

    for words in ("wss://chat.example/ws", "triolet token", "triolet chat", "triolet.v1.json"):
        assert words in text


def test_it_has_a_structure_that_is_read_aloud():
    text = front_page("chat.example", is_secure=False)

    assert '<html lang="en">' in text
    assert Page(text).tags.count("h1") == 1
    assert {"main", "title", "h2"} <= set(Page(text).tags)
    assert "color-scheme: light dark" in STYLE
    assert ":focus-visible" in STYLE


def test_it_is_all_from_here_and_nothing_inline():
    page = Page(front_page("chat.example", is_secure=False))

    assert page.inline == []
    assert not {"script", "style", "img", "iframe"} & set(page.tags)
    assert [path for path in page.fetched if not path.startswith("/")] == []
    assert "url(" not in STYLE


@pytest.mark.parametrize(
    "host", ["", '"><script>', "a b", "a/b", "x" * 300, "user@host", "a:b", "[::1", "a\\b"]
)
def test_an_odd_host_is_not_repeated(host):
    text = front_page(host, is_secure=False)

    assert "ws://localhost/ws" in text
    assert Page(text).tags.count("script") == 0


@pytest.mark.parametrize("host", ["chat.example", "10.0.0.1:8000", "[::1]:8000", "localhost"])
def test_a_plain_host_is(host):
    assert f"ws://{host}/ws" in front_page(host, is_secure=False)
