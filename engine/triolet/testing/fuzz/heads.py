"""Request heads as clients, proxies and smugglers send them."""

from random import Random
from typing import Final

from .mutations import mutated

_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
_Lines = list[tuple[str, str]]
_BASE: Final[_Lines] = [
    ("Host", "chat.example:8000"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", _KEY),
]
_BROWSER: Final[_Lines] = [
    *_BASE[:1],
    ("Connection", "keep-alive, Upgrade"),
    ("Pragma", "no-cache"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"),
    ("Upgrade", "websocket"),
    ("Origin", "https://chat.example:8000"),
    *_BASE[3:],
    ("Accept-Encoding", "gzip, deflate"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("Sec-WebSocket-Protocol", "triolet.v1.json"),
    ("Cookie", "a=b; c=d"),
    ("Authorization", "Bearer e.f.g"),
]
_STARTS: Final = (
    "GET /ws HTTP/1.1", "GET /ws HTTP/1.1", "GET /ws?token=a.b.c HTTP/1.1", "GET /ws HTTP/1.0",
    "GET /ws HTTP/2.0", "POST /ws HTTP/1.1", "GET  /ws HTTP/1.1", "GET /ws\tHTTP/1.1",
    "GET http://chat.example/ws HTTP/1.1", "GET /ws?a=é HTTP/1.1", " GET /ws HTTP/1.1",
    "PRI * HTTP/2.0", "GET /ws HTTP/1.1 ", "GET /ws?%0d%0aX:y HTTP/1.1", "get /ws HTTP/1.1",
    "GET /ws# HTTP/1.1",
)  # fmt: skip
# Shapes by which two readers of one head come to see two requests, or other headers.
_SMUGGLED: Final = (
    "Content-Length: 5", "Content-Length: 0", "Content-Length: +0", "Content-Length: 0, 0",
    "Content-Length: 00", "Content-Length:", "Content-Length: 0\r\nContent-Length: 5",
    "Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: identity", "transfer-encoding: xchunked", "Transfer_Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\r\r\nA: b",
    "X: y\rTransfer-Encoding: chunked", "Host: evil.example", "host: chat.example:8000",
    " Host: evil.example", "\tX: y", "X", ": y", "X\0: y", "X: \0", "X: \x7f", "X: \x0b",
    "X\xa0: y",    "Upgrade: h2c", "Upgrade: websocket", "Connection: close", "Connection: Upgrade",
    "Authorization: Bearer other", "Origin: https://evil.example", "Origin: null",
    "Sec-WebSocket-Key: " + _KEY,
    "Sec-WebSocket-Version: 8", "Sec-WebSocket-Protocol: chat",
    "Sec-WebSocket-Protocol: triolet.v1.msgpack",
    "X-Forwarded-For: 192.0.2.1", "Expect: 100-continue", "X: " + "y" * 9_000,
    "\r\nGET /admin HTTP/1.1",
    "X: y\r\n\r\nGET /admin HTTP/1.1\r\nHost: a",
)  # fmt: skip
_VALUES: Final = (
    "", "13", "8", _KEY, _KEY[:-1], "websocket", "WebSocket, h2c", "Upgrade", "keep-alive, upgrade",
    "a b", ",upgrade", "chat , triolet.v1.msgpack", " padded\t", "\xff", "a\x7fb", "https://chat.example",
)  # fmt: skip


def head(chance: Random) -> bytes:
    """Return a request head up to and with its blank line; two in three are odd somewhere."""
    lines = list(chance.choice((_BASE, _BROWSER)))
    start, way = _STARTS[0], chance.random()
    if way < 0.15:
        start = chance.choice(_STARTS)
    if 0.1 < way < 0.4:
        at = chance.randrange(len(lines))
        name, value = lines[at]
        change = chance.randrange(4)
        if change == 0:
            del lines[at]
        elif change == 1:
            lines[at] = (name, chance.choice(_VALUES))
        elif change == 2:
            lines[at] = (name.swapcase(), value)
        else:
            lines.insert(chance.randrange(len(lines) + 1), (name, chance.choice((value, *_VALUES))))
    texts = [start, *(f"{name}: {value}" for name, value in lines)]
    if 0.3 < way < 0.65:
        texts.insert(1 + chance.randrange(len(texts)), chance.choice(_SMUGGLED))
    made = "\r\n".join([*texts, "", ""]).encode("latin-1")
    if 0.6 < way < 0.8:
        made = mutated(made, chance)
    return made
