import type { Namespace } from "../../index.js";
import type { StoreToOpen } from "./open.js";

export interface LuatKVDriverOptions {
  /** A namespace of an open store, which dispose() then leaves open; or a name, by default `"unstorage"`. */
  namespace?: Namespace | string | undefined;
  /** The store that is opened at the first use, and closed by dispose(). */
  store?: StoreToOpen | undefined;
  /** Put before each key, with a colon in between. */
  base?: string | undefined;
  /** The default lifetime of items in seconds. Fractions are rounded up; 0 means that items do not expire. */
  ttl?: number | undefined;
}

/** What an item is told in addition: `ttl` in seconds. */
export type ItemOptions = Record<string, any> & { ttl?: number };

export interface LuatKVDriver {
  name: string;
  options: LuatKVDriverOptions;
  flags: { maxDepth: boolean; ttl: boolean };
  getInstance(): Promise<Namespace>;
  hasItem(key: string): Promise<boolean>;
  getItem(key: string): Promise<string | null>;
  /** All as of one moment, if there are at most 100. */
  getItems(items: { key: string }[]): Promise<{ key: string; value: string | null }[]>;
  getItemRaw(key: string): Promise<Uint8Array | null>;
  /** `size` in bytes and, if the item expires, `ttl`: the seconds left. Null for a missing item. */
  getMeta(key: string): Promise<{ size: number; ttl?: number } | null>;
  setItem(key: string, value: string, options?: ItemOptions): Promise<void>;
  /** Stores all items in one transaction. */
  setItems(items: { key: string; value: string; options?: ItemOptions }[], options?: ItemOptions): Promise<void>;
  setItemRaw(key: string, value: any, options?: ItemOptions): Promise<void>;
  removeItem(key: string): Promise<void>;
  getKeys(base?: string, options?: { maxDepth?: number }): Promise<string[]>;
  clear(base?: string): Promise<void>;
  /** Changes by any program that has the store open. */
  watch(callback: (event: "update" | "remove", key: string) => any): Promise<() => void>;
  dispose(): Promise<void>;
}

/** A driver for unstorage: `createStorage({ driver: luatKVDriver({ namespace: kv }) })`. */
export default function luatKVDriver(options?: Namespace | LuatKVDriverOptions): LuatKVDriver;
