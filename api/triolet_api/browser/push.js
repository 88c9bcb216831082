// Notifications: by push where the server and the browser have it, else while the page is open.

let isPushed = false;
let onClick = () => {};

export function onNotificationClick(listener) {
  onClick = listener;
}

// "push": the service worker is told by the server; "page": this page shows them itself; "".
export function pushState() {
  if (isPushed) return "push";
  return globalThis.Notification?.permission === "granted" ? "page" : "";
}

export async function readyWorker() {
  if (!navigator.serviceWorker) return null;
  navigator.serviceWorker.onmessage = ({ data }) => data?.room && onClick(data.room);
  await navigator.serviceWorker.register("/sw.js");
  const worker = await navigator.serviceWorker.ready;
  isPushed = Boolean(await worker.pushManager?.getSubscription());
  return worker;
}

// Ask for leave, and subscribe; returns what to tell the user.
export async function askForPush(account) {
  if (!globalThis.Notification) return "This browser has no notifications.";
  if ((await Notification.requestPermission()) !== "granted") return "Notifications are not allowed here; the browser's settings of this site decide.";
  try {
    const worker = await readyWorker();
    if (!worker?.pushManager) return "Notifications are on while this page is open.";
    const { key } = await account.ask("GET", "/v1/notifications/key");
    const how = { userVisibleOnly: true, applicationServerKey: bytesOf(key) };
    const subscription = await worker.pushManager.subscribe(how);
    await account.ask("POST", "/v1/notifications/subscriptions", subscriptionOf(subscription));
    isPushed = true;
    return "Notifications are on, also when this page is closed.";
  } catch {
    return "Notifications are on while this page is open; push is not to be had here.";
  }
}

function subscriptionOf(subscription) {
  const { endpoint, keys } = subscription.toJSON();
  return { endpoint, keys };
}

function bytesOf(base64url) {
  const base64 = base64url.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
