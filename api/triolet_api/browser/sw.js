// The service worker: shows what the server pushes, and opens the room one clicks on.
// It keeps nothing of the page: what is shown is always the server's own version.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data?.json() ?? {};
  } catch {
    told = { body: event.data?.text() };
  }
  event.waitUntil(show(told));
});

async function show({ title = "Triolet", body = "", room = "", tag = room, badge, url = "" }) {
  if (typeof badge === "number") await self.navigator.setAppBadge?.(badge).catch(() => {});
  await self.registration.showNotification(title, {
    body,
    tag: tag || "triolet",
    renotify: true,
    icon: "/assets/icon-192.png",
    badge: "/assets/icon-badge.png",
    data: { room, url },
  });
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
