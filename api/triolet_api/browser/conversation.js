// The open room: its head, its messages, and what one does with them.

import { $, again, h, reconcile, submit } from "./dom.js";
import { avatar, day, dayOf, otherOf, presence, rich, textOf, time, titleOf } from "./format.js";

// So near to its end one reads along; so near to an edge the next page is read.
const END_PX = 48;
const EDGE_PX = 600;
// At the end so many are built, for a page that moves with each message: some screens full.
const AT_END = 60;
// Messages of one person within it stand together.
const TOGETHER_MS = 5 * 60_000;
const MARKS = { sending: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!" };

// It stands at one message.
const actions = $("actions");

export class Conversation {
  log = $("log");
  scroller = $("scroller");
  isFollowing = true;

  constructor(chat, composer) {
    Object.assign(this, { chat, composer });
    chat.isAtEnd = () => this.#belowPx < END_PX;
    chat.toEnd = () => this.toEnd();
    this.scroller.onscroll = () => this.#scrolled();
    // The end stays in sight when a keyboard comes or the window shrinks.
    this.scroller.sizes?.disconnect();
    this.scroller.sizes = new ResizeObserver(() => this.isFollowing && (this.scroller.scrollTop = this.scroller.scrollHeight));
    this.scroller.sizes.observe(this.scroller);
    $("jump").onclick = () => this.toEnd();
    $("back").onclick = () => chat.close();
    $("open-members").onclick = () => this.#members();
    this.scroller.onkeydown = (event) => this.#move(event);
    this.log.onpointerover = ({ target }) => this.#point(target);
    this.log.onclick = ({ target }) => this.#pressed(target);
  }

  get room() {
    return this.chat.open;
  }

  opened() {
    document.body.classList.toggle("has-room", Boolean(this.room));
    $("empty").hidden = Boolean(this.room);
    $("conversation").hidden = !this.room;
    this.isFollowing = true;
    this.firstUnread = this.room?.unread ? this.room.read : null;
    this.log.replaceChildren();
    this.log.kept = new Map();
    this.composer.opened();
    this.chat.changed("view");
  }

  #drawHead() {
    const { room, chat } = this;
    const title = titleOf(room, chat.me);
    const isDirect = room.kind === "direct";
    const seen = isDirect && chat.presence.get(otherOf(room.room, chat.me));
    const count = room.memberCount ?? room.marks.size;
    const { length: typing } = room.typing;
    const about = typing
      ? `${room.typing.slice(0, 3).join(", ")} ${typing > 1 ? "are" : "is"} typing…`
      : isDirect ? presence(seen) : count ? `${count} ${count > 1 ? "members" : "member"}` : "";
    const head = [isDirect, title, seen, about].join();
    if (head === this.head) return;
    this.head = head;
    $("room-head").firstElementChild.replaceWith(avatar(title, seen?.[0]));
    $("room-title").textContent = title;
    $("room-about").textContent = about;
    $("room-about").classList.toggle("typing", typing > 0);
    $("open-members").hidden = isDirect;
  }

  // --- the messages ---

  #rows() {
    const { room, chat } = this;
    const { pending, hasOlder } = room.timeline;
    const all = room.timeline.messages;
    const messages = this.isFollowing ? all.slice(-AT_END) : all;
    const rows = [];
    let before = null;
    if (!hasOlder && messages.length === all.length) rows.push({ key: "begin", value: "begin" });
    for (const message of messages) {
      const date = dayOf(message.at);
      const isNewDay = !before || dayOf(before.at) !== date;
      if (isNewDay) rows.push({ key: `day ${date}`, value: date });
      if (this.firstUnread !== null && message.seq > this.firstUnread && (before?.seq ?? 0) <= this.firstUnread && message.from !== chat.me)
        rows.push({ key: "unread", value: "unread" });
      const isTogether = !isNewDay && before.from === message.from && message.at - before.at < TOGETHER_MS;
      const reply = message.reply_to && room.timeline.message(message.reply_to);
      const mark = `${isTogether} ${message.from === chat.me ? chat.markOf(room, message.seq) : ""} ${reply ? textOf(reply) : ""}`;
      rows.push({ key: message.seq, value: message, mark, isTogether });
      before = message;
    }
    for (const one of pending) {
      if (!messages.some(({ cid, from }) => cid === one.cid && from === chat.me)) rows.push({ key: `cid ${one.cid}`, value: one });
    }
    return rows;
  }

  draw() {
    const { room, scroller } = this;
    if (!room?.timeline) return;
    this.#drawHead();
    const anchor = this.isFollowing ? null : this.#anchor();
    // Older messages are no news to be read aloud.
    this.log.parentNode.ariaLive = anchor ? "off" : "polite";
    const at = actions.isConnected && actions.closest("li");
    const focused = document.activeElement;
    reconcile(this.log, this.#rows(), (row) => this.#build(row));
    // That may be drawn anew.
    if (at && !at.isConnected) this.#point(this.log.kept.get(Number(at.dataset.seq))?.element ?? this.log);
    if (actions.contains(focused)) focused.focus();
    this.#drawState();
    if (this.isFollowing) scroller.scrollTop = scroller.scrollHeight;
    else if (anchor) scroller.scrollTop += (this.log.kept.get(anchor.key)?.element.offsetTop ?? anchor.top) - anchor.top;
  }

  // The first message in sight: it stays where it is, whatever comes above or goes.
  #anchor() {
    const from = this.scroller.scrollTop;
    for (const { row, element } of this.log.kept.values()) {
      if (typeof row.key === "number" && element.offsetTop + element.offsetHeight > from) return { key: row.key, top: element.offsetTop };
    }
    return null;
  }

  #drawState() {
    const { timeline } = this.room;
    const { isLoading, error, missed, hasNewer } = timeline;
    const state = $("log-state");
    state.hidden = !isLoading && !error && timeline.messages.length + timeline.pending.length > 0;
    state.classList.toggle("busy", Boolean(isLoading));
    const isDenied = ["no_such_room", "not_a_member", "forbidden"].includes(error?.reason);
    if (isDenied) state.replaceChildren("There is no such room, or you are not in it.");
    else if (error) state.replaceChildren(`The messages cannot be read: ${error.message}`, again(() => this.chat.follow(this.room).then(() => this.#scrolled())));
    else state.replaceChildren(isLoading ? "Loading messages…" : "No messages yet. Say hello.");
    $("jump").hidden = (this.isFollowing && !hasNewer) || !timeline.messages.length;
    $("jump-count").textContent = missed || "";
  }

  #build({ value, isTogether }) {
    if (value === "begin") return h("li", { class: "divider" }, "The beginning of this room");
    if (value === "unread") return h("li", { class: "divider unread" }, "New messages");
    if (typeof value === "number") return h("li", { class: "divider" }, day(value));
    const { chat, room } = this;
    const { seq, from, at, erased } = value;
    const isMine = from === chat.me;
    const isFailed = value.state === "failed";
    const isNamed = !isMine && room.kind !== "direct";
    const state = value.state ?? (isMine && chat.markOf(room, seq));
    const meta = h("button", { type: "button", class: "meta", tabindex: "-1", "aria-label": `${time(at)}${state ? `, ${state}` : ""}: actions` },
      value.edited_at && !erased && "edited ",
      h("time", { datetime: new Date(at).toISOString() }, time(at)),
      state && h("span", { class: `mark ${state}`, title: state }, MARKS[state]));
    const bubble = h("div", { class: "bubble" },
      isNamed && !isTogether && h("strong", { class: "author" }, from),
      value.reply_to && this.#quote(value.reply_to),
      h("p", { class: erased && "erased", dir: "auto" }, ...rich(textOf(value))),
      meta);
    const classes = ["message", isMine && "mine", isNamed && "named", isTogether && "together", isFailed && "failed"];
    return h("li", { class: classes.filter(Boolean).join(" "), tabindex: "-1", "data-seq": seq },
      isNamed && !isTogether && avatar(from),
      h("div", { class: "stack" }, bubble, this.#reactions(value), isFailed && this.#failed(value)));
  }

  // What one can do with a message stands at the one that is pointed at, unless somebody is about
  // to do it with another one.
  #point(target) {
    const { chat, room } = this;
    const item = target.closest("[data-seq]");
    const message = item && room?.timeline?.message(Number(item.dataset.seq));
    if (!message || message.erased || document.querySelector("#actions :focus-visible, body:has(#actions) #emojis:popover-open")) return;
    const isMine = message.from === chat.me;
    actions.children.edit.hidden = !isMine;
    actions.children.delete.hidden = !isMine && !["owner", "admin"].includes(room.role);
    actions.onclick = ({ target }) => this.#act(target.closest("button")?.name, message);
    $("emojis").onclick = (event) => this.#react(event.target, room.room, message.seq);
    if (!item.contains(actions)) item.querySelector(".stack").append(actions);
  }

  #act(what, message) {
    if (what === "delete") this.#delete(message);
    else if (what) this.composer[what](message);
  }

  // Who touches has no pointer that rests, and who hears a page has none at all.
  #pressed(target) {
    const item = target.closest("[data-seq]");
    if (!item || target.closest("a, button:not(.meta)")) return;
    item.focus();
    this.#point(item);
    if (target.closest(".meta")) actions.firstElementChild.focus();
  }

  #quote(seq) {
    const message = this.room.timeline.message(seq);
    return h("button", { type: "button", class: "quote", onclick: () => this.#show(seq) }, h("strong", {}, message?.from ?? "Earlier"), textOf(message).slice(0, 120) || "an earlier message");
  }

  #show(seq) {
    const found = this.log.kept.get(seq)?.element;
    found?.scrollIntoView({ block: "center" });
    found?.focus();
  }

  #reactions({ seq, reactions = {} }) {
    const chips = Object.entries(reactions).map(([emoji, { count, mine, users }]) =>
      h("button", { type: "button", class: "chip", "aria-pressed": String(mine), title: users.join(", "), "aria-label": `${emoji} ${count}: ${users.join(", ")}`,
        onclick: () => this.#do(this.chat.client.react(this.room.room, seq, emoji, { on: !mine })) }, `${emoji} ${count}`));
    return chips.length > 0 && h("div", { class: "chips" }, ...chips);
  }

  #failed(pending) {
    const { chat, room } = this;
    const { body, reply_to: replyTo, cid, error } = pending;
    return h("div", { class: "retry", role: "alert" },
      h("span", {}, `Not sent: ${error.message}.`),
      h("button", { type: "button", onclick: () => chat.say(room, body.text, { replyTo, cid }) }, "Send again"),
      h("button", { type: "button", onclick: () => room.timeline.forget(cid) }, "Discard"));
  }

  #react(button, room, seq) {
    if (button.type !== "button") return;
    $("emojis").hidePopover();
    this.#do(this.chat.client.react(room, seq, button.textContent));
  }

  #delete(message) {
    const dialog = $("sure");
    const { room } = this.room; // another may be open by then
    $("sure-text").textContent = textOf(message).slice(0, 200);
    dialog.onclose = () => dialog.returnValue === "yes" && this.#do(this.chat.client.delete(room, message.seq));
    dialog.returnValue = "";
    dialog.showModal();
  }

  async #do(promise) {
    try {
      await promise;
    } catch (error) {
      this.composer.complain(error.message);
    }
  }

  async #members() {
    const dialog = $("members");
    const list = $("members-list");
    const { chat, room } = this;
    list.replaceChildren(h("li", { class: "busy" }, "Loading…"));
    dialog.showModal();
    try {
      const { marks } = await chat.client.receipts(room.room, 0, { limit: 200 });
      await chat.watch(marks.map(([user]) => user).filter((user) => user !== chat.me));
      list.replaceChildren(...marks.map(([user]) => {
        const seen = chat.presence.get(user);
        return h("li", {}, avatar(user, seen?.[0]), h("span", {}, user, h("small", {}, user === chat.me ? "you" : presence(seen))));
      }));
    } catch (error) {
      list.replaceChildren(h("li", {}, error.message));
    }
    $("invite").onsubmit = (event) => submit(event, $("invite-error"), async ({ user }) => {
      await chat.client.invite(room.room, user.trim());
      dialog.close();
    });
  }

  // --- moving ---

  get #belowPx() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrolled() {
    const { timeline } = this.room ?? {};
    if (!timeline) return;
    const wasFollowing = this.isFollowing;
    this.isFollowing = this.chat.isAtEnd() && !timeline.hasNewer;
    if (wasFollowing !== this.isFollowing) this.chat.changed("view");
    if (this.isFollowing) this.chat.readUp();
    $("jump").hidden = this.isFollowing;
    if (this.scroller.scrollTop < EDGE_PX) timeline.older();
    else if (this.#belowPx < EDGE_PX) timeline.newer();
  }

  async toEnd() {
    const { room } = this;
    await room.timeline.latest();
    if (this.room !== room) return;
    this.isFollowing = true;
    this.firstUnread = null;
    this.chat.changed("view");
    this.chat.readUp();
    this.composer.focus();
  }

  // From the list itself one comes to its last message.
  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!step) return;
    const from = event.target.closest("li");
    let item = from ? from[step] : this.log.lastElementChild;
    while (item && !item.classList.contains("message")) item = item[step];
    item?.focus();
    if (item) this.#point(item);
    event.preventDefault();
  }
}
