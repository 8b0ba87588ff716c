/// <reference lib="esnext.disposable" />

/**
 * Luat's key-value store in WebAssembly: for browsers, workers, Node 18 and later, Deno and Bun.
 *
 *     import { Store } from "luat-kv";
 *     const kv = (await Store.open()).namespace("users");
 *     await kv.put("user:1", "Alice", { expirationTtl: 3600, metadata: { role: "admin" } });
 *     await kv.get("user:1");                                     // "Alice"
 *
 * A namespace is a Workers KV namespace (`KVNamespace` of @cloudflare/workers-types): what was written for one runs on
 * it unchanged. Beside it stands what the store has in every language: versions, batches, counters, ranges.
 */

/**
 * An operation that failed. Everything is then as it was, and the store works on. A wrong type is a TypeError instead,
 * in Workers' own words where these are known; a value that is read as JSON and is none is a SyntaxError.
 */
export class LuatKVError extends Error {
  /**
   * - `INVALID`: the request itself is wrong, and would fail again; also a closed store, and a `.wasm` that is none of
   *   ours
   * - `LIMIT`: something is longer, or a lifetime shorter, than the limits allow
   * - `NOMEM`: the store has come to its `maxMemory`
   * - `BUSY`: the persisted store is open already, here or in another tab or worker
   * - `IO`: the browser refused to read or write what is persisted, or a `.wasm` could not be fetched. `cause` is the
   *   browser's own error
   * - `CORRUPT`: what was persisted is damaged; {@link OpenOptions.recover} opens what is good
   * - `PANIC`: the WebAssembly instance has ended, by a bug: open another. Please report it
   * - `READONLY` and `INTERNAL` are codes of the C library, to which nothing leads here
   */
  readonly code: "INVALID" | "LIMIT" | "NOMEM" | "BUSY" | "IO" | "CORRUPT" | "READONLY" | "PANIC" | "INTERNAL";
}

/** Where a `.wasm` comes from, for bundlers and hosts that load it in their own way. */
export type WasmSource = URL | string | Response | Promise<Response> | ArrayBuffer | ArrayBufferView | WasmModule;

/** A WebAssembly.Module, where TypeScript knows of these (Node's types do not). */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer M } } } ? M : object;

export interface OpenOptions {
  /**
   * `"default"`: keys, names and prefixes of 4 KiB, values of 512 MiB, metadata of 64 KiB, lifetimes from 1 s on, pages and
   * bulk reads of 10 000 keys. `"cloudflare"`: those of Workers KV, for an app that must later run there: 512 B, 25 MiB,
   * 1 KiB, 60 s, 1000 keys, and 100 keys and 25 MiB in a bulk read, of text or JSON.
   */
  limits?: "default" | "cloudflare" | undefined;
  /**
   * Keep the store across reloads, in this origin's IndexedDB or its private file system. Written in the background;
   * see {@link Store.flush}. What was written in the last moment before a page is left comes through with
   * `"indexeddb"`, and is mostly lost with `"opfs"`. `"opfs"` wants https, Web Locks, and a browser that can write to it
   * here; where one of these is missing, opening fails with `INVALID`. Default: no, and the store is gone with the page.
   */
  persist?: "indexeddb" | "opfs" | false | null | undefined;
  /** Which persisted store. Default `"luat_kv"`. */
  name?: string | undefined;
  /**
   * How long to wait for another tab or worker that has the persisted store open, in milliseconds; then it is `BUSY`.
   * 0 does not wait, `Infinity` waits for ever. Default 2000: a page that is reloaded overlaps itself. Where something
   * other than this package has the database open, it may take ten seconds to find out.
   */
  wait?: number | undefined;
  /**
   * Open a persisted store that is damaged as it was before the first damage, rather than fail with `CORRUPT`.
   * {@link Store.damage} and `onError` tell what is left out. What is on disk stays as it is until the store has
   * changed; then all of the store is written, and in the same step the damaged part is removed. Default false.
   */
  recover?: boolean | undefined;
  /**
   * Told what went wrong with what is persisted: in a background write, which is tried again unless it is `BUSY`, and
   * what was left out when the store was opened (`CORRUPT`). Default: `console.error`.
   */
  onError?: ((error: unknown) => void) | undefined;
  /** How many bytes of memory the store may take, from 2 MiB to 4 GiB. Default 1 GiB. Beyond is `NOMEM`. */
  maxMemory?: number | undefined;
  /** Default: the `luat_kv.wasm` beside this package's code. A Worker has to say it: see the README. */
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
  /** A new store, or one that was persisted. `INVALID` in a Worker's global scope: open it in a handler. */
  static open(options?: OpenOptions): Promise<Store>;
  /** Removes what a persisted store has kept; none is no error. `BUSY` if it is open somewhere for longer than `wait`. */
  static delete(options: DeleteOptions): Promise<void>;
  /** A set of keys of its own. The same object each time for the same name. */
  namespace(name: string): Namespace;
  /** The names of the namespaces that have live keys, in byte order. */
  namespaces(): string[];
  /** A batch without a namespace as yet: call its `namespace()` first. */
  atomic(): Atomic;
  /** Counts what the store holds, entry by entry. */
  stats(): Stats;
  /** Removes expired entries, `max` at most (0: all), and counts them. Writes do so little by little. */
  sweep(max?: number): number;
  /** Resolves when all that was written until now is persisted. At once where nothing is to be. */
  flush(): Promise<void>;
  /** Flushes, lets other tabs have what is persisted, and frees the memory. Again is harmless. */
  close(): Promise<void>;
  /** The same without waiting. */
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
  readonly closed: boolean;
  /** What was damaged, and left out, when the persisted store was opened: a `CORRUPT` error, or null. */
  readonly damage: LuatKVError | null;
}

export interface Stats {
  namespaces: Map<string, { live: number; expired: number }>;
  /** Bytes of WebAssembly's memory, which never shrinks. */
  memory: number;
}

// ---- Values

/** What Workers KV takes. A stream is read to its end first. */
export type SyncStorable = string | ArrayBuffer | ArrayBufferView;
export type Storable = SyncStorable | ByteStream;

/** A ReadableStream, be it the browser's, Node's, or that of Workers, whose types differ. */
export interface ByteStream {
  readonly locked: boolean;
  getReader(): { read(): Promise<{ done: boolean; value?: any }>; releaseLock(): void };
}

/**
 * How a value is read: `"text"` is a string (bytes that are not UTF-8 become U+FFFD), `"json"` is parsed,
 * `"arrayBuffer"` a copy of the bytes, `"stream"` one that reads them.
 */
export type SyncValueType = "text" | "json" | "arrayBuffer";
export type ValueType = SyncValueType | "stream";
/** As with Workers KV, `cacheTtl` may be said (with Cloudflare's limits: 30 seconds or more); there is nothing to cache. */
export type TypeOption<T extends ValueType> = T | { type: T; cacheTtl?: number | undefined };
export type NoType = { type?: undefined; cacheTtl?: number | undefined };
/** Numbers are read as Workers reads them: fractions of a second are cut off, and "60" is 60. */
export interface Lifetime {
  /** When the entry is gone, in Unix seconds: in the future. */
  expiration?: number | undefined;
  /** The same in seconds from now, at least 1. Wins over `expiration`. */
  expirationTtl?: number | undefined;
}

export interface PutOptions extends Lifetime {
  /** Anything that JSON can say; null is none. */
  metadata?: unknown;
}

export interface IncrOptions extends Lifetime {
  /** What a missing key counts from. Default 0. */
  initial?: number | bigint | undefined;
}

/**
 * `value`, `metadata` and `cacheStatus` as Workers KV has them; all is null for a key that is missing. `expiration` and
 * `version` are not enumerable, so that an entry equals one of Workers' in a test: a spread, `Object.assign()`,
 * `JSON.stringify()` and `structuredClone()` leave them out.
 */
export interface Entry<V, M = unknown> {
  value: V | null;
  metadata: M | null;
  /** Null: there is no cache. Not enumerable in a read of many keys. */
  cacheStatus: null;
  /** Unix seconds; null is never. Not enumerable. */
  expiration: number | null;
  /** Which write the value comes from: for {@link Atomic.check}. Not enumerable. */
  version: string | null;
}

export interface EachOptions {
  /** Only keys that begin with this; every character stands for itself. */
  prefix?: string | null | undefined;
  /** Only keys from this one on, itself included, in byte order. */
  start?: string | null | undefined;
  /** Only keys before this one, in byte order. */
  stop?: string | null | undefined;
  /** From the last key to the first. */
  reverse?: boolean | undefined;
  /** The values too; true is `"text"`. */
  values?: boolean | SyncValueType | undefined;
}

export interface ListOptions extends EachOptions {
  /** How many keys a page has at most. Default 1000, also for what is not above 0. */
  limit?: number | undefined;
  /** Where the page before ended; null or an empty string for the first page. */
  cursor?: string | null | undefined;
}

export interface ListedKey<M = unknown> {
  name: string;
  /** Only where `values` asked for it, and of that type. */
  value?: any;
  /** Unix seconds; absent: never. */
  expiration?: number;
  /** What a browser kept and is not JSON throws a LuatKVError, `CORRUPT`, when it is read here. */
  metadata?: M;
  /** For {@link Atomic.check}. Not enumerable: see {@link Entry}. */
  version: string;
}

export type ListPage<M = unknown> =
  | { keys: ListedKey<M>[]; list_complete: true; cacheStatus: null }
  | { keys: ListedKey<M>[]; list_complete: false; cursor: string; cacheStatus: null };

export interface ExportOptions {
  /** `"json"`: one array, as Wrangler's bulk files are (default); `"jsonl"`: an object a line. */
  format?: "json" | "jsonl" | undefined;
}

export interface ImportOptions {
  /** Replace what keys that are there hold, rather than leave them alone. */
  replace?: boolean | undefined;
}

// ---- Namespaces

/** A set of keys within a store, with the methods of Workers KV's `KVNamespace` and some more. */
export class Namespace {
  private constructor();
  readonly name: string;
  readonly store: Store;
  /** The same namespace, whose methods answer at once. */
  readonly sync: SyncNamespace;

  /** The value, or null where the key is missing. */
  get(key: string, type?: TypeOption<"text"> | NoType): Promise<string | null>;
  get<J = unknown>(key: string, type: TypeOption<"json">): Promise<J | null>;
  get(key: string, type: TypeOption<"arrayBuffer">): Promise<ArrayBuffer | null>;
  get(key: string, type: TypeOption<"stream">): Promise<ReadableStream | null>;
  /** Many values, all as they are at one moment, in the order of the keys; null for those that are missing. */
  get(keys: string[], type?: TypeOption<"text"> | NoType): Promise<Map<string, string | null>>;
  get<J = unknown>(keys: string[], type: TypeOption<"json">): Promise<Map<string, J | null>>;
  /** With Cloudflare's limits, many values can be read as `"text"` and `"json"` only, and up to 25 MiB together. */
  get(keys: string[], type: TypeOption<"arrayBuffer">): Promise<Map<string, ArrayBuffer | null>>;
  /** Where the type is known at run time only. */
  get(key: string, type?: TypeOption<ValueType>): Promise<any>;
  get(keys: string[], type?: TypeOption<SyncValueType>): Promise<Map<string, any>>;
  /** The value with its metadata, expiration and version; all of them null where the key is missing. */
  getWithMetadata<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Promise<Entry<string, M>>;
  getWithMetadata<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Promise<Entry<J, M>>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Promise<Entry<ArrayBuffer, M>>;
  getWithMetadata<M = unknown>(key: string, type: TypeOption<"stream">): Promise<Entry<ReadableStream, M>>;
  /** The same for many keys. The map has null for a missing one, which these types, like those of Workers, do not show. */
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
  /** Whether there is a key, without reading its value. */
  has(key: string): Promise<boolean>;

  /**
   * Stores a value, and replaces all that the key held: value, metadata and expiration. Returns the version of the new
   * entry, for {@link Atomic.check}.
   */
  put(key: string, value: Storable, options?: PutOptions): Promise<string>;
  /** So that it fits a KVNamespace. */
  put(key: string, value: Storable, options?: PutOptions): Promise<void>;
  /** The same if the key is missing. Returns the version of the new entry, or null if the key is there. */
  add(key: string, value: Storable, options?: PutOptions): Promise<string | null>;
  /** Removes a key. Returns whether it was there. */
  delete(key: string): Promise<boolean>;
  /** So that it fits a KVNamespace. */
  delete(key: string): Promise<void>;
  /**
   * Removes a key and returns its entry, in one step: where several callers take the same key, one of them gets the
   * entry. All fields are null if the key is missing. An entry that cannot be read as `type` is an error, and stays.
   */
  take<M = unknown>(key: string, type?: TypeOption<"text"> | NoType): Promise<Entry<string, M>>;
  take<J = unknown, M = unknown>(key: string, type: TypeOption<"json">): Promise<Entry<J, M>>;
  take<M = unknown>(key: string, type: TypeOption<"arrayBuffer">): Promise<Entry<ArrayBuffer, M>>;
  take<M = unknown>(key: string, type: TypeOption<"stream">): Promise<Entry<ReadableStream, M>>;
  /** Removes one key or many: 10 000 at most, with Cloudflare's limits 100. If it fails, none is removed. */
  deleteBulk(keys: string | string[]): Promise<void>;
  /** Gives a key another expiration, or without options none; true if it was there. */
  touch(key: string, options?: Lifetime): Promise<boolean>;
  /**
   * Adds to a whole number of 64 bits, and returns the sum: a number where that is safe, else a bigint. The options
   * are for a key that is created.
   */
  incr(key: string, by?: number | bigint, options?: IncrOptions): Promise<number | bigint>;

  /** A page of keys in byte order. */
  list<M = unknown>(options?: ListOptions): Promise<ListPage<M>>;
  /** All keys, page by page: `for await (const { name } of kv.each())`. */
  each<M = unknown>(options?: EachOptions): AsyncIterableIterator<ListedKey<M>>;
  /** How many keys there are. */
  count(options?: { prefix?: string | null | undefined }): Promise<number>;
  /** Remove many keys and count them. */
  deletePrefix(prefix: string): Promise<number>;
  clear(): Promise<number>;

  /** The namespace as text. */
  export(options?: ExportOptions): Promise<string>;
  /**
   * Stores all of an export or nothing; `skipped` had expired, or were there and not to be replaced. What has expired
   * removes its key where that is to be replaced. Unknown fields are ignored.
   */
  import(from: Storable, options?: ImportOptions): Promise<{ stored: number; skipped: number }>;

  /** A batch of changes to this namespace. */
  atomic(): Atomic;
}

/** A {@link Namespace} whose methods answer at once. */
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

/** Changes that are gathered, and then made all together or not at all, in their order. */
export class Atomic {
  private constructor();
  /** What follows is for this namespace of the same store. */
  namespace(namespace: string | Namespace | SyncNamespace): this;
  /** Change something only if the key still has this version; null: only if it is missing. */
  check(key: string, version: string | null): this;
  put(key: string, value: SyncStorable, options?: PutOptions): this;
  delete(key: string): this;
  incr(key: string, by?: number | bigint, options?: IncrOptions): this;
  /**
   * Makes all the changes, or none of them where a check did not hold. That is the end of it; after an error, it can be
   * tried again.
   */
  commit(): { ok: true; version: string } | { ok: false; version?: undefined };
}

// ---- Lua

export interface LuaOptions {
  /** The store that `KV.namespace(name)` of scripts uses. It goes on working in JavaScript. Default: a new one. */
  kv?: Store | undefined;
  /** Takes what scripts print, a line at a time, without its end. Default: `console.log`. */
  print?: ((line: string) => void) | undefined;
  /** As for {@link Store.open}, for a store that is made here. Lua's own memory counts too. */
  maxMemory?: number | undefined;
  /** Default: the `luat_kv_lua.wasm` beside this package's code, which Vite finds where `luat-kv/lua` is imported. */
  wasm?: WasmSource | undefined;
}

export interface RunOptions {
  /** What tracebacks call the script, and its `arg[0]`. Default `"script"`. */
  name?: string | undefined;
  /** How long it may run, in milliseconds. Default: for ever. */
  timeout?: number | undefined;
}

/**
 * Lua 5.4 with `require("luat_kv")`, the globals `KV` and `json`, and the standard libraries; `io` and `os` see a small
 * file system in memory, of its own. There are no processes, times of day are UTC, `os.exit` ends the script, binary
 * chunks are not loaded, and of `debug` there is what cannot reach into C.
 */
export class Lua implements Disposable {
  private constructor();
  static create(options?: LuaOptions): Promise<Lua>;
  /** The store of `KV.namespace(name)`. */
  readonly kv: Store;
  /**
   * Runs a script and returns what it returns: nil is null, whole numbers that are not safe are bigints, strings that
   * are not UTF-8 are Uint8Arrays, tables are what JSON makes of them, and anything else is its `tostring`. The page
   * lives on meanwhile; a `signal` stops the script, and so does the timeout. One script at a time.
   */
  run(code: string, options?: RunOptions & { signal?: AbortSignal | undefined }): Promise<unknown[]>;
  /** The same at once: nothing else in the page happens meanwhile. */
  runSync(code: string, options?: RunOptions): unknown[];
  /** Gives `require(name)` its source. */
  module(name: string, code: string): void;
  /** Puts a file, with the folders it lies in, where Lua's `io`, `dofile` and `require` find it. */
  writeFile(path: string, data: SyncStorable): void;
  /** What a file holds, or null where there is none. */
  readFile(path: string): Uint8Array | null;
  /** Ends it. Its store stays open where it was given; one that was made here closes. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}

/**
 * A script that failed, was stopped, or could not be compiled. Its message is Lua's own, as in `script:3: attempt to call a
 * nil value`.
 */
export class LuaError extends Error {
  /** Which calls it came from, in Lua's own words; empty for what could not be compiled. */
  readonly traceback: string;
  /** The script's or the module's name, and the line in it, from 1, where these are known. */
  readonly source: string | null;
  readonly line: number | null;
  /** Why it was stopped, where it was. */
  readonly stopped: "timeout" | "signal" | null;
}

/** The version of the library, as in "0.1.0". */
export const version: string;
