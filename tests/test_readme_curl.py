"""Law: each request that README shows is answered, by a server as README starts it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECTION = re.search(
    r"^## Over HTTP\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)[1]
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
MARK = "--- answered with"
# Whatever a busy machine takes for all lines; one that hangs is found out.
PATIENCE_S = 250
# A stream is listened to for so long as README says; on a busy machine longer.
LISTENING_S = (2, 8, 30)
# curl's status when `--max-time` ends what would go on.
TIMED_OUT = 28


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Run all lines in one shell, and return `{line: (status, output)}`."""
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("curl is missing")
    folder = tmp_path_factory.mktemp("readme")
    plain = {name: value for name, value in os.environ.items() if "TRIOLET_" not in name}
    env = plain | {
        "TRIOLET_DATA": str(folder / "data"),
        "PYTHONPATH": f"{ROOT / 'engine'}:{ROOT / 'api'}",
    }
    log = folder / "log"
    triolet = f"{sys.executable} -m triolet_api"
    with log.open("wb") as out:
        command = [*triolet.split(), "serve", "--port=0"]
        server = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"http://127\.0\.0\.1:\d+\b(?=\s)", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.05)  # another process
        # `curl` tells of errors by its status, as a person sees them by their text.
        script = 'curl() { command curl --fail-with-body --noproxy "*" "$@"; }\n'
        for line in LINES:
            here = line.replace("http://127.0.0.1:8000", found[0])
            here = here.replace(".venv/bin/triolet", triolet)
            if f"--max-time {LISTENING_S[0]} " in here:
                here = until_told(here)
            script += f'{here}\nstatus=$?; echo; echo "{MARK} $status"\n'
        done = subprocess.run(
            ["bash"],
            input=script,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
    told = re.split(rf"^{MARK} .*$", done.stdout, flags=re.MULTILINE)
    statuses = [int(text) for text in re.findall(rf"^{MARK} (\d+)$", done.stdout, re.MULTILINE)]
    assert len(statuses) == len(LINES), done.stderr
    return {
        number: (status, text.strip())
        for number, (status, text) in enumerate(zip(statuses, told, strict=False))
    }


def until_told(line):
    """Return what listens to a stream, and listens longer while the room is not in it."""
    longer = line.replace(f"--max-time {LISTENING_S[0]} ", '--max-time "$seconds" ')
    return (
        f"for seconds in {' '.join(map(str, LISTENING_S))}; do\n"
        f"  told=$({longer}); status=$?\n"
        '  [[ "$told" == *\'"room":"tea"\'* ]] && break\n'
        'done; echo "$told"; (exit $status)'
    )


@pytest.mark.parametrize("number", range(len(LINES)), ids=[line[:60] for line in LINES])
def test_a_line_is_answered(answers, number):
    status, told = answers[number]

    wanted = TIMED_OUT if "--max-time" in LINES[number] else 0
    assert status == wanted, told


def found(answers, words):
    (number,) = [number for number, line in enumerate(LINES) if words in line]
    return json.loads(answers[number][1])


def test_a_repeated_key_is_one_message(answers):
    first, again = (
        json.loads(answers[number][1])
        for number, line in enumerate(LINES)
        if "Idempotency-Key" in line
    )

    assert (first.get("duplicate", False), again["duplicate"]) == (False, True)
    assert first["seq"] == again["seq"]
    assert len(found(answers, "messages?limit")["messages"]) == 1


def test_what_is_looked_for_is_found(answers):
    (message,) = found(answers, "search?q=")["messages"]

    assert message["body"] == {"text": "The kettle is on."}


def test_the_stream_tells_of_the_room(answers):
    (number,) = [number for number, line in enumerate(LINES) if "/stream" in line]

    assert '"op":"welcome"' in answers[number][1]
    assert '"room":"tea"' in answers[number][1]


def test_what_admins_did_is_written_down(answers):
    actions = [row["action"] for row in found(answers, "/audit")["rows"]]

    assert len(actions) >= 3
