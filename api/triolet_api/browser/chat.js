// The chat page: signing in, and the parts put together.

import { Account, wordsFor, wordsForEnd } from "./account.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { $, eachFrame, h } from "./dom.js";
import { textOf, titleOf } from "./format.js";
import { Chat } from "./model.js";
import { askForPush, onNotificationClick, pushState, readyWorker } from "./push.js";
import { Sidebar } from "./sidebar.js";
import { connect, openOutbox, State } from "./triolet.js";

let running = null;

// --- signing in --------------------------------------------------------------------------------------

function showSignIn(said = "") {
  running = null;
  document.body.className = "signed-out";
  $("sign-in").hidden = false;
  $("app").hidden = true;
  $("sign-in-error").textContent = said;
  $("user").focus();
  const form = $("sign-in-form");
  form.onsubmit = (event) => {
    event.preventDefault();
    signIn(event.submitter?.value ?? "login");
  };
}

async function signIn(how) {
  const [user, password] = [$("user").value.trim(), $("password").value];
  const error = $("sign-in-error");
  const buttons = [...$("sign-in-form").querySelectorAll("button")];
  error.textContent = "";
  const busy = (isSo) => buttons.forEach((one) => {
    one.disabled = isSo;
    one.classList.toggle("busy", isSo && one.value === how);
  });
  busy(true);
  try {
    const account = await Account[how](user, password);
    $("password").value = "";
    await start(account);
  } catch (failed) {
    error.textContent = wordsFor(failed);
  } finally {
    busy(false);
  }
}

// --- running -----------------------------------------------------------------------------------------

async function start(account) {
  const outbox = await openOutbox(account.user).catch(() => null);
  const left = outbox ? outbox.left() : [];
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let isFirst = true;
  const token = () => {
    const isSpent = !isFirst;
    isFirst = false;
    return account.tokenOrEnd({ isSpent });
  };
  const client = connect(url.href, { token, prove: () => account.prove(), outbox: outbox && { ...outbox, left: () => left } });
  const dirty = new Set();
  const draw = eachFrame(() => running?.draw(dirty));
  const chat = new Chat(client, account.user, (what, about) => {
    dirty.add(what);
    if (what === "open") running?.opened(about);
    else if (what === "arrived") running?.arrived(about);
    else if (what === "announcement") running?.announce(about);
    else if (what === "gone") running?.gone(about);
    draw();
  });
  client.onState((state) => running?.stateChanged(state));
  $("sign-in").hidden = true;
  $("app").hidden = false;
  document.body.className = "signed-in";
  running = new App(account, client, chat);
  running.begin();
}

class App {
  constructor(account, client, chat) {
    Object.assign(this, { account, client, chat });
    this.composer = new Composer(chat);
    this.conversation = new Conversation(chat, this.composer);
    this.sidebar = new Sidebar(chat, {
      open: (room) => this.open(room),
      signOut: () => this.signOut(),
      notify: () => this.askForPush(),
    });
    this.ticker = setInterval(() => this.everySecond(), 1000);
    const seen = () => chat.readUp();
    addEventListener("focus", seen);
    document.addEventListener("visibilitychange", seen);
    addEventListener("popstate", () => this.followAddress());
    document.onkeydown = (event) => this.key(event);
    onNotificationClick((room) => this.open(room));
  }

  begin() {
    this.sidebar.draw();
    this.conversation.opened();
    this.stateChanged(this.client.state);
    this.followAddress();
    readyWorker().catch(() => {}); // where there is none, the page works all the same
  }

  followAddress() {
    const room = decodeURIComponent(location.hash.slice(1));
    if (room && room !== this.chat.open?.room) this.chat.enter(room);
    else if (!room && this.chat.open) this.chat.close();
  }

  open(room) {
    this.chat.enter(room);
  }

  opened(room) {
    const hash = room ? `#${encodeURIComponent(room.room)}` : "";
    if (location.hash !== hash) history.pushState(null, "", location.pathname + hash);
    this.conversation.opened();
    this.sidebar.draw();
  }

  draw(dirty) {
    const what = new Set(dirty);
    dirty.clear();
    this.sidebar.draw();
    if (!this.chat.open) return;
    if (what.has("typing") || what.has("presence") || what.has("rooms") || what.has("open")) this.conversation.drawHead();
    if (what.has("timeline") || what.has("marks") || what.has("open")) this.conversation.draw();
  }

  // Only what nobody sees anyway is told aloud.
  arrived(room) {
    if (document.hasFocus() || pushState() !== "page") return;
    const { last } = room;
    const shown = new Notification(titleOf(room, this.chat.me), { body: `${last.from}: ${textOf(last)}`.slice(0, 200), tag: room.room, icon: "/assets/icon-192.png" });
    shown.onclick = () => {
      focus();
      this.open(room.room);
    };
  }

  announce(body) {
    const bar = $("announcement");
    bar.hidden = false;
    bar.replaceChildren(body?.text ?? "", h("button", { type: "button", onclick: () => (bar.hidden = true) }, "Dismiss"));
  }

  gone({ room, reason }) {
    const title = titleOf(room, this.chat.me);
    this.announce({ text: reason === "deleted" ? `${title} was deleted.` : `You are no longer in ${title}.` });
  }

  // --- the connection --------------------------------------------------------------------------------

  stateChanged(state) {
    document.body.dataset.state = state;
    if (state === State.CLOSED) this.closed();
    else this.everySecond();
  }

  everySecond() {
    const { state, retryInMs } = this.client;
    const banner = $("banner");
    const seconds = Math.ceil(retryInMs / 1000);
    const words = {
      [State.ONLINE]: this.chat.isSlow ? "The server takes messages slowly now: it is busy, or you are fast. Nothing is lost." : "",
      [State.CONNECTING]: "Connecting…",
      [State.OFFLINE]: navigator.onLine === false ? "You are offline. What you write is sent when you are back." : `Connection lost. Trying again${seconds > 1 ? ` in ${seconds} s` : ""}…`,
    }[state];
    banner.hidden = !words;
    if (banner.textContent !== words) banner.textContent = words ?? "";
  }

  closed() {
    const { lastClose } = this.client;
    const code = lastClose?.code;
    if (code === 1000) return;
    this.stop();
    this.account.forget();
    showSignIn(wordsForEnd(code));
  }

  stop() {
    clearInterval(this.ticker);
    this.chat.end();
  }

  async signOut() {
    this.stop();
    await this.account.signOut();
    history.replaceState(null, "", location.pathname);
    showSignIn();
  }

  async askForPush() {
    const said = await askForPush(this.account);
    this.announce({ text: said });
  }

  key(event) {
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key === "k") {
      event.preventDefault();
      $("find").focus();
    } else if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const rooms = this.sidebar.shown();
      const at = rooms.indexOf(this.chat.open) + (event.key === "ArrowDown" ? 1 : -1);
      if (rooms[at]) this.open(rooms[at].room);
    }
  }
}

const kept = Account.kept();
if (kept) {
  start(kept).catch((failed) => {
    if (failed.code !== undefined) kept.forget();
    showSignIn(wordsFor(failed));
  });
} else showSignIn();
