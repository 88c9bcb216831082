// Who is signed in here: tokens over HTTP, renewed as they expire.

import { Refusal } from "./triolet.js";

// What somebody solved; what shows it comes when it is asked for.
const solved = async () => (await import("./captcha.js")).solve();

export class HttpError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.reason = problem.reason ?? "";
    this.retryAfterS = 0;
  }
}

export async function request(method, path, { body, token, headers = {} } = {}) {
  const how = { method, headers: { ...headers }, credentials: "same-origin" };
  if (token) how.headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) {
    how.headers["Content-Type"] = "application/json";
    how.body = JSON.stringify(body);
  }
  const response = await fetch(path, how);
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
  const answer = isJson && text ? JSON.parse(text) : {};
  if (response.ok) return answer;
  const error = new HttpError(response.status, answer);
  error.retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  throw error;
}

const KEY = "triolet.account";
// A token is asked for anew so long before it ends.
const EARLY_MS = 30_000;

export class Account {
  #tokens;
  #renewing = null;

  constructor(user, tokens) {
    this.user = user;
    this.#tokens = tokens;
  }

  // Whoever was signed in here last, or null.
  static kept() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY));
      return kept?.user && kept.refresh_token ? new Account(kept.user, { ...kept, ends: 0 }) : null;
    } catch {
      return null;
    }
  }

  static register(user, password) {
    return Account.#sign("register", user, password);
  }

  static login(user, password) {
    return Account.#sign("login", user, password);
  }

  // With a CAPTCHA where it takes one.
  static async #sign(how, user, password) {
    const ask = (headers) => request("POST", `/v1/auth/${how}`, { body: { user, password }, headers });
    const tokens = await ask().catch(async (error) => {
      if (error.reason !== "captcha_required") throw error;
      return ask({ "X-Captcha": await solved() });
    });
    return tokens.access_token ? Account.#begin(user, tokens) : Account.login(user, password);
  }

  // Names are spelled as the account is.
  static #begin(user, tokens) {
    const account = new Account(tokens.user ?? user, null);
    account.#take(tokens);
    return account;
  }

  #take(tokens) {
    this.#tokens = { ...tokens, ends: Date.now() + 1000 * tokens.expires_in - EARLY_MS };
    localStorage.setItem(KEY, JSON.stringify({ user: this.user, refresh_token: tokens.refresh_token }));
  }

  // A token that is good for now. `isSpent`: the last one is refused.
  async token({ isSpent = false } = {}) {
    if (isSpent || Date.now() >= this.#tokens.ends) await this.#renew();
    return this.#tokens.access_token;
  }

  // The same for a client, which is over when it is refused: nobody is signed in any more.
  async tokenOrEnd(how) {
    try {
      return await this.token(how);
    } catch (error) {
      if (![400, 401, 403].includes(error.status)) throw error;
      throw new Refusal({ reason: error.reason || "unauthenticated", message: error.message });
    }
  }

  // Show that one is no bot.
  async prove() {
    const headers = { "X-Captcha": await solved() };
    await request("POST", "/v1/guard/captcha", { token: await this.token(), headers });
  }

  // One page renews for all of this browser: a refresh token is good once.
  #renew() {
    const renew = async () => {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
      if (kept?.user !== this.user) throw new HttpError(401, { reason: "unauthenticated", detail: "signed out" });
      const body = { refresh_token: kept.refresh_token };
      this.#take(await request("POST", "/v1/auth/refresh", { body }));
    };
    const locked = () => (navigator.locks ? navigator.locks.request(KEY, renew) : renew());
    this.#renewing ??= locked().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async ask(method, path, body) {
    return request(method, path, { body, token: await this.token() });
  }

  async signOut() {
    const { refresh_token } = this.#tokens;
    const token = this.#tokens.access_token;
    localStorage.removeItem(KEY);
    try {
      await request("POST", "/v1/auth/logout", { body: { refresh_token }, token });
    } catch {
      // Signed out here all the same; the token ends by itself.
    }
  }

  forget() {
    localStorage.removeItem(KEY);
  }
}

// Why one was not signed in, and why one is no more.
export function wordsFor(failed) {
  const { status, reason, retryAfterS } = failed;
  if (status === 401) return "The name or the password is wrong.";
  if (status === 403 && reason === "banned") return "You are banned here.";
  if (status === 403 && reason === "captcha_required") return "That did not show that you are a person. Try again.";
  if (status === 404) return "Accounts are off here: sign in where your tokens come from.";
  if (status === 409) return "Somebody has this name already.";
  if (status === 429) return `Too many attempts. Try again in ${waitOf(retryAfterS || 60)}.`;
  if (status >= 500) return `The server is in trouble (${status}). Try again in a moment.`;
  return failed instanceof TypeError ? "The server cannot be reached. Are you online?" : failed.message;
}

const waitOf = (seconds) => (seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`);

export function wordsForEnd(code) {
  return code === 4003 ? "You are banned here." : "You were signed out: this session has ended. Sign in again.";
}
