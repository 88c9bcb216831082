"""The client of browsers, its hooks and its types, in Node against a real server."""

import re
import shutil
import subprocess

import pytest
from browser_scene import BROWSER, SCRIPTS

from triolet.client.operations import Operations
from triolet.client.room import Room

SAMPLE = """
import { connect, Refusal, type Entry } from "triolet";
import { useRoom, useConnection, usePresence, useTyping } from "triolet/react";

const client = connect("wss://chat.example/ws", { token: async () => "token" });
const room = client.room("lobby");
export async function talk(): Promise<number> {
  for await (const entry of room) {
    const seen: Entry = entry;
    if (seen.kind === "message") await room.react(seen.seq, "+", { on: true });
    if (seen.kind === "member") return seen.user.length;
  }
  try {
    return (await room.send("hi", { replyTo: 1 })).seq;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
export function Component(): string {
  const { messages, send } = useRoom(client, "lobby");
  const { state } = useConnection(client);
  const seen = usePresence(client, ["anna"]);
  const { users, typing } = useTyping(client, "lobby");
  void send("hi");
  typing(true);
  return `${messages.length} ${state} ${seen.anna?.status} ${users.join()}`;
}
// @ts-expect-error a room is needed
client.send({ text: "hi" });
"""


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.mjs")))
def test_a_script(run_script, script):
    run_script(script)


def test_the_types_fit_a_program(installed):
    (installed / "sample.ts").write_text(SAMPLE)
    options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022"]
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", *options, "--lib", "es2022,dom", "sample.ts"],
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["triolet", "react"])
def test_the_types_name_what_the_module_gives(name):
    names = re.compile(r"^export (?:async )?(?:const|class|function) (\w+)", re.MULTILINE).findall

    given = names((BROWSER / f"{name}.js").read_text())
    assert sorted(names((BROWSER / f"{name}.d.ts").read_text())) == sorted(given)


def test_it_has_each_operation_of_the_python_client():
    """Under the same name, as JavaScript spells names: a client has it, and a room."""
    text = (BROWSER / "triolet.js").read_text()
    of_clients, of_rooms = text.split("export class Room")
    for owner, source, pattern in (
        (Operations, of_clients, r"\n  (?:async )?{}\("),
        (Room, of_rooms, '"{}"|\n  (?:async )?{}\\('),
    ):
        asked = [name for name in vars(owner) if name[0] != "_" and name != "position"]
        assert len(asked) > 15
        for name in asked:
            spelt = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
            assert re.search(pattern.replace("{}", spelt), source), f"{owner.__name__}.{spelt}"


def test_the_package_is_what_is_installed(installed):
    assert shutil.which("node") is not None
    assert (installed / "node_modules/triolet/timeline.js").is_file()
