// A client by nobody of ours: `ws`, `@msgpack/msgpack`, and the protocol's description.
//
// It has one half of a conversation, checks what it gets, and prints what it saw.
// The other half may be itself, or `../independent_client.py`, which says the same lines.

"use strict";

const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const { decode, encode } = require("@msgpack/msgpack");
const WebSocket = require("ws");

const TIMEOUT_MS = 120_000;

// One user's connection; entries are checked to come once each, in order, by room.
class Client {
  constructor(url, token, form) {
    Object.assign(this, { url, token, form });
    // By room: the epoch and the seq of the last entry, and all entries.
    this.positions = {};
    this.entries = {};
    this.waiting = [];
    this.ref = 0;
  }

  async hello(user) {
    const protocol = `triolet.v1.${this.form}`;
    const socket = new WebSocket(this.url, [protocol]);
    this.arrived = [];
    this.wake = () => {};
    this.failure = null;
    this.socket = socket;
    const fail = (why) => {
      if (this.socket === socket) {
        this.failure = why;
        this.wake();
      }
    };
    socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, this.form === "msgpack");
      this.arrived.push(isBinary ? decode(data) : JSON.parse(data.toString()));
      this.wake();
    });
    socket.on("error", (error) => fail(error));
    socket.on("close", (code) => fail(new Error(`closed with ${code}`)));
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    assert.equal(socket.protocol, protocol);
    this.put({ op: "hello", token: this.token, device: "laptop", agent: "independent" });
    const welcome = await this.get();
    assert.deepEqual([welcome.op, welcome.user, welcome.device], ["welcome", user, "laptop"]);
    assert.ok(welcome.session && welcome.expires_at > welcome.now);
  }

  put(message) {
    this.socket.send(this.form === "json" ? JSON.stringify(message) : encode(message));
  }

  async get() {
    const late = setTimeout(() => {
      this.failure = new Error("nothing has come in time");
      this.wake();
    }, TIMEOUT_MS);
    while (!this.arrived.length) {
      if (this.failure) throw this.failure;
      await new Promise((resolve) => (this.wake = resolve));
    }
    clearTimeout(late);
    const message = this.arrived.shift();
    if (message.op === "entry") {
      const [epoch, seq] = this.positions[message.room];
      assert.equal(message.seq, seq + 1);
      this.positions[message.room] = [epoch, seq + 1];
      this.entries[message.room].push(message);
    }
    return message;
  }

  // The first event not waited for yet that has these fields.
  async wait(op, fields) {
    const has = (event, name) => isEqual(event[name], fields[name]);
    for (let at = 0; ; at++) {
      if (at === this.waiting.length) this.waiting.push(await this.get());
      const event = this.waiting[at];
      if (event.op === op && Object.keys(fields).every((name) => has(event, name))) {
        return this.waiting.splice(at, 1)[0];
      }
    }
  }

  waitText(room, text) {
    return this.wait("entry", { room, kind: "message", body: { text } });
  }

  async ask(op, fields = {}) {
    const ref = ++this.ref;
    this.put({ op, ref, ...fields });
    for (;;) {
      const message = await this.get();
      if (message.ref === ref) return message;
      this.waiting.push(message);
    }
  }

  async must(op, fields) {
    const answer = await this.ask(op, fields);
    assert.equal(answer.op, "ok", JSON.stringify(answer));
    return answer;
  }

  async subscribe(room, since) {
    // Its entries come right behind the answer.
    if (since) this.positions[room] = since;
    this.entries[room] ??= [];
    const granted = await this.must("subscribe", since ? { room, since } : { room });
    assert.equal(granted.recovered, since !== undefined);
    if (!since) this.positions[room] = [granted.epoch, granted.head];
    return granted;
  }

  send(room, text, more) {
    return this.must("send", { room, body: { text }, ...more });
  }

  vanish() {
    const socket = this.socket;
    this.socket = null;
    socket.terminate();
  }

  // Ask for the inbox until it has such a room.
  async waitRow(isIt) {
    for (const until = Date.now() + TIMEOUT_MS; Date.now() < until; await sleep(20)) {
      const row = (await this.must("rooms")).rooms.find(isIt);
      if (row) return row;
    }
    throw new Error("no such room");
  }
}

function isEqual(one, other) {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
}

// What the one who begins says.
async function first(client, me, other) {
  await client.hello(me);
  const direct = (await client.must("direct", { user: other })).room;
  assert.equal(direct, "dm:" + [me, other].sort().join(":"));
  assert.equal((await client.subscribe(direct)).members, 2);
  const wish = { kind: "group", cid: "g", title: "Tea", members: [other] };
  const group = (await client.must("create", wish)).room;
  assert.equal((await client.subscribe(group)).role, "owner");
  await client.waitText(group, "hello, group");
  await client.waitText(direct, "ready");

  const one = await client.send(direct, "one: ü ✓ 👩‍👩‍👧", { cid: "c1" });
  const again = await client.send(direct, "one: ü ✓ 👩‍👩‍👧", { cid: "c1" });
  assert.deepEqual([one.duplicate, again.duplicate], [false, true]);
  assert.deepEqual([one.seq, one.at], [again.seq, again.at]);
  await client.wait("typing", { room: direct, users: [other] });
  await client.wait("receipts", { room: direct, marks: [[other, one.seq, one.seq]] });
  await client.wait("entry", { room: direct, kind: "react", target: one.seq, emoji: "👍", on: true });
  const body = { text: "one, edited" };
  await client.must("edit", { room: direct, cid: "c2", target: one.seq, body });
  const two = await client.waitText(direct, "two");
  assert.deepEqual([two.reply_to, two.mentions, two.from], [one.seq, [me], other]);
  await client.must("typing", { room: direct, on: true });
  await client.must("receipt", { room: direct, read: two.seq });
  await client.waitText(direct, "seen");

  const going = await client.send(direct, "going", { cid: "c3" });
  await client.waitText(direct, "going");
  client.vanish();
  await client.hello(me);
  const position = client.positions[direct];
  await client.waitRow((row) => row.room === direct && row.head === position[1] + 2);
  assert.equal((await client.subscribe(direct, position)).head, position[1] + 2);
  const three = await client.waitText(direct, "three");
  await client.waitText(direct, "four");

  const heart = { room: direct, target: three.seq, emoji: "❤" };
  await client.must("react", { ...heart, cid: "c4", on: true });
  await client.must("react", { ...heart, cid: "c5", on: false });
  await client.must("delete", { room: direct, cid: "c6", target: going.seq });
  await client.send(direct, "bye", { cid: "c7" });
  await client.waitText(direct, "bye to you");
  const unknown = await client.ask("dance");
  assert.deepEqual([unknown.op, unknown.code, unknown.reason], ["error", 2002, "unknown_op"]);
  return [direct, one.seq, going.seq];
}

// What the other one says.
async function second(client, me, other) {
  await client.hello(me);
  const group = await client.waitRow((row) => row.kind === "group");
  assert.deepEqual([group.title, group.role], ["Tea", "member"]);
  await client.subscribe(group.room);
  await client.send(group.room, "hello, group", { cid: "h" });
  const direct = (await client.must("direct", { user: other })).room;
  const { epoch } = await client.subscribe(direct);
  await client.must("unsubscribe", { room: direct });
  await client.subscribe(direct, [epoch, 0]);
  await client.send(direct, "ready", { cid: "d1" });

  const one = await client.waitText(direct, "one: ü ✓ 👩‍👩‍👧");
  assert.deepEqual([one.from, one.cid], [other, "c1"]);
  await client.must("typing", { room: direct, on: true });
  await client.must("receipt", { room: direct, delivered: one.seq, read: one.seq });
  const thumb = { room: direct, cid: "d2", target: one.seq, emoji: "👍", on: true };
  await client.must("react", thumb);
  const edit = await client.wait("entry", { room: direct, kind: "edit", target: one.seq });
  assert.deepEqual(edit.body, { text: "one, edited" });
  const reply = { cid: "d3", reply_to: one.seq, mentions: [other] };
  const two = await client.send(direct, "two", reply);
  await client.wait("typing", { room: direct, users: [other] });
  await client.wait("receipts", { room: direct, marks: [[other, two.seq, two.seq]] });
  await client.send(direct, "seen", { cid: "d7" });

  const going = await client.waitText(direct, "going");
  await client.send(direct, "three", { cid: "d4" });
  await client.send(direct, "four", { cid: "d5" });
  await client.wait("entry", { room: direct, kind: "react", emoji: "❤", on: true });
  await client.wait("entry", { room: direct, kind: "react", emoji: "❤", on: false });
  await client.wait("entry", { room: direct, kind: "delete", target: going.seq });
  await client.waitText(direct, "bye");
  await client.send(direct, "bye to you", { cid: "d6" });
  await client.waitText(direct, "bye to you");
  return [direct, one.seq, going.seq];
}

async function main() {
  const { url, token, form, half, me, other } = JSON.parse(process.argv[2]);
  const client = new Client(url, token, form);
  const [room, edited, deleted] = await { first, second }[half](client, me, other);
  const page = await client.must("history", { room, limit: 200 });
  assert.deepEqual([page.more, page.as_of], [false, client.positions[room]]);
  const find = (seq) => page.messages.find((message) => message.seq === seq);
  assert.deepEqual(find(edited).body, { text: "one, edited" });
  assert.ok(find(edited).edited_at >= find(edited).at);
  const [who, mine] = half === "first" ? [other, false] : [me, true];
  assert.deepEqual(find(edited).reactions, { "👍": { count: 1, mine, users: [who] } });
  assert.equal(find(deleted).erased, true);
  assert.equal("body" in find(deleted), false);
  assert.ok((await client.must("ping")).now > 0);
  client.socket.close(1000);
  console.log(JSON.stringify({ entries: client.entries, messages: page.messages }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
