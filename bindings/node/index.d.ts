/// <reference types="node" />

/**
 * An operation that failed. Everything is then as it was (only sweep, deletePrefix and clear may have done some of their
 * small steps), and the store works on. A wrong type is a TypeError instead, and a number out of range a RangeError.
 */
export class LuatKVError extends Error {
  /**
   * - `INVALID`: the request itself is wrong, and would fail again; also a closed store
   * - `IO`: the operating system refused: no such folder, no permission, disk full
   * - `BUSY`: another process or connection held the database for longer than `busyTimeout`; try again
   * - `CORRUPT`: the file is not a database, is damaged, or is not a key-value store's
   * - `READONLY`: a write to a store that may only be read
   * - `LIMIT`: something is longer, or a lifetime shorter, than the limits allow
   * - `NOMEM`: memory ran out
   * - `PANIC`, `INTERNAL`: a bug in the library, or something that SQLite should never answer; please report it
   */
  readonly code: "INVALID" | "IO" | "BUSY" | "CORRUPT" | "READONLY" | "LIMIT" | "NOMEM" | "PANIC" | "INTERNAL";
  /** The C library's number for `code`, as in -3 for `BUSY`. */
  readonly status: number;
}

/** A text, in which half of a surrogate pair becomes U+FFFD, or the bytes of one in UTF-8. Not empty. */
export type Key = string | Uint8Array;
/** A text; bytes as the system has them; or a file: URL. */
export type Path = string | Uint8Array | URL;
/**
 * How a value is read: `"text"` is a string (bytes that are not UTF-8 become U+FFFD), `"json"` is parsed, `"buffer"`
 * is a Buffer and `"arrayBuffer"` an ArrayBuffer, each a copy of its own.
 */
export type ValueType = "text" | "json" | "buffer" | "arrayBuffer";
/** As with Workers KV, `cacheTtl` may be given. It has no effect: there is no cache. */
export type TypeOption<T extends ValueType> = T | { type: T; cacheTtl?: number | undefined };
export type NoType = { type?: undefined; cacheTtl?: number | undefined };
/** What a type of value is in JavaScript. */
export type ValueOf<T extends ValueType, J = unknown> = T extends "text"
  ? string
  : T extends "json"
    ? J
    : T extends "buffer"
      ? Buffer
      : ArrayBuffer;
/** Strings are stored as UTF-8, bytes as they are, and anything else as JSON.stringify() has it. */
export type Storable = string | ArrayBufferLike | ArrayBufferView | object | number | boolean;

export interface OpenOptions {
  /** How long to wait for other processes and connections, in milliseconds. Default 5000; 0 is the same as `nowait`. */
  busyTimeout?: number | undefined;
  /** `"cloudflare"`: those of Workers KV, for an app that must later run there. Default `"default"`. */
  limits?: "default" | "cloudflare" | undefined;
  /** `"full"`: what was written survives a power cut too, for an fsync with each write. Default `"normal"`. */
  durability?: "normal" | "full" | undefined;
  /** Open a database that exists, and never write to it. */
  readonly?: boolean | undefined;
  /** Do not wait for others at all. */
  nowait?: boolean | undefined;
}

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

/** All of it is null for a key that is missing. */
export interface Entry<V, M = unknown> {
  value: V | null;
  metadata: M | null;
  /** Unix seconds; null is never. */
  expiration: number | null;
  /** Which write the value comes from: for {@link Atomic.check}. */
  version: string | null;
}

export interface EachOptions {
  /** Only keys that begin with this; every character stands for itself. */
  prefix?: Key | null | undefined;
  /** Only keys from this one on, itself included, in byte order. */
  start?: Key | null | undefined;
  /** Only keys before this one, in byte order. Not empty. */
  stop?: Key | null | undefined;
  /** From the last key to the first. */
  reverse?: boolean | undefined;
  /** The values too; true is `"text"`. */
  values?: boolean | ValueType | undefined;
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
  /** What another program wrote and is not JSON throws a LuatKVError, `CORRUPT`, when it is read here. */
  metadata?: M;
  version: string;
}

export type ListPage<M = unknown> =
  | { keys: ListedKey<M>[]; list_complete: true; cursor?: undefined }
  | { keys: ListedKey<M>[]; list_complete: false; cursor: string };

export interface ExportOptions {
  /** `"json"`: one array, as Wrangler's bulk files are (default); `"jsonl"`: an object a line. */
  format?: "json" | "jsonl" | undefined;
}

export interface ImportOptions {
  /** Replace what keys that are there hold, rather than leave them alone. */
  replace?: boolean | undefined;
}

export interface Stats {
  /** The file's absolute path, or "memory". */
  path: string;
  /** Bytes on disk, with the log beside the file; 0 in memory. */
  fileSize: number;
  namespaces: Map<string, { live: number; expired: number }>;
}

/** The version of the C library, as in "0.1.0". */
export const version: string;

/** A database file, or memory. Close it, or let `using` or the garbage collector do so. */
export class Store {
  private constructor();
  /** Opens a database file. If it is missing, it is created, with its folders. */
  static open(path: Path, options?: OpenOptions): Store;
  /** Opens the store of the Luat project that a folder, by default the working directory, lies in. */
  static openProject(dir?: Path | null, options?: OpenOptions): Store;
  /** Creates an empty store in memory, which is gone when it closes. */
  static openMemory(options?: Pick<OpenOptions, "limits">): Store;
  /** A set of keys of its own. The same object for the same name, as long as somebody has it. */
  namespace(name: string): Namespace;
  /** The names of the namespaces that have live keys, in byte order. */
  namespaces(): string[];
  /** A batch without a namespace as yet: call its `namespace()` first. */
  atomic(): Atomic;
  /** Counts what the store holds, entry by entry. */
  stats(): Stats;
  /** Removes expired entries, `max` at most (0: all), and counts them. Writes do so little by little. */
  sweep(max?: number): number;
  /** Gives the room that removed entries have left back to the system; who writes has to wait. */
  compact(): void;
  compactAsync(): Promise<void>;
  /** Moves the log into the file; false if somebody who reads or writes held some of it back. */
  checkpoint(): boolean;
  /** Copies the store, as it is at one moment, into a new file, while others write. */
  backup(path: Path): void;
  backupAsync(path: Path): Promise<void>;
  /** Closes the store with its namespaces and batches; again is harmless. Calls under way in the background end first. */
  close(): void;
  readonly closed: boolean;
  [Symbol.dispose](): void;
}

/** A set of keys within a store. */
export class Namespace {
  private constructor();
  readonly name: string;
  readonly store: Store;
  /** This namespace itself. In the web package these are the methods that do not return promises. */
  readonly sync: Namespace;

  /** The value, or null if the key is missing. */
  get(key: Key, type?: TypeOption<"text"> | NoType): string | null;
  get<J = unknown>(key: Key, type: TypeOption<"json">): J | null;
  get<T extends ValueType>(key: Key, type: TypeOption<T>): ValueOf<T> | null;
  /** Many values, all from one moment, in the order of the keys; null for those that are missing. */
  get(keys: Key[], type?: TypeOption<"text"> | NoType): Map<string, string | null>;
  get<J = unknown>(keys: Key[], type: TypeOption<"json">): Map<string, J | null>;
  get<T extends ValueType>(keys: Key[], type: TypeOption<T>): Map<string, ValueOf<T> | null>;
  /** The value with its metadata, expiration and version; all of them null if the key is missing. */
  getWithMetadata<M = unknown>(key: Key, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  getWithMetadata<J = unknown, M = unknown>(key: Key, type: TypeOption<"json">): Entry<J, M>;
  getWithMetadata<T extends ValueType, M = unknown>(key: Key, type: TypeOption<T>): Entry<ValueOf<T>, M>;
  /** The same for many keys; null, not an entry, for those that are missing. */
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
  /** Whether a key is there. The value is not read. */
  has(key: Key): boolean;

  /**
   * Stores a value, and replaces all that the key held: value, metadata and expiration. Returns the version of the new
   * entry, for {@link Atomic.check}.
   */
  put(key: Key, value: Storable, options?: PutOptions): string;
  /** The same if the key is missing. Returns the version of the new entry, or null if the key is there. */
  add(key: Key, value: Storable, options?: PutOptions): string | null;
  /** Removes a key. Returns whether it was there. */
  delete(key: Key): boolean;
  /**
   * Removes a key and returns its entry, in one step: where several callers take the same key, one of them gets the
   * entry. All fields are null if the key is missing. An entry that cannot be read as `type` is an error, and stays.
   */
  take<M = unknown>(key: Key, type?: TypeOption<"text"> | NoType): Entry<string, M>;
  take<J = unknown, M = unknown>(key: Key, type: TypeOption<"json">): Entry<J, M>;
  take<T extends ValueType, M = unknown>(key: Key, type: TypeOption<T>): Entry<ValueOf<T>, M>;
  /** Removes one key or many. If it fails, none is removed. */
  deleteBulk(keys: Key | Key[]): void;
  /** Gives a key another expiration, or without options none; true if it was there. */
  touch(key: Key, options?: Lifetime): boolean;
  /**
   * Adds to a whole number of 64 bits, and returns the sum: a number where that is safe, else a bigint. The options
   * are for a key that is created.
   */
  incr(key: Key, by?: number | bigint, options?: IncrOptions): number | bigint;

  /** A page of keys in byte order. */
  list<M = unknown>(options?: ListOptions): ListPage<M>;
  /** All keys, page by page: `for (const { name } of kv.each())`. */
  each<M = unknown>(options?: EachOptions): IterableIterator<ListedKey<M>>;
  /** How many keys there are. */
  count(options?: { prefix?: Key | null | undefined }): number;
  /** Remove many keys and count them, in small steps that let others write. */
  deletePrefix(prefix: Key): number;
  clear(): number;

  /**
   * Writes the namespace to a file, or a descriptor, and counts the entries. A descriptor must stay open until that is
   * done: the system gives the number of a closed one to the next file.
   */
  export(to: Path | number, options?: ExportOptions): number;
  exportAsync(to: Path | number, options?: ExportOptions): Promise<number>;
  /** Stores all of an export or nothing; `skipped` had expired, or were there and not to be replaced. */
  import(from: Path | number, options?: ImportOptions): { stored: number; skipped: number };
  importAsync(from: Path | number, options?: ImportOptions): Promise<{ stored: number; skipped: number }>;

  /** A batch of changes to this namespace. */
  atomic(): Atomic;
}

/** Changes that are gathered, and then made in one transaction, in their order. */
export class Atomic {
  private constructor();
  /** What follows is for this namespace of the same store. */
  namespace(namespace: string | Namespace): this;
  /** Change something only if the key still has this version; null: only if it is missing. */
  check(key: Key, version: string | null): this;
  put(key: Key, value: Storable, options?: PutOptions): this;
  delete(key: Key): this;
  incr(key: Key, by?: number | bigint, options?: IncrOptions): this;
  /**
   * Makes all the changes, or none of them where a check did not hold. That is the end of it; after an error, it can be
   * tried again.
   */
  commit(): { ok: true; version: string } | { ok: false; version?: undefined };
}
