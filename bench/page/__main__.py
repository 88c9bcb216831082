"""What the chat page costs a browser, as a table in Markdown; Chromium and playwright are needed.

python -m bench.page                        # half a minute

A server is started, somebody signs up, and a room gets 10,000 messages. Then the page is opened
by a browser that has never seen it, and 1,000 more messages arrive within ten seconds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

from playwright.sync_api import sync_playwright

ROOT: Final = Path(__file__).parents[2]
BROWSER: Final = ROOT / "api/triolet_api/browser"
MESSAGES: Final = 10_000
ARRIVING: Final = 1_000
ARRIVING_S: Final = 10
# What the page loads; `triolet.js` is the client, which is not the page's own.
CLIENT: Final = "triolet.js"
# Of the page, and loaded when it is asked for.
LATER: Final = "settings.js"
_FILL: Final = """async ([room, token, count]) => {
    const { connect } = await import("/assets/triolet.js");
    const client = connect(location.origin.replace("http", "ws") + "/ws", { token });
    for (let at = 0; at < count; at += 500) {
        const some = Array.from({ length: Math.min(500, count - at) }, (_, index) => at + index);
        await Promise.all(some.map((number) => client.send(room, `line ${number} of many words`)));
    }
    client.close();
}"""
_SEND: Final = """async ([room, token, count, seconds]) => {
    const { connect } = await import("/assets/triolet.js");
    const client = connect(location.origin.replace("http", "ws") + "/ws", { token });
    await client.waitOnline();
    const begun = performance.now();
    for (let sent = 0; sent < count; sent++) {
        const due = begun + (1000 * seconds * sent) / count;
        const wait = due - performance.now();
        if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
        client.send(room, `arrives ${sent}`);
    }
    await client.ping();
    client.close();
}"""
_FRAMES: Final = """(seconds) => new Promise((resolve) => {
    const times = [performance.now()];
    const step = (now) => {
        times.push(now);
        if (now - times[0] < 1000 * seconds) return requestAnimationFrame(step);
        const gaps = times.slice(1).map((at, index) => at - times[index]).sort((a, b) => a - b);
        const p99 = gaps[Math.floor(gaps.length * 0.99)];
        resolve({ fps: gaps.length / ((now - times[0]) / 1000), p99 });
    };
    requestAnimationFrame(step);
})"""
_FIRST: Final = """() => new Promise((resolve) => {
    const look = () => {
        const paint = performance.getEntriesByName("first-contentful-paint")[0];
        const isThere = paint && document.querySelector(".message");
        if (isThere) return resolve([paint.startTime, performance.now()]);
        requestAnimationFrame(look);
    };
    look();
})"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    plain = {name: value for name, value in os.environ.items() if "TRIOLET_" not in name}
    env = plain | {"TRIOLET_DATA": str(folder / "data")}
    log = folder / "log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "triolet_api", "serve", "--port=0"]
        server = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[0]
    finally:
        server.terminate()
        server.wait(30)


def asked(url: str, body: object, token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = Request(url, json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def minted(folder: Path, user: str) -> str:
    command = [sys.executable, "-m", "triolet_api", "token", user, "--tier", "service"]
    command += ["--data", str(folder / "data")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def loaded(page: Any) -> list[str]:
    """Return the scripts that the page has loaded."""
    entries = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    return sorted({name.rpartition("/")[2] for name in entries if name.endswith(".js")})


def measure(folder: Path, url: str, browser: Any) -> Iterator[tuple[str, str, str]]:
    password = "a horse that is correct"
    for user in ("anna", "ben"):
        asked(f"{url}/v1/auth/register", {"user": user, "password": password})
    token = minted(folder, "ben")
    room = asked(f"{url}/v1/direct", {"user": "anna"}, token)["room"]
    writer = browser.new_page()
    writer.goto(url)
    writer.evaluate(_FILL, [room, token, MESSAGES])

    reader = browser.new_context(viewport={"width": 1120, "height": 720}).new_page()
    reader.goto(url)
    reader.fill("#user", "anna")
    reader.fill("#password", password)
    reader.click("button[value=login]")
    reader.wait_for_selector("body[data-state=online]")
    reader.goto(f"{url}/#{room}")
    reader.reload()
    paint, first = reader.evaluate(_FIRST)
    yield "first paint", f"{paint:.0f} ms", ""
    yield "first paint to first message", f"{first - paint:.0f} ms", "< 1,000"
    sizes = {name: (BROWSER / name).stat().st_size for name in loaded(reader) if name != "sw.js"}
    own = sum(size for name, size in sizes.items() if name != CLIENT)
    own += (BROWSER / LATER).stat().st_size
    yield "its own JavaScript", f"{own / 1024:.1f} KiB", "≤ 60"
    yield "the client, `triolet.js`", f"{sizes[CLIENT] / 1024:.1f} KiB", ""

    # Not awaited: it sends while frames are counted.
    sending = _SEND.replace("async (", "(...given) => void (async (", 1) + ")(...given)"
    writer.evaluate(sending, [room, token, ARRIVING, ARRIVING_S])
    frames = reader.evaluate(_FRAMES, ARRIVING_S)
    yield (
        f"frames a second while {ARRIVING:,} messages arrive in {ARRIVING_S} s",
        f"{frames['fps']:.0f}",
        "> 50",
    )
    yield "the longest frame of a hundred", f"{frames['p99']:.0f} ms", ""
    reader.wait_for_selector(f"p:text-is('arrives {ARRIVING - 1}')", timeout=30_000)
    yield "elements of messages then", str(reader.locator(".message").count()), "≤ 300"


def main() -> int:
    path = shutil.which("chromium")
    if path is None:
        print("chromium is needed", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name)) as url,
        sync_playwright() as tools,
    ):
        chromium = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        print(f"Chromium {chromium.version}, a room of {MESSAGES:,} messages\n")
        print("| what | measured | goal |\n|---|---|---|")
        for row in measure(Path(name), url, chromium):
            print("| " + " | ".join(row) + " |", flush=True)
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
