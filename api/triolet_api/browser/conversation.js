// The open room: its head, its messages, and what one does with them.

import { $, button, eachFrame, h, icon, reconcile } from "./dom.js";
import { avatar, day, dayOf, otherOf, presence, rich, textOf, time, titleOf } from "./format.js";

const EMOJIS = ["👍", "❤️", "😂", "🎉", "😮", "😢"];
// So near to its end one reads along; so near to an edge the next page is read.
const END_PX = 48;
const EDGE_PX = 600;
// At the end so many are built, for a page that moves with each message: some screens full.
const AT_END = 60;
// Messages of one person within it stand together.
const TOGETHER_MS = 5 * 60_000;
const MARKS = { sending: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!" };
const MARK_NAMES = { sending: "sending", sent: "sent", delivered: "delivered", read: "read", failed: "not sent" };

export class Conversation {
  constructor(chat, composer) {
    this.chat = chat;
    this.composer = composer;
    this.log = $("log");
    this.scroller = $("scroller");
    this.isFollowing = true;
    this.drawSoon = eachFrame(() => this.draw());
    chat.isAtEnd = () => this.#isAtEnd();
    this.scroller.onscroll = () => this.#scrolled();
    // The end stays in sight when a keyboard comes or the window shrinks.
    this.scroller.sizes?.disconnect();
    this.scroller.sizes = new ResizeObserver(() => this.isFollowing && (this.scroller.scrollTop = this.scroller.scrollHeight));
    this.scroller.sizes.observe(this.scroller);
    $("jump").onclick = () => this.toEnd();
    $("back").replaceChildren(icon("back"));
    $("back").onclick = () => chat.close();
    this.log.onkeydown = (event) => this.#move(event);
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
    if (this.room) this.drawHead();
    this.composer.opened();
    this.drawSoon();
  }

  drawHead() {
    const { room, chat } = this;
    if (!room) return;
    const title = titleOf(room, chat.me);
    const isDirect = room.kind === "direct";
    const seen = isDirect ? chat.presence.get(otherOf(room.room, chat.me)) : null;
    const count = room.memberCount ?? room.marks.size;
    const under = room.typing.length
      ? `${room.typing.slice(0, 3).join(", ")} ${room.typing.length > 1 ? "are" : "is"} typing…`
      : isDirect
        ? presence(seen ?? undefined)
        : count ? `${count} ${count > 1 ? "members" : "member"}` : "";
    $("room-head").replaceChildren(
      avatar(title, seen?.[0]),
      h("div", { class: "who" }, h("h2", {}, title), h("p", { class: room.typing.length ? "typing" : "" }, under)),
      isDirect ? "" : button("people", "Members", () => this.#members()),
    );
  }

  // --- the messages -----------------------------------------------------------------------------------

  #rows() {
    const { room, chat } = this;
    const { pending, hasOlder } = room.timeline;
    const all = room.timeline.messages;
    const messages = this.isFollowing ? all.slice(-AT_END) : all;
    const rows = [];
    let before = null;
    if (!hasOlder && messages.length === all.length) rows.push({ key: "begin", value: "begin" });
    for (const message of messages) {
      const isNewDay = !before || dayOf(before.at) !== dayOf(message.at);
      if (isNewDay) rows.push({ key: `day ${dayOf(message.at)}`, value: dayOf(message.at) });
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
    const anchor = this.isFollowing ? null : this.#anchor();
    reconcile(this.log, this.#rows(), (row) => this.#build(row));
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
    const again = h("button", { type: "button", onclick: () => this.chat.enter(this.room.room) }, "Try again");
    const isDenied = ["no_such_room", "not_a_member", "forbidden"].includes(error?.reason);
    if (isDenied) state.replaceChildren("There is no such room, or you are not in it.");
    else if (error) state.replaceChildren(`The messages cannot be read: ${error.message}`, again);
    else state.replaceChildren(isLoading ? "Loading messages…" : "No messages yet. Say hello.");
    $("jump").hidden = (this.isFollowing && !hasNewer) || !timeline.messages.length;
    $("jump-count").textContent = missed || "";
  }

  #build({ value, isTogether }) {
    if (value === "begin") return h("li", { class: "divider" }, "The beginning of this room");
    if (value === "unread") return h("li", { class: "divider unread" }, "New messages");
    if (typeof value === "number") return h("li", { class: "divider" }, day(value));
    const { chat, room } = this;
    const isMine = value.from === chat.me;
    const state = value.state ?? (isMine ? chat.markOf(room, value.seq) : "");
    const item = h("li", { class: `message ${isMine ? "mine" : room.kind === "direct" ? "" : "named"} ${isTogether ? "together" : ""} ${value.state === "failed" ? "failed" : ""}`, tabindex: "-1" });
    if (value.seq) item.dataset.seq = value.seq;
    const bubble = h(
      "div",
      { class: "bubble" },
      isMine || isTogether || room.kind === "direct" ? null : h("strong", { class: "author" }, value.from),
      value.reply_to ? this.#quote(value.reply_to) : null,
      h("p", { class: value.erased ? "erased" : "" }, ...(value.erased ? ["Message deleted"] : rich(textOf(value)))),
      h(
        "span",
        { class: "meta" },
        value.edited_at && !value.erased ? "edited " : "",
        h("time", { datetime: new Date(value.at).toISOString() }, time(value.at)),
        state ? h("span", { class: `mark ${state}`, role: "img", "aria-label": MARK_NAMES[state], title: MARK_NAMES[state] }, MARKS[state]) : null,
      ),
    );
    const stack = h("div", { class: "stack" }, bubble, this.#reactions(value), value.state === "failed" ? this.#failed(value) : null);
    item.append(isMine || isTogether || room.kind === "direct" ? "" : avatar(value.from), stack);
    // Half of what a message is made of: it is there where somebody points.
    let isPointedAt = value.state === "failed";
    const point = () => {
      if (!isPointedAt) stack.append(this.#actions(value, isMine));
      isPointedAt = true;
    };
    item.addEventListener("pointerenter", point);
    item.addEventListener("focusin", point);
    return item;
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
    const entries = Object.entries(reactions);
    if (!entries.length) return "";
    const chips = entries.map(([emoji, { count, mine, users }]) =>
      h("button", { type: "button", class: "chip", "aria-pressed": String(mine), title: users.join(", "), "aria-label": `${emoji} ${count}`,
        onclick: () => this.#do(this.chat.client.react(this.room.room, seq, emoji, { on: !mine })) }, `${emoji} ${count}`));
    return h("div", { class: "chips" }, ...chips);
  }

  #actions(message, isMine) {
    if (!message.seq || message.erased) return "";
    const canDelete = isMine || ["owner", "admin"].includes(this.room.role);
    return h(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "Message" },
      button("smile", "React", (event) => this.#pick(event.currentTarget, message)),
      button("reply", "Reply", () => this.composer.reply(message)),
      isMine ? button("edit", "Edit", () => this.composer.edit(message)) : "",
      canDelete ? button("trash", "Delete", () => this.#delete(message)) : "",
    );
  }

  #failed(pending) {
    const { chat, room } = this;
    return h(
      "div",
      { class: "retry", role: "alert" },
      h("span", {}, pending.error?.reason === "too_large" ? "It is too long to be sent." : (pending.error?.message ?? "It was not sent.")),
      h("button", { type: "button", onclick: () => chat.say(room, pending.body.text, { replyTo: pending.reply_to, cid: pending.cid }) }, "Send again"),
      h("button", { type: "button", onclick: () => room.timeline.forget(pending.cid) }, "Discard"),
    );
  }

  #pick(anchor, { seq }) {
    const picker = $("emojis");
    picker.replaceChildren(...EMOJIS.map((emoji) => h("button", { type: "button", "aria-label": `React with ${emoji}`, onclick: () => {
      picker.hidePopover();
      this.#do(this.chat.client.react(this.room.room, seq, emoji));
    } }, emoji)));
    const box = anchor.getBoundingClientRect();
    picker.showPopover();
    picker.style.setProperty("top", `${Math.max(8, box.top - picker.offsetHeight - 6)}px`);
    picker.style.setProperty("left", `${Math.max(8, Math.min(box.left, innerWidth - picker.offsetWidth - 8))}px`);
    picker.firstChild.focus();
  }

  #delete(message) {
    const dialog = $("sure");
    $("sure-text").textContent = textOf(message).slice(0, 200);
    dialog.onclose = () => dialog.returnValue === "yes" && this.#do(this.chat.client.delete(this.room.room, message.seq));
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
    $("members-close").replaceChildren(icon("close"));
    $("members-close").onclick = () => dialog.close();
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
    $("invite").onsubmit = (event) => {
      event.preventDefault();
      const user = $("invite-user").value.trim();
      $("invite-error").textContent = "";
      chat.client.invite(room.room, user).then(() => dialog.close(), (error) => ($("invite-error").textContent = error.message));
    };
  }

  // --- moving ------------------------------------------------------------------------------------------

  #isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < END_PX;
  }

  #scrolled() {
    const { timeline } = this.room ?? {};
    if (!timeline) return;
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const wasFollowing = this.isFollowing;
    this.isFollowing = this.#isAtEnd() && !timeline.hasNewer;
    if (wasFollowing !== this.isFollowing) this.drawSoon();
    if (this.isFollowing) this.chat.readUp();
    $("jump").hidden = this.isFollowing;
    if (scrollTop < EDGE_PX) timeline.older();
    else if (scrollHeight - scrollTop - clientHeight < EDGE_PX) timeline.newer();
  }

  async toEnd() {
    await this.room.timeline.latest();
    this.isFollowing = true;
    this.firstUnread = null;
    this.drawSoon();
    this.chat.readUp();
    this.composer.focus();
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    let item = event.target.closest("li");
    if (!step || !item) return;
    do item = item[step];
    while (item && !item.classList.contains("message"));
    item?.focus();
    event.preventDefault();
  }
}
