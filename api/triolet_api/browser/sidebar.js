// The list of rooms, who I am, and what begins a new chat.

import { draftKey } from "./composer.js";
import { $, again, h, reconcile, submit } from "./dom.js";
import { avatar, brief, otherOf, textOf, titleOf } from "./format.js";
import { recall } from "./storage.js";

export class Sidebar {
  filter = "";

  constructor(chat, app) {
    Object.assign(this, { chat, app });
    $("me").firstElementChild.replaceWith(avatar(chat.me));
    $("my-name").textContent = chat.me;
    $("status").onchange = ({ target }) => chat.client.presence(target.value).catch(() => {});
    $("open-settings").onclick = () => app.settings();
    $("sign-out").onclick = () => app.signOut();
    const find = $("find");
    find.value = "";
    find.oninput = () => {
      this.filter = find.value.trim().toLowerCase();
      this.draw();
    };
    // The key must not write a line where it leads to.
    find.onkeydown = (event) => event.key === "Enter" && (event.preventDefault(), this.#first());
    $("new").onclick = () => this.#ask();
  }

  shown() {
    const rooms = this.chat.listed();
    return this.filter ? rooms.filter((room) => titleOf(room, this.chat.me).toLowerCase().includes(this.filter)) : rooms;
  }

  draw() {
    const { chat } = this;
    const rooms = this.shown();
    const rows = rooms.map((room) => ({ key: room.room, value: room, mark: this.#markOf(room) }));
    reconcile($("rooms"), rows, ({ value }) => this.#row(value));
    const hint = $("rooms-hint");
    hint.hidden = rooms.length > 0;
    hint.classList.toggle("busy", !chat.isLoaded && !chat.error);
    if (chat.error) hint.replaceChildren(`Your rooms cannot be read: ${chat.error.message}`, again(() => chat.begin()));
    else if (!chat.isLoaded) hint.textContent = "Loading your rooms…";
    else if (this.filter) hint.textContent = `No room is called “${this.filter}”. Enter begins a chat with the person of that name.`;
    else hint.textContent = "No rooms yet. Press + to begin a chat.";
    this.#tellUnread(chat.unread);
  }

  // The window's title, and the badge of an installed page.
  #tellUnread(unread) {
    if (unread === this.toldUnread) return;
    this.toldUnread = unread;
    document.title = unread ? `(${unread}) Triolet` : "Triolet";
    navigator.setAppBadge?.(unread).catch(() => {}); // it is for installed pages
  }

  // All that a row shows, in a word: it is built again when that changes.
  #markOf(room) {
    const status = this.#status(room);
    return JSON.stringify([room.title, room.unread, room.last?.seq, room.last?.erased, room.last?.edited_at,
      room.typing, status, this.#draft(room), this.chat.open === room, room.last && brief(room.last.at)]);
  }

  #draft(room) {
    return recall(draftKey(this.chat.me, room));
  }

  #status(room) {
    return room.kind === "direct" && this.chat.presence.get(otherOf(room.room, this.chat.me))?.[0];
  }

  #row(room) {
    const { last, unread } = room;
    const title = titleOf(room, this.chat.me);
    const isOpen = this.chat.open === room;
    return h("li", {}, h("button", { type: "button", class: "room", "aria-current": isOpen && "true", onclick: () => this.app.open(room.room) },
      avatar(title, this.#status(room)),
      h("span", { class: "room-title", dir: "auto" }, title),
      h("time", {}, last && brief(last.at)),
      h("span", { class: "room-last", dir: "auto" }, ...this.#preview(room)),
      unread > 0 && h("span", { class: "badge", "aria-label": `${unread} unread` }, unread > 99 ? "99+" : unread)));
  }

  #preview(room) {
    if (room.typing.length) return [h("em", {}, `${room.typing[0]} is typing…`)];
    const draft = this.#draft(room);
    if (draft && this.chat.open !== room) return [h("em", {}, "Draft: "), draft.slice(0, 80)];
    if (!room.last) return ["No messages yet"];
    const who = room.last.from === this.chat.me ? "You: " : room.kind === "direct" ? "" : `${room.last.from}: `;
    return [who + textOf(room.last).slice(0, 120)];
  }

  #first() {
    const [room] = this.shown();
    if (room) this.app.open(room.room);
    else if (this.filter) this.begin($("find").value.trim());
    $("find").value = this.filter = "";
    this.draw();
  }

  async begin(user) {
    try {
      this.app.open((await this.chat.client.direct(user)).room);
    } catch (error) {
      this.#ask(error.message, user);
    }
  }

  #ask(said = "", user = "") {
    const dialog = $("begin");
    const { client } = this.chat;
    const error = $("begin-error");
    // What was written for the last one goes.
    for (const form of dialog.querySelectorAll("form")) form.reset();
    $("begin-person").value = user;
    error.textContent = said;
    const does = {
      direct: ({ person }) => client.direct(person.trim()),
      group: ({ title, members, isPublic }) => client.create("group", { title: title.trim(), members: members.split(/[\s,]+/).filter(Boolean), public: Boolean(isPublic) }),
      join: ({ room }) => client.join(room.trim()),
    };
    dialog.onsubmit = (event) => {
      const ask = does[event.target.getAttribute("name")];
      if (!ask) return; // it only closes
      submit(event, error, async (wanted) => {
        const { room } = await ask(wanted);
        // First, for it gives the focus back to where it was.
        dialog.close();
        this.app.open(room);
      }).finally(() => error.textContent && !dialog.open && dialog.showModal()); // a CAPTCHA took its place
    };
    if (!dialog.open) dialog.showModal();
  }
}
