"""The front page: how to connect, readable by everybody, with nothing from elsewhere."""

import re
from html import escape
from string import Template
from typing import Final

# What a Host header may be to be shown: a name or an address, and a port.
_is_host = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?").fullmatch

_PAGE: Final = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Triolet is running</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>Triolet is running</h1>
<p>This is a realtime messaging engine. Clients connect by WebSocket to</p>
<p><code>$url</code></p>
<h2>Get a token</h2>
<p>On the machine that runs the server:</p>
<pre tabindex="0"><code>triolet token anna</code></pre>
<h2>Chat in a terminal</h2>
<pre tabindex="0"><code>triolet chat $url --as anna</code></pre>
<h2>Connect from a browser or a program</h2>
<pre tabindex="0"><code>const socket = new WebSocket("$url", ["triolet.v1.json"]);
const say = (map) =&gt; socket.send(JSON.stringify(map));
socket.onopen = () =&gt; {
  say({op: "hello", token: "TOKEN"});
  say({op: "direct", ref: 1, user: "ben"});
};
socket.onmessage = (event) =&gt; console.log(JSON.parse(event.data));</code></pre>
<h2>Is it well?</h2>
<p><a href="/health/live">/health/live</a> answers while the process lives,
<a href="/health/ready">/health/ready</a> while it takes connections.</p>
</main>
</body>
</html>
""")

STYLE: Final = """\
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.6 system-ui, sans-serif; margin: 0; }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 2rem; font-size: 1.2rem; }
code { font: 0.9375rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { padding: 0.75rem 1rem; overflow-x: auto; border: 1px solid; border-radius: 0.375rem; }
pre code { overflow-wrap: normal; }
summary { cursor: pointer; padding: 0.375rem 0; }
dt { font-weight: 600; margin-top: 0.5rem; }
dd { margin: 0 0 0 1.5rem; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; list-style: none; padding: 0; }
:focus-visible { outline: 3px solid; outline-offset: 2px; }
"""


def front_page(host: str, *, is_secure: bool) -> str:
    """Return the page for a visitor who came by `host`; an odd one is not repeated.

    >>> "wss://chat.example/ws" in front_page("chat.example", is_secure=True)
    True
    """
    shown = host if _is_host(host) else "localhost"
    url = f"{'wss' if is_secure else 'ws'}://{shown}/ws"
    return _PAGE.substitute(url=escape(url))
