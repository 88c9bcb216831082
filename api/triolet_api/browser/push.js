// Notifications: by push where the server and the browser have it, else while the page is open.

const SUBSCRIPTIONS = "/v1/notifications/subscriptions";

let isPushed = false;

// The server is told where to again: browsers move their subscriptions.
export async function readyWorker(account, open) {
  const { serviceWorker } = navigator;
  serviceWorker.onmessage = ({ data }) => data?.room && open(data.room);
  await serviceWorker.register("/sw.js");
  const worker = await serviceWorker.ready;
  const subscription = await worker.pushManager?.getSubscription();
  if (subscription) await subscribe(account, subscription);
  return worker;
}

async function subscribe(account, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  await account.ask("POST", SUBSCRIPTIONS, { endpoint, keys });
  isPushed = true;
}

// Ask for leave, and subscribe; returns what to tell the user.
export async function askForPush(account, open) {
  if (!globalThis.Notification) return "This browser has no notifications.";
  if ((await Notification.requestPermission()) !== "granted") return "Notifications are not allowed here; the browser's settings of this site decide.";
  try {
    const worker = await readyWorker(account, open);
    const { key: applicationServerKey } = await account.ask("GET", "/v1/notifications/key");
    await subscribe(account, await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey }));
    return "Notifications are on, also when this page is closed.";
  } catch {
    return "Notifications are on while this page is open; push is not to be had here.";
  }
}

// Nobody is signed in: whoever is next is shown nothing that was for the last one.
export async function endPush() {
  isPushed = false;
  const worker = await navigator.serviceWorker?.getRegistration();
  for (const shown of (await worker?.getNotifications()) ?? []) shown.close();
  await (await worker?.pushManager?.getSubscription())?.unsubscribe();
  await navigator.clearAppBadge?.();
}

// Tell of a room's last message where no push does: by the worker, as some browsers demand.
export async function tell(account, { room, last }) {
  if (isPushed || globalThis.Notification?.permission !== "granted") return;
  const { rooms } = await account.ask("GET", "/v1/notifications/inbox");
  const unread = rooms.find((row) => row.room === room && row.is_told);
  if (!unread) return;
  const worker = await navigator.serviceWorker.ready;
  worker.active.postMessage({ room, title: unread.title, sender: last.from, text: unread.text, unread: unread.unread });
}
