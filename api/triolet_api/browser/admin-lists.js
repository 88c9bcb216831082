// What admins look up and do, over HTTP: each part is a list with its deeds, read when one opens it.

import { wordsFor } from "./account.js";
import { h } from "./dom.js";
import { brief } from "./format.js";
import { table } from "./tables.js";

const when = (at) => h("time", { datetime: new Date(at).toISOString(), title: new Date(at).toLocaleString() }, brief(at));

// A list: `read(after)` gives {rows, next}; each row is shown by `cells`, and has `deeds`:
// {label, danger, does(row)}. `form` stands above it.
class List {
  constructor({ title, names, wide, read, cells, deeds = [], form, empty }) {
    Object.assign(this, { names, wide, read, cells, deeds, empty });
    this.rows = [];
    this.place = h("div", { class: "scroll" });
    this.said = h("p", { class: "error", role: "alert" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.load(this.next) }, "More");
    const again = h("button", { type: "button", onclick: () => this.load() }, "Read again");
    this.element = h("section", { class: "panel" }, h("h2", {}, title), form?.(this), this.said, this.place, h("div", { class: "line" }, this.more, again));
    this.load();
  }

  async load(after = "") {
    if (!after) {
      this.rows = [];
      this.place.replaceChildren(h("p", { class: "lead busy" }, "Loading…"));
    }
    const { rows: had } = this;
    const { length } = had;
    await this.try(async () => {
      const { rows, next } = await this.read(after);
      if (this.rows !== had || had.length !== length) return; // read meanwhile
      had.push(...rows);
      this.next = next;
      this.more.hidden = !next;
      this.draw();
    });
  }

  draw() {
    const lines = this.rows.map((row) => [...this.cells(row), h("span", { class: "line" }, ...this.deeds.map((deed) => this.button(deed, row)))]);
    this.place.replaceChildren(table([...this.names, ""], lines, { empty: this.empty ?? "None.", wide: this.wide }));
  }

  button({ label, danger, isFor = () => true, does }, row) {
    if (!isFor(row)) return null;
    let isSure = !danger;
    const press = () => {
      if (!isSure) {
        isSure = true;
        one.textContent = "Sure?";
        setTimeout(() => ((isSure = false), (one.textContent = label)), 3000);
        return;
      }
      this.try(async () => {
        await does(row);
        await this.load();
      });
    };
    const one = h("button", { type: "button", class: danger ? "danger" : null, onclick: press }, label);
    return one;
  }

  async try(doing) {
    this.said.textContent = "";
    try {
      await doing();
    } catch (error) {
      this.said.textContent = error.status === 403 ? "You are no admin here." : error.status < 500 ? error.message : wordsFor(error);
      if (!this.rows.length) this.place.replaceChildren();
    }
  }
}

function field(label, name, more = {}) {
  return h("label", {}, label, h("input", { name, autocomplete: "off", spellcheck: "false", ...more }));
}

function asked(list, label, fields, does) {
  const submit = (event) => {
    event.preventDefault();
    const form = event.target;
    list.try(async () => {
      await does(Object.fromEntries(new FormData(form)));
      form.reset();
      await list.load();
    });
  };
  return h("form", { onsubmit: submit }, ...fields, h("button", { class: "primary" }, label));
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
const name = encodeURIComponent;

// The parts of the dashboard besides the overview, by name: what shows each.
export function actions(account) {
  const ask = (method, path, body) => account.ask(method, `/v1/admin/${path}`, body);
  return {
    Sessions: () => sessions(ask),
    Bans: () => bans(ask),
    Users: () => users(ask),
    Rooms: () => rooms(ask),
    Jobs: () => jobs(ask),
    Announce: () => announce(ask),
    Audit: () => audit(ask),
  };
}

function sessions(ask) {
  let user = "";
  return new List({
    title: "Sessions",
    names: ["User", "Device", "Address", "Agent", "Node", "Since", "#Rooms", "#Waiting"],
    form: (list) => h("form", { onsubmit: (event) => (event.preventDefault(), (user = new FormData(event.target).get("user")), list.load()) }, field("Of a user", "user"), h("button", {}, "Find")),
    read: async (after) => {
      const { sessions: rows, next } = await ask("GET", `sessions?${query({ user, after })}`);
      return { rows, next };
    },
    cells: (row) => [row.user, row.device, row.address ?? "", row.agent ?? "", row.node, when(row.since), row.subscriptions, row.slow ? `${row.outbox_bytes} B, slow` : `${row.outbox_bytes} B`],
    deeds: [{ label: "End", danger: true, does: ({ session }) => ask("DELETE", `sessions/${session}`) }],
    empty: "Nobody is connected.",
  }).element;
}

// Addresses have colons, or nothing but digits and dots; a user who is called like one is banned by curl.
const whom = (target) => (/:|^[\d.]+(\/\d+)?$/.test(target) ? { network: target } : { user: target });

function bans(ask) {
  return new List({
    title: "Bans",
    names: ["Whom", "Reason", "By", "Since", "Until"],
    form: (list) =>
      asked(list, "Ban", [field("User, address or network", "target", { required: true, placeholder: "eve, 192.0.2.7, 198.51.100.0/24" }), field("Reason", "reason"), field("Hours (empty: for ever)", "hours", { type: "number", min: "1" })], ({ target, reason, hours }) =>
        ask("POST", "bans", { ...whom(target.trim()), reason, until: hours ? Date.now() + 3_600_000 * hours : 0 })),
    read: async (after) => {
      const { bans: rows, next } = await ask("GET", `bans?${query({ after })}`);
      return { rows, next };
    },
    cells: (row) => [row.user ?? row.network, row.reason ?? "", row.by ?? "", when(row.at), row.until ? when(row.until) : "for ever"],
    deeds: [{ label: "Lift", does: ({ user, network }) => ask("DELETE", `bans?${query({ user, network })}`) }],
    empty: "Nobody is banned.",
  }).element;
}

function users(ask) {
  const change = (user, disabled) => ask("PATCH", `accounts/${name(user)}`, { disabled });
  return new List({
    title: "Accounts",
    names: ["Name", "Roles", "Tier", "Since", "State"],
    read: async (after) => {
      const { accounts: rows, after: next } = await ask("GET", `accounts?${query({ after })}`);
      return { rows, next };
    },
    cells: (row) => [row.user, row.roles.join(", "), row.tier, when(row.created), row.disabled ? "disabled" : ""],
    deeds: [
      { label: "Sign out", danger: true, does: ({ user }) => ask("DELETE", `users/${name(user)}/sessions`) },
      { label: "Disable", danger: true, isFor: ({ disabled }) => !disabled, does: ({ user }) => change(user, true) },
      { label: "Enable", isFor: ({ disabled }) => disabled, does: ({ user }) => change(user, false) },
    ],
  }).element;
}

function rooms(ask) {
  return new List({
    title: "Rooms",
    names: ["Name", "Title", "Kind", "#Members", "#Messages"],
    read: async (after) => {
      const { rooms: rows, next } = await ask("GET", `rooms?${query({ after })}`);
      return { rows, next };
    },
    cells: (row) => [row.room, row.title, row.public ? `${row.kind}, public` : row.kind, row.members, row.messages],
    deeds: [{ label: "Delete", danger: true, does: ({ room }) => ask("DELETE", `rooms/${name(room)}`) }],
  }).element;
}

function jobs(ask) {
  return new List({
    title: "Dead jobs",
    names: ["Kind", "Key", "#Attempts", "Died", "Why"],
    wide: 4,
    read: async (after) => {
      const { jobs: rows, next } = await ask("GET", `jobs?${query({ state: "dead", after })}`);
      return { rows, next };
    },
    cells: (row) => [row.kind, row.key, row.attempts, when(row.finished_at), row.error],
    deeds: [
      { label: "Do again", does: ({ id }) => ask("POST", "jobs/requeue", { ids: [id] }) },
      { label: "Drop", danger: true, does: ({ id }) => ask("DELETE", `jobs?${query({ ids: id })}`) },
    ],
    empty: "No job is dead.",
  }).element;
}

function announce(ask) {
  const said = h("p", { class: "lead", role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const { text, room } = Object.fromEntries(new FormData(form));
    try {
      const { here } = await ask("POST", "announce", { body: { text }, ...(room ? { room } : {}) });
      said.textContent = `Told to ${here} sessions of this node, and to those of the others.`;
      form.reset();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  return h("section", { class: "panel" }, h("h2", {}, "Announce"), h("p", { class: "lead" }, "Everybody who is connected sees it at once; it is not kept."),
    h("form", { onsubmit: submit }, field("What to tell", "text", { required: true, maxlength: "500" }), field("Only to who follows the room", "room"), h("button", { class: "primary" }, "Announce")), said);
}

function audit(ask) {
  return new List({
    title: "What admins did",
    names: ["When", "Who", "What", "To", "From", "Outcome"],
    read: async (before) => {
      const { rows, more } = await ask("GET", `audit?${query({ before })}`);
      return { rows, next: more ? rows.at(-1).id : "" };
    },
    cells: (row) => [when(row.at), row.who, row.action, row.target ?? "", row.address ?? "", row.outcome],
    empty: "Nothing yet.",
  }).element;
}
