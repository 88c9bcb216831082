// Laws of the client that the conformance kit does not know: its bounds, its streams, its outbox,
// the other codec and the other way.

import assert from "node:assert/strict";
import "fake-indexeddb/auto";
import { decode, encode } from "@msgpack/msgpack";
import { WebSocket } from "ws";
import { ConnectionClosed, Dropped, QueueFull, Refusal, State, connect, delayMs, newCid, openOutbox } from "triolet";

const { URL_WS, TOKEN_ANNA, TOKEN_BEN, TOKEN_ROOT } = process.env;
const anna = (more = {}) => connect(URL_WS, { token: TOKEN_ANNA, WebSocket, ...more });
const ben = (more = {}) => connect(URL_WS, { token: TOKEN_BEN, WebSocket, ...more });
const first = async (stream, wanted) => {
  for await (const event of stream) if (wanted(event)) return event;
};
const until = async (holds) => {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, String(holds));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
const isMessage = (event) => event.kind === "message";

async function withBoth(test, how = {}) {
  const [one, other] = [anna(how), ben(how)];
  try {
    const { room } = await one.create("group", { title: "Tea", members: ["ben"] });
    await test(one, other, room);
  } finally {
    one.close();
    other.close();
  }
}

// Entries come once, in order, by each way and in each format.
const msgpack = { subprotocol: "triolet.v1.msgpack", encode, decode: (data) => decode(new Uint8Array(data)) };
for (const how of [{}, { codec: msgpack }, { transport: "sse" }]) {
  await withBoth(async (one, other, room) => {
    const entries = other.room(room).entries();
    await other.subscribe(room);
    await Promise.all(Array.from({ length: 100 }, (_, number) => one.send(room, String(number))));
    const texts = [];
    for await (const entry of entries) {
      texts.push(entry.body.text);
      if (texts.length === 100) break;
    }
    assert.deepEqual(texts, Array.from({ length: 100 }, (_, number) => String(number)));
    assert.equal((await one.history(room, { limit: 5 })).messages.length, 5);
    await other.watch(["anna"]);
    await one.typing(room);
  }, how);
}

// A stream that nobody reads is bounded: its room waits at the server, and nothing is lost.
await withBoth(
  async (one, other, room) => {
    const entries = other.room(room).entries();
    await other.subscribe(room);
    for (let number = 0; number < 100; number++) await one.send(room, String(number));
    await until(() => other.statistics().roomsHeld === 1);
    const texts = [];
    for await (const entry of entries) {
      texts.push(Number(entry.body.text));
      if (texts.length === 100) break;
    }
    assert.deepEqual(texts, [...texts.keys()]);
  },
  { limits: { streamEventsMax: 16 } },
);

// What one asks offline is bounded; state is kept, signals are dropped.
const nowhere = connect("ws://127.0.0.1:9/ws", { token: TOKEN_ANNA, WebSocket, transport: "websocket", limits: { queueMax: 2 } });
const never = [nowhere.send("r", "1"), nowhere.send("r", "2")].map((one) => one.catch((error) => error));
await assert.rejects(nowhere.send("r", "3"), QueueFull);
await assert.rejects(nowhere.ask({ op: "signal", room: "r", kind: "x" }), Dropped);
assert.equal(await nowhere.signal("r", "x"), false);
await nowhere.typing("r");
await assert.rejects(nowhere.send("r", "x".repeat(200_000)), Refusal);
nowhere.close();
assert.ok((await Promise.all(never)).every((error) => error instanceof ConnectionClosed));
await assert.rejects(nowhere.ping(), ConnectionClosed);

// How one is seen is the client's to say again; by whom waits for a server, which keeps it.
await withBoth(async (one, other, room) => {
  await other.watch(["anna"]);
  const gone = first(other.events(), (event) => event.op === "presence" && event.users[0][1] === "offline");
  assert.equal((await one.presence(undefined, { visibleTo: "nobody" })).op, "ok");
  assert.deepEqual((await gone).users, [["anna", "offline", 0]]);
  await one.presence("away", { visibleTo: "shared" });
});
const unheard = connect("ws://127.0.0.1:9/ws", { token: TOKEN_ANNA, WebSocket, transport: "websocket" });
assert.equal((await unheard.presence("dnd")).op, "ok");
const wish = assert.rejects(unheard.presence("dnd", { visibleTo: "nobody" }), ConnectionClosed);
assert.equal(unheard.statistics().unanswered, 1);
unheard.close();
await wish;

// A room's owner ends it for everybody.
await withBoth(async (one, other, room) => {
  const entries = other.room(room);
  await entries.subscribe();
  const over = first(entries.events(), (event) => event.op === "closed");
  await one.room(room).deleteRoom();
  assert.equal((await over).room, room);
  await assert.rejects(other.history(room), Refusal);
});

// A token that is refused ends the client for good.
const stranger = connect(URL_WS, { token: "no token", WebSocket });
await assert.rejects(stranger.waitOnline(), ConnectionClosed);
assert.equal(stranger.state, State.CLOSED);
assert.equal(stranger.lastClose.code, 4001);

// What was not acknowledged survives a reload, and is sent once.
await withBoth(async (one, other, room) => {
  const outbox = await openOutbox("anna");
  const cid = newCid();
  const before = connect("ws://127.0.0.1:9/ws", { token: TOKEN_ANNA, WebSocket, transport: "websocket", outbox });
  before.send(room, "before the reload", { cid }).catch(() => {});
  await until(async () => (await openOutbox("anna")).left().length === 1);
  before.close();
  const stream = other.room(room).entries();
  await other.subscribe(room);
  for (const _ of [1, 2]) {
    const again = anna({ outbox: await openOutbox("anna") });
    const told = again.events();
    await again.waitOnline();
    if (_ === 1) assert.equal((await first(told, ({ op }) => op === "sent")).message.cid, cid);
    await again.ping();
    again.close();
  }
  const entry = await first(stream, isMessage);
  assert.equal(entry.cid, cid);
  assert.equal((await other.history(room)).messages.length, 1);
  assert.deepEqual((await openOutbox("anna")).left(), []);
});

// For admins: what the servers count, until one stops looking.
const root = connect(URL_WS, { token: TOKEN_ROOT, WebSocket });
const told = root.events();
await root.stats({ intervalMs: 250 });
const stats = await first(told, ({ op }) => op === "stats");
assert.ok(stats.total.gauges.connections >= 1);
await root.stats({ on: false });
root.close();
const plain = anna();
await plain.waitOnline();
await assert.rejects(plain.stats(), ({ reason }) => reason === "forbidden");
plain.close();

// Full jitter, above the server's hint, below the ceiling.
assert.deepEqual([0, 1, 9].map((attempt) => delayMs(attempt, 0, undefined, () => 1)), [500, 1000, 30_000]);
assert.equal(delayMs(3, 2000, undefined, () => 0), 2000);
process.exit(0);
