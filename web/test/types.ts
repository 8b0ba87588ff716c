// Code that must compile, and code that must not: `npm run types`.

import {
  Atomic,
  Change,
  Entry,
  ListPage,
  Lua,
  LuaError,
  Store,
  LuatKVError,
  Namespace,
  SyncNamespace,
  Watch,
  version,
} from "luat-kv";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<A, B>(_same: Same<A, B>): void {}

export async function watches(kv: Namespace, signal: AbortSignal): Promise<void> {
  const plain = kv.watch();
  is<typeof plain, Watch<undefined, unknown>>(true);
  const typed = kv.watch<{ a: number }, { m: string }>({ keys: ["a"], values: "json", signal });
  for await (const change of typed) {
    is<typeof change, Change<{ a: number }, { m: string }>>(true);
    if (change.type === "put") {
      const { version, value, metadata } = change;
      is<typeof version, string>(true);
      is<typeof value, { a: number } | undefined>(true);
      is<typeof metadata, { m: string } | undefined>(true);
    } else is<typeof change.expired, true | undefined>(true);
  }
  const text: Change<string>[] = await kv.watch({ prefix: "a", existing: true, values: true }).next(1000);
  const later = kv.watch({ since: plain.token() });
  is<typeof later, Watch<undefined, unknown>>(true);
  const kept: string | null = await kv.get("token");
  kv.watch({ since: kept, values: true });
  const stream: ReadableStream<Change<ArrayBuffer>> = kv.watch({ values: "arrayBuffer" }).stream();
  const values: boolean = text.length > 0;
  using any = kv.watch({ values });
  is<typeof any, Watch<any, unknown>>(true);
  void stream;
  // @ts-expect-error
  kv.watch({ type: "json" });
  // @ts-expect-error
  kv.watch({ existing: 1 });
  // @ts-expect-error: it is text
  kv.watch({ since: 1 });
  // @ts-expect-error
  plain.next("1");
  // @ts-expect-error
  new Watch();
}

export async function values(kv: Namespace, sync: SyncNamespace): Promise<void> {
  const text = await kv.get("a");
  is<typeof text, string | null>(true);
  const typed = await kv.get("a", { type: "text", cacheTtl: 60 });
  is<typeof typed, string | null>(true);
  const json = await kv.get<{ a: number }>("a", "json");
  is<typeof json, { a: number } | null>(true);
  const unknown = await kv.get("a", { type: "json" });
  is<typeof unknown, unknown>(true);
  const buffer = await kv.get("a", "arrayBuffer");
  is<typeof buffer, ArrayBuffer | null>(true);
  const stream = await kv.get("a", "stream");
  is<typeof stream, ReadableStream | null>(true);
  const many = await kv.get(["a", "b"]);
  is<typeof many, Map<string, string | null>>(true);
  const manyJson = await kv.get<number>(["a"], "json");
  is<typeof manyJson, Map<string, number | null>>(true);
  const now = sync.get("a", "arrayBuffer");
  is<typeof now, ArrayBuffer | null>(true);

  const entry = await kv.getWithMetadata<{ m: string }>("a");
  is<typeof entry, Entry<string, { m: string }>>(true);
  const whole = await kv.getWithMetadata<number, string>("a", "json");
  is<typeof whole, Entry<number, string>>(true);
  is<typeof whole.version, string | null>(true);
  const entries = sync.getWithMetadata<{ m: 1 }>(["a"]);
  is<typeof entries, Map<string, Entry<string, { m: 1 }> | null>>(true);

  // @ts-expect-error There is no such type.
  await kv.get("a", "buffer");
  // @ts-expect-error A key is a string.
  await kv.get(undefined);
  // @ts-expect-error There are no streams of many values.
  await kv.get(["a"], "stream");

  // Without "json", the result is text, whatever the type argument is.
  // @ts-expect-error The type is missing.
  await kv.get<{ a: number }>("a");
  // @ts-expect-error
  await kv.get<{ a: number }>("a", {});
  // @ts-expect-error
  await kv.get<{ a: number }>("a", { cacheTtl: 60 });
  // @ts-expect-error
  await kv.get<{ a: number }>("a", "text");
  // @ts-expect-error
  await kv.get<{ a: number }>(["a"]);
  // @ts-expect-error
  await kv.getWithMetadata<{ a: number }, string>("a");
  // @ts-expect-error
  await kv.getWithMetadata<{ a: number }, string>(["a"]);
  // @ts-expect-error
  sync.get<{ a: number }>("a");
  // @ts-expect-error
  sync.getWithMetadata<{ a: number }, string>("a");
}

export async function types(kv: Namespace, type: "text" | "json" | "arrayBuffer" | "stream"): Promise<void> {
  const value = await kv.get("a", type);
  is<typeof value, any>(true);
  if (type === "stream") return;
  const many = await kv.get(["a"], type);
  is<typeof many, Map<string, any>>(true);
}

export async function writing(kv: Namespace, sync: SyncNamespace): Promise<void> {
  await kv.put("a", new Uint8Array(3), { expirationTtl: 60, metadata: { a: [1] } });
  await kv.put("a", new Response("a").body!, { expiration: undefined });
  sync.put("a", new ArrayBuffer(1));
  const added = await kv.add("a", "1");
  is<typeof added, string | null>(true);
  const version = await kv.put("a", "1");
  is<typeof version, string>(true);
  is<string, ReturnType<typeof sync.put>>(true);
  const taken = await kv.take<{ user: string }, { from: string }>("a", "json");
  is<typeof taken, Entry<{ user: string }, { from: string }>>(true);
  const stream = await kv.take("a", "stream");
  is<typeof stream, Entry<ReadableStream>>(true);
  const takenNow = sync.take("a");
  is<typeof takenNow, Entry<string>>(true);
  const sum = await kv.incr("n", 5n, { initial: 1 });
  is<typeof sum, number | bigint>(true);
  const removed = await kv.delete("a");
  is<typeof removed, boolean>(true);
  is<boolean, ReturnType<typeof sync.has>>(true);
  if (await kv.has("a")) await kv.deleteBulk(["a", "b"]);
  sync.deleteBulk("a");
  // @ts-expect-error A stream takes time.
  sync.put("a", new Response("a").body!);
  // @ts-expect-error It is expirationTtl.
  await kv.put("a", "1", { expiration_ttl: 60 });
  // @ts-expect-error An object is no value.
  await kv.put("a", { a: 1 });
}

export async function listing(kv: Namespace, sync: SyncNamespace): Promise<void> {
  const page = await kv.list<{ m: 1 }>({ prefix: null, cursor: null, limit: 10 });
  is<typeof page, ListPage<{ m: 1 }>>(true);
  if (!page.list_complete) await kv.list({ cursor: page.cursor });
  // @ts-expect-error The last page has none.
  if (page.list_complete) page.cursor;
  for (const { name, metadata } of page.keys) console.log(name, metadata?.m);
  for await (const { name } of kv.each({ values: "json", reverse: true })) is<typeof name, string>(true);
  for (const { expiration } of sync.each()) is<typeof expiration, number | undefined>(true);
  // @ts-expect-error each() has no pages.
  kv.each({ limit: 1 });
}

export async function persisted(): Promise<void> {
  const kv = await Store.open({ persist: "opfs", name: "a", wait: Infinity, recover: true, onError: console.error });
  const { cache } = (await Store.open({ cacheSize: 0 })).stats();
  is<typeof cache.size, number>(true);
  if (kv.damage !== null) is<typeof kv.damage.code extends string ? true : false, true>(true);
  await Store.delete({ persist: "indexeddb", name: "a", wait: 0 });
  // @ts-expect-error it says where.
  await Store.delete({ wait: 0 });
}

export async function store(): Promise<void> {
  await using kv = await Store.open({ persist: "indexeddb", limits: "cloudflare", wasm: new URL("https://x/y.wasm") });
  const done = kv.atomic().namespace("a").check("a", null).put("a", "1").commit();
  if (done.ok) is<typeof done.version, string>(true);
  const batch: Atomic = kv.namespace("a").atomic();
  batch.delete("a").commit();
  const stats = kv.stats().namespaces.get("a");
  is<typeof stats, { live: number; expired: number } | undefined>(true);
  is<typeof version, string>(true);
  try {
    await kv.flush();
  } catch (error) {
    if (error instanceof LuatKVError && error.code === "BUSY") return;
    // @ts-expect-error There is no such code.
    if (error instanceof LuatKVError && error.code === "FULL") return;
  }
  // @ts-expect-error It comes from open().
  new Store();
}

export async function lua(): Promise<void> {
  using lua = await Lua.create({ print: (line) => console.log(line.length) });
  try {
    const results = await lua.run("return 1", { timeout: 100, signal: AbortSignal.timeout(5) });
    is<typeof results, unknown[]>(true);
  } catch (error) {
    if (error instanceof LuaError) console.log(error.traceback, error.line);
  }
}

export async function modules(bytes: Uint8Array, response: Promise<Response>): Promise<void> {
  for (const wasm of ["https://x/y.wasm", new URL("https://x/y.wasm"), bytes, bytes.buffer as ArrayBuffer, response]) {
    await Store.open({ wasm });
  }
  // @ts-expect-error Null is no module.
  await Store.open({ wasm: null });
}
