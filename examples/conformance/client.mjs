// A small client in JavaScript that passes the conformance kit: what a client has to do, in one file.
//
//   npm install ws   (not needed from Node 22 on)
//   python -m triolet.testing conformance -- node examples/conformance/client.mjs

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const STOPS = [4001, 4003];
// Refusals that pass: the same request again, with the same cid.
const PASSING = ["rate_limited", "store_unavailable", "outcome_unknown", "shutting_down"];
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 30_000;
const RETRY_MS = 1000;
const SILENCE_MARGIN_MS = 2000;

const WebSocket = globalThis.WebSocket ?? createRequire(`${process.cwd()}/`)("ws").WebSocket;

export class Client {
  constructor({ url, room, token }) {
    Object.assign(this, { url, room, token });
    // The last entry shown, as [epoch, seq]; null before the first subscription.
    this.position = null;
    // Requests without an answer, by ref, in the order of asking.
    this.waiting = new Map();
    this.ref = 0;
    this.attempt = 0;
    this.hintMs = 0;
    this.inflightMax = 64;
    this.isOver = false;
  }

  // What an application overrides.
  onMessage(_seq, _text) {}
  onBack(_seq) {}
  onHistory(_rows) {}
  onClosed(_reason) {}
  onStopped(_code) {}

  send(text) {
    const request = { op: "send", room: this.room, cid: randomUUID(), body: { text } };
    return new Promise((resolve, reject) => this.ask(request, resolve, reject));
  }

  // --- connections ---------------------------------------------------------------------

  async connect() {
    this.present ??= await this.token();
    const socket = new WebSocket(this.url, ["triolet.v1.json"]);
    this.socket = socket;
    this.isOnline = false;
    socket.onopen = () => this.put({ op: "hello", token: this.present, agent: "example" });
    socket.onmessage = ({ data }) => socket === this.socket && this.receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.socket && this.lost(code, reason);
    socket.onerror = () => {};
  }

  lost(code, reason) {
    clearInterval(this.heart);
    this.socket = null;
    if (this.isOver) return;
    if (STOPS.includes(code)) return this.stop(code);
    if (code === 4002) this.present = null;
    this.hintMs = Math.max(this.hintMs, hintOf(reason));
    for (const request of this.waiting.values()) request.isSent = false;
    setTimeout(() => this.connect(), this.delayMs());
    this.attempt += 1;
    this.hintMs = 0;
  }

  // The server's wish is the least, and jitter lies above it: many may have been told the same.
  delayMs() {
    const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** this.attempt);
    return this.hintMs + Math.random() * ceiling;
  }

  stop(code) {
    this.isOver = true;
    this.onStopped(code);
  }

  end() {
    this.isOver = true;
    clearInterval(this.heart);
    this.socket?.close(1000);
  }

  // --- requests ------------------------------------------------------------------------

  ask(message, resolve = () => {}, reject = () => {}) {
    const ref = ++this.ref;
    this.waiting.set(ref, { message: { ref, ...message }, resolve, reject, isSent: false });
    this.flush();
  }

  flush() {
    if (!this.isOnline || !this.socket) return;
    let inFlight = [...this.waiting.values()].filter((request) => request.isSent).length;
    for (const request of this.waiting.values()) {
      if (request.isSent || request.notBefore > Date.now()) continue;
      if (inFlight >= this.inflightMax) return;
      request.isSent = true;
      inFlight += 1;
      this.put(request.message);
    }
  }

  put(message) {
    this.socket.send(JSON.stringify(message));
  }

  answered(message) {
    const request = this.waiting.get(message.ref);
    if (!request) return;
    if (message.op === "error" && PASSING.includes(message.reason)) {
      const pauseMs = message.retry_after_ms ?? RETRY_MS;
      request.isSent = false;
      request.notBefore = Date.now() + pauseMs;
      setTimeout(() => this.flush(), pauseMs + 1);
    } else {
      this.waiting.delete(message.ref);
      if (message.op === "ok") request.resolve(message);
      else request.reject(message);
    }
    this.flush();
  }

  // --- what the server says ------------------------------------------------------------

  receive(message) {
    this.heardAt = Date.now();
    const handler = this[`on_${message.op}`];
    if (handler) handler.call(this, message);
  }

  on_welcome({ heartbeat_s, limits }) {
    this.isOnline = true;
    this.attempt = 0;
    this.inflightMax = limits.inflight_max ?? this.inflightMax;
    clearInterval(this.heart);
    this.heart = setInterval(() => this.beat(1000 * heartbeat_s), 500 * heartbeat_s);
    if (!this.isUnfollowed) this.subscribe();
    this.flush();
  }

  // After one heartbeat of silence ask, after two and a little give up.
  beat(heartbeatMs) {
    const silentMs = Date.now() - this.heardAt;
    if (silentMs > 2 * heartbeatMs + SILENCE_MARGIN_MS) {
      const socket = this.socket;
      this.lost(1006, "");
      socket.close();
    } else if (silentMs > heartbeatMs) {
      this.put({ op: "ping" });
    }
  }

  // Straight to the socket: a connection that is lost begins with a new one.
  subscribe() {
    this.subscription = ++this.ref;
    const since = this.position ? { since: this.position } : {};
    this.put({ op: "subscribe", ref: this.subscription, room: this.room, ...since });
  }

  on_ok(message) {
    if (message.ref === this.subscription) this.subscribed(message);
    else this.answered(message);
  }

  on_error(message) {
    // A refused hello is followed by a close that says what to do.
    if (this.isOnline) this.answered(message);
    else this.hintMs = message.retry_after_ms ?? 0;
  }

  subscribed({ epoch, head, recovered, since }) {
    if (this.position && !recovered) {
      this.refetch(epoch, head);
    } else if (since && since[1] < this.position[1]) {
      this.position = since;
      this.onBack(since[1]);
    } else {
      this.position = this.position ? [epoch, this.position[1]] : [epoch, head];
    }
    this.onSubscribed?.();
  }

  on_entry(entry) {
    if (entry.room !== this.room || !this.position) return;
    const [epoch, seq] = this.position;
    if (entry.seq <= seq) return;
    if (entry.seq > seq + 1) return this.subscribe();
    this.position = [epoch, entry.seq];
    if (entry.kind === "message") this.onMessage(entry.seq, entry.body?.text ?? "");
  }

  on_reset({ room, epoch, since, head }) {
    if (room !== this.room) return;
    if (since) {
      this.position = since;
      this.onBack(since[1]);
    } else {
      this.refetch(epoch, head);
    }
  }

  // The entries between were removed: show what is left, and go on from the head.
  refetch(epoch, head) {
    this.position = [epoch, head];
    this.ask({ op: "history", room: this.room, limit: 200 }, ({ messages }) =>
      this.onHistory(messages.filter(({ seq }) => seq <= head).map((m) => [m.seq, m.body?.text ?? ""])),
    );
  }

  on_closed({ room, reason }) {
    if (room !== this.room) return;
    this.isUnfollowed = true;
    this.onClosed(reason);
  }

  on_notice({ kind, retry_after_ms }) {
    if (kind === "draining") this.hintMs = retry_after_ms ?? 0;
    if (kind === "token_expiring") this.refresh();
  }

  async refresh() {
    this.present = await this.token();
    this.ask({ op: "refresh", token: this.present });
  }
}

function hintOf(reason) {
  try {
    return JSON.parse(reason).retry_after_ms ?? 0;
  } catch {
    return 0;
  }
}

// --- the program of the kit -------------------------------------------------------------

export function play(Kind) {
  const { TRIOLET_URL, TRIOLET_TOKEN_URL, TRIOLET_ROOM, TRIOLET_SENDS } = process.env;
  const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const token = async () => (await fetch(TRIOLET_TOKEN_URL)).text();
  const client = new Kind({ url: TRIOLET_URL, room: TRIOLET_ROOM, token });
  const finish = () => {
    client.end();
    setTimeout(() => process.exit(0), 50);
  };
  client.onMessage = (seq, text) => {
    say({ seen: seq, text });
    if (text === "end") finish();
  };
  client.onBack = (seq) => say({ back: seq });
  client.onHistory = (history) => say({ history });
  client.onClosed = (reason) => (say({ closed: reason }), finish());
  client.onStopped = (code) => (say({ stopped: code }), finish());
  client.onSubscribed = () => {
    client.onSubscribed = null;
    for (let number = 1; number <= Number(TRIOLET_SENDS); number++) {
      const text = String(number);
      client.send(text).then(
        ({ seq }) => say({ acked: text, seq }),
        ({ reason }) => say({ refused: text, reason }),
      );
    }
  };
  client.connect();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) play(Client);
