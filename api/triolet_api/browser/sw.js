// The service worker: shows what the server pushes, and opens the room one clicks on.
// It keeps nothing of the page: what is shown is always the server's own version.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data?.json() ?? {};
  } catch {
    told = { text: event.data?.text() };
  }
  event.waitUntil(show(told));
});

// Where there is no push, a page that nobody looks at has told what it was told.
self.addEventListener("message", (event) => event.waitUntil(show(event.data)));

// A notice as the server tells it: see `Notice` in triolet_api.notifications.
async function show({ title = "", sender = "", text = "", room = "", tag = room, unread = 0, badge, url = "" }) {
  // Beside it: no notice waits for a number on an icon.
  const badged = typeof badge === "number" && self.navigator.setAppBadge?.(badge).catch(() => {});
  const said = sender && title && sender !== title ? `${sender}: ${text}` : text;
  await self.registration.showNotification(title || sender || "Triolet", {
    body: said || (unread > 1 ? `${unread} new messages` : "New message"),
    tag: tag || "triolet",
    renotify: true,
    icon: "/assets/icon-192.png",
    badge: "/assets/icon-badge.png",
    data: { room, url },
  });
  await badged;
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data ?? {}));
});

async function open({ room = "", url = "" }) {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const chat = pages.find((page) => new URL(page.url).pathname === "/");
  if (chat && !url) {
    await chat.focus();
    return chat.postMessage({ room });
  }
  const target = new URL(url || `/#${encodeURIComponent(room)}`, self.location.origin);
  if (target.origin === self.location.origin) await self.clients.openWindow(target.href);
}
