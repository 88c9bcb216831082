// How times, names and texts are shown.

import { h } from "./dom.js";

const shown = (how) => new Intl.DateTimeFormat(undefined, how);
const TIME = shown({ hour: "2-digit", minute: "2-digit" });
const WEEKDAY = shown({ weekday: "short" });
const DATE = shown({ day: "numeric", month: "short" });
const LONG = shown({ weekday: "long", day: "numeric", month: "long" });
const DAY_MS = 86_400_000;

export const time = (at) => TIME.format(at);

export const dayOf = (at) => new Date(at).setHours(0, 0, 0, 0);

const daysAgo = (at) => Math.round((dayOf(Date.now()) - dayOf(at)) / DAY_MS);

export function day(at) {
  const days = daysAgo(at);
  return days === 0 ? "Today" : days === 1 ? "Yesterday" : LONG.format(at);
}

// In a list: the time today, else the day.
export function brief(at) {
  const days = daysAgo(at);
  return days === 0 ? TIME.format(at) : days < 7 ? WEEKDAY.format(at) : DATE.format(at);
}

export function lastSeen(at) {
  if (!at) return "offline";
  const minutes = Math.floor((Date.now() - at) / 60_000);
  if (minutes < 1) return "last seen just now";
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return daysAgo(at) === 0 ? `last seen at ${TIME.format(at)}` : `last seen ${brief(at)}`;
}

export function presence([status, at] = ["offline", 0]) {
  if (status === "dnd") return "do not disturb";
  return status === "offline" ? lastSeen(at) : status;
}

export function initials(name) {
  const [one, other] = name.match(/[\p{L}\p{N}]+/gu) ?? [name];
  return (other ? [...one][0] + [...other][0] : [...one].slice(0, 2).join("")).toUpperCase();
}

export function avatar(name, status) {
  let hue = 0;
  for (const character of name) hue = (hue * 31 + character.codePointAt(0)) % 12;
  const dot = status ? h("span", { class: `dot ${status}` }) : null;
  return h("span", { class: `avatar tone-${hue}`, "aria-hidden": "true" }, initials(name), dot);
}

// What a room is called: the other person, its title, or its name.
export function titleOf({ room, kind, title }, me) {
  return kind === "direct" ? otherOf(room, me) : title || room;
}

export function otherOf(room, me) {
  const [, one, other] = room.split(":");
  return one === me ? other : one;
}

const LINKS = /\bhttps?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g;

// Text as nodes: links are links, and nothing else is anything but text.
export function rich(text) {
  const nodes = [];
  let from = 0;
  for (const { 0: link, index } of text.matchAll(LINKS)) {
    nodes.push(text.slice(from, index), h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, link));
    from = index + link.length;
  }
  return [...nodes, text.slice(from)];
}

export function textOf(message) {
  if (!message) return "";
  return message.erased ? "Message deleted" : message.body?.text ?? "Attachment";
}
