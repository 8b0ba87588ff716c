// Code for Workers accepts a namespace as its binding.

import type { KVNamespace } from "@cloudflare/workers-types";
import { Store } from "luat-kv";

interface Env {
  SESSIONS: KVNamespace;
}

interface Session {
  user: string;
}

async function handle(env: Env, id: string): Promise<string> {
  const session = await env.SESSIONS.get<Session>(`session:${id}`, { type: "json", cacheTtl: 60 });
  if (session) return session.user;
  const { value, metadata } = await env.SESSIONS.getWithMetadata<{ at: number }>("last");
  await env.SESSIONS.put(`session:${id}`, JSON.stringify({ user: value }), {
    expirationTtl: 60,
    metadata: { at: metadata?.at },
  });
  const many = await env.SESSIONS.get(["a", "b"]);
  let cursor: string | undefined;
  do {
    const page: KVNamespaceList = await env.SESSIONS.list({ prefix: "session:", cursor: cursor ?? null });
    for (const key of page.keys) await env.SESSIONS.delete(key.name);
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return many.get("a") ?? "";
}

type KVNamespaceList = Awaited<ReturnType<KVNamespace["list"]>>;

export async function main(): Promise<string> {
  const store = await Store.open({ limits: "cloudflare" });
  const SESSIONS: KVNamespace = store.namespace("sessions");
  return handle({ SESSIONS }, "1");
}
