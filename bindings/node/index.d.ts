/// <reference types="node" />

import type { ReadableStream } from "node:stream/web";

/**
 * A failed operation. The data is then as before the call (except that sweep, deletePrefix and clear may have completed
 * some of their steps), and the store can still be used. A wrong type is a TypeError instead, and a number out of range
 * a RangeError.
 */
export class LuatKVError extends Error {
  /**
   * - `INVALID`: the request itself is wrong, and would fail again; also a closed store
   * - `IO`: the operating system returned an error: no such folder, no permission, disk full
   * - `BUSY`: another process or connection locked the database for longer than `busyTimeout`; try again
   * - `CORRUPT`: the file is not a database, is damaged, or is not a key-value store's
   * - `READONLY`: a write to a read-only store
   * - `LIMIT`: something is longer, or a lifetime shorter, than the limits allow
   * - `NOMEM`: memory ran out
   * - `PANIC`, `INTERNAL`: a bug in the library, or an unexpected result of SQLite; please report it
   */
  readonly code: "INVALID" | "IO" | "BUSY" | "CORRUPT" | "READONLY" | "LIMIT" | "NOMEM" | "PANIC" | "INTERNAL";
  /** The C library's number for `code`, such as -3 for `BUSY`. */
  readonly status: number;
  /**
   * The number of the system's error, as in `os.constants.errno` (`ENOSPC`), or of GetLastError() on Windows. Missing if
   * no system call failed.
   */
  readonly errno?: number;
}

/** A string, in which a lone surrogate becomes U+FFFD, or the bytes of a text in UTF-8. Not empty. */
export type Key = string | Uint8Array;
/** A string; bytes in the system's encoding; or a file: URL. */
export type Path = string | Uint8Array | URL;
/**
 * How a value is read: `"text"` is a string (bytes that are not UTF-8 become U+FFFD), `"json"` is parsed, `"buffer"`
 * is a Buffer and `"arrayBuffer"` an ArrayBuffer, each with a copy of the bytes.
 */
export type ValueType = "text" | "json" | "buffer" | "arrayBuffer";
/** As with Workers KV, `cacheTtl` may be given. It has no effect. */
export type TypeOption<T extends ValueType> = T | { type: T; cacheTtl?: number | undefined };
export type NoType = { type?: undefined; cacheTtl?: number | undefined };
/** The JavaScript type of a value. */
export type ValueOf<T extends ValueType, J = unknown> = T extends "text"
  ? string
  : T extends "json"
    ? J
    : T extends "buffer"
      ? Buffer
      : ArrayBuffer;
/** Strings are stored as UTF-8, bytes unchanged, and anything else as the JSON of JSON.stringify(). */
export type Storable = string | ArrayBufferLike | ArrayBufferView | object | number | boolean;

export interface OpenOptions {
  /** How long to wait for other processes and connections, in milliseconds. Default 5000; 0 is the same as `nowait`. */
  busyTimeout?: number | undefined;
  /** `"cloudflare"`: the limits of Workers KV, for an app that must later run there. Default `"default"`. */
  limits?: "default" | "cloudflare" | undefined;
  /** `"full"`: writes also survive a power failure, at the cost of an fsync for each write. Default `"normal"`. */
  durability?: "normal" | "full" | undefined;
  /** Whether to open the store read-only. The database must exist. */
  readonly?: boolean | undefined;
  /** Whether to fail at once, rather than wait for other processes and connections. */
  nowait?: boolean | undefined;
  /**
   * How much memory the cache of values may take, in bytes, at most the memory of the machine. Default 16 MiB; 0 means
   * no cache. The stores on one file share one cache, with the size of the first that reads.
   */
  cacheSize?: number | undefined;
}

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

/** All fields are null for a missing key. */
export interface Entry<V, M = unknown> {
  value: V | null;
  metadata: M | null;
  /** Unix seconds; null means never. */
  expiration: number | null;
  /** Identifies the write that stored the value, for {@link Atomic.check}. */
  version: string | null;
}

export interface EachOptions {
  /** Only keys with this prefix. There are no wildcards. */
  prefix?: Key | null | undefined;
  /** Only keys from this one on, inclusive, in byte order. */
  start?: Key | null | undefined;
  /** Only keys before this one, exclusive, in byte order. Not empty. */
  stop?: Key | null | undefined;
  /** From the last key to the first. */
  reverse?: boolean | undefined;
  /** Whether to return the values too, and as which type; true is `"text"`. */
  values?: boolean | ValueType | undefined;
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
  /** If another program has stored metadata that is not JSON, reading this throws a LuatKVError, `CORRUPT`. */
  metadata?: M;
  version: string;
}

export type ListPage<M = unknown> =
  | { keys: ListedKey<M>[]; list_complete: true; cursor?: undefined }
  | { keys: ListedKey<M>[]; list_complete: false; cursor: string };

export interface WatchOptions {
  /** Only these keys, at most 1000, whether they exist or not. Not empty, and not beside a prefix. */
  keys?: Key[] | null | undefined;
  /** Only keys with this prefix. There are no wildcards. */
  prefix?: Key | null | undefined;
  /**
   * Whether to begin with what is there: the first changes are then a put of each live key, so a program that keeps a
   * copy needs no list. Default: false.
   */
  existing?: boolean | undefined;
  /**
   * The {@link Watch.token} of an earlier watch of this namespace: the first changes are those since then. If that watch
   * had other keys, those that only this one has are reported as puts. Empty or null: from now on. Not with `existing`.
   */
  since?: Key | null | undefined;
  /** Whether to return the new values too, and as which type; true is `"text"`. */
  values?: boolean | ValueType | undefined;
  /** Closes the watch when it aborts. A call that waits is then rejected with the signal's reason, as in `fetch`. */
  signal?: AbortSignal | null | undefined;
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
  /** If another program has stored metadata that is not JSON, reading this throws a LuatKVError, `CORRUPT`. */
  metadata?: M;
  /**
   * Only if the option `values` is given, and of that type. If the value cannot be converted, as one that is not JSON
   * to `"json"`, reading this throws.
   */
  value?: V;
  expired?: undefined;
}

/** The key is not there any more. */
export interface DeleteChange {
  name: string;
  type: "delete";
  /** True if it has expired, which is reported when the store changes next; absent if it was removed. */
  expired?: true;
  version?: undefined;
  expiration?: undefined;
  metadata?: undefined;
  value?: undefined;
}

export interface ExportOptions {
  /** `"json"`: one array, as in Wrangler's bulk files (default); `"jsonl"`: one object per line. */
  format?: "json" | "jsonl" | undefined;
}

export interface ImportOptions {
  /** Whether to replace existing keys. By default they are skipped. */
  replace?: boolean | undefined;
}

export interface Stats {
  /** The file's absolute path, or "memory", or the URL of the PostgreSQL database without its password. */
  path: string;
  /** The size on disk in bytes, including the log beside the file; 0 in memory. */
  fileSize: number;
  namespaces: Map<string, { live: number; expired: number }>;
  /** What the cache of values has done, since this process has the file open; all 0 in memory. */
  cache: CacheStats;
}

export interface CacheStats {
  /** How many keys were read from the cache. */
  hits: number;
  /** How many keys were not in the cache, and were read by SQLite. */
  misses: number;
  /**
   * How often the cache was emptied, because the file was written to in another way than by single writes of this
   * process.
   */
  drops: number;
  /** The memory that the cache takes, in bytes. */
  size: number;
}

/** The version of the C library, as in "0.1.0". */
export const version: string;

/** A store in a database file, in a PostgreSQL database or in memory. Close it, or let `using` or the garbage collector close it. */
export class Store {
  private constructor();
  /**
   * Opens the store that a URL or a path names: `"postgresql://user@host/database"` (a connection URI of libpq),
   * `"file:///srv/kv.db"`, `"file:kv.db"`, `"memory:"`, or a path. A file that is missing is created, with its folders.
   * Bytes are always a path. Any other scheme is INVALID, so a path with a colon in its first part begins with `./`.
   *
   * With PostgreSQL, `durability: "full"` and a `cacheSize` are INVALID, since the server decides about these. No error
   * contains the password of a URL.
   */
  static open(urlOrPath: Path, options?: OpenOptions): Store;
  /** Opens the store of the Luat project that contains a folder, by default the working directory. */
  static openProject(dir?: Path | null, options?: OpenOptions): Store;
  /** Creates an empty store in memory, which is lost when it is closed. */
  static openMemory(options?: Pick<OpenOptions, "limits">): Store;
  /** A separate set of keys. Returns the same object for the same name, as long as it is referenced. */
  namespace(name: string): Namespace;
  /** The names of the namespaces that have live keys, in byte order. */
  namespaces(): string[];
  /** A batch that has no namespace yet: call its `namespace()` first. */
  atomic(): Atomic;
  /** What the store contains. Counts every entry. */
  stats(): Stats;
  /** Removes expired entries, at most `max` (0: all), and returns how many. Each write also removes a few. */
  sweep(max?: number): number;
  /** Rewrites the file without the space that removed entries have left, while writers wait. Does nothing on a server. */
  compact(): void;
  compactAsync(): Promise<void>;
  /** Moves the log into the file. Returns false if another reader or writer held back a part of it. */
  checkpoint(): boolean;
  /** Copies the store, as of one moment, into a new file, while others can write. `INVALID` on a server: use pg_dump. */
  backup(path: Path): void;
  backupAsync(path: Path): Promise<void>;
  /** Closes the store, its namespaces, batches and watches, after calls in the background. A second call has no effect. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}

/** A set of keys within a store. */
export class Namespace {
  private constructor();
  readonly name: string;
  readonly store: Store;
  /** This namespace itself. In the web package, `sync` has the methods that do not return promises. */
  readonly sync: Namespace;

  /** The value, or null if the key is missing. */
  get(key: Key, type?: TypeOption<"text"> | NoType): string | null;
  get<J = unknown>(key: Key, type: TypeOption<"json">): J | null;
  get<T extends ValueType>(key: Key, type: TypeOption<T>): ValueOf<T> | null;
  /** Many values, all as of one moment, in the order of the keys; null for missing keys. */
  get(keys: Key[], type?: TypeOption<"text"> | NoType): Map<string, string | null>;
  get<J = unknown>(keys: Key[], type: TypeOption<"json">): Map<string, J | null>;
  get<T extends ValueType>(keys: Key[], type: TypeOption<T>): Map<string, ValueOf<T> | null>;
  /** The value with its metadata, expiration and version; all of them are null if the key is missing. */
  getWithMetadata<M = unknown>(key: Key, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  getWithMetadata<J = unknown, M = unknown>(key: Key, type: TypeOption<"json">): Entry<J, M>;
  getWithMetadata<T extends ValueType, M = unknown>(key: Key, type: TypeOption<T>): Entry<ValueOf<T>, M>;
  /** The same for many keys; null instead of an entry for missing keys. */
  getWithMetadata<M = unknown>(
    keys: Key[],
    type?: TypeOption<"text"> | NoType,
  ): Map<string, Entry<string, M> | null>;
  getWithMetadata<J = unknown, M = unknown>(
    keys: Key[],
    type: TypeOption<"json">,
  ): Map<string, Entry<J, M> | null>;
  getWithMetadata<T extends ValueType, M = unknown>(
    keys: Key[],
    type: TypeOption<T>,
  ): Map<string, Entry<ValueOf<T>, M> | null>;
  /** Whether a key exists. The value is not read. */
  has(key: Key): boolean;

  /**
   * Stores a value, and replaces everything that the key held: value, metadata and expiration. Returns the version of
   * the new entry, for {@link Atomic.check}.
   */
  put(key: Key, value: Storable, options?: PutOptions): string;
  /** The same if the key is missing. Returns the version of the new entry, or null if the key exists. */
  add(key: Key, value: Storable, options?: PutOptions): string | null;
  /** Removes a key. Returns whether it existed. */
  delete(key: Key): boolean;
  /**
   * Removes a key and returns its entry, in one step: if several callers take the same key, one of them gets the
   * entry. All fields are null if the key is missing. An entry that cannot be read as `type` is an error, and is kept.
   */
  take<M = unknown>(key: Key, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  take<J = unknown, M = unknown>(key: Key, type: TypeOption<"json">): Entry<J, M>;
  take<T extends ValueType, M = unknown>(key: Key, type: TypeOption<T>): Entry<ValueOf<T>, M>;
  /** Removes one or many keys. If it fails, none is removed. */
  deleteBulk(keys: Key | Key[]): void;
  /** Sets the expiration of a key, or, without options, removes it. Returns whether the key exists. */
  touch(key: Key, options?: Lifetime): boolean;
  /**
   * Adds to an integer of 64 bits, and returns the sum: a number if that is safe, otherwise a bigint. The options apply
   * only if the key is missing.
   */
  incr(key: Key, by?: number | bigint, options?: IncrOptions): number | bigint;

  /** A page of keys in byte order. */
  list<M = unknown>(options?: ListOptions): ListPage<M>;
  /** All keys, page by page: `for (const { name } of kv.each())`. */
  each<M = unknown>(options?: EachOptions): IterableIterator<ListedKey<M>>;
  /** The number of keys. */
  count(options?: { prefix?: Key | null | undefined }): number;
  /** Removes all keys with a prefix, in small steps between which others can write. Returns how many were removed. */
  deletePrefix(prefix: Key): number;
  clear(): number;

  /**
   * Begins to watch keys: the watch reports what changes from now on, by any process. What the keys hold now is no
   * change, unless `existing` is set: then it is what the watch reports first. A program that keeps a copy of the keys
   * sets it. With a list of its own it could miss the removal of a key that was put just before the list and removed
   * just after. Without options, the watch is of the whole namespace.
   *
   * A watch compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys, and
   * remembers the name of each. A prefix that many more keys begin with is better divided.
   */
  watch<M = unknown>(options: WatchOptions & { values: "buffer" }): Watch<Buffer, M>;
  watch<M = unknown>(options: WatchOptions & { values: "arrayBuffer" }): Watch<ArrayBuffer, M>;
  watch<J = unknown, M = unknown>(options: WatchOptions & { values: "json" }): Watch<J, M>;
  watch<M = unknown>(options: WatchOptions & { values: true | "text" }): Watch<string, M>;
  watch<M = unknown>(options?: WatchOptions & { values?: false | undefined }): Watch<undefined, M>;
  /** For options that are only known at run time. */
  watch<M = unknown>(options?: WatchOptions): Watch<any, M>;

  /**
   * Writes the namespace to a file or a descriptor, and returns the number of entries. A descriptor must stay open
   * until that is done: the system reuses the number of a closed one for the next file.
   */
  export(to: Path | number, options?: ExportOptions): number;
  exportAsync(to: Path | number, options?: ExportOptions): Promise<number>;
  /**
  * Stores all entries of an export, or none if it fails. `skipped` counts entries that had expired, and existing keys
  * that were not replaced.
  */
  import(from: Path | number, options?: ImportOptions): { stored: number; skipped: number };
  importAsync(from: Path | number, options?: ImportOptions): Promise<{ stored: number; skipped: number }>;

  /** A batch of changes to this namespace. */
  atomic(): Atomic;
}

/** Changes that are collected, and then applied in their order in one transaction. */
export class Atomic {
  private constructor();
  /** The following steps apply to this namespace of the same store. */
  namespace(namespace: string | Namespace): this;
  /** Applies the batch only if the key still has this version; null: only if the key is missing. */
  check(key: Key, version: string | null): this;
  put(key: Key, value: Storable, options?: PutOptions): this;
  delete(key: Key): this;
  incr(key: Key, by?: number | bigint, options?: IncrOptions): this;
  /**
   * Applies all changes, or none if a check fails. Then the batch cannot be used again. After an error it can: the
   * commit can be retried.
   */
  commit(): { ok: true; version: string } | { ok: false; version?: undefined };
}

/**
 * Reports changes, also by the same program: the latest state of each key that has changed since the last time. A
 * program that is slow gets the last of several writes to a key, and nothing if a key was stored and removed again.
 *
 *     for await (const change of kv.watch({ prefix: "theme:" }).ref()) console.log(change.name, change.type);
 *
 * A wait does not keep the process alive, unless {@link Watch.ref} was called. It takes no thread of libuv's pool.
 */
export class Watch<V = any, M = unknown> implements AsyncIterable<Change<V, M>> {
  private constructor();
  /**
   * Waits until something has changed, and returns the changes in byte order of the keys. What one batch has changed is
   * returned together, unless the values amount to more than 16 MiB; the next call then returns the others.
   *
   * After an error nothing is lost, and the call can be repeated. A second call while one waits is INVALID.
   *
   * @param timeout How long to wait at most, in milliseconds; by default, without end. The array is empty when the time
   * is over, and if `close()` ends the wait.
   */
  next(timeout?: number): Promise<Change<V, M>[]>;
  /** The changes since the last call, without waiting. Within a loop, first those that came together with its change. */
  poll(): Change<V, M>[];
  /**
   * From this token a later watch goes on ({@link WatchOptions.since}), also in another process: after a restart a
   * program learns what has changed while it was not running. It covers the changes that the watch has returned: in a
   * loop, up to the present one. While a call waits, it covers those that were returned before. It can be read after the
   * store was closed, but not after the watch was, and to leave a loop closes that.
   *
   * A token is never too old. It contains what the watch knows of each key, in about 40 characters and the part of the key
   * that differs from the one before. So a program with many keys saves one now and then, and not after each change. With
   * an older token it is told more.
   */
  token(): string;
  /**
   * One change at a time: `for await (const change of watch)`. To leave the loop closes the watch, and `close()` ends
   * the loop. If the watch fails, as with `BUSY`, the loop throws and the watch stays open.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Change<V, M>>;
  /** The same as a stream. Cancelling it closes the watch. It reads changes only when somebody reads it. */
  stream(): ReadableStream<Change<V, M>>;
  /** From now on, the process does not end while the watch waits. Returns the watch. */
  ref(): this;
  /** Undoes {@link Watch.ref}. Returns the watch. */
  unref(): this;
  /** Closes the watch, and ends a wait of it. A second call has no effect. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}
