// Tables, as the dashboard shows them.

import { h } from "./dom.js";

// A name that begins with # stands above numbers; `wide` is the column that may wrap.
export function table(names, rows, { empty = "None.", wide = -1 } = {}) {
  if (!rows.length) return h("p", { class: "lead" }, empty);
  const kind = (index) => (names[index].startsWith("#") ? "number" : index === wide ? "wide" : null);
  const head = names.map((name, index) => h("th", { scope: "col", class: kind(index) }, name.replace("#", "")));
  const line = (row) => h("tr", {}, ...row.map((value, index) => h("td", { class: kind(index) }, value)));
  return h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows.map(line)));
}
