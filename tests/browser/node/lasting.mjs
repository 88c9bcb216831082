// Laws of a client in a page that lives long: it sleeps, its clock is set, its storage goes, its
// listeners fail, and what an earlier page left goes first. No server: the socket is a script.

import assert from "node:assert/strict";
import "fake-indexeddb/auto";
import { Refusal, State, connect, openOutbox } from "triolet";

const WELCOME = { op: "welcome", session: "s", user: "anna", device: "d", now: 0, expires_at: 3_600_000, limits: {} };
const quick = { backoff: { baseMs: 1, ceilingMs: 1 }, limits: { silenceMarginMs: 30 } };

// A client on `sockets` that greet, and answer what `answer` does; what they are asked is in `asked`.
function scripted(answer = ({ ref }) => ({ op: "ok", ref }), { heartbeatS = 60, ...more } = {}) {
  const [asked, sockets] = [[], []];
  class Socket {
    constructor() {
      sockets.push(this);
      queueMicrotask(() => this.onopen());
    }
    send(text) {
      const message = JSON.parse(text);
      asked.push(message);
      const said = message.op === "hello" ? { ...WELCOME, heartbeat_s: heartbeatS } : answer(message);
      if (said) queueMicrotask(() => this.onmessage({ data: JSON.stringify(said) }));
    }
    close() {}
  }
  return { asked, sockets, client: connect("ws://scripted/ws", { token: "t", transport: "websocket", WebSocket: Socket, ...quick, ...more }) };
}

const reaching = (client, wanted) =>
  new Promise((resolve) => {
    const takeBack = client.onState((state) => state === wanted && (takeBack(), resolve()));
    if (client.state === wanted) resolve();
  });
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

// Silence is noticed also when the clock is set back.
{
  const { client } = scripted(() => null, { heartbeatS: 0.03 });
  await client.waitOnline();
  const { now } = Date;
  Date.now = () => now() - 3_600_000;
  await reaching(client, State.OFFLINE);
  Date.now = now;
  assert.equal(client.lastClose.reason, "the server is silent");
  client.close();
}

// What a socket that is closing would drop is not given to it, but to the next one.
{
  const { client, asked, sockets } = scripted(({ ref }) => ({ op: "ok", ref, rooms: [], gone: [] }));
  await client.waitOnline();
  sockets[0].readyState = 2;
  const answer = client.send("r", "hello", { cid: "once" });
  await turn();
  assert.deepEqual(asked.map(({ op }) => op), ["hello"]);
  sockets[0].onclose({ code: 1006, reason: "" });
  await answer;
  assert.equal(sockets.length, 2);
  assert.equal(asked.filter(({ cid }) => cid === "once").length, 1);
  client.close();
}

// Answers to requests do not hide that the stream beside them is silent.
{
  const welcome = new TextEncoder().encode(`data: ${JSON.stringify({ ...WELCOME, heartbeat_s: 0.03 })}\n\n`);
  const fetch = async (url, { body }) => {
    if (url.endsWith("/v1/stream")) return new Response(new ReadableStream({ start: (stream) => stream.enqueue(welcome) }));
    return Response.json(JSON.parse(body).map(({ ref }) => ({ op: "ok", ref })));
  };
  const client = connect("ws://scripted/ws", { token: "t", transport: "sse", fetch, ...quick });
  await client.waitOnline();
  const offline = reaching(client, State.OFFLINE);
  const asking = setInterval(() => client.history("r").catch(() => {}), 20);
  await offline;
  clearInterval(asking);
  assert.equal(client.lastClose.reason, "the server is silent");
  client.close();
}

// Whoever comes back to a page that slept is not shown a dead connection for two heartbeats.
{
  const page = new EventTarget();
  page.visibilityState = "visible";
  globalThis.document = page;
  const { client, asked } = scripted(() => null);
  await client.waitOnline();
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked.at(-1).op, "ping");
  await reaching(client, State.OFFLINE);
  client.close();
  const living = scripted();
  await living.client.waitOnline();
  page.dispatchEvent(new Event("visibilitychange"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(living.client.state, State.ONLINE);
  living.client.close();
  delete globalThis.document;
}

// What a listener throws is reported, and neither others nor the connection suffer.
{
  const reported = [];
  process.on("uncaughtException", (error) => reported.push(error.message));
  const { client } = scripted();
  await client.waitOnline();
  client.onState(() => {
    throw new Error("of a state");
  });
  client.onEvent(() => {
    throw new Error("of an event");
  });
  const told = [];
  client.onEvent(({ op }) => told.push(op));
  await client.subscribe("r").catch(() => {});
  client.unsubscribe("r");
  const again = scripted(({ ref, op }) => (op === "sync" ? { op: "ok", ref, rooms: [], gone: [] } : { op: "error", ref, code: 5002, reason: "shutting_down" }));
  again.client.onState(() => {
    throw new Error("of a state");
  });
  again.client.onEvent(() => {
    throw new Error("of an event");
  });
  again.client.onEvent(({ op }) => told.push(op));
  await again.client.waitOnline();
  again.client.history("r").catch(() => {});
  await reaching(again.client, State.OFFLINE);
  await reaching(again.client, State.ONLINE);
  while (!told.includes("synced")) await turn();
  client.close();
  again.client.close();
  await turn();
  assert.deepEqual([...new Set(reported)].sort(), ["of a state", "of an event"]);
  process.removeAllListeners("uncaughtException");
}

// Who is ended by a listener stays so, and a listener knows when the next attempt is.
{
  const { client } = scripted(() => null, { heartbeatS: 0.01, backoff: { baseMs: 200, ceilingMs: 200 }, random: () => 1 });
  await client.waitOnline();
  let waitMs = null;
  client.onState((state) => {
    if (state !== State.OFFLINE) return;
    waitMs = client.retryInMs;
    client.close();
  });
  await reaching(client, State.CLOSED);
  assert.ok(waitMs > 0);
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(client.state, State.CLOSED);
}

// What an earlier page left goes before what is new, in the order of asking, whatever the clock.
{
  const { now } = Date;
  let clock = now();
  Date.now = () => clock;
  const outbox = await openOutbox("cleo");
  for (const [index, name] of ["z", "y", "x", "w"].entries()) {
    outbox.put({ op: "send", room: "r", cid: name, ref: index, body: {} });
    clock -= 1000 * (index % 2);
  }
  Date.now = now;
  const { client, asked } = scripted(undefined, { outbox: await openOutbox("cleo") });
  await client.send("r", "new", { cid: "new" });
  assert.deepEqual(asked.slice(1).map(({ cid }) => cid), ["z", "y", "x", "w", "new"]);
  client.close();
}

// Who ends before there is a connection, or an answer, has lost nothing; who is refused is told of it.
{
  const left = { op: "send", room: "r", cid: "left", body: {} };
  const outbox = { left: () => [left], put() {}, remove() {}, async clear() {} };
  const nowhere = connect("ws://127.0.0.1:9/ws", { token: () => new Promise(() => {}), outbox });
  const unanswered = scripted(() => null, { outbox }).client;
  await unanswered.waitOnline();
  const told = [];
  for (const client of [nowhere, unanswered]) {
    client.onEvent((event) => told.push(event));
    client.close();
  }
  await turn();
  assert.deepEqual(told, []);
  const { client } = scripted(({ ref }) => ({ op: "error", ref, code: 3001, reason: "forbidden" }), { outbox });
  client.onEvent((event) => told.push(event));
  await client.waitOnline();
  while (!told.length) await turn();
  assert.deepEqual([told[0].op, told[0].message], ["lost", left]);
  assert.ok(told[0].error instanceof Refusal);
  client.close();
}

// Where the browser ends the connection to its storage one sends all the same, and another is made.
{
  const databases = [];
  const watched = {
    open(...how) {
      const opening = indexedDB.open(...how);
      opening.addEventListener("success", () => databases.push(opening.result));
      return opening;
    },
  };
  const outbox = await openOutbox("dora", { indexedDB: watched });
  databases[0].close();
  const { client } = scripted(({ ref, cid }) => (cid === "kept" ? null : { op: "ok", ref }), { outbox });
  client.send("r", "hello", { cid: "kept" }).catch(() => {});
  await client.send("r", "hello again", { cid: "sent" });
  const kept = async () => (await openOutbox("dora")).left().map(({ cid }) => cid);
  while ((await kept()).join() !== "kept") await turn();
  client.close();
  assert.deepEqual(await kept(), ["kept"]);
}
process.exit(0);
