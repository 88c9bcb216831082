// The messages of one room that are in memory: a window on its log, some hundreds of messages
// wide, that moves as one scrolls. No DOM here.

import { change, messageOf } from "./triolet.js";

export const PAGE = 50;
// Beyond it the far end is dropped and read again when one comes back: 10,000 messages of a room
// cost what these do.
export const WINDOW_MAX = 300;

export class Timeline {
  messages = []; // by seq, ascending
  pending = []; // sent by us, not in the log yet
  hasOlder = true;
  hasNewer = false;
  isLoading = null; // "first", "older", "newer"
  error = null;
  missed = 0; // arrived beyond the window
  head = 0;
  #early = []; // entries of a room whose end is not read, or read again
  #reading = 0;

  // `read({before, after, limit})` is history; `changed()` is called when there is something new.
  constructor(me, read, changed) {
    Object.assign(this, { me, read, changed });
  }

  get last() {
    return this.messages.at(-1);
  }

  // Whether the end has been read; else nothing that comes is shown.
  get isOpen() {
    return !this.#early;
  }

  // Read the end of the room; entries that came meanwhile are applied after it.
  async open() {
    if (this.isLoading === "first") return;
    this.#early ??= [];
    await this.#load("first", {}, (page) => {
      this.messages = page.messages;
      this.hasOlder = page.more;
      this.hasNewer = false;
      this.missed = 0;
      const early = this.#early;
      this.#early = null;
      this.head = Math.max(this.head, page.as_of[1]);
      for (const entry of early) if (entry.seq > page.as_of[1]) this.#apply(entry);
    });
  }

  async older() {
    if (this.isLoading || !this.hasOlder || !this.messages.length) return;
    await this.#load("older", { before: this.messages[0].seq }, (page) => {
      const first = this.messages[0]?.seq ?? Infinity;
      this.messages = [...page.messages.filter(({ seq }) => seq < first), ...this.messages];
      this.hasOlder = page.more;
      if (this.messages.length > WINDOW_MAX) {
        this.messages.length = WINDOW_MAX;
        this.hasNewer = true;
      }
    });
  }

  async newer() {
    if (this.isLoading || !this.hasNewer || !this.messages.length) return;
    await this.#load("newer", { after: this.last.seq }, (page) => {
      const last = this.last?.seq ?? 0;
      this.messages = [...this.messages, ...page.messages.filter(({ seq }) => seq > last)];
      this.hasNewer = page.more;
      if (!page.more) this.missed = 0;
      this.#dropOldest();
    });
  }

  async latest() {
    if (this.hasNewer) await this.open();
  }

  // What is asked for last counts: the end of the room takes the place of an older page.
  async #load(what, where, take) {
    const reading = ++this.#reading;
    this.isLoading = what;
    this.error = null;
    this.changed();
    let [page, error] = [null, null];
    try {
      page = await this.read({ ...where, limit: PAGE });
    } catch (failed) {
      error = failed;
    }
    if (reading !== this.#reading) return;
    if (page) take(page);
    Object.assign(this, { error, isLoading: null });
    this.changed();
  }

  #dropOldest() {
    if (this.messages.length > WINDOW_MAX) {
      this.messages = this.messages.slice(-WINDOW_MAX);
      this.hasOlder = true;
    }
  }

  // One entry of the log, in order.
  entry(entry) {
    this.head = Math.max(this.head, entry.seq);
    if (this.#early) this.#early.push(entry);
    else this.#apply(entry);
    this.changed();
  }

  #apply(entry) {
    if (entry.kind === "message") {
      this.pending = this.pending.filter(({ cid }) => entry.from !== this.me || cid !== entry.cid);
      if (this.hasNewer) this.missed += 1;
      else if (entry.seq > (this.last?.seq ?? 0)) {
        this.messages.push(messageOf(entry));
        this.#dropOldest();
      }
      return;
    }
    const at = this.messages.findIndex(({ seq }) => seq === entry.target);
    if (at >= 0) this.messages[at] = change(this.messages[at], entry, this.me);
  }

  message(seq) {
    return this.messages.findLast((message) => message.seq === seq);
  }

  // The log was forked: what is above a position was never acknowledged to last.
  back(seq) {
    this.messages = this.messages.filter((message) => message.seq <= seq);
    this.head = seq;
    this.changed();
  }

  // --- what we send ---

  sending(pending) {
    this.pending.push({ ...pending, state: "sending" });
    this.changed();
  }

  sent(cid, error = null) {
    this.pending = this.pending
      .filter((one) => one.cid !== cid || error || !this.messages.some((message) => message.cid === cid))
      .map((one) => (one.cid === cid ? { ...one, state: error ? "failed" : "sent", error } : one));
    this.changed();
  }

  forget(cid) {
    this.pending = this.pending.filter((one) => one.cid !== cid);
    this.changed();
  }
}
