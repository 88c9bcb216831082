// The list of rooms, who I am, and what begins a new chat.

import { $, button, h, icon, reconcile } from "./dom.js";
import { avatar, brief, otherOf, textOf, titleOf } from "./format.js";

const STATUSES = { online: "Online", away: "Away", dnd: "Do not disturb", invisible: "Invisible" };

export class Sidebar {
  constructor(chat, { signOut, open, notify }) {
    this.chat = chat;
    this.open = open;
    this.filter = "";
    const status = h(
      "select",
      { "aria-label": "How I am seen", onchange: () => chat.client.presence(status.value).catch(() => {}) },
      ...Object.entries(STATUSES).map(([value, text]) => h("option", { value }, text)),
    );
    $("me").replaceChildren(
      avatar(chat.me),
      h("div", { class: "who" }, h("strong", {}, chat.me), status),
      button("bell", "Notifications", notify),
      button("out", "Sign out", signOut),
    );
    const find = $("find");
    find.oninput = () => {
      this.filter = find.value.trim().toLowerCase();
      this.draw();
    };
    // The key must not write a line where it leads to.
    find.onkeydown = (event) => event.key === "Enter" && (event.preventDefault(), this.#first());
    $("new").onclick = () => this.#ask();
    $("rooms").onkeydown = (event) => this.#move(event);
  }

  shown() {
    const rooms = this.chat.listed();
    return this.filter ? rooms.filter((room) => this.#title(room).toLowerCase().includes(this.filter)) : rooms;
  }

  #title(room) {
    return titleOf(room, this.chat.me);
  }

  draw() {
    const { chat } = this;
    const rooms = this.shown();
    const rows = rooms.map((room) => ({ key: room.room, value: room, mark: this.#markOf(room) }));
    reconcile($("rooms"), rows, ({ value }) => this.#row(value));
    const hint = $("rooms-hint");
    hint.hidden = rooms.length > 0;
    const words = chat.error
      ? `Your rooms cannot be read: ${chat.error.message}`
      : !chat.isLoaded
        ? "Loading your rooms…"
        : this.filter
          ? `No room is called “${this.filter}”. Enter begins a chat with the person of that name.`
          : "No rooms yet. Press + to begin a chat.";
    hint.replaceChildren(words, chat.error ? h("button", { type: "button", onclick: () => chat.begin().then(() => this.draw()) }, "Try again") : "");
    hint.classList.toggle("busy", !chat.isLoaded && !chat.error);
    this.#tellUnread(chat.unread);
  }

  // The window's title, and the badge of an installed page.
  #tellUnread(unread) {
    if (unread === this.toldUnread) return;
    this.toldUnread = unread;
    document.title = unread ? `(${unread}) Triolet` : "Triolet";
    this.badgeTimer ??= setTimeout(() => {
      this.badgeTimer = null;
      navigator.setAppBadge?.(this.toldUnread).catch(() => {});
    }, 1000);
  }

  // All that a row shows, in a word: it is built again when that changes.
  #markOf(room) {
    const draft = localStorage.getItem(`draft ${room.room}`) ?? "";
    const status = this.#status(room);
    return JSON.stringify([room.title, room.unread, room.last?.seq, room.last?.erased, room.last?.edited_at,
      room.typing, status, draft, this.chat.open === room, room.last && brief(room.last.at)]);
  }

  #status(room) {
    return room.kind === "direct" ? this.chat.presence.get(otherOf(room.room, this.chat.me))?.[0] : undefined;
  }

  #row(room) {
    const { last, unread } = room;
    const title = this.#title(room);
    const isOpen = this.chat.open === room;
    const go = h(
      "button",
      { type: "button", class: "room", "aria-current": isOpen ? "true" : null, onclick: () => this.open(room.room) },
      avatar(title, this.#status(room)),
      h("span", { class: "room-title" }, title),
      h("time", {}, last ? brief(last.at) : ""),
      h("span", { class: "room-last" }, ...this.#preview(room)),
      unread ? h("span", { class: "badge", "aria-label": `${unread} unread` }, unread > 99 ? "99+" : unread) : null,
    );
    return h("li", {}, go);
  }

  #preview(room) {
    if (room.typing.length) return [h("em", {}, `${room.typing[0]} is typing…`)];
    const draft = localStorage.getItem(`draft ${room.room}`);
    if (draft && this.chat.open !== room) return [h("em", {}, "Draft: "), draft.slice(0, 80)];
    if (!room.last) return ["No messages yet"];
    const who = room.last.from === this.chat.me ? "You: " : room.kind === "direct" ? "" : `${room.last.from}: `;
    return [who + textOf(room.last).slice(0, 120)];
  }

  #first() {
    const [room] = this.shown();
    if (room) this.open(room.room);
    else if (this.filter) this.begin($("find").value.trim());
    $("find").value = this.filter = "";
    this.draw();
  }

  async begin(user) {
    try {
      this.open((await this.chat.direct(user)).room);
    } catch (error) {
      this.#ask(error.message, user);
    }
  }

  // Up and down move through the list, as in any list.
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...$("rooms").querySelectorAll("button")];
    all[all.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }

  #ask(said = "", user = "") {
    const dialog = $("begin");
    const [person, title, members, isPublic, name] = ["person", "title", "members", "public", "name"].map((id) => $(`begin-${id}`));
    const error = $("begin-error");
    error.textContent = said;
    person.value = user;
    const doing = async (promise) => {
      error.textContent = "";
      try {
        const { room } = await promise;
        // First, for it gives the focus back to where it was.
        dialog.close();
        this.open(room);
      } catch (failed) {
        error.textContent = failed.message;
        if (!dialog.open) dialog.showModal(); // a CAPTCHA took its place
      }
    };
    $("begin-direct").onsubmit = (event) => (event.preventDefault(), doing(this.chat.direct(person.value.trim())));
    $("begin-group").onsubmit = (event) => {
      event.preventDefault();
      const names = members.value.split(/[\s,]+/).filter(Boolean);
      doing(this.chat.create(title.value.trim(), { members: names, isPublic: isPublic.checked }));
    };
    $("begin-join").onsubmit = (event) => (event.preventDefault(), doing(this.chat.join(name.value.trim())));
    $("begin-close").replaceChildren(icon("close"));
    $("begin-close").onclick = () => dialog.close();
    if (!dialog.open) dialog.showModal();
  }
}
