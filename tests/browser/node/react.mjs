// The hooks, in React, against a real server.

import assert from "node:assert/strict";
import { createElement } from "react";
import renderer from "react-test-renderer";
import { WebSocket } from "ws";
import { connect } from "triolet";
import { useConnection, usePresence, useRoom, useTyping } from "triolet/react";

const { act } = renderer;
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const { URL_WS, TOKEN_ANNA, TOKEN_BEN } = process.env;
const anna = connect(URL_WS, { token: TOKEN_ANNA, WebSocket });
const ben = connect(URL_WS, { token: TOKEN_BEN, WebSocket });
const { room } = await anna.create("group", { title: "Tea", members: ["ben"] });
await ben.subscribe(room);

const seen = {};
function Chat() {
  seen.connection = useConnection(anna);
  seen.room = useRoom(anna, room);
  seen.presence = usePresence(anna, ["ben"]);
  seen.typing = useTyping(anna, room);
  return null;
}

async function until(holds) {
  const end = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < end, `${holds}: ${JSON.stringify(seen)}`);
    await act(() => new Promise((resolve) => setTimeout(resolve, 20)));
  }
}

let tree;
await act(async () => (tree = renderer.create(createElement(Chat))));
await until(() => seen.connection.state === "online" && !seen.room.isLoading);
assert.equal(seen.connection.user, "anna");

await ben.send(room, "hello");
await until(() => seen.room.messages.length === 1);
await act(() => seen.room.send("hi back"));
await until(() => seen.room.messages.length === 2 && !seen.room.pending.length);
assert.deepEqual(seen.room.messages.map(({ body }) => body.text), ["hello", "hi back"]);
await act(() => seen.room.react(seen.room.messages[0].seq, "+"));
await until(() => seen.room.messages[0].reactions["+"]?.mine);
await act(() => seen.room.edit(seen.room.messages[1].seq, "hi again"));
await until(() => seen.room.messages[1].body.text === "hi again");
await act(() => seen.room.remove(seen.room.messages[1].seq));
await until(() => seen.room.messages[1].erased);

await until(() => seen.presence.ben?.status === "online");
await ben.presence("dnd");
await until(() => seen.presence.ben.status === "dnd");
await ben.typing(room);
await until(() => seen.typing.users.includes("ben"));
await act(async () => seen.typing.typing(true));

// What has gone listens no more.
await act(async () => tree.unmount());
const { messages } = seen.room;
await ben.send(room, "is anybody there?");
await anna.ping();
assert.equal(seen.room.messages, messages);
assert.equal(anna.position(room), null);
process.exit(0);
