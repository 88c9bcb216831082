// Elements without a framework: what is shown is built of nodes, never of HTML in strings.

// h("button", { class: "icon", onclick: go, "aria-label": "Go" }, "→"): properties that begin
// with `on` listen, the others are attributes; false, null and undefined are left out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

// Make the children of `parent` those of `rows`, by key: an element is kept as long as its row is
// the same object, for rows are never changed but replaced.
export function reconcile(parent, rows, build) {
  const kept = parent.kept ?? new Map();
  const next = new Map();
  let place = parent.firstChild;
  for (const row of rows) {
    const had = kept.get(row.key);
    const element = had?.row.value === row.value && had.row.mark === row.mark ? had.element : build(row);
    if (had && had.element !== element) {
      if (place === had.element) place = place.nextSibling;
      had.element.remove();
    }
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
    next.set(row.key, { row, element });
  }
  for (const [key, { element }] of kept) if (!next.has(key)) element.remove();
  parent.kept = next;
  return next;
}

// Draws of a burst follow each other after so long: the frames between are the reader's, who
// scrolls and writes meanwhile. The first one is at once.
const BURST_MS = 180;
// A page that is hidden gets no frames, nor does one that becomes so while it waits for one; it
// is drawn all the same, for its title counts what is unread.
const FRAMELESS_MS = 250;

// Call `draw` with the next frame, however often it is asked for.
export function eachFrame(draw) {
  let [frame, timer, drawnAt] = [0, null, -Infinity];
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    timer = null;
    drawnAt = performance.now();
    draw();
  };
  const ask = () => {
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, FRAMELESS_MS);
  };
  return () => {
    if (timer !== null) return;
    const wait = drawnAt + BURST_MS - performance.now();
    if (wait > 0) timer = setTimeout(ask, wait);
    else ask();
  };
}

const ICONS = {
  send: "M3 11.5 21 3l-5.5 18-3.6-7.4zm8.9 2.1L21 3",
  back: "M15 5l-7 7 7 7",
  reply: "M9 7 4 12l5 5M4 12h9c4 0 7 2.5 7 6",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8.5 14.5a4.5 4.5 0 0 0 7 0M9 9.5h.01M15 9.5h.01",
  edit: "M4 20h4L19 9l-4-4L4 16zM13.5 6.5l4 4",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  close: "M6 6l12 12M18 6 6 18",
  bell: "M6 16v-5a6 6 0 1 1 12 0v5l2 2H4zM10 21h4",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3 2.800 3 5.500",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.append(path);
  return svg;
}

export function button(name, label, onclick, more = {}) {
  return h("button", { type: "button", class: "round", "aria-label": label, title: label, onclick, ...more }, icon(name));
}
