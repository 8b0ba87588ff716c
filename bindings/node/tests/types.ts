// Compiled by package.test.js, not run: code that index.d.ts must accept, and code that it must reject.

import { LuatKVError, Store, version, type Change, type Entry, type ListPage, type Namespace, type Watch } from "luat-kv-native";

interface Session {
  user: string;
}

const store = Store.open(new URL("file:///tmp/kv.db"), { busyTimeout: 1, limits: "cloudflare", durability: "full", readonly: true, cacheSize: 0 });
Store.open("postgresql://user@host/database", { busyTimeout: 1 }).close();
Store.openProject(null, { nowait: true }).close();
const kv: Namespace = store.namespace("n");
const text: string | null = kv.get("k");
const json: Session | null = kv.get<Session>("k", "json");
const buffer: Buffer | null = kv.get(new Uint8Array(1), "buffer");
const array: ArrayBuffer | null = kv.get("k", { type: "arrayBuffer" });
const entry: Entry<Session, { from: string }> = kv.getWithMetadata<Session, { from: string }>("k", "json");
const many: Map<string, Buffer | null> = kv.get(["k"], "buffer");
const whole: Map<string, Entry<string> | null> = kv.getWithMetadata(["k"]);
const sum: number | bigint = kv.incr("k", 1n, { initial: 5, expirationTtl: 60 });
const page: ListPage = kv.list({ prefix: "a", values: true, cursor: null });
if (!page.list_complete) page.cursor.length;
for (const { name, expiration, metadata } of kv.each<{ m: number }>({ values: "json" })) {
  const [a, b, c]: [string, number | undefined, number | undefined] = [name, expiration, metadata?.m];
}
kv.put("k", { any: "thing" }, { metadata: [1], expiration: 5 });
const version1: string = kv.put("k", new DataView(new ArrayBuffer(1)));
const version2: string | null = kv.add("k", "v");
const removed: boolean = kv.has("k") && kv.delete("k");
const taken: Entry<Session, { from: string }> = kv.take<Session, { from: string }>("k", "json");
const takenBuffer: Buffer | null = kv.take("k", "buffer").value;
const result = kv.atomic().check("k", entry.version).put("k", "v").namespace("m").delete("k").incr("n").commit();
if (result.ok) result.version.length;
const watch: Watch<Session, { m: number }> = kv.watch<Session, { m: number }>({ prefix: "a", values: "json", signal: AbortSignal.timeout(1) }).ref();
kv.watch({ keys: ["k", new Uint8Array(1)], existing: true, values: true }).unref().close();
async function follow(): Promise<Change[]> {
  for await (const change of watch) {
    if (change.type === "put") [change.version.length, change.expiration, change.metadata?.m.toFixed(), change.value?.user.length];
    else [change.expired === true, change.name.length];
  }
  return (await watch.next()).length > 0 ? watch.poll() : watch.next(100);
}
const token: string = kv.watch({ since: watch.token(), existing: false }).token();
kv.watch({ since: kv.get("token") }).close();
const watched: Promise<{ value?: Change<Buffer>; done: boolean }> = kv.watch({ values: "buffer" }).stream().getReader().read();
const none: undefined = kv.watch().poll()[0]?.value;
const stored: Promise<{ stored: number; skipped: number }> = kv.importAsync(0, { replace: true });
const count: number = kv.export("path", { format: "jsonl" });
const hits: number = store.stats().cache.hits;
const live: number | undefined = store.stats().namespaces.get("n")?.live;
try {
  version.length;
} catch (error) {
  if (error instanceof LuatKVError && error.code === "BUSY") error.status.toFixed(error.errno ?? 0);
}
// @ts-expect-error
kv.get(1);
// @ts-expect-error
kv.get("k", "xml");
// @ts-expect-error
kv.put("k", null);
// @ts-expect-error
kv.put("k", "v", { ttl: 1 });
// @ts-expect-error
kv.atomic().check("k");
// @ts-expect-error
Store.openMemory({ durability: "full" });
// @ts-expect-error
Store.openMemory({ cacheSize: 0 });
// @ts-expect-error
kv.watch({ type: "json" });
// @ts-expect-error
kv.watch({ existing: 1 });
// @ts-expect-error
kv.watch({ since: 1 });
// @ts-expect-error
watch.next("1");
// @ts-expect-error
const wrong: string = kv.get("k");
// @ts-expect-error
result.version.length;
