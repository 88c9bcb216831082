// The dashboard: what the servers count, live over the WebSocket, and what admins do over HTTP.

import { Account, wordsFor, wordsForEnd } from "./account.js";
import { actions } from "./admin-lists.js";
import { Chart } from "./charts.js";
import { $, h, submit } from "./dom.js";
import { time } from "./format.js";
import { table } from "./tables.js";
import { connect, State } from "./triolet.js";

const WHOLE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

// --- signing in ----------------------------------------------------------------------------------

function showSignIn(said = "") {
  $("app").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = said;
  $("user").focus();
  $("sign-in-form").onsubmit = (event) => submit(event, $("sign-in-error"), async ({ user, password }) => {
    start(await Account.sign("login", user.trim(), password));
    $("password").value = "";
  }, wordsFor);
}

function start(account) {
  $("sign-in").hidden = true;
  $("app").hidden = false;
  const dashboard = new Dashboard(account);
  $("sign-out").onclick = async () => {
    dashboard.end();
    await account.signOut();
    showSignIn();
  };
}

// --- the overview ----------------------------------------------------------------------------------

class Dashboard {
  constructor(account) {
    this.account = account;
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.client = connect(url.href, { token: () => account.tokenOrEnd() });
    this.client.onEvent((event) => event.op === "stats" && this.take(event));
    this.client.onState((state) => this.stateChanged(state));
    this.makeOverview();
    this.makeTabs();
    this.look();
    // Nobody looks at a hidden page, and the servers are not asked for it.
    document.addEventListener("visibilitychange", this.look);
  }

  end() {
    document.removeEventListener("visibilitychange", this.look);
    this.client.close();
  }

  look = async () => {
    try {
      await this.client.waitOnline();
      await this.client.stats({ on: !document.hidden, intervalMs: 1000 });
    } catch (error) {
      if (error.reason === "forbidden") this.deny();
      else this.say("bad", error.message);
    }
  };

  // Nothing is shown to who may see nothing, but why.
  deny() {
    this.say("bad", "You are no admin here");
    $("tabs").replaceChildren();
    $("panel").replaceChildren(h("section", { class: "panel denied" }, h("h2", {}, "This is for admins"),
      h("p", { class: "lead" }, `You are signed in as ${this.account.user}, who is none. Sign out, and in as somebody who is; the first admin is made on the server:`),
      h("code", {}, "triolet user add NAME --role admin")));
  }

  stateChanged(state) {
    if (state === State.CLOSED) {
      const { code } = this.client.lastClose ?? {};
      if (code === 1000) return;
      this.end();
      this.account.forget();
      showSignIn(wordsForEnd(code));
    } else if (state !== State.ONLINE) this.say("wait", state === State.OFFLINE ? "Connection lost, trying again…" : "Connecting…");
  }

  say(kind, words) {
    const health = $("health");
    health.className = `pill ${kind}`;
    health.textContent = words;
  }

  makeTabs() {
    const parts = { Overview: () => this.overview, ...actions(this.account) };
    const tabs = Object.entries(parts).map(([name, show]) => {
      const tab = h("button", { type: "button", role: "tab", "aria-selected": "false", onclick: () => pick(tab, show) }, name);
      return tab;
    });
    const pick = (tab, show) => {
      for (const one of tabs) one.setAttribute("aria-selected", String(one === tab));
      $("panel").replaceChildren(show());
    };
    $("tabs").replaceChildren(...tabs);
    pick(tabs[0], parts.Overview);
  }

  makeOverview() {
    const line = (title, series, more) => new Chart(title, series, more);
    this.charts = {
      people: line("Connections and users", [{ name: "connections", tone: "one" }, { name: "users", tone: "two" }]),
      messages: line("Messages a second", [{ name: "messages", tone: "one" }], { digits: 1 }),
      deliveries: line("Deliveries a second", [{ name: "deliveries", tone: "one" }], { digits: 1 }),
      store: line("A batch in the store", [{ name: "p50", tone: "one" }, { name: "p95", tone: "two" }, { name: "p99", tone: "three" }], { unit: "ms", digits: 1 }),
      lag: line("How late the event loop is", [{ name: "p50", tone: "one" }, { name: "p99", tone: "three" }], { unit: "ms", digits: 1 }),
      bytes: line("Bytes a second", [{ name: "in", tone: "one" }, { name: "out", tone: "two" }], { unit: "KiB" }),
    };
    this.tiles = h("dl", { class: "tiles" }, h("div", { class: "tile" }, h("dt", { class: "busy" }, "Waiting for numbers"), h("dd", {}, "–")));
    this.nodes = h("div", { class: "scroll" });
    this.busiest = h("div", { class: "scroll" });
    this.jobs = h("div", { class: "scroll" });
    this.errors = h("div", { class: "scroll" });
    this.refusals = h("div", { class: "scroll" });
    const panel = (title, content) => h("section", { class: "panel" }, h("h2", {}, title), content);
    this.overview = h("div", { class: "top-gap" },
      this.tiles,
      h("div", { class: "charts" }, ...Object.values(this.charts).map(({ element }) => element)),
      h("div", { class: "panels" },
        panel("Nodes", this.nodes), panel("Busiest rooms", this.busiest), panel("Jobs", this.jobs),
        panel("Refusals and closes", this.refusals), panel("Recent errors", this.errors)));
  }

  take(event) {
    const { total, nodes, silent = [], jobs = [] } = event;
    this.drawHealth(nodes, silent);
    this.drawTiles(total, jobs);
    const { gauges, rates, append_ms: append, lag_ms: lag } = total;
    const { charts } = this;
    charts.people.add([gauges.connections, gauges.users]);
    if (event.interval_ms) {
      charts.messages.add([rates.messages]);
      charts.deliveries.add([rates.deliveries]);
      charts.bytes.add([rates.bytes_in / 1024, rates.bytes_out / 1024]);
      charts.store.add(append.count ? [append.p50, append.p95, append.p99] : [null, null, null]);
      charts.lag.add(lag.count ? [lag.p50, lag.p99] : [null, null]);
    }
    this.drawTables(total, nodes, jobs);
  }

  drawHealth(nodes, silent) {
    const bad = nodes.filter(({ not_ready, store_failing }) => not_ready || store_failing);
    if (silent.length) this.say("bad", `${silent.length} nodes do not answer`);
    else if (bad.length) this.say("bad", `Not ready: ${bad.map(({ node, not_ready }) => `${node || "this node"} (${not_ready || "store"})`).join(", ")}`);
    else this.say("good", nodes.length > 1 ? `${nodes.length} nodes, all well` : "All is well");
  }

  drawTiles({ gauges, rates, append_ms: append, bus_ms: bus, lag_ms: lag }, jobs) {
    const sum = (at) => jobs.reduce((all, row) => all + row[at], 0);
    const tiles = [
      ["Connections", WHOLE.format(gauges.connections), ""],
      ["Users online", WHOLE.format(gauges.users), ""],
      ["Messages", FINE.format(rates.messages ?? 0), "a second"],
      ["Deliveries", FINE.format(rates.deliveries ?? 0), "a second"],
      ["Store, p99", append.count ? FINE.format(append.p99) : "–", "ms"],
      ["Bus, p99", bus.count ? FINE.format(bus.p99) : "–", "ms"],
      ["Event loop, p99", lag.count ? FINE.format(lag.p99) : "–", "ms late"],
      ["Slow clients", WHOLE.format(gauges.slow_clients), ""],
      ["Jobs waiting", WHOLE.format(sum(1)), sum(3) ? `${sum(3)} dead` : ""],
      ["Memory", WHOLE.format(gauges.memory_bytes / 2 ** 20), "MiB"],
    ];
    this.tiles.replaceChildren(...tiles.map(([name, value, unit]) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, `${value} `, h("small", {}, unit)))));
  }

  drawTables(total, nodes, jobs) {
    const up = (ms) => (ms < 3_600_000 ? `${Math.floor(ms / 60_000)} min` : `${FINE.format(ms / 3_600_000)} h`);
    this.nodes.replaceChildren(table(["Node", "Up", "#Connections", "#CPU", "State"], nodes.map((one) => [
      one.node || "this one", up(one.up_ms), WHOLE.format(one.gauges.connections), one.rates.cpu_ms === undefined ? "–" : `${FINE.format(one.rates.cpu_ms / 10)} %`, one.not_ready || (one.store_failing ? "store" : "ready")])));
    this.busiest.replaceChildren(table(["Room", "#Entries lately"], (total.busiest ?? []).map(([room, entries]) => [room, WHOLE.format(entries)]), { empty: "Nothing was written lately." }));
    this.jobs.replaceChildren(table(["Kind", "#Waiting", "#Running", "#Dead"], jobs.map(([kind, ...counts]) => [kind, ...counts.slice(0, 3).map((count) => WHOLE.format(count))]), { empty: "There are no jobs." }));
    const refusals = [...Object.entries(total.refusals), ...Object.entries(total.closes).map(([code, count]) => [`closed with ${code}`, count])];
    this.refusals.replaceChildren(table(["What", "#Times"], refusals.map(([what, count]) => [what, WHOLE.format(count)])));
    const errors = (total.errors ?? []).slice(0, 20).map(([at, level, logger, message]) => [time(at), h("span", { class: `level-${level}` }, level), `${logger}: ${message}`]);
    this.errors.replaceChildren(table(["At", "Level", "What"], errors, { empty: "No warning, no error.", wide: 2 }));
  }
}

const kept = Account.kept();
if (kept) start(kept);
else showSignIn();
