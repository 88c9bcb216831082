// Settings: who sees me, and what I am told of. Loaded on demand.

import { $, submit } from "./dom.js";

const PREFERENCES = "/v1/notifications/preferences";
const PAUSE_MS = 8 * 3_600_000;

export async function openSettings(account, { client, open }, askForPush) {
  const [dialog, form, fields, said] = ["", "-form", "-fields", "-said"].map((part) => $("settings" + part));
  const room = open?.room;
  $("settings-room").hidden = !room;
  $("settings-push").onclick = async () => (said.textContent = await askForPush());
  said.textContent = "Loading…";
  fields.disabled = true;
  dialog.showModal();
  try {
    const [wishes, seen] = await Promise.all([account.ask("GET", PREFERENCES), account.ask("GET", "/v1/presence/me")]);
    show(form.elements, { ...wishes, ...seen }, room);
    said.textContent = "";
    fields.disabled = false;
    form.onsubmit = (event) => submit(event, said, async (wanted) => {
      await account.ask("PUT", PREFERENCES, wishesOf(wanted, wishes, room));
      await client.presence(undefined, { visibleTo: wanted.visible_to });
      dialog.close();
    });
  } catch (error) {
    said.textContent = error.message;
  }
}

function show(elements, { quiet, rooms, ...wishes }, room) {
  const { level = "", muted_until = 0 } = rooms[room] ?? {};
  const values = { ...wishes, ...quiet, room: muted_until > Date.now() ? "pause" : level };
  for (const element of elements) {
    if (element.type === "checkbox") element.checked = values[element.name];
    else if (element.name) element.value = values[element.name] ?? "";
  }
}

// What is not asked here stays as it was.
function wishesOf({ level, room: wish, direct, preview, start, end }, before, room) {
  const { [room]: had, ...rooms } = before.rooms;
  if (wish === "pause") rooms[room] = had?.muted_until > Date.now() ? had : { ...had, muted_until: Date.now() + PAUSE_MS };
  else if (wish) rooms[room] = { level: wish };
  const { timeZone: zone } = new Intl.DateTimeFormat().resolvedOptions();
  const quiet = start && end ? { ...before.quiet, start, end, zone } : null;
  return { ...before, level, direct: Boolean(direct), preview: Boolean(preview), quiet, rooms };
}
