// Triolet's client for browsers, and for Node from 22 on: one module, nothing to build.
//
// It behaves as the Python client does, under the same names. When the connection is lost it
// comes back: it waits (full jitter), greets, asks what has changed (`sync`), follows its rooms
// from their positions, says its watches, presence, typing and marks again, and sends every
// unanswered request again under the same `cid`. Callers just wait longer. Entries come once
// each, in order.
//
//   const client = connect("wss://chat.example/ws", { token: () => fetchToken() });
//   const room = client.room("lobby");
//   for await (const entry of room) console.log(entry.from, entry.body?.text);

export const VERSION = "0.1.0";

// Where a connection stands: asking for a token, dialling, greeting; welcomed; waiting for the
// next attempt; over for good.
export const State = Object.freeze({
  CONNECTING: "connecting",
  ONLINE: "online",
  OFFLINE: "offline",
  CLOSED: "closed",
});

export const LIMITS = Object.freeze({
  // Requests without an answer, and their bytes: an hour offline of somebody who types fast.
  queueMax: 1000,
  queueBytesMax: 8 * 1024 * 1024,
  // How often a refusal that will pass is repeated before the caller hears it.
  retriesMax: 4,
  // Events one stream buffers; then its rooms wait at the server.
  streamEventsMax: 4096,
  // Rooms asked for at once, and heads and marks remembered: the protocol's bounds.
  batchRoomsMax: 200,
  roomsMax: 1000,
  dialTimeoutMs: 10_000,
  welcomeTimeoutMs: 10_000,
  tokenTimeoutMs: 30_000,
  // Beyond two heartbeats without a byte the connection is half open.
  silenceMarginMs: 5000,
  typingRenewalMs: 2000,
  typingMs: 6000,
});

export const BACKOFF = Object.freeze({
  baseMs: 500,
  factor: 2,
  ceilingMs: 30_000,
  // A connection that lived so long starts the count again.
  stableMs: 10_000,
  // The longest `retry_after_ms` that is believed.
  hintMaxMs: 300_000,
});

const BYE = 1000;
const PROTOCOL_ERROR = 1002;
export const ABNORMAL = 1006;
const UNAUTHENTICATED = 4001;
const TOKEN_EXPIRED = 4002;
const FINAL = new Set([UNAUTHENTICATED, 4003]);
// Closes that say nothing of their cause; then a refused hello says it.
const MUTE = new Set([1000, 1005, ABNORMAL]);
const CLOSE_OF_REFUSED_HELLO = {
  1002: TOKEN_EXPIRED,
  1004: 4003,
  4001: 4029,
  4003: 4029,
  5001: 1012,
  5002: 1012,
  5003: 1011,
};
// Refusals that pass: the same bytes again are harmless, for they carry a cid or only read.
const PASSING = new Set(["rate_limited", "store_unavailable", "outcome_unknown"]);
const PASSING_INTERNAL = new Set([...PASSING, "internal", "shutting_down"]);
// Their moment passes: never repeated after a refusal.
const MOMENTARY = new Set(["ping", "typing"]);
// What becomes of a request when the connection is lost before its answer; others leave again.
// "kept": it set a state that is established again. "drop": its moment has passed.
const LOSSES = {
  typing: "kept",
  receipt: "kept",
  presence: "kept",
  unsubscribe: "kept",
  unwatch: "kept",
  stats: "kept",
  signal: "drop",
};
// By whom one is seen is kept by the server, not by the client.
const onLoss = ({ op, visible_to }) => (visible_to === undefined ? LOSSES[op] : undefined);
// Of one request over HTTP.
const COMMANDS_MAX = 64;
const DURABLE = new Set(
  "create join leave invite kick role meta send edit delete react delete_room".split(" "),
);

// --- errors ------------------------------------------------------------------------------

export class TrioletError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

// The server's error to a request; `code` and `reason` are stable.
export class Refusal extends TrioletError {
  constructor({ code = 5003, reason = "internal", message = "", retry_after_ms }) {
    super(message || reason.replaceAll("_", " "));
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retry_after_ms;
  }
}

// The client has ended, and will not come back.
export class ConnectionClosed extends TrioletError {
  constructor(code, reason = "") {
    super(`closed with ${code} ${reason}`.trim());
    this.code = code;
    this.reason = reason;
  }
}

// As many requests wait for a connection as may; this one was not taken.
export class QueueFull extends TrioletError {}

// An ephemeral request met no connection; it was not, or may not have been, carried out.
export class Dropped extends TrioletError {}

// --- small things ------------------------------------------------------------------------

const JSON_CODEC = Object.freeze({
  subprotocol: "triolet.v1.json",
  encode: (message) => JSON.stringify(message),
  decode: (data) => JSON.parse(data),
});

export function newCid() {
  // `crypto.randomUUID` is only where the page came by TLS or from this machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// How long to wait before an attempt (from 0): the server's wish is the least, and jitter lies
// above it, for many may have been told the same.
export function delayMs(attempt, hintMs = 0, backoff = BACKOFF, random = Math.random) {
  const ceiling = Math.min(backoff.ceilingMs, backoff.baseMs * backoff.factor ** Math.min(attempt, 32));
  return Math.min(Math.max(hintMs, 0), backoff.hintMaxMs) + random() * ceiling;
}

// Waiting and silence are measured by a clock that nobody sets.
const now = () => performance.now();

// An exception of a listener is its own: it is reported, and what was told goes on.
function tell(listener, value) {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function hintOf(reason) {
  try {
    return Number(JSON.parse(reason).retry_after_ms) || 0;
  } catch {
    return 0; // only some closes carry JSON; any other reason is text for people
  }
}

function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new ConnectionClosed(ABNORMAL, `${what} took too long`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function* chunks(items, size) {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

// The oldest goes when there are too many.
function put(map, key, value, max) {
  map.delete(key);
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value);
}

// --- streams -----------------------------------------------------------------------------

// What an event is the state of, so that the latest replaces one that nobody has taken yet.
function keyOf(event) {
  if (event.op === "typing" || event.op === "receipts") return `${event.op} ${event.room}`;
  if (["presence", "feed", "synced", "stats"].includes(event.op)) return event.op;
  if (event.op === "notice" && event.kind !== "announcement") return `notice ${event.kind}`;
  return null;
}

function latest(old, newer, name) {
  return [...new Map([...old, ...newer].map((row) => [name(row), row])).values()];
}

function both(old = [], newer = [], but = []) {
  return [...new Set([...old, ...newer])].filter((room) => !but.includes(room));
}

function merge(old, event) {
  const first = (row) => row[0];
  if (event.op === "receipts") return { ...event, marks: latest(old.marks, event.marks, first) };
  if (event.op === "presence") return { ...event, users: latest(old.users, event.users, first) };
  if (event.op === "feed")
    return {
      ...event,
      rooms: latest(old.rooms ?? [], event.rooms ?? [], first),
      added: both(old.added, event.added, event.removed),
      removed: both(old.removed, event.removed, event.added),
    };
  if (event.op === "synced") {
    const rooms = latest(old.rooms, event.rooms, (row) => row.room);
    const gone = both(old.gone, event.gone, event.rooms.map((row) => row.room));
    return { ...event, rooms: rooms.filter((row) => !event.gone.includes(row.room)), gone };
  }
  return event;
}

// Events for one consumer, in order: `for await (const event of stream)`. It ends when its room
// is unsubscribed or closed, or the client ends; it throws when the server ended the client.
// When it is full, its rooms wait at the server and are asked for again below half.
export class EventStream {
  #slots = [];
  #state = new Map();
  #counted = 0;
  #wake = null;
  #end = null;
  #before;
  #hooks;

  constructor(hooks, before) {
    this.#hooks = hooks;
    this.#before = before;
    this.hasSpace = true;
  }

  push(event) {
    if (this.#end || (this.#hooks.entriesOnly && event.op !== "entry")) return true;
    const key = keyOf(event);
    const waiting = key && this.#state.get(key);
    if (waiting) {
      waiting.event = merge(waiting.event, event);
      return true;
    }
    const isOwed = key || event.op === "entry" || event.op === "reset" || event.op === "closed";
    if (!this.hasSpace && !isOwed) return false;
    const slot = { event, key };
    this.#slots.push(slot);
    if (key) this.#state.set(key, slot);
    else if (++this.#counted >= this.#hooks.max) this.hasSpace = false;
    this.#wake?.();
    return true;
  }

  end(error = null) {
    this.#end ??= { error };
    this.#wake?.();
  }

  // Stop listening; what is buffered is dropped.
  close() {
    this.end();
    this.#slots = [];
    this.#hooks.closed(this);
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    if (this.#before && !this.#end) {
      await this.#before();
      this.#before = null;
    }
    while (!this.#slots.length) {
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return { done: true, value: undefined };
      await new Promise((resolve) => (this.#wake = resolve));
    }
    return { done: false, value: this.#take() };
  }

  async return() {
    this.close();
    return { done: true, value: undefined };
  }

  #take() {
    const { event, key } = this.#slots.shift();
    if (key) this.#state.delete(key);
    else if (--this.#counted <= this.#hooks.max / 2 && !this.hasSpace) {
      this.hasSpace = true;
      this.#hooks.drained();
    }
    return event;
  }
}

// --- links: what carries messages --------------------------------------------------------

// A WebSocket. `told` has `opened()`, `alive()` at each sign of life, `message(map)`, and
// `closed(code, reason)`, once.
function webSocketLink({ url, codec, WebSocket }, told) {
  const socket = new WebSocket(url, [codec.subprotocol]);
  socket.binaryType = "arraybuffer";
  let isOver = false;
  const over = (code, reason) => {
    if (isOver) return;
    isOver = true;
    told.closed(code, reason);
  };
  socket.onopen = () => !isOver && told.opened();
  socket.onmessage = ({ data }) => {
    if (isOver) return;
    told.alive();
    let message;
    try {
      message = codec.decode(data);
    } catch (error) {
      socket.close(4000, "no message of the protocol");
      return over(PROTOCOL_ERROR, String(error));
    }
    told.message(message);
  };
  socket.onclose = ({ code, reason }) => over(code, reason);
  socket.onerror = () => {}; // a close follows, and says what there is to know
  return {
    // What a browser is given while a socket closes it drops, and complains of.
    send: (message) => !isOver && !(socket.readyState > 1) && socket.send(codec.encode(message)),
    close(code, reason) {
      over(code, reason);
      // Browsers let pages close with 1000 and 3000 to 4999 alone.
      socket.close(code === BYE || code >= 3000 ? code : 4000, reason.slice(0, 100));
    },
  };
}

// Server-sent events one way, requests the other: for networks that let no WebSocket pass. The
// stream carries a session like any other, and requests name it, so that they may go to any node.
function eventsLink({ url, fetch }, told) {
  const base = url.replace(/^ws/, "http").replace(/\/ws$/, "");
  const ending = new AbortController();
  let [isOver, isPosting, session, token] = [false, false, null, undefined];
  const waiting = [];
  const over = (code, reason) => {
    if (isOver) return;
    isOver = true;
    ending.abort();
    told.closed(code, reason);
  };
  const ask = (path, body) =>
    fetch(base + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
      signal: ending.signal,
      cache: "no-store",
    });
  const refusalOf = async (response) => {
    const { code = 5003, reason = "internal", detail = "" } = await response.json().catch(() => ({}));
    const retryAfterS = Number(response.headers.get("Retry-After"));
    return { op: "error", code, reason, message: detail, retry_after_ms: 1000 * retryAfterS || undefined };
  };
  const take = (message) => {
    if (isOver) return;
    if (message.op === "welcome") session = message.session;
    if (message.op !== "close") return told.message(message);
    const { code, reason, retry_after_ms } = message;
    over(code, retry_after_ms ? JSON.stringify({ retry_after_ms }) : reason);
  };
  const listen = async ({ device }) => {
    const response = await ask("/v1/stream", { device });
    if (!response.ok) {
      take(await refusalOf(response));
      return over(ABNORMAL, "");
    }
    let text = "";
    for await (const piece of piecesOf(response.body.pipeThrough(new TextDecoderStream()))) {
      told.alive();
      const events = (text + piece).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data:"));
        if (data.length) take(JSON.parse(data.map((line) => line.slice(5)).join("")));
      }
    }
    over(ABNORMAL, "the stream has ended");
  };
  const post = async () => {
    isPosting = true;
    while (waiting.length && !isOver) {
      const messages = waiting.splice(0, COMMANDS_MAX);
      const response = await ask(`/v1/commands?session=${session}`, messages);
      const answers = response.ok ? await response.json() : null;
      const refusal = answers ? null : await refusalOf(response);
      // Who is asked in vain for a reason of the token's has to come again with another one.
      if (refusal && CLOSE_OF_REFUSED_HELLO[refusal.code] === TOKEN_EXPIRED) return over(TOKEN_EXPIRED, "");
      for (const answer of answers ?? messages.map(({ ref }) => ({ ...refusal, ref }))) if (answer.op !== "sent") take(answer);
    }
    isPosting = false;
  };
  const lost = (error) => over(ABNORMAL, String(error));
  queueMicrotask(() => !isOver && told.opened());
  return {
    send(message) {
      if (message.op === "hello") {
        token = message.token;
        listen(message).catch(lost);
      } else if (!isOver) {
        waiting.push(message);
        if (message.op === "refresh") token = message.token;
        // What is asked in one turn goes in one request.
        if (!isPosting) queueMicrotask(() => !isPosting && post().catch(lost));
      }
    },
    close: over,
  };
}

// Streams cannot be iterated everywhere yet.
async function* piecesOf(stream) {
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
}

// --- the client --------------------------------------------------------------------------

// Connect at once; requests wait for the connection. Options: `token` (a string, or a function
// that gets one and is asked again when it has expired), `device`, `codec`, `outbox` (see
// `openOutbox`), `transport` ("auto": WebSocket, and server-sent events where that fails twice;
// "websocket" or "sse": one of them), `prove` (called when a server asks whether one is a bot, and
// what it refused is asked again once that has been shown, see README), `backoff`, `limits`, `WebSocket`, `fetch`, `random`.
export function connect(url, options = {}) {
  return new Client(url, options);
}

export class Client {
  #url;
  #options;
  #limits;
  #backoff;
  #codec;
  #random;
  #state = State.CONNECTING;
  #device;
  #token;
  #tokenEndsAt = Infinity;
  #present;
  #isTokenSpent = true;
  #isRenewing = false;
  #link = null;
  #makeLink;
  #failedInARow = 0;
  #welcome = null;
  #welcomedAt = null;
  #refusedHello = null;
  #close = null;
  #attempt = 0;
  #hintMs = 0;
  #retryTimer = null;
  #retryAt = 0;
  #beatTimer = null;
  #heardAt = 0;
  #pingedAt = null;
  #lastRef = 0;
  #waiting = []; // requests not sent
  #sent = new Map(); // by ref
  #postponed = new Map();
  #queued = 0;
  #queuedBytes = 0;
  #inflightMax = 64;
  #messageBytesMax = 128 * 1024;
  #flushTimer = null;
  #following = new Map(); // room → {epoch, seq, role, phase, isSuspect}
  #heads = new Map(); // room → [epoch, head, read]
  #marks = new Map(); // room → {delivered, read, isTold}
  #watched = new Set();
  #status = null;
  #stats = null;
  #typing = new Map(); // room → since
  #listeners = new Map([[null, new Set()]]); // room → streams
  #outbox;
  #proving = null;
  #stateListeners = new Set();
  #counts = { connections: 0, entries: 0, duplicates: 0, gaps: 0, holds: 0, strays: 0, eventsDropped: 0 };

  constructor(url, options) {
    this.#url = url;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#backoff = { ...BACKOFF, ...options.backoff };
    this.#codec = options.codec ?? JSON_CODEC;
    this.#random = options.random ?? Math.random;
    this.#device = options.device ?? "";
    this.#token = options.token;
    this.#outbox = options.outbox ?? null;
    this.#makeLink = options.transport === "sse" ? eventsLink : webSocketLink;
    this.#takeUp();
    this.#begin();
    globalThis.addEventListener?.("online", this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
  }

  // --- what there is to know ---------------------------------------------------------------

  get state() {
    return this.#state;
  }

  get user() {
    return this.#welcome?.user ?? "";
  }

  get device() {
    return this.#device;
  }

  get welcome() {
    return this.#welcome;
  }

  // How the last connection, or attempt at one, ended; null if none has yet.
  get lastClose() {
    return this.#close && new ConnectionClosed(this.#close.code, this.#close.reason);
  }

  // How long until the next attempt, while offline.
  get retryInMs() {
    return this.#state === State.OFFLINE ? Math.max(0, this.#retryAt - now()) : 0;
  }

  // The last [epoch, seq] given to the streams; null: the room is not followed.
  position(room) {
    const followed = this.#following.get(room);
    return followed ? [followed.epoch, followed.seq] : null;
  }

  statistics() {
    const held = [...this.#following.values()].filter(({ phase }) => phase === "held").length;
    return {
      ...this.#counts,
      unanswered: this.#queued,
      inflight: this.#sent.size,
      rooms: this.#following.size,
      roomsHeld: held,
    };
  }

  // Call `listener(state)` at each change; returns what takes it back.
  onState(listener) {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  async waitOnline() {
    while (this.#state !== State.ONLINE) {
      if (this.#state === State.CLOSED) throw this.lastClose;
      await new Promise((resolve) => {
        const takeBack = this.onState(() => (takeBack(), resolve()));
      });
    }
  }

  // --- events --------------------------------------------------------------------------------

  // Everything the server tells from now on; after a reconnection also `synced`.
  events() {
    return this.#open(null);
  }

  // Call `listener(event)` for each event from now on; returns what takes it back.
  onEvent(listener) {
    const stream = { hasSpace: true, push: (event) => (tell(listener, event), true), end() {} };
    this.#listeners.get(null).add(stream);
    this.#drained();
    return () => this.#listeners.get(null).delete(stream);
  }

  room(name) {
    return new Room(this, name, (entriesOnly, since) => this.#open(name, entriesOnly, since));
  }

  #open(room, entriesOnly = false, since = undefined) {
    const follow = async () => {
      if (since || !this.#following.has(room)) await this.subscribe(room, { since });
    };
    const hooks = {
      max: this.#limits.streamEventsMax,
      entriesOnly,
      drained: () => this.#drained(),
      closed: (stream) => this.#listeners.get(room)?.delete(stream),
    };
    const stream = new EventStream(hooks, room === null ? null : follow);
    if (this.#state === State.CLOSED) stream.end(this.#endError());
    if (!this.#listeners.has(room)) this.#listeners.set(room, new Set());
    this.#listeners.get(room).add(stream);
    this.#drained();
    return stream;
  }

  #listening(room) {
    const own = room === undefined ? null : this.#listeners.get(room);
    return [...this.#listeners.get(null), ...(own ?? [])];
  }

  #hasSpace(room) {
    const listening = this.#listening(room);
    return listening.length > 0 && listening.every((stream) => stream.hasSpace);
  }

  #deliver(event) {
    for (const stream of this.#listening(event.room)) {
      if (!stream.push(event)) this.#counts.eventsDropped += 1;
    }
  }

  #endRoom(room) {
    const streams = this.#listeners.get(room) ?? [];
    this.#listeners.delete(room);
    for (const stream of streams) stream.end();
  }

  // --- operations: the protocol's, under its names -------------------------------------------

  create(kind, { room, title, members, public: isPublic, cid } = {}) {
    return this.ask({ op: "create", kind, room, title, members, public: isPublic, cid });
  }

  direct(user) {
    return this.ask({ op: "direct", user });
  }

  join(room, { cid } = {}) {
    return this.ask({ op: "join", room, cid });
  }

  leave(room, { cid } = {}) {
    return this.ask({ op: "leave", room, cid });
  }

  invite(room, user, { role, cid } = {}) {
    return this.ask({ op: "invite", room, user, role, cid });
  }

  kick(room, user, { cid } = {}) {
    return this.ask({ op: "kick", room, user, cid });
  }

  setRole(room, user, role, { cid } = {}) {
    return this.ask({ op: "role", room, user, role, cid });
  }

  setMeta(room, { title, public: isPublic, cid } = {}) {
    return this.ask({ op: "meta", room, title, public: isPublic, cid });
  }

  // For its owner: nobody can read it any more, and its text goes.
  deleteRoom(room, { cid } = {}) {
    return this.ask({ op: "delete_room", room, cid });
  }

  rooms({ after, limit } = {}) {
    return this.ask({ op: "rooms", after, limit });
  }

  sync(have, { read } = {}) {
    return this.ask({ op: "sync", have, read });
  }

  // Follow a room from a position, from where it already stands, or from now on.
  subscribe(room, { since } = {}) {
    return this.ask({ op: "subscribe", room, since });
  }

  subscribeMany(places) {
    return this.ask({ op: "subscribe", rooms: places });
  }

  unsubscribe(room) {
    return this.ask({ op: "unsubscribe", room });
  }

  send(room, body, { replyTo, mentions, cid } = {}) {
    return this.ask({ op: "send", room, body: bodyOf(body), reply_to: replyTo, mentions, cid });
  }

  edit(room, target, body, { cid } = {}) {
    return this.ask({ op: "edit", room, target, body: bodyOf(body), cid });
  }

  delete(room, target, { cid } = {}) {
    return this.ask({ op: "delete", room, target, cid });
  }

  react(room, target, emoji, { on = true, cid } = {}) {
    return this.ask({ op: "react", room, target, emoji, on, cid });
  }

  history(room, { before, after, limit } = {}) {
    return this.ask({ op: "history", room, before, after, limit });
  }

  receipt(room, { delivered, read }) {
    return this.ask({ op: "receipt", room, delivered, read });
  }

  receipts(room, seq, { after, limit } = {}) {
    return this.ask({ op: "receipts", room, seq, after, limit });
  }

  typing(room, { on = true } = {}) {
    return this.ask({ op: "typing", room, on });
  }

  // How one is seen, kept across reconnections, and by whom ("everyone", "shared", "nobody"), which
  // the server keeps for all devices; what is undefined stays.
  presence(status, { visibleTo } = {}) {
    return this.ask({ op: "presence", status, visible_to: visibleTo });
  }

  watch(users) {
    return this.ask({ op: "watch", users: [...users] });
  }

  unwatch(users) {
    return this.ask({ op: "unwatch", users: [...users] });
  }

  // Pass something ephemeral; whether the server took it.
  async signal(room, kind, data = {}, { to, toDevice } = {}) {
    try {
      await this.ask({ op: "signal", room, kind, data, to, to_device: toDevice });
      return true;
    } catch (error) {
      if (error instanceof Dropped) return false;
      throw error;
    }
  }

  // What the servers count, told by `stats` events from now on or no more; for role `admin`.
  stats({ on = true, intervalMs } = {}) {
    return this.ask({ op: "stats", on, interval_ms: intervalMs });
  }

  refresh(token) {
    return this.ask({ op: "refresh", token });
  }

  ping() {
    return this.ask({ op: "ping" });
  }

  // End it: waiting callers hear it, streams end.
  close() {
    this.#end(BYE, "the client was closed");
    const link = this.#link;
    this.#link = null;
    link?.close(BYE, "");
  }

  // --- requests ------------------------------------------------------------------------------

  // Ask anything of the protocol; resolves with its `ok`, whatever connections it takes.
  async ask(command) {
    const submit = () => new Promise((resolve, reject) => this.#submit(command, resolve, reject));
    try {
      return await submit();
    } catch (error) {
      const { prove } = this.#options;
      if (error.reason !== "captcha_required" || !prove) throw error;
      await (this.#proving ??= Promise.resolve(prove()).finally(() => (this.#proving = null)));
      return submit();
    }
  }

  #submit(command, resolve, reject) {
    if (this.#state === State.CLOSED) return reject(this.#endError() ?? this.lastClose);
    const request = this.#make(command, { resolve, reject });
    const { message } = request;
    if (message.op === "subscribe") this.#continue(request);
    const atOnce = this.#atOnce(message);
    if (atOnce === "done") resolve({ op: "ok", ref: message.ref });
    else if (atOnce === "dropped") reject(new Dropped("there is no connection"));
    else {
      const error = this.#refuseToQueue(request);
      if (error) return reject(error);
      this.#queue(request);
      if (DURABLE.has(message.op)) this.#outbox?.put(message);
    }
    this.#asked(message);
    this.#flush();
  }

  #make(command, { resolve = null, reject = null } = {}) {
    const message = { ...command, ref: ++this.#lastRef };
    for (const name of Object.keys(message)) if (message[name] === undefined) delete message[name];
    if (DURABLE.has(message.op)) message.cid ??= newCid();
    const isInternal = reject === null;
    return { message, resolve, reject, isInternal, attempts: 0, dueAt: 0, size: 0 };
  }

  // A second subscription goes on where the first one stands: from the head, it would skip what
  // the first has yet to see.
  #continue(request) {
    const { message } = request;
    request.isRebase = message.since !== undefined || message.rooms !== undefined;
    if (message.room && !message.since) message.since = this.position(message.room) ?? undefined;
    if (message.since === undefined) delete message.since;
  }

  #atOnce(message) {
    const { op, room, on } = message;
    if (op === "typing" && this.#isRenewal(room, on)) return "done";
    if (this.#state === State.ONLINE) return null;
    if (op === "unsubscribe" && this.#waiting.some((one) => subscribesTo(one.message, room))) return null;
    const loss = onLoss(message);
    if (loss === "drop") return "dropped";
    return loss === "kept" ? "done" : null;
  }

  #refuseToQueue(request) {
    request.size = sizeOf(this.#codec.encode(request.message));
    if (request.size > this.#messageBytesMax)
      return new Refusal({ code: 2004, reason: "too_large", message: `${request.size} bytes are too many` });
    if (this.#queued >= this.#limits.queueMax) return new QueueFull(`${this.#queued} requests wait`);
    if (this.#queuedBytes + request.size > this.#limits.queueBytesMax)
      return new QueueFull(`${this.#queuedBytes} bytes of requests wait`);
    return null;
  }

  #queue(request) {
    this.#queued += 1;
    this.#queuedBytes += request.size;
    this.#waiting.push(request);
  }

  // Take up what a page before this one left behind, before anything new; its callers are gone.
  #takeUp() {
    for (const message of this.#outbox?.left() ?? []) {
      const reject = (error) => {
        // Who ends has lost nothing: it stays in the outbox.
        if (!(error instanceof ConnectionClosed)) this.#deliver({ op: "lost", message, error });
      };
      const request = this.#make(message, { reject });
      request.resolve = (ok) => this.#deliver({ op: "sent", message, ok });
      if (!this.#refuseToQueue(request)) this.#queue(request);
    }
  }

  #settle(request, error, ok) {
    if (!request.isInternal) {
      this.#queued -= 1;
      this.#queuedBytes -= request.size;
      if (DURABLE.has(request.message.op)) this.#outbox?.remove(request.message.cid);
    }
    if (error) request.reject?.(error);
    else request.resolve?.(ok);
  }

  // Ask in the client's own name, on this connection only.
  #askInternal(command, done = null) {
    if (this.#state !== State.ONLINE) return;
    const request = this.#make(command);
    request.done = done;
    this.#waiting.push(request);
  }

  #flush() {
    clearTimeout(this.#flushTimer);
    while (this.#state === State.ONLINE && this.#link && this.#sent.size < this.#inflightMax) {
      const request = this.#next();
      if (!request) break;
      this.#sent.set(request.message.ref, request);
      this.#link.send(request.message);
    }
    const due = Math.min(...[...this.#postponed.values()].map(({ dueAt }) => dueAt));
    if (due !== Infinity) this.#flushTimer = setTimeout(() => this.#flush(), Math.max(1, due - now()));
  }

  #next() {
    const ready = [...this.#postponed.values()].filter(({ dueAt }) => dueAt <= now());
    ready.sort((one, other) => one.message.ref - other.message.ref);
    if (!ready.length) return this.#waiting.shift();
    this.#postponed.delete(ready[0].message.ref);
    return ready[0];
  }

  #askLater(request, hintMs) {
    request.dueAt = now() + delayMs(request.attempts, hintMs, this.#backoff, this.#random);
    request.attempts += 1;
    this.#postponed.set(request.message.ref, request);
  }

  // --- the life of a connection ----------------------------------------------------------------

  async #begin() {
    this.#moveTo(State.CONNECTING);
    let token;
    try {
      token = await this.#currentToken();
    } catch (error) {
      const isFinal = error instanceof Refusal;
      return this.#lost(isFinal ? UNAUTHENTICATED : ABNORMAL, `no token: ${error?.message ?? error}`);
    }
    if (this.#state === State.CONNECTING) this.#dial(token);
  }

  #dial(token) {
    let link = null;
    const isOurs = () => link !== null && link === this.#link;
    const told = {
      opened: () => isOurs() && this.#greet(token),
      alive: () => isOurs() && this.#alive(),
      message: (message) => isOurs() && this.#receive(message),
      closed: (code, reason) => isOurs() && this.#lost(code, reason),
    };
    const { WebSocket = globalThis.WebSocket, fetch = globalThis.fetch.bind(globalThis) } = this.#options;
    const how = { url: this.#url, codec: this.#codec, WebSocket, fetch };
    try {
      this.#link = link = this.#makeLink(how, told);
    } catch (error) {
      return this.#lost(ABNORMAL, String(error));
    }
    this.#watchSilence(this.#limits.dialTimeoutMs, () => this.#hangUp(ABNORMAL, "no connection in time"));
  }

  #greet(token) {
    const hello = { op: "hello", token, agent: `triolet-js/${VERSION}` };
    if (this.#device) hello.device = this.#device;
    this.#link.send(hello);
    this.#watchSilence(this.#limits.welcomeTimeoutMs, () => this.#hangUp(ABNORMAL, "no welcome in time"));
  }

  #watchSilence(ms, then) {
    clearTimeout(this.#beatTimer);
    this.#beatTimer = setTimeout(then, ms);
  }

  // After one heartbeat of silence ask, after two and a little give up.
  #beat = () => {
    const intervalMs = 1000 * this.#welcome.heartbeat_s;
    const marginMs = this.#limits.silenceMarginMs;
    const due = this.#pingedAt === null
      ? this.#heardAt + intervalMs
      : Math.max(this.#heardAt + intervalMs, this.#pingedAt) + intervalMs + marginMs;
    const left = due - now();
    if (left > 0) return this.#watchSilence(left, this.#beat);
    if (this.#pingedAt !== null) return this.#hangUp(ABNORMAL, "the server is silent");
    this.#pingedAt = now();
    this.#askInternal({ op: "ping" });
    this.#drained();
    this.#flush();
    this.#watchSilence(intervalMs + marginMs, this.#beat);
  };

  // A page that slept does not know whether its connection has outlived that. It asks, and waits
  // no two heartbeats for the answer.
  #doubt() {
    this.#pingedAt = now();
    this.#askInternal({ op: "ping" });
    this.#flush();
    this.#watchSilence(this.#limits.silenceMarginMs, () => {
      if (this.#pingedAt === null) this.#beat();
      else this.#hangUp(ABNORMAL, "the server is silent");
    });
  }

  #hangUp(code, reason) {
    const link = this.#link;
    if (!link) return;
    this.#lost(code, reason);
    link.close(code, reason);
  }

  #lost(code, reason) {
    this.#link = null;
    clearTimeout(this.#beatTimer);
    clearTimeout(this.#flushTimer);
    if (this.#state === State.CLOSED) return;
    this.#close = this.#causeOf(code, reason);
    this.#refusedHello = null;
    const isExpired = this.#close.code === TOKEN_EXPIRED;
    const isRenewable = typeof this.#token === "function";
    if (FINAL.has(this.#close.code) || (isExpired && !isRenewable)) {
      return this.#end(this.#close.code, this.#close.reason);
    }
    if (isExpired || now() >= this.#tokenEndsAt) {
      this.#isTokenSpent = true;
      this.#tokenEndsAt = Infinity;
    }
    for (const request of this.#unanswered()) this.#loseOrKeep(request);
    for (const followed of this.#following.values()) {
      if (followed.phase !== "held") followed.phase = "wanted";
      followed.isSuspect = false;
    }
    // First the plan: a listener may ask for it, or end the client.
    this.#planRetry(hintOf(this.#close.reason));
    this.#moveTo(State.OFFLINE);
  }

  // Queue again what is to be sent again; return what is to be settled. The order stays.
  #unanswered() {
    const all = [...this.#sent.values(), ...this.#postponed.values(), ...this.#waiting];
    all.sort((one, other) => one.message.ref - other.message.ref);
    this.#sent.clear();
    this.#postponed.clear();
    const kept = all.filter((request) => !request.isInternal);
    const isResent = ({ message }) =>
      message.op === "unsubscribe"
        ? kept.some((one) => one.message.ref < message.ref && subscribesTo(one.message, message.room))
        : !onLoss(message);
    this.#waiting = kept.filter(isResent);
    return kept.filter((request) => !isResent(request));
  }

  #loseOrKeep(request) {
    if (onLoss(request.message) === "kept") this.#settle(request, null, { op: "ok" });
    else this.#settle(request, new Dropped("the connection was lost"));
  }

  #planRetry(hintMs) {
    if (this.#welcomedAt !== null && now() - this.#welcomedAt >= this.#backoff.stableMs) this.#attempt = 0;
    if (this.#welcomedAt === null) this.#considerFallback();
    const waitMs = delayMs(this.#attempt, Math.max(hintMs, this.#hintMs), this.#backoff, this.#random);
    this.#attempt += 1;
    this.#welcomedAt = null;
    this.#hintMs = 0;
    this.#retryAt = now() + waitMs;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#begin(), waitMs);
  }

  // Some networks let no WebSocket pass: after two failures in a row the other way is tried.
  #considerFallback() {
    if ((this.#options.transport ?? "auto") !== "auto") return;
    this.#failedInARow += 1;
    if (this.#failedInARow % 2) return;
    this.#makeLink = this.#makeLink === webSocketLink ? eventsLink : webSocketLink;
  }

  // The network is back, or somebody looks: do not wait for the rest of a long delay.
  #hurry = () => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#state === State.ONLINE) return this.#doubt();
    if (this.#state !== State.OFFLINE || this.#hintMs || this.retryInMs < 1000) return;
    if (hintOf(this.#close?.reason)) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#begin(), 1000 * this.#random());
    this.#retryAt = now();
  };

  #causeOf(code, reason) {
    const failed = this.#refusedHello;
    if (!failed) return { code, reason };
    const meant = CLOSE_OF_REFUSED_HELLO[failed.code] ?? UNAUTHENTICATED;
    return { code: MUTE.has(code) ? meant : code, reason: reason || failed.message };
  }

  #end(code, reason) {
    if (this.#state === State.CLOSED) return;
    this.#close = { code, reason };
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#beatTimer);
    clearTimeout(this.#flushTimer);
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    const left = [...this.#unanswered(), ...this.#waiting];
    this.#waiting = [];
    const error = new ConnectionClosed(code, reason);
    // What was to be sent stays in the outbox, for whoever signs in again.
    for (const request of left) request.reject?.(error);
    this.#queued = this.#queuedBytes = 0;
    this.#moveTo(State.CLOSED);
    for (const streams of this.#listeners.values()) for (const stream of streams) stream.end(this.#endError());
  }

  #endError() {
    return this.#close && this.#close.code !== BYE ? this.lastClose : null;
  }

  #moveTo(state) {
    if (this.#state === state) return;
    this.#state = state;
    for (const listener of [...this.#stateListeners]) tell(listener, state);
  }

  // --- tokens ------------------------------------------------------------------------------------

  async #currentToken() {
    if (typeof this.#token !== "function") return this.#token;
    if (this.#isTokenSpent || this.#present === undefined) {
      this.#present = await within(this.#limits.tokenTimeoutMs, Promise.resolve(this.#token()), "the token");
      this.#isTokenSpent = false;
    }
    return this.#present;
  }

  async #renew() {
    if (this.#isRenewing || typeof this.#token !== "function") return;
    this.#isRenewing = true;
    this.#isTokenSpent = true;
    try {
      const token = await this.#currentToken();
      this.#askInternal({ op: "refresh", token }, (ok) => this.#tokenLivesUntil(ok.expires_at));
      this.#flush();
    } catch {
      // The session lives on until the server ends it with 4002; then it is asked for again.
    } finally {
      this.#isRenewing = false;
    }
  }

  #tokenLivesUntil(expiresAt) {
    // The server's clock may be another: what counts is how long.
    this.#tokenEndsAt = now() + (expiresAt - this.#serverNow());
  }

  #serverNow() {
    return this.#welcome.now + (now() - this.#welcomedAt);
  }

  // --- what the server says ------------------------------------------------------------------------

  #alive() {
    this.#heardAt = now();
    this.#pingedAt = null;
  }

  #receive(message) {
    if (typeof message !== "object" || message === null) return this.#hangUp(PROTOCOL_ERROR, "no map");
    const take = TAKE[message.op];
    if (take) this[take](message);
    else if (TOLD.has(message.op)) this.#deliver(message);
    this.#flush();
  }

  // Called by name from TAKE: an op of the protocol each.
  _welcome(welcome) {
    this.#welcome = welcome;
    this.#device = welcome.device;
    this.#welcomedAt = now();
    this.#failedInARow = 0;
    this.#hintMs = 0;
    this.#counts.connections += 1;
    this.#inflightMax = Math.max(1, welcome.limits?.inflight_max ?? this.#inflightMax);
    this.#messageBytesMax = welcome.limits?.message_bytes_max ?? this.#messageBytesMax;
    this.#tokenLivesUntil(welcome.expires_at);
    this.#watchSilence(1000 * welcome.heartbeat_s, this.#beat);
    this.#moveTo(State.ONLINE);
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.#counts.connections > 1) this.#askSync();
    this.#drained();
    this.#sayAgain();
    this.#waiting.push(...waiting);
  }

  // What a new connection must be told: whom we watch, how we are seen, where we type, our marks.
  #sayAgain() {
    if (this.#status) this.#askInternal({ op: "presence", status: this.#status });
    if (this.#stats) this.#askInternal(this.#stats);
    for (const [room, since] of this.#typing) {
      if (now() - since < this.#limits.typingMs) this.#askInternal({ op: "typing", room, on: true });
      else this.#typing.delete(room);
    }
    for (const users of chunks([...this.#watched], 500)) {
      this.#askInternal({ op: "watch", users }, (ok) => this.#watchedAgain(users, ok.users));
    }
    for (const [room, mark] of this.#marks) {
      if (!mark.isTold && !this.#following.has(room)) this.#repeatMark(room, mark);
    }
  }

  #watchedAgain(users, rows) {
    // Nothing more is heard of whom no room is shared with: they must not be shown for ever.
    const told = new Set(rows.map(([user]) => user));
    const lost = users.filter((user) => !told.has(user)).map((user) => [user, "offline", 0]);
    this.#deliver({ op: "presence", users: [...rows, ...lost] });
  }

  #repeatMark(room, { delivered, read }) {
    if (!delivered && !read) return;
    this.#askInternal({ op: "receipt", room, delivered: delivered || undefined, read: read || undefined });
  }

  #askSync() {
    for (const [room, { epoch, seq, role }] of this.#following) if (role) this.#heard(room, epoch, seq);
    const rows = [...this.#heads].slice(-this.#limits.roomsMax);
    const have = rows.map(([room, [epoch, head]]) => [room, epoch, head]);
    const read = rows.map(([, [, , mark]]) => mark);
    this.#askInternal({ op: "sync", have, read }, (ok) => {
      for (const row of ok.rooms) this.#heard(row.room, row.epoch, row.head, row.read);
      for (const room of ok.gone) this.#heads.delete(room);
      this.#deliver({ op: "synced", rooms: ok.rooms, gone: ok.gone });
    });
  }

  // Remember a head and a read mark: what `sync` compares.
  #heard(room, epoch, head, read) {
    const known = this.#heads.get(room);
    if (known && known[0] === epoch) head = Math.max(head, known[1]);
    put(this.#heads, room, [epoch, head, read ?? known?.[2] ?? 0], this.#limits.roomsMax);
  }

  // Ask for all wanted rooms from their positions; held ones too, where somebody takes them now.
  #drained() {
    for (const [room, followed] of this.#following) {
      if (followed.phase === "held" && this.#hasSpace(room)) followed.phase = "wanted";
    }
    this.#askRooms();
  }

  #askRooms() {
    if (this.#state !== State.ONLINE) return;
    const wanted = [...this.#following].filter(([, { phase }]) => phase === "wanted");
    for (const batch of chunks(wanted, this.#limits.batchRoomsMax)) {
      const places = batch.map(([room, followed]) => {
        followed.phase = "asked";
        return [room, followed.epoch, followed.seq];
      });
      this.#askInternal({ op: "subscribe", rooms: places });
    }
    this.#flush();
  }

  _entry(entry) {
    const followed = this.#following.get(entry.room);
    if (!followed || followed.phase !== "live") this.#counts.strays += 1;
    else if (entry.seq <= followed.seq) this.#counts.duplicates += 1;
    else if (entry.seq > followed.seq + 1) this.#gap(followed, entry);
    else if (!this.#hasSpace(entry.room)) {
      this.#counts.holds += 1;
      followed.phase = "held";
      this.#askInternal({ op: "unsubscribe", room: entry.room });
    } else {
      followed.isSuspect = false;
      followed.seq = entry.seq;
      this.#counts.entries += 1;
      this.#deliver(entry);
    }
  }

  #gap(followed, entry) {
    this.#counts.gaps += 1;
    if (followed.isSuspect) return this.#hangUp(PROTOCOL_ERROR, `gaps in ${entry.room}`);
    followed.isSuspect = true;
    followed.phase = "wanted";
    this.#askRooms();
  }

  _ok(reply) {
    const request = this.#sent.get(reply.ref);
    if (!request) return;
    this.#sent.delete(reply.ref);
    this.#settle(request, null, reply);
    request.done?.(reply);
    this.#done(request, reply);
  }

  _error(failed) {
    if (this.#state !== State.ONLINE) {
      // A close follows that says what to do.
      this.#refusedHello = failed;
      this.#hintMs = failed.retry_after_ms ?? 0;
      return;
    }
    const request = this.#sent.get(failed.ref);
    if (!request) return;
    this.#sent.delete(failed.ref);
    const hintMs = failed.retry_after_ms ?? 0;
    if (failed.reason === "shutting_down") {
      // The node leaves. Its successor, or itself restarted, gets the request again.
      request.dueAt = 0;
      this.#postponed.set(request.message.ref, request);
      this.#hintMs = Math.max(this.#hintMs, hintMs);
      this.#hangUp(BYE, "the server is shutting down");
    } else if (this.#mayRepeat(request, failed)) this.#askLater(request, hintMs);
    else {
      this.#settle(request, new Refusal(failed));
      this.#refused(request, failed);
    }
  }

  #mayRepeat({ message, isInternal, attempts }, { reason }) {
    if (MOMENTARY.has(message.op)) return false;
    if (isInternal) return PASSING_INTERNAL.has(reason);
    return onLoss(message) !== "drop" && PASSING.has(reason) && attempts < this.#limits.retriesMax;
  }

  _reset(event) {
    const followed = this.#following.get(event.room);
    if (followed) {
      followed.epoch = event.epoch;
      followed.seq = event.since ? Math.min(followed.seq, event.since[1]) : event.head;
    }
    this.#deliver(event);
  }

  _closed(event) {
    this.#following.delete(event.room);
    this.#deliver(event);
    this.#endRoom(event.room);
  }

  _feed(event) {
    for (const [room, epoch, head, , read] of event.rooms ?? []) this.#heard(room, epoch, head, read);
    for (const room of event.removed ?? []) this.#heads.delete(room);
    this.#deliver(event);
  }

  _notice(event) {
    if (event.kind === "draining") this.#hintMs = event.retry_after_ms ?? 0;
    if (event.kind === "token_expiring") this.#renew();
    this.#deliver(event);
  }

  // --- what asking and being answered change ---------------------------------------------------------

  #asked(message) {
    const { op, room, users = [] } = message;
    if (op === "send") this.#typing.delete(room);
    else if (op === "receipt") this.#moveMark(message);
    else if (op === "presence") this.#status = message.status ?? this.#status;
    else if (op === "stats") this.#stats = message.on ? { op, on: true, interval_ms: message.interval_ms } : null;
    else if (op === "unsubscribe") {
      this.#following.delete(room);
      this.#endRoom(room);
    } else if (op === "unwatch") for (const user of users) this.#watched.delete(user);
  }

  #done(request, reply) {
    const { op, room, users, rooms, since } = request.message;
    if (op === "subscribe" && rooms) this.#grantedMany(request, reply);
    else if (op === "subscribe") this.#granted(request, reply, since);
    else if (op === "unsubscribe" && !request.isInternal) this.#following.delete(room);
    else if (op === "watch" && !request.isInternal) for (const user of users) this.#watched.add(user);
    else if (op === "receipt") this.#markTold(request.message);
    else if (op === "rooms") for (const row of reply.rooms) this.#heard(row.room, row.epoch, row.head, row.read);
    else if (op === "refresh" && !request.isInternal) {
      this.#present = request.message.token;
      this.#tokenLivesUntil(reply.expires_at);
    }
  }

  #refused({ message, isInternal }, { reason }) {
    if (message.op === "receipt") this.#marks.delete(message.room);
    else if (message.op === "typing") this.#typing.delete(message.room);
    else if (message.op === "presence" && message.status) this.#status = null;
    else if (message.op === "stats") this.#stats = null;
    else if (message.op === "watch" && isInternal) this.#watchedAgain(message.users, []);
    else if (message.op === "subscribe" && isInternal) {
      for (const [room] of message.rooms) this.#wasClosed(room, reason);
    }
  }

  #grantedMany(request, { rooms }) {
    const asked = new Map(request.message.rooms.map(([room, epoch, seq]) => [room, [epoch, seq]]));
    for (const row of rooms) {
      if (row.code === undefined) this.#granted(request, row, asked.get(row.room));
      else if (request.isInternal) this.#roomRefused(request, row);
    }
  }

  #roomRefused(request, row) {
    if (!PASSING_INTERNAL.has(row.reason)) return this.#wasClosed(row.room, row.reason);
    const position = this.position(row.room);
    if (!position) return;
    const again = this.#make({ op: "subscribe", rooms: [[row.room, ...position]] });
    again.attempts = request.attempts;
    this.#askLater(again, row.retry_after_ms ?? 0);
  }

  #wasClosed(room, reason) {
    if (!this.#following.delete(room)) return;
    this.#deliver({ op: "closed", room, reason });
    this.#endRoom(room);
  }

  // Take the server's word on where a subscription starts; a position never moves back but for a
  // fork, or where the caller chose it.
  #granted(request, row, since) {
    let followed = this.#following.get(row.room);
    if (!followed && request.isInternal) return this.#askInternal({ op: "unsubscribe", room: row.room });
    let had = since?.[1];
    if (!followed) this.#following.set(row.room, (followed = { seq: 0, isSuspect: false }));
    else if (!request.isRebase) had = followed.seq;
    followed.epoch = row.epoch;
    followed.role = row.role;
    followed.phase = "live";
    const isRefetch = since && !row.since && !row.recovered;
    if (had === undefined || isRefetch) followed.seq = row.head;
    else followed.seq = row.since ? Math.min(had, row.since[1]) : had;
    this.#tellReset(row, isRefetch, row.since && had !== undefined && row.since[1] < had);
    if (request.isInternal) this.#tellState(row);
    if (row.role) this.#heard(row.room, row.epoch, followed.seq, row.read);
    this.#markBehind(row);
  }

  #tellReset({ room, epoch, head, since, floor }, isRefetch, isFork) {
    if (isFork) this.#deliver({ op: "reset", room, epoch, head, since });
    else if (isRefetch) this.#deliver({ op: "reset", room, epoch, head, floor });
  }

  // State may have changed unseen: an application must not go on showing the old one.
  #tellState({ room, receipts, typing }) {
    if (receipts) this.#deliver({ op: "receipts", room, marks: receipts });
    this.#deliver({ op: "typing", room, users: typing ?? [], more: false });
  }

  // --- marks and typing --------------------------------------------------------------------------------

  #moveMark({ room, delivered = 0, read = 0 }) {
    const mark = this.#marks.get(room) ?? { delivered: 0, read: 0 };
    mark.delivered = Math.max(mark.delivered, delivered);
    mark.read = Math.max(mark.read, read);
    mark.isTold = false;
    put(this.#marks, room, mark, this.#limits.roomsMax);
  }

  #markTold({ room, delivered = 0, read = 0 }) {
    const mark = this.#marks.get(room);
    if (mark) mark.isTold ||= delivered >= mark.delivered && read >= mark.read;
  }

  #markBehind(row) {
    const mark = this.#marks.get(row.room);
    if (!mark) return;
    const own = row.receipts?.find(([user]) => user === this.user);
    const isTold = mark.read <= row.read && mark.delivered <= Math.max(own?.[1] ?? 0, row.read);
    if (!isTold) this.#repeatMark(row.room, mark);
  }

  // Remember typing; whether the server was told so recently that it can be spared.
  #isRenewal(room, on) {
    if (!on) return this.#typing.delete(room) && false;
    if (now() - (this.#typing.get(room) ?? -Infinity) < this.#limits.typingRenewalMs) return true;
    this.#typing.set(room, now());
    return false;
  }
}

const TAKE = {
  __proto__: null,
  welcome: "_welcome",
  entry: "_entry",
  ok: "_ok",
  error: "_error",
  reset: "_reset",
  closed: "_closed",
  feed: "_feed",
  notice: "_notice",
};
const TOLD = new Set(["receipts", "typing", "presence", "signal", "stats"]);

function bodyOf(body) {
  return typeof body === "string" ? { text: body } : body;
}

function sizeOf(encoded) {
  return typeof encoded === "string" ? new TextEncoder().encode(encoded).length : encoded.byteLength;
}

function subscribesTo({ op, room, rooms }, name) {
  return op === "subscribe" && (room === name || rooms?.some(([one]) => one === name) === true);
}

// --- rooms -----------------------------------------------------------------------------------

// One room: the client's operations for it, and `for await` over its entries.
export class Room {
  #open;

  constructor(client, name, open) {
    this.client = client;
    this.#open = open;
    this.name = name;
  }

  [Symbol.asyncIterator]() {
    return this.entries();
  }

  entries({ since } = {}) {
    return this.#open(true, since);
  }

  events({ since } = {}) {
    return this.#open(false, since);
  }
}

for (const name of [
  "subscribe", "unsubscribe", "history", "receipts", "send", "edit", "delete", "react", "receipt",
  "typing", "signal", "join", "leave", "invite", "kick", "setRole", "setMeta",
  "deleteRoom",
]) {
  Room.prototype[name] = function (...args) {
    return this.client[name](this.name, ...args);
  };
}

// --- the outbox: what was not acknowledged survives a reload ------------------------------------

const STORE = "requests";

// Open the outbox of somebody on this device, kept in IndexedDB: give it to `connect`. What an
// earlier page left is sent again under its `cid` after the first welcome; how that ends is told
// by the events `sent {message, ok}` and `lost {message, error}`. Two pages that send the same
// are harmless, for the server knows the `cid`. Where there is no IndexedDB it keeps nothing.
export async function openOutbox(user, { indexedDB = globalThis.indexedDB } = {}) {
  if (!indexedDB) return { left: () => [], put() {}, remove() {}, async clear() {} };
  const open = () => {
    const opening = indexedDB.open(`triolet-outbox-${user}`, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "cid" });
    return settled(opening);
  };
  let database = await open();
  const stored = (mode) => database.transaction(STORE, mode).objectStore(STORE);
  const change = (deed) => {
    try {
      deed(stored("readwrite"));
    } catch {
      // Browsers end connections of pages that sleep, or whose data is cleared. Where there is no
      // other one, what is to be sent is in memory still.
      open().then((another) => deed(((database = another), stored("readwrite")))).catch(() => {});
    }
  };
  const all = await settled(stored("readonly").getAll());
  all.sort((one, other) => one.at - other.at);
  // In the order of asking, also within a millisecond, and when the clock is set back.
  let last = all.at(-1)?.at ?? 0;
  return {
    left: () => all.splice(0).map(({ message }) => message),
    put({ ref, ...message }) {
      last = Math.max(last + 1, Date.now());
      change((store) => store.put({ cid: message.cid, at: last, message }));
    },
    remove: (cid) => change((store) => store.delete(cid)),
    clear: () => settled(stored("readwrite").clear()),
  };
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// --- folding: what later entries make of a message --------------------------------------------

const REACTION_USERS_MAX = 10;
const REACTION_EMOJIS_MAX = 50;

export function messageOf(entry) {
  const { seq, n, at, cid, from, body, reply_to, mentions, erased } = entry;
  return { seq, n, at, cid, from, reactions: {}, body, reply_to, mentions, erased: erased ?? false };
}

// Return `message` after an edit, a deletion or a reaction, as `me` sees it.
export function change(message, entry, me) {
  if (entry.kind === "edit")
    return { ...message, body: message.erased ? undefined : entry.body, edited_at: entry.at };
  if (entry.kind === "delete") return { ...message, body: undefined, erased: true };
  if (entry.kind !== "react") return message;
  // Whoever calls an emoji "constructor" means none of JavaScript's.
  const { [entry.emoji]: known, ...rest } = { __proto__: null, ...message.reactions };
  const before = known ?? { count: 0, mine: false, users: [] };
  const after = (entry.on ? reacted : unreacted)(before, entry.from, me);
  const all = after.count > 0 ? { ...rest, [entry.emoji]: after } : rest;
  const listed = Object.entries(all).sort(([one], [other]) => (one < other ? -1 : 1));
  return { ...message, reactions: Object.fromEntries(listed.slice(0, REACTION_EMOJIS_MAX)) };
}

function reacted(reaction, user, me) {
  if (reaction.users.includes(user) || (user === me && reaction.mine)) return reaction;
  const users = [...reaction.users, user].slice(0, REACTION_USERS_MAX);
  return { count: reaction.count + 1, mine: reaction.mine || user === me, users };
}

function unreacted(reaction, user, me) {
  const isKnown = reaction.users.includes(user) || reaction.count > reaction.users.length;
  if (!isKnown || (user === me && !reaction.mine)) return reaction;
  const users = reaction.users.filter((one) => one !== user);
  return { count: reaction.count - 1, mine: reaction.mine && user !== me, users };
}
