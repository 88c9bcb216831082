// Where one writes: drafts, replies and edits.

import { $ } from "./dom.js";
import { textOf } from "./format.js";
import { recall, remember } from "./storage.js";

// One's own: others may sign in in this browser.
export const draftKey = (me, { room }) => `draft ${me} ${room}`;

export class Composer {
  text = $("text");
  about = null; // {kind: "reply" | "edit", message}

  constructor(chat) {
    this.chat = chat;
    $("composer").onsubmit = (event) => (event.preventDefault(), this.#send());
    $("about-cancel").onclick = () => this.#setAbout(null);
    this.text.oninput = () => this.#typed();
    this.text.onkeydown = (event) => this.#pressed(event);
  }

  get room() {
    return this.chat.open;
  }

  opened() {
    this.#setAbout(null);
    this.#showDraft();
    this.complain("");
    if (this.room && matchMedia("(pointer: fine)").matches) this.focus();
  }

  get #key() {
    return draftKey(this.chat.me, this.room);
  }

  #showDraft() {
    this.text.value = (this.room && recall(this.#key)) ?? "";
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

  edit(message, text = textOf(message)) {
    this.#setAbout({ kind: "edit", message });
    this.text.value = text;
    this.focus();
  }

  #setAbout(about) {
    const wasEdit = this.about?.kind === "edit";
    this.about = about;
    if (wasEdit) this.#showDraft();
    $("about").hidden = !about;
    if (!about) return;
    $("about-what").textContent = about.kind === "edit" ? "Editing" : `Replying to ${about.message.from}`;
    $("about-text").textContent = textOf(about.message).slice(0, 140);
  }

  #typed() {
    const { room, text } = this;
    if (this.about?.kind === "edit") return;
    remember(this.#key, text.value);
    this.chat.client.typing(room.room, { on: text.value !== "" }).catch(() => {});
  }

  #pressed(event) {
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
    this.complain("");
    if (about?.kind !== "edit") remember(this.#key);
    this.#setAbout(null);
    this.#showDraft();
    if (about?.kind !== "edit") {
      chat.say(room, text, { replyTo: about?.message.seq });
      return chat.toEnd();
    }
    try {
      await chat.client.edit(room.room, about.message.seq, text);
    } catch (error) {
      if (this.room !== room) return chat.changed("announcement", { text: `“${text}” was not changed: ${error.message}` });
      this.edit(about.message, text);
      this.complain(`The message was not changed: ${error.message}`);
    }
  }
}
