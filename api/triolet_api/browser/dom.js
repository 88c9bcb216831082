// Elements without a framework: what is shown is built of nodes, never of HTML in strings.

// h("button", { class: "icon", onclick: go, "aria-label": "Go" }, "→"): properties that begin
// with `on` listen, the others are attributes; false, null and undefined are left out.
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (isThere(value)) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(isThere));
  return element;
}

const isThere = (value) => (value ?? false) !== false;

export const $ = (id) => document.getElementById(id);

// Make the children of `parent` those of `rows`, by key: an element is kept as long as its row is
// the same object, for rows are never changed but replaced. The focus stays.
export function reconcile(parent, rows, build) {
  const kept = parent.kept ?? new Map();
  const next = new Map();
  const focused = document.activeElement;
  const held = [...kept.values()].find(({ element }) => element.contains(focused));
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
  if (held && !parent.contains(document.activeElement)) {
    const { element } = next.get(held.row.key) ?? held;
    (element.querySelector(".room") ?? element).focus({ preventScroll: true });
  }
}

// What is pressed: it must still be there when let go.
let pressed;
for (const what of ["down", "move", "up", "cancel"])
  addEventListener("pointer" + what, ({ target, buttons }) => (pressed = buttons & 1 && (pressed || target.closest?.("button, li"))), true);

// Between draws of a burst: the frames meanwhile are the reader's, who scrolls and writes.
const BURST_MS = 180;
// A hidden page gets no frames, and is drawn all the same: its title counts what is unread.
const FRAMELESS_MS = 250;

// Call `draw` with the next frame in which nothing is pressed, however often it is asked for.
export function eachFrame(draw) {
  let [frame, timer, drawnAt] = [0, null, -Infinity];
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    if (pressed) return ask();
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

// Do what a form asks for, once at a time; what goes wrong is said beside it.
export async function submit(event, said, does, wordsFor = ({ message }) => message) {
  event.preventDefault();
  const { target: form, submitter } = event;
  if (form.ariaBusy) return;
  form.ariaBusy = true;
  submitter?.classList.add("busy");
  said.textContent = "";
  try {
    await does(Object.fromEntries(new FormData(form)));
  } catch (error) {
    said.textContent = wordsFor(error);
  }
  submitter?.classList.remove("busy");
  form.ariaBusy = null;
}

export const again = (onclick) => h("button", { type: "button", onclick }, "Try again");
