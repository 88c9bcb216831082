// What triolet.js gives, for TypeScript. Names and shapes are the protocol's.

export const VERSION: string;
export const ABNORMAL: 1006;

export type ConnectionState = "connecting" | "online" | "offline" | "closed";
export const State: {
  readonly CONNECTING: "connecting";
  readonly ONLINE: "online";
  readonly OFFLINE: "offline";
  readonly CLOSED: "closed";
};

export interface Limits {
  /** Requests without an answer, and their bytes. */
  queueMax: number;
  queueBytesMax: number;
  /** How often a refusal that will pass is repeated before the caller hears it. */
  retriesMax: number;
  streamEventsMax: number;
  batchRoomsMax: number;
  roomsMax: number;
  dialTimeoutMs: number;
  welcomeTimeoutMs: number;
  tokenTimeoutMs: number;
  silenceMarginMs: number;
  typingRenewalMs: number;
  typingMs: number;
}
export const LIMITS: Readonly<Limits>;

export interface Backoff {
  baseMs: number;
  factor: number;
  ceilingMs: number;
  stableMs: number;
  hintMaxMs: number;
}
export const BACKOFF: Readonly<Backoff>;
export function delayMs(attempt: number, hintMs?: number, backoff?: Backoff, random?: () => number): number;
export function newCid(): string;

// --- errors ------------------------------------------------------------------------------

export class TrioletError extends Error {}
/** The server's error to a request. */
export class Refusal extends TrioletError {
  constructor(failed: { code?: number; reason?: string; message?: string; retry_after_ms?: number });
  readonly code: number;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
}
/** The client has ended, and will not come back. */
export class ConnectionClosed extends TrioletError {
  constructor(code: number, reason?: string);
  readonly code: number;
  readonly reason: string;
}
/** As many requests wait for a connection as may; this one was not taken. */
export class QueueFull extends TrioletError {}
/** An ephemeral request met no connection. */
export class Dropped extends TrioletError {}

// --- the nouns ---------------------------------------------------------------------------

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Body = { text?: string; [name: string]: Json | undefined };
export type Position = [epoch: string, seq: number];
export type Place = [room: string, epoch: string, seq: number];
export type Role = "owner" | "admin" | "member" | "reader";
export type RoomKind = "direct" | "group" | "channel";
export type Status = "online" | "away" | "dnd" | "invisible";
export type VisibleTo = "everyone" | "shared" | "nobody";
export type VisibleStatus = "online" | "away" | "dnd" | "offline";
export type MarkRow = [user: string, delivered: number, read: number];
export type PresenceRow = [user: string, status: VisibleStatus, lastSeen: number];
export type FeedRow = [room: string, epoch: string, head: number, unread: number, read: number];

interface EntryBase {
  op: "entry";
  room: string;
  seq: number;
  n: number;
  from: string;
  at: number;
  cid: string;
}
export type Entry =
  | (EntryBase & { kind: "message"; body?: Body; reply_to?: number; mentions?: string[]; erased?: boolean })
  | (EntryBase & { kind: "edit"; target: number; body?: Body; erased?: boolean })
  | (EntryBase & { kind: "delete"; target: number })
  | (EntryBase & { kind: "react"; target: number; emoji: string; on: boolean })
  | (EntryBase & { kind: "member"; user: string; role: Role | null })
  | (EntryBase & { kind: "meta"; title?: string; public?: boolean });

export interface Reaction {
  count: number;
  mine: boolean;
  users: string[];
}
export interface FoldedMessage {
  seq: number;
  n: number;
  at: number;
  cid: string;
  from: string;
  reactions: Record<string, Reaction>;
  body?: Body;
  reply_to?: number;
  mentions?: string[];
  edited_at?: number;
  erased?: boolean;
}

export type ClientEvent =
  | Entry
  | { op: "reset"; room: string; epoch: string; head: number; since?: Position; floor?: number }
  | { op: "closed"; room: string; reason: string; seq?: number }
  | { op: "feed"; rooms: FeedRow[]; added?: string[]; removed?: string[] }
  | { op: "receipts"; room: string; marks: MarkRow[] }
  | { op: "typing"; room: string; users: string[]; more: boolean }
  | { op: "presence"; users: PresenceRow[] }
  | { op: "signal"; room: string; from: string; from_device: string; kind: string; data: Body }
  | { op: "notice"; kind: string; retry_after_ms?: number; expires_at?: number; body?: Body }
  | { op: "synced"; rooms: InboxRow[]; gone: string[] }
  | ({ op: "stats" } & Observed)
  | { op: "sent"; message: Command; ok: Ok }
  | { op: "lost"; message: Command; error: TrioletError };

export interface Quantiles {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}
export interface NodeStatistics {
  node: string;
  at: number;
  up_ms: number;
  gauges: Record<string, number>;
  counts: Record<string, number>;
  rates: Record<string, number>;
  closes: Record<string, number>;
  refusals: Record<string, number>;
  append_ms: Quantiles;
  bus_ms: Quantiles;
  lag_ms: Quantiles;
  not_ready?: string;
  unheard?: string[];
  store_failing?: boolean;
  busiest?: [room: string, entries: number][];
  errors?: [at: number, level: string, logger: string, message: string][];
}
export interface Observed {
  at: number;
  interval_ms: number;
  nodes: NodeStatistics[];
  total: NodeStatistics;
  silent?: string[];
  jobs?: [kind: string, waiting: number, running: number, dead: number, dueAt: number][];
}

export interface Ok {
  op: "ok";
  ref: number;
}
export interface Written extends Ok {
  room: string;
  seq: number;
  at: number;
  duplicate: boolean;
}
export interface RoomOpened extends Ok {
  room: string;
  epoch?: string;
  seq?: number;
}
export interface Subscribed extends Ok {
  room: string;
  epoch: string;
  head: number;
  floor: number;
  role: Role | null;
  recovered: boolean;
  since?: Position;
  unread: number;
  read: number;
  members: number;
  receipts?: MarkRow[];
  typing: string[];
}
export interface HistoryPage extends Ok {
  messages: FoldedMessage[];
  more: boolean;
  as_of: Position;
}
export interface InboxRow {
  room: string;
  kind: RoomKind;
  title: string;
  epoch: string;
  head: number;
  unread: number;
  read: number;
  last: FoldedMessage | null;
}
export interface Inbox extends Ok {
  rooms: InboxRow[];
  more: boolean;
}
export interface Welcome {
  op: "welcome";
  session: string;
  user: string;
  device: string;
  now: number;
  heartbeat_s: number;
  limits: Record<string, number>;
  expires_at: number;
}
export interface Command {
  op: string;
  [field: string]: unknown;
}
interface WithCid {
  cid?: string;
}

// --- connecting --------------------------------------------------------------------------

export interface Codec {
  subprotocol: "triolet.v1.json" | "triolet.v1.msgpack";
  encode(message: object): string | Uint8Array;
  decode(data: string | ArrayBuffer): unknown;
}
export interface Outbox {
  left(): Command[];
  put(message: Command): void;
  remove(cid: string): void;
  clear(): Promise<void>;
}
export function openOutbox(user: string, how?: { indexedDB?: IDBFactory }): Promise<Outbox>;

export interface ConnectOptions {
  /** What `hello` carries, or what gets one, asked again whenever it has expired. */
  token?: string | (() => string | Promise<string>);
  device?: string;
  codec?: Codec;
  outbox?: Outbox;
  backoff?: Partial<Backoff>;
  limits?: Partial<Limits>;
  /** Shows that one is no bot (`POST /v1/guard/captcha`); then what was refused is asked again. */
  prove?: () => void | Promise<void>;
  /** "auto": WebSocket, and server-sent events where that fails twice in a row. */
  transport?: "auto" | "websocket" | "sse";
  WebSocket?: typeof WebSocket;
  fetch?: typeof fetch;
  random?: () => number;
}
/** Connect at once; requests wait for the connection. */
export function connect(url: string, options?: ConnectOptions): Client;

export class EventStream<T> implements AsyncIterableIterator<T> {
  readonly hasSpace: boolean;
  [Symbol.asyncIterator](): this;
  next(): Promise<IteratorResult<T, undefined>>;
  return(): Promise<IteratorResult<T, undefined>>;
  close(): void;
}

export interface Statistics {
  connections: number;
  entries: number;
  duplicates: number;
  gaps: number;
  holds: number;
  strays: number;
  eventsDropped: number;
  unanswered: number;
  inflight: number;
  rooms: number;
  roomsHeld: number;
}

export class Client {
  readonly state: ConnectionState;
  readonly user: string;
  readonly device: string;
  readonly welcome: Welcome | null;
  readonly lastClose: ConnectionClosed | null;
  readonly retryInMs: number;
  position(room: string): Position | null;
  statistics(): Statistics;
  onState(listener: (state: ConnectionState) => void): () => void;
  waitOnline(): Promise<void>;
  events(): EventStream<ClientEvent>;
  onEvent(listener: (event: ClientEvent) => void): () => void;
  room(name: string): Room;
  close(): void;
  /** Ask anything of the protocol; resolves with its `ok`. */
  ask(command: Command): Promise<Ok>;

  create(
    kind: "group" | "channel",
    options?: { room?: string; title?: string; members?: string[]; public?: boolean } & WithCid,
  ): Promise<RoomOpened>;
  direct(user: string): Promise<RoomOpened>;
  join(room: string, options?: WithCid): Promise<Written | RoomOpened>;
  leave(room: string, options?: WithCid): Promise<Written | RoomOpened>;
  invite(room: string, user: string, options?: { role?: Role } & WithCid): Promise<Written | RoomOpened>;
  kick(room: string, user: string, options?: WithCid): Promise<Written>;
  setRole(room: string, user: string, role: Role, options?: WithCid): Promise<Written>;
  setMeta(room: string, options: { title?: string; public?: boolean } & WithCid): Promise<Written>;
  deleteRoom(room: string, options?: WithCid): Promise<Written>;
  rooms(options?: { after?: string; limit?: number }): Promise<Inbox>;
  sync(have: Place[], options?: { read?: number[] }): Promise<Ok & { rooms: InboxRow[]; gone: string[] }>;
  subscribe(room: string, options?: { since?: Position }): Promise<Subscribed>;
  subscribeMany(places: Place[]): Promise<Ok & { rooms: (Subscribed | { room: string; code: number; reason: string })[] }>;
  unsubscribe(room: string): Promise<Ok>;
  send(
    room: string,
    body: string | Body,
    options?: { replyTo?: number; mentions?: string[] } & WithCid,
  ): Promise<Written>;
  edit(room: string, target: number, body: string | Body, options?: WithCid): Promise<Written>;
  delete(room: string, target: number, options?: WithCid): Promise<Written>;
  react(room: string, target: number, emoji: string, options?: { on?: boolean } & WithCid): Promise<Written>;
  history(room: string, options?: { before?: number; after?: number; limit?: number }): Promise<HistoryPage>;
  receipt(room: string, marks: { delivered?: number; read?: number }): Promise<Ok>;
  receipts(
    room: string,
    seq: number,
    options?: { after?: string; limit?: number },
  ): Promise<Ok & { marks: MarkRow[]; more: boolean }>;
  typing(room: string, options?: { on?: boolean }): Promise<Ok>;
  presence(status?: Status, options?: { visibleTo?: VisibleTo }): Promise<Ok>;
  watch(users: Iterable<string>): Promise<Ok & { users: PresenceRow[] }>;
  unwatch(users: Iterable<string>): Promise<Ok>;
  signal(
    room: string,
    kind: string,
    data?: Body,
    options?: { to?: string; toDevice?: string },
  ): Promise<boolean>;
  stats(options?: { on?: boolean; intervalMs?: number }): Promise<Ok>;
  refresh(token: string): Promise<Ok & { expires_at: number }>;
  ping(): Promise<Ok & { now: number }>;
}

type ForRoom<Name extends keyof Client> = Client[Name] extends (room: string, ...rest: infer Rest) => infer Answer
  ? (...rest: Rest) => Answer
  : never;

/** One room: the client's operations for it, and `for await` over its entries. */
export class Room implements AsyncIterable<Entry> {
  readonly client: Client;
  readonly name: string;
  [Symbol.asyncIterator](): EventStream<Entry>;
  entries(options?: { since?: Position }): EventStream<Entry>;
  events(options?: { since?: Position }): EventStream<ClientEvent>;
  subscribe: ForRoom<"subscribe">;
  unsubscribe: ForRoom<"unsubscribe">;
  history: ForRoom<"history">;
  receipts: ForRoom<"receipts">;
  send: ForRoom<"send">;
  edit: ForRoom<"edit">;
  delete: ForRoom<"delete">;
  react: ForRoom<"react">;
  receipt: ForRoom<"receipt">;
  typing: ForRoom<"typing">;
  signal: ForRoom<"signal">;
  join: ForRoom<"join">;
  leave: ForRoom<"leave">;
  invite: ForRoom<"invite">;
  kick: ForRoom<"kick">;
  setRole: ForRoom<"setRole">;
  setMeta: ForRoom<"setMeta">;
  deleteRoom: ForRoom<"deleteRoom">;
}

// --- folding -----------------------------------------------------------------------------

/** The message that a `message` entry makes. */
export function messageOf(entry: Entry): FoldedMessage;
/** A message after an edit, a deletion or a reaction, as `me` sees it. */
export function change(message: FoldedMessage, entry: Entry, me: string): FoldedMessage;
