// The browser's client, triolet.js, as a program that the conformance kit can judge.
//
//   npm install ws   (not needed from Node 22 on)
//   python -m triolet.testing conformance -- node examples/conformance/triolet.mjs

import { createRequire } from "node:module";

import { connect } from "../../api/triolet_api/browser/triolet.js";

const { TRIOLET_URL, TRIOLET_TOKEN_URL, TRIOLET_ROOM, TRIOLET_SENDS } = process.env;
const WebSocket = globalThis.WebSocket ?? createRequire(`${process.cwd()}/`)("ws").WebSocket;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const token = async () => (await fetch(TRIOLET_TOKEN_URL)).text();
const client = connect(TRIOLET_URL, { token, WebSocket });
const room = client.room(TRIOLET_ROOM);

async function send(text) {
  try {
    say({ acked: text, seq: (await room.send(text)).seq });
  } catch ({ reason }) {
    say({ refused: text, reason });
  }
}

async function show(events) {
  for await (const event of events) {
    if (event.op === "entry" && event.kind === "message") {
      say({ seen: event.seq, text: event.body?.text ?? "" });
      if (event.body?.text === "end") return;
    } else if (event.op === "reset" && event.since) say({ back: event.since[1] });
    else if (event.op === "reset") {
      const { messages } = await room.history();
      say({ history: messages.map(({ seq, body }) => [seq, body?.text ?? ""]) });
    } else if (event.op === "closed") return say({ closed: event.reason });
  }
}

try {
  const events = room.events();
  await room.subscribe();
  for (let number = 1; number <= Number(TRIOLET_SENDS); number++) send(String(number));
  await show(events);
} catch ({ code }) {
  say({ stopped: code });
}
client.close();
setTimeout(() => process.exit(0), 50);
