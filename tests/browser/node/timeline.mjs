// Laws of the window on a room's log: it is bounded, in order, and never shows a message twice.

import assert from "node:assert/strict";
import { PAGE, Timeline, WINDOW_MAX } from "triolet/timeline";

const log = Array.from({ length: 1000 }, (_, index) => ({ seq: index + 1, n: index + 1, at: index, cid: `c${index + 1}`, from: "ben", reactions: {}, body: { text: String(index + 1) } }));
let reads = 0;
async function read({ before, after, limit }) {
  reads += 1;
  const found = log.filter(({ seq }) => (before === undefined || seq < before) && (after === undefined || seq > after));
  const messages = after === undefined ? found.slice(-limit) : found.slice(0, limit);
  return { messages, more: found.length > limit, as_of: ["e", log.length] };
}
const entry = (seq, more = {}) => ({ op: "entry", kind: "message", seq, n: seq, at: seq, cid: `c${seq}`, from: "ben", body: { text: String(seq) }, ...more });
const seqs = (timeline) => timeline.messages.map(({ seq }) => seq);
const isContiguous = (numbers) => numbers.every((number, index) => !index || number === numbers[index - 1] + 1);

// Entries that come while the page is read are applied after it, once.
const timeline = new Timeline("anna", read, () => {});
const opening = timeline.open();
timeline.entry(entry(1000));
timeline.entry(entry(1001));
await opening;
assert.deepEqual([timeline.messages.at(0).seq, timeline.last.seq, timeline.messages.length], [1000 - PAGE + 1, 1001, PAGE + 1]);

// Scrolling up to the beginning and down again: the window stays bounded and without a gap.
while (timeline.hasOlder) {
  await timeline.older();
  assert.ok(timeline.messages.length <= WINDOW_MAX);
  assert.ok(isContiguous(seqs(timeline)));
}
assert.equal(timeline.messages[0].seq, 1);
assert.ok(timeline.hasNewer);
timeline.entry(entry(1002));
assert.equal(timeline.missed, 1);
log.push({ ...log[0], seq: 1001, n: 1001, cid: "c1001" }, { ...log[0], seq: 1002, n: 1002, cid: "c1002" });
while (timeline.hasNewer) {
  await timeline.newer();
  assert.ok(timeline.messages.length <= WINDOW_MAX);
  assert.ok(isContiguous(seqs(timeline)));
}
assert.deepEqual([timeline.last.seq, timeline.missed], [1002, 0]);

// At the end, what comes is appended, and the oldest go.
for (let seq = 1003; seq < 2000; seq++) timeline.entry(entry(seq));
assert.deepEqual([timeline.last.seq, timeline.messages.length, timeline.hasOlder], [1999, WINDOW_MAX, true]);

// Edits, reactions and deletions change what is there, by new objects.
const before = timeline.last;
timeline.entry({ op: "entry", kind: "edit", seq: 2000, target: 1999, from: "ben", at: 5, body: { text: "new" } });
timeline.entry({ op: "entry", kind: "react", seq: 2001, target: 1999, from: "anna", emoji: "+", on: true });
assert.equal(timeline.last.body.text, "new");
assert.deepEqual(timeline.last.reactions, { "+": { count: 1, mine: true, users: ["anna"] } });
timeline.entry({ op: "entry", kind: "react", seq: 2002, target: 1999, from: "anna", emoji: "+", on: false });
timeline.entry({ op: "entry", kind: "delete", seq: 2003, target: 1999, from: "ben" });
assert.deepEqual([timeline.last.erased, timeline.last.body, timeline.last.reactions, before.body.text], [true, undefined, {}, "1999"]);

// What one sends is shown at once, and once when it comes back.
timeline.sending({ cid: "mine", from: "anna", at: 1, body: { text: "hi" } });
assert.equal(timeline.pending[0].state, "sending");
timeline.sent("mine");
assert.equal(timeline.pending[0].state, "sent");
timeline.entry(entry(2004, { cid: "mine", from: "anna" }));
assert.deepEqual([timeline.pending.length, timeline.last.cid], [0, "mine"]);
timeline.sending({ cid: "refused", from: "anna", at: 1, body: { text: "hi" } });
timeline.sent("refused", new Error("no"));
assert.equal(timeline.pending[0].state, "failed");
timeline.forget("refused");
assert.equal(timeline.pending.length, 0);

// A fork takes back what is above it.
timeline.back(1990);
assert.equal(timeline.last.seq, 1990);

// An error is told, and the next reading forgets it.
const failing = new Timeline("anna", async () => Promise.reject(new Error("down")), () => {});
await failing.open();
assert.equal(failing.error.message, "down");
failing.read = read;
await failing.open();
assert.equal(failing.error, null);
assert.ok(reads > 5);

// The end takes the place of an older page that is being read, and what comes is shown then.
for (const ask of ["latest", "open"]) {
  const asked = [];
  const slow = new Timeline("anna", (where) => new Promise((resolve) => asked.push(async () => resolve(await read(where)))), () => {});
  const opened = slow.open();
  await asked.shift()();
  await opened;
  const older = slow.older();
  slow.hasNewer = true; // as after much scrolling
  const end = slow[ask]();
  slow.entry(entry(1003));
  for (const answer of asked.toReversed()) await answer();
  await Promise.all([older, end]);
  assert.deepEqual([slow.isOpen, slow.isLoading, slow.last.seq, slow.messages.length], [true, null, 1003, PAGE + 1], ask);
}

// A name that JavaScript knows is an emoji like any other.
for (const emoji of ["constructor", "__proto__"]) {
  failing.entry({ op: "entry", kind: "react", seq: 2005, target: failing.last.seq, from: "ben", emoji, on: true });
  assert.deepEqual(Object.entries(failing.last.reactions).at(-1), [emoji, { count: 1, mine: false, users: ["ben"] }]);
  failing.entry({ op: "entry", kind: "react", seq: 2006, target: failing.last.seq, from: "ben", emoji, on: false });
  assert.deepEqual(Object.keys(failing.last.reactions), []);
}
