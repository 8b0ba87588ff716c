import type { Namespace } from "../../index.js";
import type { StoreToOpen } from "./open.js";

export interface KeyvLuatKVOptions {
  /** A namespace of an open store, which disconnect() then leaves open; or a name, by default `"keyv"`. */
  namespace?: Namespace | string | undefined;
  /** The store that is opened at the first use, and closed by disconnect(). */
  store?: StoreToOpen | undefined;
}

/**
 * A store for keyv 5 and 6: `new Keyv({ store: new KeyvLuatKV(kv) })`.
 *
 * `ttl` is in milliseconds, and exact, as in keyv. Keys are those that keyv makes, with its namespace before them, so
 * several Keyvs with different namespaces can share one. (Keyv 5 sets `namespace` for clear(), so each has its own
 * KeyvLuatKV.) Values are the texts that keyv has serialized; anything else is a TypeError.
 */
export class KeyvLuatKV {
  constructor(options?: Namespace | KeyvLuatKVOptions);
  opts: { dialect: string; url: string };
  /** Set by keyv 5. */
  namespace?: string | undefined;
  on(event: string, listener: (...args: any[]) => void): this;
  get(key: string): Promise<any>;
  getMany(keys: string[]): Promise<any[]>;
  has(key: string): Promise<boolean>;
  hasMany(keys: string[]): Promise<boolean[]>;
  set(key: string, value: string, ttl?: number): Promise<boolean>;
  /** Stores all entries in one transaction. */
  setMany(entries: { key: string; value: string; ttl?: number }[]): Promise<any>;
  delete(key: string): Promise<boolean>;
  /** Removes all keys in one transaction. Returns whether every one was there. */
  deleteMany(keys: string[]): Promise<boolean>;
  /** Removes the keys of keyv's namespace; those of the whole namespace of the store if keyv has none. */
  clear(): Promise<void>;
  iterator(namespace?: string): AsyncGenerator<any[], void>;
  disconnect(): Promise<void>;
}

export default KeyvLuatKV;
