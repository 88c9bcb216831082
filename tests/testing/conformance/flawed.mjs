// The example client with one flaw, named by the first argument: the kit has to find each.

import { randomUUID } from "node:crypto";
import { Client, play } from "../../../examples/conformance/client.mjs";

const FLAWS = {
  "a new cid for each attempt": class extends Client {
    put(message) {
      super.put(message.op === "send" ? { ...message, cid: randomUUID() } : message);
    }
  },
  "what is unanswered is forgotten": class extends Client {
    lost(code, reason) {
      this.waiting.clear();
      super.lost(code, reason);
    }
  },
  "a refusal that passes is final": class extends Client {
    answered(message) {
      const request = this.waiting.get(message.ref);
      this.waiting.delete(message.ref);
      if (message.op === "ok") request?.resolve(message);
      else request?.reject(message);
    }
  },
  "retries at once": class extends Client {
    answered(message) {
      super.answered({ ...message, retry_after_ms: message.op === "error" ? 0 : undefined });
    }
  },
  "positions are forgotten": class extends Client {
    lost(code, reason) {
      this.position = null;
      super.lost(code, reason);
    }
  },
  "the ok of a message moves the position": class extends Client {
    answered(message) {
      if (message.op === "ok" && message.seq) this.position[1] = message.seq;
      super.answered(message);
    }
  },
  "entries are shown as they come": class extends Client {
    on_entry(entry) {
      this.position = [this.position[0], entry.seq];
      this.onMessage(entry.seq, entry.body.text);
    }
  },
  "a fork is not heard of": class extends Client {
    subscribed({ since, ...rest }) {
      super.subscribed(rest);
    }
  },
  "resets are not heard of": class extends Client {
    on_reset() {}
  },
  "history is not refetched": class extends Client {
    refetch(epoch, head) {
      this.position = [epoch, head];
    }
  },
  "tokens are not refreshed": class extends Client {
    refresh() {}
  },
  "tokens are kept for ever": class extends Client {
    lost(code, reason) {
      super.lost(code === 4002 ? 1006 : code, reason);
    }
  },
  "never stops": class extends Client {
    stop() {
      setTimeout(() => this.connect(), 100);
    }
  },
  "no backoff": class extends Client {
    delayMs() {
      return 100;
    }
  },
  "a fixed backoff": class extends Client {
    delayMs() {
      return 1500;
    }
  },
  "hints are not heeded": class extends Client {
    delayMs() {
      this.hintMs = 0;
      return super.delayMs();
    }
  },
  "silence is not noticed": class extends Client {
    beat() {}
  },
  "no bound in flight": class extends Client {
    on_welcome(welcome) {
      super.on_welcome({ ...welcome, limits: {} });
    }
  },
  "removal is not heard of": class extends Client {
    on_closed() {
      this.subscribe();
    }
  },
};

play(FLAWS[process.argv[2]]);
