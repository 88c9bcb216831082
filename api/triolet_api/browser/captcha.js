// A CAPTCHA, where the server asks for one: the provider's own, in a dialog. This part comes when it
// is asked for, and the provider's script, which the page's policy allows then, comes with it.

import { request } from "./account.js";
import { h } from "./dom.js";

const SCRIPT_TIMEOUT_MS = 15_000;

// Return what the provider says of who has solved it; an error when nobody has.
export async function solve() {
  const { provider, site_key, script } = await request("GET", "/v1/auth/captcha");
  if (!script) throw new Error("The server wants to know that you are no bot, and does not say how.");
  const place = h("div", { class: "captcha" });
  const said = h("p", { class: "lead busy", role: "status" }, "Loading…");
  const dialog = h("dialog", { class: "card over", "aria-labelledby": "captcha-heading" },
    h("header", {}, h("h2", { id: "captcha-heading" }, "Are you a person?"), h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    h("p", {}, "The server wants to know before it goes on."), said, place);
  // Not modal, and nothing else is: a provider may lay its pictures over the page, where a modal
  // dialog would cover them and keep the pointer from them.
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  document.body.append(dialog);
  dialog.show();
  const answer = new Promise((resolve, reject) => {
    dialog.onclose = () => (dialog.remove(), reject(new Error("It was not shown that you are no bot.")));
    load(provider, script).then((widget) => {
      said.remove();
      const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      widget.render(place, { sitekey: site_key, theme, callback: resolve });
    }).catch(() => {
      said.className = "error";
      said.textContent = `What asks (${provider}) cannot be loaded. Something in this browser may keep it away; close this and try again.`;
    });
  });
  return answer.finally(() => dialog.close());
}

// The provider's script is known by its name, and is there when that has `render`.
async function load(name, src) {
  if (!globalThis[name]) {
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("too late")), SCRIPT_TIMEOUT_MS);
      document.head.append(h("script", { src, async: true, onload: resolve, onerror: reject }));
    });
  }
  return globalThis[name];
}
