// What the chat knows: rooms, people, typing and marks, kept equal to the server by the client's
// events. No DOM here; `changed(what, about)` is called when there is something to be drawn.

import { Refusal, newCid } from "./triolet.js";
import { otherOf } from "./format.js";
import { Timeline } from "./timeline.js";

// Rooms that stay followed after one has left them, so that coming back costs nothing.
const FOLLOWED_MAX = 20;
const WATCHED_MAX = 500;
const SYNC_DELAY_MS = 300;
const READ_DELAY_MS = 250;
const DELIVERED_DELAY_MS = 150;
const SLOW_MS = 5000;

export class Chat {
  rooms = new Map();
  presence = new Map();
  open = null;
  isLoaded = false;
  error = null;
  #takeBack;
  #syncTimer = null;
  #readTimer = null;

  constructor(client, me, changed) {
    Object.assign(this, { client, me, changed });
    this.#takeBack = client.onEvent((event) => this[`on_${event.op}`]?.(event));
    this.begin();
  }

  end() {
    this.#takeBack();
    clearTimeout(this.#syncTimer);
    clearTimeout(this.#readTimer);
    this.client.close();
  }

  // --- the list ---

  // Read the list; also again, after an error.
  async begin() {
    this.error = null;
    try {
      await this.client.waitOnline();
      let after;
      do {
        const page = await this.client.rooms({ after, limit: 200 });
        page.rooms.forEach((row) => this.#take(row));
        after = page.more ? page.rooms.at(-1).room : undefined;
      } while (after && this.rooms.size < 1000);
      this.isLoaded = true;
      this.watch(this.#others(this.#all));
    } catch (error) {
      this.error = error;
    }
    this.changed("rooms");
  }

  #take(row) {
    const room = this.rooms.get(row.room) ?? { typing: [], marks: new Map() };
    Object.assign(room, row);
    this.rooms.set(row.room, room);
    return room;
  }

  get #all() {
    return [...this.rooms.values()];
  }

  // The newest first; nothing moves because one looks at it.
  listed() {
    const at = ({ last, opened = 0 }) => last?.at ?? opened;
    return this.#all.sort((one, other) => at(other) - at(one) || (one.room < other.room ? -1 : 1));
  }

  get unread() {
    return this.#all.reduce((sum, { unread }) => sum + unread, 0);
  }

  #others(rooms) {
    return rooms.filter(({ kind }) => kind === "direct").map(({ room }) => otherOf(room, this.me));
  }

  async watch(people) {
    const wanted = people.filter((user) => user && !this.presence.has(user)).slice(0, WATCHED_MAX - this.presence.size);
    if (!wanted.length) return;
    try {
      this.on_presence(await this.client.watch(wanted));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error; // whom one may not see is shown without a dot
    }
  }

  on_presence({ users }) {
    for (const [user, status, seen] of users) this.presence.set(user, [status, seen]);
    this.changed("presence");
  }

  on_feed({ rooms = [], added = [], removed = [] }) {
    for (const [name, epoch, head, unread, read] of rooms) {
      const room = this.rooms.get(name);
      if (room) Object.assign(room, { epoch, unread, read: Math.max(read, room.read) });
      if (!room || head > (room.last?.seq ?? 0)) this.#syncSoon();
    }
    for (const name of removed) this.#gone(name, "removed");
    if (added.length) this.#syncSoon();
    this.changed("rooms");
  }

  // What moved, with its last message, in one question.
  #syncSoon() {
    this.#syncTimer ??= setTimeout(async () => {
      this.#syncTimer = null;
      // Neither what is not ours nor what is a bare name.
      const ours = this.#all.filter(({ room, title, epoch, role }) => title !== room && epoch && role !== null);
      const have = ours.slice(0, 1000).map(({ room, epoch, head = 0 }) => [room, epoch, head]);
      try {
        this.on_synced(await this.client.sync(have));
      } catch {
        // The next connection asks by itself.
      }
    }, SYNC_DELAY_MS);
  }

  on_synced({ rooms, gone }) {
    for (const row of rooms) this.#heardOf(row);
    for (const name of gone) this.#gone(name, "removed");
    this.watch(this.#others(rooms));
    this.changed("rooms");
  }

  #heardOf(row) {
    const before = this.rooms.get(row.room);
    const isNews = row.last && row.last.seq > (before?.last?.seq ?? 0);
    const room = this.#take(row);
    if (!isNews || row.last.from === this.me) return;
    this.#delivered(room);
    if (!room.timeline) this.changed("arrived", room);
  }

  #gone(name, reason) {
    const room = this.rooms.get(name);
    this.rooms.delete(name);
    if (room && this.open === room) {
      this.close();
      this.changed("gone", { room, reason });
    }
    this.changed("rooms");
  }

  on_closed({ room, reason }) {
    if (reason !== "unsubscribed") this.#gone(room, reason);
  }

  // --- the open room ---

  async enter(name) {
    const room = this.rooms.get(name) ?? this.#take({ room: name, kind: name.startsWith("dm:") ? "direct" : "group", title: name, unread: 0, read: 0 });
    this.open = room;
    room.opened = Date.now();
    if (!room.timeline) {
      room.timeline = new Timeline(this.me, (where) => this.client.history(name, where), () => this.changed("timeline", room));
    }
    this.changed("open", room);
    await this.follow(room);
  }

  // Follow a room and read its end; also again, after an error.
  async follow(room) {
    const { timeline, room: name } = room;
    timeline.error = null;
    try {
      if (!this.client.position(name)) this.#subscribed(room, await this.client.subscribe(name));
      if (!timeline.isOpen) await timeline.open();
      this.readUp();
      this.#letGo();
    } catch (error) {
      timeline.error = error;
      // An address may name what is no room of ours.
      if (!room.epoch && error instanceof Refusal) this.rooms.delete(name);
    }
    this.changed("timeline", room);
    this.changed("rooms");
  }

  #subscribed(room, { epoch, head, role, unread, read, members, receipts = [], typing }) {
    Object.assign(room, { epoch, role, unread, read, memberCount: members });
    this.on_typing({ room: room.room, users: typing });
    if (room.timeline) room.timeline.head = head;
    this.on_receipts({ room: room.room, marks: receipts });
    this.watch(receipts.map(([user]) => user).filter((user) => user !== this.me));
  }

  #letGo() {
    const kept = this.#all.filter(({ timeline }) => timeline);
    kept.sort((one, other) => other.opened - one.opened);
    for (const room of kept.slice(FOLLOWED_MAX)) {
      room.timeline = null;
      this.client.unsubscribe(room.room).catch(() => {});
    }
  }

  close() {
    this.open = null;
    this.changed("open", null);
  }

  on_entry(entry) {
    const room = this.rooms.get(entry.room);
    if (!room) return this.#syncSoon();
    room.timeline?.entry(entry);
    room.head = entry.seq;
    if (entry.kind === "message") this.#arrived(room, entry);
    else if (entry.kind === "meta") Object.assign(room, entry.title === undefined ? {} : { title: entry.title });
    else if (room.last?.seq === entry.target) room.last = room.timeline?.message(entry.target) ?? room.last;
    this.changed("rooms");
  }

  #arrived(room, entry) {
    room.last = entry;
    room.typing = room.typing.filter((user) => user !== entry.from);
    if (entry.from === this.me) {
      room.unread = 0;
      return;
    }
    room.unread += 1;
    this.#delivered(room);
    this.readUp();
    this.changed("arrived", room);
  }

  on_reset({ room: name, since }) {
    const timeline = this.rooms.get(name)?.timeline;
    if (since) timeline?.back(since[1]);
    else timeline?.open();
  }

  on_typing({ room: name, users }) {
    const room = this.rooms.get(name);
    if (!room) return;
    room.typing = users.filter((user) => user !== this.me);
    this.changed("typing", room);
  }

  on_receipts({ room: name, marks }) {
    const room = this.rooms.get(name);
    if (!room) return;
    for (const [user, delivered, read] of marks) room.marks.set(user, [delivered, read]);
    this.changed("marks", room);
  }

  on_notice({ kind, body }) {
    if (kind === "announcement") this.changed("announcement", body);
  }

  // What an earlier page could not send was refused.
  on_lost({ message, error }) {
    this.changed("announcement", { text: `Not sent: “${message.body?.text ?? message.op}”. ${error.message}` });
  }

  // How far my message got: "sent", "delivered" to all, or "read" by all who are told of.
  markOf(room, seq) {
    const others = [...room.marks].filter(([user]) => user !== this.me).map(([, marks]) => marks);
    if (!others.length) return "sent";
    if (others.every(([, read]) => read >= seq)) return "read";
    return others.every(([delivered, read]) => Math.max(delivered, read) >= seq) ? "delivered" : "sent";
  }

  // Tell that messages are on this device now, the last of some at once.
  #delivered(room) {
    room.deliveredTimer ??= setTimeout(() => {
      room.deliveredTimer = null;
      this.client.receipt(room.room, { delivered: room.last.seq }).catch(() => {});
    }, DELIVERED_DELAY_MS);
  }

  // Mark the open room as read, if somebody looks at its end.
  readUp() {
    this.#readTimer ??= setTimeout(() => {
      this.#readTimer = null;
      const room = this.open;
      if (!room?.timeline) return;
      const seq = room.timeline.last?.seq ?? 0;
      const isSeen = document.visibilityState === "visible" && document.hasFocus() && this.isAtEnd?.();
      if (!isSeen || room.timeline.hasNewer || seq <= room.read) return;
      room.read = seq;
      room.unread = 0;
      this.client.receipt(room.room, { read: seq }).catch(() => {});
      this.changed("read", room);
    }, READ_DELAY_MS);
  }

  // --- what we do ---

  async say(room, text, { replyTo, cid = newCid() } = {}) {
    const { timeline } = room;
    timeline.forget(cid);
    timeline.sending({ cid, from: this.me, at: Date.now(), body: { text }, reply_to: replyTo });
    try {
      await this.client.send(room.room, text, { replyTo, cid });
      timeline.sent(cid);
    } catch (error) {
      timeline.sent(cid, error);
    }
  }

  // Whether a message has waited long for its answer, though there is a connection.
  get isSlow() {
    const pending = this.open?.timeline?.pending ?? [];
    return pending.some(({ state, at }) => state === "sending" && Date.now() - at > SLOW_MS);
  }
}
