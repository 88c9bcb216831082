// What react.js gives, for TypeScript.

import type { Body, Client, ConnectionState, FoldedMessage, Ok, TrioletError, VisibleStatus, Written } from "./triolet.js";

export interface Pending {
  cid: string;
  from: string;
  at: number;
  body: Body;
  reply_to?: number;
  state: "sending" | "sent" | "failed";
  error?: TrioletError;
}

export interface RoomState {
  messages: FoldedMessage[];
  pending: Pending[];
  hasOlder: boolean;
  isLoading: boolean;
  error: Error | null;
  isClosed: boolean;
  send(body: string | Body, options?: { replyTo?: number; mentions?: string[]; cid?: string }): Promise<Written>;
  older(): Promise<void>;
  edit(target: number, body: string | Body): Promise<Written>;
  remove(target: number): Promise<Written>;
  react(target: number, emoji: string, on?: boolean): Promise<Written>;
  read(): Promise<Ok>;
}

export function useConnection(client: Client): { state: ConnectionState; user: string; retryInMs: number };
export function useRoom(client: Client, name: string): RoomState;
export function usePresence(
  client: Client,
  users: Iterable<string>,
): Record<string, { status: VisibleStatus; lastSeen: number }>;
export function useTyping(client: Client, name: string): { users: string[]; typing: (on?: boolean) => void };
