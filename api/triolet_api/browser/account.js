// Who is signed in here: tokens over HTTP, renewed as they expire.

import { recall, remember } from "./storage.js";
import { Refusal } from "./triolet.js";

// What somebody solved; loaded on demand.
const solved = async () => (await import("./captcha.js")).solve();

export class HttpError extends Error {
  constructor({ status, headers }, { detail, reason = "" }) {
    super(detail ?? `the server answered ${status}`);
    Object.assign(this, { status, reason, retryAfterS: Number(headers?.get("Retry-After")) });
  }
}

export async function request(method, path, { body, token, signal, headers = {} } = {}) {
  const how = { method, headers: { ...headers }, signal };
  if (token) how.headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) {
    how.headers["Content-Type"] = "application/json";
    how.body = JSON.stringify(body);
  }
  const response = await fetch(path, how);
  const answer = await response.json().catch(() => ({})); // some have nothing to say
  if (response.ok) return answer;
  throw new HttpError(response, answer);
}

const KEY = "triolet.account";
const kept = () => JSON.parse(recall(KEY));
// An answer that does not come must not keep other pages waiting; the same comes again for 10 s.
const RENEWAL_TIMEOUT_MS = 8000;
// A token is asked for anew so long before it ends.
const EARLY_MS = 30_000;

export class Account {
  #tokens = { ends: 0 };
  #isGiven = false;
  #renewing = null;

  constructor(user) {
    this.user = user;
  }

  // Whoever was signed in here last, or null.
  static kept() {
    const found = kept();
    return found && new Account(found.user);
  }

  // "login" or "register"; with a CAPTCHA where it takes one.
  static async sign(how, user, password) {
    const ask = (headers) => request("POST", `/v1/auth/${how}`, { body: { user, password }, headers });
    const tokens = await ask().catch(async (error) => {
      if (error.reason !== "captcha_required") throw error;
      return ask({ "X-Captcha": await solved() });
    });
    if (!tokens.access_token) return Account.sign("login", user, password);
    // Names are spelled as the account is.
    const account = new Account(tokens.user ?? user);
    account.#take(tokens);
    return account;
  }

  #take(tokens) {
    this.#tokens = { ...tokens, ends: Date.now() + 1000 * tokens.expires_in - EARLY_MS };
    remember(KEY, JSON.stringify({ user: this.user, refresh_token: tokens.refresh_token }));
  }

  // A token that is good for now. `isSpent`: the last one is refused.
  async token({ isSpent = false } = {}) {
    if (isSpent || Date.now() >= this.#tokens.ends) await this.#renew();
    return this.#tokens.access_token;
  }

  // The same for a client, which asks for another one when the last is spent, and which is over when
  // none is given: nobody is signed in any more.
  async tokenOrEnd() {
    try {
      return await this.token({ isSpent: this.#isGiven });
    } catch (error) {
      if (![400, 401, 403].includes(error.status)) throw error;
      throw new Refusal({ reason: error.reason || "unauthenticated", message: error.message });
    } finally {
      this.#isGiven = true;
    }
  }

  // Show that one is no bot.
  async prove() {
    const headers = { "X-Captcha": await solved() };
    await request("POST", "/v1/guard/captcha", { token: await this.token(), headers });
  }

  // What is kept, if it is mine: in another page somebody else may be signed in by now.
  #mine() {
    const found = kept();
    return found?.user === this.user ? found : null;
  }

  // One page renews for all of this browser: a refresh token is good once.
  #renew() {
    const renew = async () => {
      const body = this.#mine() && { refresh_token: this.#mine().refresh_token };
      const tokens = body && (await request("POST", "/v1/auth/refresh", { body, signal: AbortSignal.timeout(RENEWAL_TIMEOUT_MS) }));
      if (!this.#mine()) throw new HttpError({ status: 401 }, { reason: "unauthenticated", detail: "signed out" });
      this.#take(tokens);
    };
    const locked = () => (navigator.locks ? navigator.locks.request(KEY, renew) : renew());
    this.#renewing ??= locked().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  // Call `left` when in another page somebody signs out, or somebody else in.
  onLeft(left, signal) {
    addEventListener("storage", () => this.#mine() || left(), { signal });
  }

  async ask(method, path, body) {
    return request(method, path, { body, token: await this.token() });
  }

  async signOut() {
    const body = { refresh_token: this.#mine()?.refresh_token };
    this.forget();
    try {
      await request("POST", "/v1/auth/logout", { body, token: this.#tokens.access_token });
    } catch {
      // Signed out here all the same; the token ends by itself.
    }
  }

  forget() {
    if (this.#mine()) remember(KEY);
  }
}

// Why one was not signed in, and why one is no more.
export function wordsFor(failed) {
  const { status, reason, retryAfterS } = failed;
  if (reason === "banned") return "You are banned here.";
  if (reason === "captcha_required") return "That did not show that you are a person. Try again.";
  if (status === 404) return "Accounts are off here: sign in where your tokens come from.";
  if (status === 429) return `Too many attempts. Try again in ${Math.ceil(retryAfterS / 60) || 1} min.`;
  if (failed instanceof TypeError) return "The server cannot be reached. Are you online?";
  return `That did not work: ${failed.message}.`;
}

export const wordsForEnd = (code) => (code === 4003 ? "You are banned here." : "You were signed out: this session has ended.");
