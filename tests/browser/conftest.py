"""What tests of the browser's side share: a server, Node's packages, and Chromium."""

import json
import os
import shutil
import subprocess

import pytest
from browser_scene import BROWSER, SCRIPTS, serving
from chat_person import TIMEOUT_MS

# Besides `ws` and msgpack: React and what runs it without a browser, IndexedDB in memory, and
# TypeScript, whose 20 MiB take the longest.
NPM_PACKAGES = (
    "react@18",
    "react-test-renderer@18",
    "fake-indexeddb@6",
    "typescript@5",
    "axe-core@4",
)
NPM_TYPES = ("@types/react@18",)
NPM_TIMEOUT_S = 240
# A script takes some seconds; ten times that on a machine that is busy with other things.
SCRIPT_TIMEOUT_S = 180


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    # Who types is seen to do so until what is typed is sent, however long a browser takes for it.
    with serving(tmp_path_factory.mktemp("server"), TRIOLET_LIMIT_TYPING_S="120") as found:
        yield found


@pytest.fixture(scope="session")
def installed(node_modules):
    """Return a folder in which Node finds `triolet` as it would be installed, and what it needs."""
    packages = [*NPM_PACKAGES, *NPM_TYPES]
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    try:
        subprocess.run(
            command, cwd=node_modules, capture_output=True, check=True, timeout=NPM_TIMEOUT_S
        )
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        pytest.skip(f"Node's packages cannot be installed: {error} {told[-500:]}")
    files = json.loads((BROWSER / "package.json").read_text())["files"]
    target = node_modules / "node_modules" / "triolet"
    target.mkdir()
    for name in ("package.json", *files):
        shutil.copy(BROWSER / name, target)
    return node_modules


@pytest.fixture
def run_script(installed, server):
    """Run a script of `node/` with the server's address and tokens; it asserts by itself."""

    def run(name: str) -> None:
        shutil.copy(SCRIPTS / name, installed)
        done = subprocess.run(
            ["node", "--unhandled-rejections=strict", name],
            cwd=installed,
            capture_output=True,
            text=True,
            timeout=SCRIPT_TIMEOUT_S,
            check=False,
            env=os.environ
            | {
                "URL_WS": server.url.replace("http", "ws") + "/ws",
                "TOKEN_ANNA": server.token("anna"),
                "TOKEN_BEN": server.token("ben"),
                "TOKEN_ROOT": server.token("root", roles=("admin",)),
                "NODE_ENV": "test",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, headless; each test opens windows of its own in it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is missing")
    with playwright.sync_playwright() as tools:
        playwright.expect.set_options(timeout=TIMEOUT_MS)
        chromium = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe(installed):
    """Return what axe-core finds that is serious: rules, and where."""
    source = (installed / "node_modules/axe-core/axe.min.js").read_text()

    def find(page) -> list[str]:
        page.evaluate(source)
        told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in told["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    return find
