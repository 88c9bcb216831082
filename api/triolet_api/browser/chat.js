// The chat page: signing in, and the parts put together.

import { Account, wordsFor, wordsForEnd } from "./account.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { $, eachFrame, submit } from "./dom.js";
import { titleOf } from "./format.js";
import { Chat } from "./model.js";
import { askForPush, endPush, readyWorker, tell } from "./push.js";
import { Sidebar } from "./sidebar.js";
import { connect, openOutbox, State } from "./triolet.js";

// --- signing in ---

function begin(said = "") {
  const kept = Account.kept();
  if (kept) start(kept);
  else showSignIn(said);
}

// Whoever is next finds nothing of the last one.
function showSignIn(said) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  document.title = "Triolet";
  document.body.className = "signed-out";
  $("announcement").hidden = true;
  $("sign-in").hidden = false;
  $("app").hidden = true;
  $("sign-in-error").textContent = said;
  $("user").focus();
  $("sign-in-form").onsubmit = (event) => submit(event, $("sign-in-error"), async ({ user, password }) => {
    const account = await Account.sign(event.submitter?.value ?? "login", user.trim(), password);
    $("password").value = "";
    await start(account);
  }, wordsFor);
  endPush().catch(() => {}); // there may be none
}

async function start(account) {
  const outbox = await openOutbox(account.user).catch(() => null);
  $("sign-in").hidden = true;
  $("app").hidden = false;
  document.body.className = "signed-in";
  new App(account, outbox).begin();
}

// --- running ---

class App {
  #ending = new AbortController();
  #drawSoon = eachFrame(() => this.#draw());

  constructor(account, outbox) {
    this.account = account;
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.client = connect(url.href, { token: () => account.tokenOrEnd(), prove: () => account.prove(), outbox });
    this.client.onState(() => this.#stateChanged());
    const chat = new Chat(this.client, account.user, (what, about) => {
      if (this.#ending.signal.aborted) return;
      this[`on_${what}`]?.(about);
      this.#drawSoon();
    });
    this.chat = chat;
    this.composer = new Composer(chat);
    this.conversation = new Conversation(chat, this.composer);
    this.sidebar = new Sidebar(chat, this);
  }

  begin() {
    const { account, chat } = this;
    const { signal } = this.#ending;
    this.ticker = setInterval(() => this.#everySecond(), 1000);
    const seen = () => chat.readUp();
    addEventListener("focus", seen, { signal });
    document.addEventListener("visibilitychange", seen, { signal });
    addEventListener("popstate", () => this.followAddress(), { signal });
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    account.onLeft(() => this.#leave(), signal);
    $("dismiss").onclick = () => ($("announcement").hidden = true);
    this.sidebar.draw();
    this.conversation.opened();
    this.#stateChanged();
    this.followAddress();
    account.ask("GET", "/v1/presence/me").then(({ status }) => ($("status").value = status || "online"), () => {});
    readyWorker(account, (room) => this.open(room)).catch(() => {}); // a page works without
  }

  followAddress() {
    const room = nameIn(location.hash);
    if (room && room !== this.chat.open?.room) this.open(room);
    else if (!room && this.chat.open) this.chat.close();
  }

  open(room) {
    this.chat.enter(room);
  }

  #draw() {
    if (this.#ending.signal.aborted) return;
    this.sidebar.draw();
    this.conversation.draw();
  }

  // --- what the chat tells ---

  on_open(room) {
    const hash = room ? `#${encodeURIComponent(room.room)}` : "";
    if (location.hash !== hash) history.pushState(null, "", location.pathname + hash);
    this.conversation.opened();
    this.sidebar.draw();
  }

  // Only what nobody sees anyway is told aloud.
  on_arrived(room) {
    if (!document.hasFocus()) tell(this.account, room).catch(() => {}); // the title has it
  }

  on_announcement(body) {
    $("announced").textContent = body?.text ?? "";
    $("announcement").hidden = false;
  }

  on_gone({ room, reason }) {
    const title = titleOf(room, this.chat.me);
    this.on_announcement({ text: reason === "deleted" ? `${title} was deleted.` : `You are no longer in ${title}.` });
  }

  // --- the connection ---

  #stateChanged() {
    const { state, lastClose } = this.client;
    document.body.dataset.state = state;
    if (state !== State.CLOSED) return this.#everySecond();
    if (this.#ending.signal.aborted) return;
    this.account.forget();
    this.#leave(wordsForEnd(lastClose?.code));
  }

  #everySecond() {
    const { state, retryInMs } = this.client;
    const seconds = Math.ceil(retryInMs / 1000);
    const isCut = state === State.OFFLINE && navigator.onLine === false;
    const shown = state === State.ONLINE ? this.chat.isSlow && "slow" : isCut ? "cut" : state;
    for (const said of $("banner").children) said.hidden = said.dataset.when !== shown;
    $("banner").hidden = !shown;
    $("retry-in").textContent = seconds > 1 ? ` in ${seconds} s` : "";
  }

  // --- leaving ---

  #stop() {
    this.#ending.abort();
    clearInterval(this.ticker);
    this.chat.end();
  }

  #leave(said) {
    this.#stop();
    begin(said);
  }

  async signOut() {
    this.#stop();
    history.replaceState(null, "", location.pathname);
    await this.account.signOut();
    begin();
  }

  // Loaded on demand.
  async settings() {
    try {
      const { openSettings } = await import("./settings.js");
      openSettings(this.account, this.chat, () => askForPush(this.account, (room) => this.open(room)));
    } catch {
      this.on_announcement({ text: "The settings cannot be loaded. Are you online?" });
    }
  }

  #key(event) {
    const step = event.altKey && { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const rooms = this.sidebar.shown();
      const next = rooms[rooms.indexOf(this.chat.open) + step];
      if (next) this.open(next.room);
    } else if ((event.ctrlKey || event.metaKey) && event.key === "k") {
      event.preventDefault();
      $("find").focus();
    }
  }
}

// The room that an address names; anybody may have written it.
function nameIn(hash) {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return "";
  }
}

begin();
