/// <reference lib="esnext.disposable" />

/**
 * Luat's key-value store in WebAssembly: for browsers, workers, Node 18 and later, Deno and Bun.
 *
 *     import { Store } from "luat-kv";
 *     const kv = (await Store.open()).namespace("users");
 *     await kv.put("user:1", "Alice", { expirationTtl: 3600, metadata: { role: "admin" } });
 *     await kv.get("user:1");                                     // "Alice"
 *
 * A namespace is a Workers KV namespace (`KVNamespace` of @cloudflare/workers-types): code for Workers KV runs on it
 * unchanged. It also has the store's features in other languages: versions, batches, counters, ranges.
 */

/**
 * A failed operation. The data is then as before the call, and the store can still be used. A wrong type is a
 * TypeError instead, with Workers' message if that is known; a value that is read as JSON but is not JSON is a
 * SyntaxError.
 */
export class LuatKVError extends Error {
  /**
   * - `INVALID`: the request itself is wrong, and would fail again; also a closed store, and a `.wasm` of another
   *   package or version
   * - `LIMIT`: something is longer, or a lifetime shorter, than the limits allow
   * - `NOMEM`: the store has reached its `maxMemory`
   * - `BUSY`: the persisted store is already open, here or in another tab or worker
   * - `IO`: the browser failed to read or write persisted data, or a `.wasm` could not be fetched. `cause` is the
   *   browser's error
   * - `CORRUPT`: persisted data is damaged; {@link OpenOptions.recover} opens the undamaged part
   * - `PANIC`: a bug has ended the WebAssembly instance: open another store. Please report it
   * - `READONLY` and `INTERNAL` are codes of the C library. This package does not return them
   */
  readonly code: "INVALID" | "LIMIT" | "NOMEM" | "BUSY" | "IO" | "CORRUPT" | "READONLY" | "PANIC" | "INTERNAL";
}

/** The source of a `.wasm`, for bundlers and hosts that load it in their own way. */
export type WasmSource = URL | string | Response | Promise<Response> | ArrayBuffer | ArrayBufferView | WasmModule;

/** A WebAssembly.Module, if TypeScript's libraries declare it (Node's types do not). */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer M } } } ? M : object;

export interface OpenOptions {
  /**
   * `"default"`: keys, names and prefixes of 4 KiB, values of 512 MiB, metadata of 64 KiB, lifetimes from 1 s on, pages
   * and bulk reads of 10 000 keys. `"cloudflare"`: those of Workers KV, for an app that must later run there: 512 B,
   * 25 MiB, 1 KiB, 60 s, 1000 keys, and 100 keys and 25 MiB in a bulk read, of text or JSON.
   */
  limits?: "default" | "cloudflare" | undefined;
  /**
   * Whether to keep the store across reloads, in this origin's IndexedDB or its origin private file system. It is
   * written in the background; see {@link Store.flush}. Writes of the last moment before a page closes are stored with
   * `"indexeddb"`, but usually lost with `"opfs"`. `"opfs"` needs https, Web Locks, and a browser that can write to it
   * here; if one of these is missing, opening fails with `INVALID`. Default: false: the store is lost with the page.
   */
  persist?: "indexeddb" | "opfs" | false | null | undefined;
  /** The name of the persisted store. Default `"luat_kv"`. */
  name?: string | undefined;
  /**
   * How long to wait for another tab or worker that has the persisted store open, in milliseconds; then the error is
   * `BUSY`. 0 does not wait, `Infinity` waits without limit. Default 2000, since a reloaded page opens the store before
   * the old page has closed it. If other code has the database open, detecting that can take ten seconds.
   */
  wait?: number | undefined;
  /**
   * Open a damaged persisted store in its state before the first damage, rather than fail with `CORRUPT`.
   * {@link Store.damage} and `onError` report what is left out. The data on disk is not changed until the store
   * changes; then the whole store is written, and the damaged part is removed in the same step. Default false.
   */
  recover?: boolean | undefined;
  /**
   * Called with each error of the persisted store: of a background write, which is retried unless the error is `BUSY`,
   * and for data that was left out when the store was opened (`CORRUPT`). Default: `console.error`.
   */
  onError?: ((error: unknown) => void) | undefined;
  /**
   * The maximum memory of the store in bytes, from 2 MiB to 4 GiB. Default 1 GiB. Exceeding it is `NOMEM`. The cache is
   * not part of it.
   */
  maxMemory?: number | undefined;
  /**
   * The size in bytes of the cache of what was read, from 0 to `maxMemory`; 0 for none. The cache is in the memory of
   * JavaScript, beside `maxMemory`. It makes reading a key again faster, and never returns an old value. Default
   * 16 MiB, or an eighth of `maxMemory` if that is less.
   */
  cacheSize?: number | undefined;
  /** Default: the `luat_kv.wasm` beside this package's code. A Worker must pass it: see the README. */
  wasm?: WasmSource | undefined;
}

export interface DeleteOptions {
  persist: "indexeddb" | "opfs";
  name?: string | undefined;
  /** As in {@link OpenOptions.wait}. */
  wait?: number | undefined;
}

/** A store: namespaces of keys, in memory. */
export class Store implements Disposable {
  private constructor();
  /** Opens a new or a persisted store. `INVALID` in a Worker's global scope: open it in a handler. */
  static open(options?: OpenOptions): Promise<Store>;
  /** Removes a persisted store, if it exists. `BUSY` if it is open somewhere for longer than `wait`. */
  static delete(options: DeleteOptions): Promise<void>;
  /** A separate set of keys. Returns the same object each time for the same name. */
  namespace(name: string): Namespace;
  /** The names of the namespaces that have live keys, in byte order. */
  namespaces(): string[];
  /** A batch that has no namespace yet: call its `namespace()` first. */
  atomic(): Atomic;
  /** What the store contains. Counts every entry. */
  stats(): Stats;
  /** Removes expired entries, at most `max` (0: all), and returns how many. Each write also removes a few. */
  sweep(max?: number): number;
  /** Resolves when all writes until now are persisted; at once if there are none, or the store is not persisted. */
  flush(): Promise<void>;
  /** Flushes, lets other tabs open the persisted store, and frees the memory. Calling it again has no effect. */
  close(): Promise<void>;
  /** The same without waiting for the end. */
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
  readonly closed: boolean;
  /** The error for damaged data that was left out when the persisted store was opened: `CORRUPT`, or null. */
  readonly damage: LuatKVError | null;
}

export interface Stats {
  namespaces: Map<string, { live: number; expired: number }>;
  /** The size of the WebAssembly memory in bytes. It never shrinks. */
  memory: number;
  /** The size of what is in the cache, in bytes: see {@link OpenOptions.cacheSize}. */
  cache: { size: number };
}

// ---- Values

/** The values that Workers KV accepts. A stream is read to its end first. */
export type SyncStorable = string | ArrayBuffer | ArrayBufferView;
export type Storable = SyncStorable | ByteStream;

/** A ReadableStream of the browser, Node or Workers, whose types differ. */
export interface ByteStream {
  readonly locked: boolean;
  getReader(): { read(): Promise<{ done: boolean; value?: any }>; releaseLock(): void };
}

/**
 * How a value is read: `"text"` is a string (bytes that are not UTF-8 become U+FFFD), `"json"` is parsed,
 * `"arrayBuffer"` is a copy of the bytes, `"stream"` a stream of them.
 */
export type SyncValueType = "text" | "json" | "arrayBuffer";
export type ValueType = SyncValueType | "stream";
/** As with Workers KV, `cacheTtl` may be given (with Cloudflare's limits, at least 30 seconds). It has no effect. */
export type TypeOption<T extends ValueType> = T | { type: T; cacheTtl?: number | undefined };
export type NoType = { type?: undefined; cacheTtl?: number | undefined };
/** Numbers are converted as in Workers: fractions of a second are cut off, and "60" is 60. */
export interface Lifetime {
  /** When the entry expires, in Unix seconds. It must be in the future. */
  expiration?: number | undefined;
  /** The same in seconds from now, at least 1. Takes precedence over `expiration`. */
  expirationTtl?: number | undefined;
}

export interface PutOptions extends Lifetime {
  /** Any JSON value; null means no metadata. */
  metadata?: unknown;
}

export interface IncrOptions extends Lifetime {
  /** The number to which `by` is added if the key is missing. Default 0. */
  initial?: number | bigint | undefined;
}

/**
 * `value`, `metadata` and `cacheStatus` are those of Workers KV. All fields are null for a missing key. `expiration`
 * and `version` are not enumerable, so that an entry equals one of Workers in a test: a spread, `Object.assign()`,
 * `JSON.stringify()` and `structuredClone()` leave them out.
 */
export interface Entry<V, M = unknown> {
  value: V | null;
  metadata: M | null;
  /** Null: no read returns what another place has cached. Not enumerable in a read of many keys. */
  cacheStatus: null;
  /** Unix seconds; null means never. Not enumerable. */
  expiration: number | null;
  /** Identifies the write that stored the value, for {@link Atomic.check}. Not enumerable. */
  version: string | null;
}

export interface EachOptions {
  /** Only keys with this prefix. There are no wildcards. */
  prefix?: string | null | undefined;
  /** Only keys from this one on, inclusive, in byte order. */
  start?: string | null | undefined;
  /** Only keys before this one, exclusive, in byte order. */
  stop?: string | null | undefined;
  /** From the last key to the first. */
  reverse?: boolean | undefined;
  /** Whether to return the values too, and as which type; true is `"text"`. */
  values?: boolean | SyncValueType | undefined;
}

export interface ListOptions extends EachOptions {
  /** The maximum number of keys in a page. Default 1000, also for 0 or less. */
  limit?: number | undefined;
  /** The cursor of the page before; null or an empty string for the first page. */
  cursor?: string | null | undefined;
}

export interface ListedKey<M = unknown> {
  name: string;
  /** Only if the option `values` is given, and of that type. */
  value?: any;
  /** Unix seconds; absent if the entry never expires. */
  expiration?: number;
  /** If a persisted entry has metadata that is not JSON, reading this throws a LuatKVError, `CORRUPT`. */
  metadata?: M;
  /** For {@link Atomic.check}. Not enumerable: see {@link Entry}. */
  version: string;
}

export type ListPage<M = unknown> =
  | { keys: ListedKey<M>[]; list_complete: true; cacheStatus: null }
  | { keys: ListedKey<M>[]; list_complete: false; cursor: string; cacheStatus: null };

export interface ExportOptions {
  /** `"json"`: one array, as in Wrangler's bulk files (default); `"jsonl"`: one object per line. */
  format?: "json" | "jsonl" | undefined;
}

export interface ImportOptions {
  /** Whether to replace existing keys. By default they are skipped. */
  replace?: boolean | undefined;
}

// ---- Namespaces

/** A set of keys within a store, with the methods of Workers KV's `KVNamespace` and some more. */
export class Namespace {
  private constructor();
  readonly name: string;
  readonly store: Store;
  /** The same namespace, with synchronous methods. */
  readonly sync: SyncNamespace;

  /** The value, or null if the key is missing. */
  get(key: string, type?: TypeOption<"text"> | NoType): Promise<string | null>;
  get<J = unknown>(key: string, type: TypeOption<"json">): Promise<J | null>;
  get(key: string, type: TypeOption<"arrayBuffer">): Promise<ArrayBuffer | null>;
  get(key: string, type: TypeOption<"stream">): Promise<ReadableStream | null>;
  /** Many values, all as of one moment, in the order of the keys; null for missing keys. */
  get(keys: string[], type?: TypeOption<"text"> | NoType): Promise<Map<string, string | null>>;
  get<J = unknown>(keys: string[], type: TypeOption<"json">): Promise<Map<string, J | null>>;
  /** With Cloudflare's limits, many values can only be read as `"text"` and `"json"`, and up to 25 MiB in total. */
  get(keys: string[], type: TypeOption<"arrayBuffer">): Promise<Map<string, ArrayBuffer | null>>;
  /** For a type that is only known at run time. */
  get(key: string, type?: TypeOption<ValueType>): Promise<any>;
  get(keys: string[], type?: TypeOption<SyncValueType>): Promise<Map<string, any>>;
  /** The value with its metadata, expiration and version; all of them are null if the key is missing. */
  getWithMetadata<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Promise<Entry<string, M>>;
  getWithMetadata<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Promise<Entry<J, M>>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Promise<Entry<ArrayBuffer, M>>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"stream">): Promise<Entry<ReadableStream, M>>;
  /** The same for many keys. The map has null for a missing key. As in Workers, these types do not show that. */
  getWithMetadata<M = unknown>(
    keys: string[],
    type?: TypeOption<"text"> | NoType,
  ): Promise<Map<string, Entry<string, M>>>;
  getWithMetadata<J = unknown, M = unknown>(
    keys: string[],
    type: TypeOption<"json">,
  ): Promise<Map<string, Entry<J, M>>>;
  getWithMetadata<M = unknown>(
    keys: string[],
    type: TypeOption<"arrayBuffer">,
  ): Promise<Map<string, Entry<ArrayBuffer, M>>>;
  getWithMetadata<M = unknown>(key: string, type?: TypeOption<ValueType>): Promise<Entry<any, M>>;
  getWithMetadata<M = unknown>(keys: string[], type?: TypeOption<SyncValueType>): Promise<Map<string, Entry<any, M>>>;
  /** Whether a key exists. The value is not read. */
  has(key: string): Promise<boolean>;

  /**
   * Stores a value, and replaces everything that the key held: value, metadata and expiration. Returns the version of
   * the new entry, for {@link Atomic.check}.
   */
  put(key: string, value: Storable, options?: PutOptions): Promise<string>;
  /** So that it fits a KVNamespace. */
  put(key: string, value: Storable, options?: PutOptions): Promise<void>;
  /** The same if the key is missing. Returns the version of the new entry, or null if the key exists. */
  add(key: string, value: Storable, options?: PutOptions): Promise<string | null>;
  /** Removes a key. Returns whether it existed. */
  delete(key: string): Promise<boolean>;
  /** So that it fits a KVNamespace. */
  delete(key: string): Promise<void>;
  /**
   * Removes a key and returns its entry, in one step: if several callers take the same key, one of them gets the
   * entry. All fields are null if the key is missing. An entry that cannot be read as `type` is an error, and is kept.
   */
  take<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Promise<Entry<string, M>>;
  take<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Promise<Entry<J, M>>;
  take<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Promise<Entry<ArrayBuffer, M>>;
  take<M = unknown>(key: string, type: TypeOption<"stream">): Promise<Entry<ReadableStream, M>>;
  /** Removes one or many keys, at most 10 000 (with Cloudflare's limits, 100). If it fails, none is removed. */
  deleteBulk(keys: string | string[]): Promise<void>;
  /** Sets the expiration of a key, or, without options, removes it. Returns whether the key exists. */
  touch(key: string, options?: Lifetime): Promise<boolean>;
  /**
   * Adds to an integer of 64 bits, and returns the sum: a number if that is safe, otherwise a bigint. The options apply
   * only if the key is missing.
   */
  incr(key: string, by?: number | bigint, options?: IncrOptions): Promise<number | bigint>;

  /** A page of keys in byte order. */
  list<M = unknown>(options?: ListOptions): Promise<ListPage<M>>;
  /** All keys, page by page: `for await (const { name } of kv.each())`. */
  each<M = unknown>(options?: EachOptions): AsyncIterableIterator<ListedKey<M>>;
  /** The number of keys. */
  count(options?: { prefix?: string | null | undefined }): Promise<number>;
  /** Removes all keys with a prefix, and returns how many. */
  deletePrefix(prefix: string): Promise<number>;
  clear(): Promise<number>;

  /** Returns the namespace as text. */
  export(options?: ExportOptions): Promise<string>;
  /**
   * Stores all entries of an export, or none if it fails. `skipped` counts entries that had expired, and existing keys
   * that were not replaced. With `replace`, an expired entry removes its key. Unknown fields are ignored.
   */
  import(from: Storable, options?: ImportOptions): Promise<{ stored: number; skipped: number }>;

  /** A batch of changes to this namespace. */
  atomic(): Atomic;

  /**
   * Reports changes of keys from now on, whoever makes them: `for await (const { name, type } of kv.watch())`. What the
   * keys hold now is no change, unless `existing` is set: then it is what the watch reports first. A program that keeps
   * a copy of the keys sets it. With a list of its own it could miss the removal of a key that was put just before the
   * list and removed just after.
   *
   * A watch compares all its keys whenever the store has changed, and remembers the name of each. While nobody waits
   * with it, it does nothing.
   */
  watch<M = unknown>(options: WatchOptions & { values: "arrayBuffer" }): Watch<ArrayBuffer, M>;
  watch<J = unknown, M = unknown>(options: WatchOptions & { values: "json" }): Watch<J, M>;
  watch<M = unknown>(options: WatchOptions & { values: true | "text" }): Watch<string, M>;
  watch<M = unknown>(options?: WatchOptions & { values?: false | undefined }): Watch<undefined, M>;
  /** For options that are only known at run time. */
  watch<M = unknown>(options?: WatchOptions): Watch<any, M>;
}

export interface WatchOptions {
  /** Only these keys, at most 1000, whether they exist or not. Not together with `prefix`. */
  keys?: string[] | null | undefined;
  /** Only keys with this prefix. There are no wildcards. */
  prefix?: string | null | undefined;
  /**
   * Whether to begin with what is there: the first changes are then a put of each live key, so a program that keeps a
   * copy needs no list. Default: false.
   */
  existing?: boolean | undefined;
  /**
   * The {@link Watch.token} of an earlier watch of this namespace, to go on from there: the first changes are what has
   * changed since then. If that one had other keys, or another prefix, keys that only this one has are reported as if
   * they were new. Empty or null: from now on. Not together with `existing`.
   */
  since?: string | null | undefined;
  /** Whether to return the new values too, and as which type; true is `"text"`. */
  values?: boolean | SyncValueType | undefined;
  /** Ends the watch. What waits, and every later call, is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** The latest state of a key that has changed. */
export type Change<V = any, M = unknown> = PutChange<V, M> | DeleteChange;

/** The key was stored, by any write that gave it a new version. */
export interface PutChange<V = any, M = unknown> {
  name: string;
  type: "put";
  /** For {@link Atomic.check}. */
  version: string;
  /** Unix seconds; absent if the entry never expires. */
  expiration?: number;
  /** If a persisted entry has metadata that is not JSON, reading this throws a LuatKVError, `CORRUPT`. */
  metadata?: M;
  /**
   * Only if the option `values` is given, and of that type. If the value cannot be read as that type, since it is not
   * JSON or too long for a string, reading this throws.
   */
  value?: V;
  expired?: undefined;
}

/** The key is not there any more. */
export interface DeleteChange {
  name: string;
  type: "delete";
  /** True if it has expired; absent if it was removed. */
  expired?: true;
  version?: undefined;
  expiration?: undefined;
  metadata?: undefined;
  value?: undefined;
}

/**
 * Reports changes of some keys: to a loop, to {@link Watch.next}, or as a stream. Each change is reported once, and
 * keys that change several times meanwhile once, in their latest state. Waiting does not keep Node alive. What waits is
 * rejected when the store is closed.
 */
export class Watch<V = any, M = unknown> implements AsyncIterable<Change<V, M>>, Disposable {
  private constructor();
  /**
   * The changes since the last call, each key once, in byte order. Waits for some, but not longer than `timeout`
   * milliseconds; then the array is empty. 0 does not wait. Default: no limit.
   *
   * What one batch has changed comes together; with `values`, some of it comes with the next call if the values amount
   * to more than 16 MiB. After an error nothing is lost, and the call can be repeated. One call at a time can wait.
   */
  next(timeout?: number): Promise<Change<V, M>[]>;
  /** The changes, one by one. Leaving the loop closes the watch. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Change<V, M>>;
  /** The same as a stream. Cancelling it closes the watch. It reads changes only when somebody reads it. */
  stream(): ReadableStream<Change<V, M>>;
  /**
   * A token, from which a later watch goes on: see {@link WatchOptions.since}. It covers what `next()` has returned, and
   * what a loop or a reader of the stream has been given. A token is never too old, and is good in a page that is loaded
   * again, for a persisted store. It is ASCII text that contains the name and the version of each key. It can be read
   * after the store was closed, but not after the watch was, and leaving a loop closes that.
   */
  token(): string;
  /** Ends the watch: what waits returns without a change. Calling it again has no effect. */
  close(): void;
  [Symbol.dispose](): void;
}

/** A {@link Namespace} with synchronous methods. */
export class SyncNamespace {
  private constructor();
  readonly name: string;
  readonly store: Store;

  get(key: string, type?: TypeOption<"text"> | NoType): string | null;
  get<J = unknown>(key: string, type: TypeOption<"json">): J | null;
  get(key: string, type: TypeOption<"arrayBuffer">): ArrayBuffer | null;
  get(key: string, type: TypeOption<"stream">): ReadableStream | null;
  get(keys: string[], type?: TypeOption<"text"> | NoType): Map<string, string | null>;
  get<J = unknown>(keys: string[], type: TypeOption<"json">): Map<string, J | null>;
  get(keys: string[], type: TypeOption<"arrayBuffer">): Map<string, ArrayBuffer | null>;
  getWithMetadata<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  getWithMetadata<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Entry<J, M>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Entry<ArrayBuffer, M>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"stream">): Entry<ReadableStream, M>;
  getWithMetadata<M = unknown>(
    keys: string[],
    type?: TypeOption<"text"> | NoType,
  ): Map<string, Entry<string, M> | null>;
  getWithMetadata<J = unknown, M = unknown>(keys: string[], type: TypeOption<"json">): Map<string, Entry<J, M> | null>;
  getWithMetadata<M = unknown>(
    keys: string[],
    type: TypeOption<"arrayBuffer">,
  ): Map<string, Entry<ArrayBuffer, M> | null>;
  has(key: string): boolean;

  put(key: string, value: SyncStorable, options?: PutOptions): string;
  add(key: string, value: SyncStorable, options?: PutOptions): string | null;
  delete(key: string): boolean;
  take<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  take<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Entry<J, M>;
  take<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Entry<ArrayBuffer, M>;
  take<M = unknown>(key: string, type: TypeOption<"stream">): Entry<ReadableStream, M>;
  deleteBulk(keys: string | string[]): void;
  touch(key: string, options?: Lifetime): boolean;
  incr(key: string, by?: number | bigint, options?: IncrOptions): number | bigint;

  list<M = unknown>(options?: ListOptions): ListPage<M>;
  each<M = unknown>(options?: EachOptions): IterableIterator<ListedKey<M>>;
  count(options?: { prefix?: string | null | undefined }): number;
  deletePrefix(prefix: string): number;
  clear(): number;

  export(options?: ExportOptions): string;
  import(from: SyncStorable, options?: ImportOptions): { stored: number; skipped: number };

  atomic(): Atomic;
}

/** Changes that are collected, and then applied in their order, all together or not at all. */
export class Atomic {
  private constructor();
  /** The following steps apply to this namespace of the same store. */
  namespace(namespace: string | Namespace | SyncNamespace): this;
  /** Applies the batch only if the key still has this version; null: only if the key is missing. */
  check(key: string, version: string | null): this;
  put(key: string, value: SyncStorable, options?: PutOptions): this;
  delete(key: string): this;
  incr(key: string, by?: number | bigint, options?: IncrOptions): this;
  /**
   * Applies all changes, or none if a check fails. Then the batch cannot be used again. After an error it can: the
   * commit can be retried.
   */
  commit(): { ok: true; version: string } | { ok: false; version?: undefined };
}

// ---- Lua

export interface LuaOptions {
  /** The store that `KV.namespace(name)` of scripts uses. JavaScript can go on using it. Default: a new store. */
  kv?: Store | undefined;
  /** Called with each line that scripts print, without its line break. Default: `console.log`. */
  print?: ((line: string) => void) | undefined;
  /** As for {@link Store.open}, if the store is created here. It also limits Lua's memory. */
  maxMemory?: number | undefined;
  /** Default: the `luat_kv_lua.wasm` beside this package's code. Vite finds it if `luat-kv/lua` is imported. */
  wasm?: WasmSource | undefined;
}

export interface RunOptions {
  /** The name of the script in tracebacks, and its `arg[0]`. Default `"script"`. */
  name?: string | undefined;
  /** The time limit in milliseconds. Default: none. */
  timeout?: number | undefined;
}

/**
 * Lua 5.4 with `require("luat_kv")`, the globals `KV` and `json`, and the standard libraries. `io` and `os` use a
 * separate file system in memory. There are no processes, times of day are UTC, `os.exit` ends the script, binary
 * chunks are not loaded, and `debug` has only the functions that cannot access C.
 */
export class Lua implements Disposable {
  private constructor();
  static create(options?: LuaOptions): Promise<Lua>;
  /** The store of `KV.namespace(name)`. */
  readonly kv: Store;
  /**
   * Runs a script and returns its results: nil is null, integers that are not safe are bigints, strings that are not
   * UTF-8 are Uint8Arrays, tables are converted through JSON, and anything else is its `tostring`. The page can handle
   * events meanwhile. `signal` and `timeout` stop the script. Only one script can run at a time.
   */
  run(code: string, options?: RunOptions & { signal?: AbortSignal | undefined }): Promise<unknown[]>;
  /** The same synchronously: the page handles no events meanwhile. */
  runSync(code: string, options?: RunOptions): unknown[];
  /** Sets the source of a module for `require(name)`. */
  module(name: string, code: string): void;
  /** Writes a file for Lua's `io`, `dofile` and `require`. Creates missing folders. */
  writeFile(path: string, data: SyncStorable): void;
  /** The content of a file, or null if it does not exist. */
  readFile(path: string): Uint8Array | null;
  /** Frees the Lua state. A store that was passed as `kv` stays open; a store that was created here is closed. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}

/**
 * A script that failed, was stopped, or could not be compiled. The message is Lua's, as in `script:3: attempt to call
 * a nil value`.
 */
export class LuaError extends Error {
  /** Lua's traceback; empty for a script that could not be compiled. */
  readonly traceback: string;
  /** The name of the script or module, and the line in it, from 1; null if they are not known. */
  readonly source: string | null;
  readonly line: number | null;
  /** Why the script was stopped; null if it was not. */
  readonly stopped: "timeout" | "signal" | null;
}

/** The version of the library, as in "0.1.0". */
export const version: string;
