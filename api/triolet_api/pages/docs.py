"""The description of all endpoints: as OpenAPI, and as a page to read, with nothing from outside.

The page is made on this side, once: it needs no script, and shows what OpenAPI says.
"""

from collections.abc import Sequence
from html import escape
from typing import Any, Final, final

import msgspec
from quart import Response

from ..dispatch import JSON_TYPE
from ..endpoints import Access, Call, Endpoint, endpoint
from ..openapi import document
from .headers import policy
from .settings import WebSettings

_HTML: Final = "text/html; charset=utf-8"
_HEAD: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Triolet for developers</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
<link rel="stylesheet" href="/assets/docs.css">
</head>
<body>
<main>
<h1>Triolet</h1>
<p>Clients connect by WebSocket to <code>/ws</code>, or over HTTP as described here.
A token is had by signing in below, or on the machine that runs the server by</p>
<pre tabindex="0"><code>triolet token anna</code></pre>
<p>In a browser or a program:</p>
<pre tabindex="0"><code>import { connect } from "/assets/triolet.js";
const client = connect(location.origin.replace("http", "ws") + "/ws", { token: "TOKEN" });
const { room } = await client.direct("ben");
await client.send(room, "The kettle is on.");</code></pre>
<h2>Over HTTP</h2>
<p>Bodies and answers are JSON. Errors are <code>application/problem+json</code> with the
<code>code</code> and <code>reason</code> of the WebSocket protocol.
The same for machines: <a href="/openapi.json">/openapi.json</a>.</p>
"""


@final
class Docs:
    """See the module.

    Args:
        endpoints: all there are, these included; read when the first one asks.
        settings: what an operator decided of browsers.
    """

    def __init__(self, endpoints: Sequence[Endpoint], settings: WebSettings) -> None:
        self._endpoints = endpoints
        self._policy = policy(settings, style_src="'self'", img_src="'self'")
        self._json = b""
        self._page = ""

    @endpoint("GET", "/openapi.json", access=Access.ANYONE, rate="read")
    async def openapi(self, call: Call) -> Response:
        """Get the description of all endpoints, as OpenAPI 3.1."""
        del call
        if not self._json:
            self._json = msgspec.json.encode(document(self._endpoints))
        return Response(self._json, content_type=JSON_TYPE)

    @endpoint("GET", "/docs", access=Access.ANYONE, rate="read", produces="text/html")
    async def docs(self, call: Call) -> Response:
        """Read the description of all endpoints."""
        del call
        if not self._page:
            self._page = _page(document(self._endpoints))
        headers = {"Content-Security-Policy": self._policy}
        return Response(self._page, content_type=_HTML, headers=headers)


def _page(described: dict[str, Any]) -> str:
    by_tag: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            shown = _operation(method.upper(), path, operation)
            by_tag.setdefault(operation["tags"][0], []).append(shown)
    parts = [_HEAD, "<nav><ul>"]
    parts += [f'<li><a href="#{tag}">{tag.replace("-", " ")}</a></li>' for tag in by_tag]
    parts += ["</ul></nav>"]
    for tag, operations in by_tag.items():
        parts += [f'<h2 id="{tag}">{tag.replace("-", " ").capitalize()}</h2>', *operations]
    parts += ["<h2>Shapes</h2>"]
    parts += [
        f'<details id="{escape(name)}"><summary>{escape(name)}</summary>'
        f'<pre tabindex="0"><code>{_pretty(schema)}</code></pre></details>'
        for name, schema in described["components"]["schemas"].items()
    ]
    return "\n".join([*parts, "</main>", "</body>", "</html>", ""])


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    who = "with a token" if operation["security"] else "without a token"
    title = f"<code>{method} {escape(path)}</code> {escape(operation['summary'])}"
    parts = [
        f"<details><summary>{title}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p>",
        f"<p>Asked {who}.</p>",
        "<dl>",
    ]
    for one in operation["parameters"]:
        need = "needed" if one["required"] else "optional"
        parts.append(
            f"<dt><code>{escape(one['name'])}</code>, in the {one['in']}, {need}</dt>"
            f"<dd><code>{_pretty(one['schema'], indent=0)}</code></dd>"
        )
    if "requestBody" in operation:
        parts.append(f"<dt>Body</dt><dd>{_content(operation['requestBody'])}</dd>")
    for status, response in operation["responses"].items():
        told = escape(response["description"]).replace("`", "")
        parts.append(f"<dt>{status}</dt><dd>{told} {_content(response)}</dd>")
    return "\n".join([*parts, "</dl>", "</details>"])


def _content(holder: dict[str, Any]) -> str:
    """Return what stands in a body: a link to its shape, if that has a name."""
    shown = []
    for kind, content in holder.get("content", {}).items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        if name == "Problem":
            continue
        shown.append(f'<a href="#{escape(name)}">{escape(name)}</a>' if name else escape(kind))
    return ", ".join(shown)


def _pretty(schema: dict[str, Any], *, indent: int = 2) -> str:
    encoded = msgspec.json.encode(schema)
    return escape((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode())
