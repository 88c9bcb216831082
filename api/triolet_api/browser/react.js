// Hooks for React: what a client knows, as state. Give them a client of `connect`.

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { Timeline } from "./timeline.js";

// How the connection stands: {state, user, retryInMs}.
export function useConnection(client) {
  const subscribe = useCallback((changed) => client.onState(changed), [client]);
  const state = useSyncExternalStore(subscribe, () => client.state);
  return { state, user: client.user, retryInMs: client.retryInMs };
}

// One room, followed while the component is there:
// {messages, pending, hasOlder, isLoading, error, isClosed, send, older, edit, remove, react, read}.
export function useRoom(client, name) {
  const [, draw] = useState(0);
  const room = useMemo(() => new FollowedRoom(client, name, () => draw((count) => count + 1)), [client, name]);
  useEffect(() => room.follow(), [room]);
  const { timeline } = room;
  return {
    messages: timeline.messages,
    pending: timeline.pending,
    hasOlder: timeline.hasOlder,
    isLoading: timeline.isLoading !== null,
    error: timeline.error,
    isClosed: room.isClosed,
    ...room.does,
  };
}

// Who is how: a map of user → {status, lastSeen}, for as long as the component is there.
export function usePresence(client, users) {
  const [seen, setSeen] = useState({});
  const key = [...users].sort().join(" ");
  useEffect(() => {
    const wanted = key ? key.split(" ") : [];
    let isHere = true;
    const take = (rows) => {
      const known = rows.filter(([user]) => wanted.includes(user));
      if (!isHere || !known.length) return;
      const news = known.map(([user, status, lastSeen]) => [user, { status, lastSeen }]);
      setSeen((before) => ({ ...before, ...Object.fromEntries(news) }));
    };
    const takeBack = client.onEvent((event) => event.op === "presence" && take(event.users));
    // Whom one may not see is not in the map.
    if (wanted.length) client.watch(wanted).then((ok) => take(ok.users), () => {});
    return () => {
      isHere = false;
      takeBack();
      if (wanted.length) client.unwatch(wanted).catch(() => {});
    };
  }, [client, key]);
  return seen;
}

// Who types in a room, without oneself; and what to call while typing.
export function useTyping(client, name) {
  const [users, setUsers] = useState([]);
  const isTyping = useRef(false);
  useEffect(() => {
    setUsers([]);
    return client.onEvent((event) => {
      if (event.op === "typing" && event.room === name) setUsers(event.users.filter((user) => user !== client.user));
    });
  }, [client, name]);
  const typing = useCallback((on = true) => {
    if (!on && !isTyping.current) return;
    isTyping.current = on;
    client.typing(name, { on }).catch(() => {});
  }, [client, name]);
  return { users, typing };
}

class FollowedRoom {
  constructor(client, name, draw) {
    Object.assign(this, { client, name, draw, isClosed: false });
    this.timeline = new Timeline(client.user, (where) => client.history(name, where), draw);
    const { timeline } = this;
    this.does = {
      send: (body, options) => this.send(body, options),
      older: () => timeline.older(),
      edit: (target, body) => client.edit(name, target, body),
      remove: (target) => client.delete(name, target),
      react: (target, emoji, on = true) => client.react(name, target, emoji, { on }),
      read: () => client.receipt(name, { read: timeline.last?.seq ?? 0 }),
    };
  }

  follow() {
    const takeBack = this.client.onEvent((event) => event.room === this.name && this[`on_${event.op}`]?.(event));
    this.#begin();
    return () => {
      takeBack();
      this.client.unsubscribe(this.name).catch(() => {});
    };
  }

  async #begin() {
    try {
      await this.client.subscribe(this.name);
      this.timeline.me = this.client.user;
      await this.timeline.open();
    } catch (error) {
      this.timeline.error = error;
      this.draw();
    }
  }

  async send(body, { cid, ...options } = {}) {
    const { timeline } = this;
    const id = cid ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
    const shown = typeof body === "string" ? { text: body } : body;
    timeline.sending({ cid: id, from: this.client.user, at: Date.now(), body: shown, reply_to: options.replyTo });
    try {
      const written = await this.client.send(this.name, body, { cid: id, ...options });
      timeline.sent(id);
      return written;
    } catch (error) {
      timeline.sent(id, error);
      throw error;
    }
  }

  on_entry(entry) {
    this.timeline.entry(entry);
  }

  on_reset({ since }) {
    if (since) this.timeline.back(since[1]);
    else this.timeline.open();
  }

  on_closed() {
    this.isClosed = true;
    this.draw();
  }
}
