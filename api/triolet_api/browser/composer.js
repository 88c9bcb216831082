// Where one writes: drafts, replies and edits.

import { $, button, h, icon } from "./dom.js";
import { textOf } from "./format.js";

const keyOf = (room) => `draft ${room.room}`;

export class Composer {
  constructor(chat) {
    this.chat = chat;
    this.text = $("text");
    this.about = null; // {kind: "reply" | "edit", message}
    $("send").replaceChildren(icon("send"));
    $("composer").onsubmit = (event) => (event.preventDefault(), this.#send());
    this.text.oninput = () => this.#typed();
    this.text.onkeydown = (event) => this.#key(event);
  }

  get room() {
    return this.chat.open;
  }

  opened() {
    this.#setAbout(null);
    this.complain("");
    if (!this.room) return;
    this.text.value = localStorage.getItem(keyOf(this.room)) ?? "";
    this.#fit();
    if (matchMedia("(pointer: fine)").matches) this.focus();
  }

  focus() {
    this.text.focus();
  }

  complain(said) {
    $("complaint").textContent = said;
  }

  reply(message) {
    this.#setAbout({ kind: "reply", message });
    this.focus();
  }

  edit(message) {
    this.#setAbout({ kind: "edit", message });
    this.text.value = textOf(message);
    this.#fit();
    this.focus();
  }

  #setAbout(about) {
    if (this.about?.kind === "edit" && about?.kind !== "edit") this.text.value = "";
    this.about = about;
    const bar = $("about");
    bar.hidden = !about;
    if (!about) return;
    const what = about.kind === "edit" ? "Editing" : `Replying to ${about.message.from}`;
    bar.replaceChildren(
      h("div", {}, h("strong", {}, what), h("span", {}, textOf(about.message).slice(0, 140))),
      button("close", "Cancel", () => this.#setAbout(null)),
    );
  }

  #typed() {
    this.#fit();
    const { room, text } = this;
    if (this.about?.kind === "edit") return;
    if (text.value) localStorage.setItem(keyOf(room), text.value);
    else localStorage.removeItem(keyOf(room));
    this.chat.client.typing(room.room, { on: text.value !== "" }).catch(() => {});
  }

  #fit() {
    this.text.style.setProperty("height", "auto");
    this.text.style.setProperty("height", `${Math.min(this.text.scrollHeight, 180)}px`);
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape") this.#setAbout(null);
    else if (event.key === "ArrowUp" && !this.text.value) this.#editLast(event);
  }

  #editLast(event) {
    const mine = this.room.timeline?.messages.findLast(({ from, erased }) => from === this.chat.me && !erased);
    if (!mine) return;
    event.preventDefault();
    this.edit(mine);
  }

  async #send() {
    const { room, about, chat } = this;
    const text = this.text.value.trim();
    if (!text || !room) return;
    this.text.value = "";
    localStorage.removeItem(keyOf(room));
    this.about = null;
    $("about").hidden = true;
    this.#fit();
    this.complain("");
    if (about?.kind !== "edit") return chat.say(room, text, { replyTo: about?.message.seq });
    try {
      await chat.client.edit(room.room, about.message.seq, text);
    } catch (error) {
      this.complain(`The message was not changed: ${error.message}`);
      if (!this.text.value) this.text.value = text;
    }
  }
}
