import { types } from "node:util";
import { Handle, closeWith } from "./handle.js";
import { input, isBytes, pathInput, wellFormed } from "./input.js";
import { native, room } from "./library.js";
import * as options from "./options.js";
import * as read from "./read.js";
import { Watch } from "./watch.js";

/** The value to store, as a string or a Uint8Array: bytes and strings unchanged, anything else as JSON. */
export function storable(given) {
  if (typeof given === "string" || isBytes(given)) return given;
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (types.isAnyArrayBuffer(given)) return new Uint8Array(given);
  if (given === null) throw new TypeError("the value must not be null: delete the key, or store the text null");
  return options.json("the value", given);
}

/** A copy of keys, each read once: a getter could close the store, or transfer the memory of an earlier key. */
const ownKeys = (keys) => Array.from(keys, (given) => (isBytes(given) ? new Uint8Array(given) : given));

const nameOf = (given) => (typeof given === "string" ? wellFormed(given) : Buffer.from(given).toString());

/** The size of each()'s first page, and the maximum size of its later pages, in keys. */
const [FIRST_PAGE, LAST_PAGE] = [4, 1000];

/** A set of keys within a store. */
export class Namespace {
  #store;
  #handle;
  #name;

  /** Only Store.namespace() calls it. */
  constructor(store, handle, name) {
    if (!(handle instanceof Handle)) throw new TypeError("a Namespace comes from store.namespace()");
    this.#store = store; // keeps the store from being collected, and so closed, before this
    this.#handle = closeWith(this, handle);
    this.#name = name;
  }

  static handleOf(namespace) {
    return namespace.#handle;
  }

  get name() {
    return this.#name;
  }

  get store() {
    return this.#store;
  }

  get sync() {
    return this;
  }

  // ---- One key

  get(given, type) {
    if (Array.isArray(given)) return this.#getMany(given, options.type(type), read.valuesTo);
    const as = type === undefined ? "text" : options.type(type);
    const ns = this.#handle.number;
    const key = input("the key", given);
    if (as === "text") return native.get_text(ns, key);
    const raw = read.form(as) === read.AS_TEXT ? native.get_text(ns, key) : native.get_bytes(ns, key);
    if (raw === null) return null;
    return read.value(typeof raw === "number" ? Buffer.from(room.subarray(0, raw)) : raw, as, given);
  }

  getWithMetadata(given, type) {
    if (Array.isArray(given)) return this.#getMany(given, options.type(type), read.entriesTo);
    return this.#getEntry(given, options.type(type)) ?? { ...read.MISSING };
  }

  /** The entry of a key; null if the key is missing. */
  #getEntry(given, as) {
    const entry = native.get_entry(this.#handle.number, input("the key", given), read.form(as));
    return entry === null ? null : read.withMetadata(entry, as, given);
  }

  has(given) {
    return native.has(this.#handle.number, input("the key", given));
  }

  put(given, what, settings) {
    return this.#write(native.put, given, what, settings);
  }

  add(given, what, settings) {
    return this.#write(native.add, given, what, settings);
  }

  /** Returns the version of the new entry; null if nothing was stored. */
  #write(call, given, what, settings) {
    const value = storable(what);
    const { at, ttl, metadata } = options.putOptions(settings);
    const key = input("the key", given);
    return call(this.#handle.number, key, value, at, ttl, metadata);
  }

  delete(given) {
    return native.remove(this.#handle.number, input("the key", given));
  }

  /**
   * Removes the entry only after it was read, and only if it still has the same version. So an entry that cannot be
   * read, such as text that is not JSON, is kept. (luat_kv_take() would already have removed it.)
   */
  take(given, type) {
    const as = options.type(type);
    const own = isBytes(given) ? new Uint8Array(given) : given; // another thread could change shared memory
    for (;;) {
      const entry = this.#getEntry(own, as);
      if (entry === null) return { ...read.MISSING };
      if (this.atomic().check(own, entry.version).delete(own).commit().ok) return entry;
    }
  }

  touch(given, settings) {
    const [at, ttl] = options.touchOptions(settings);
    return native.touch(this.#handle.number, input("the key", given), at, ttl);
  }

  incr(given, by = 1, settings) {
    const amount = options.int64("by", by);
    const { initial, at, ttl } = options.incrOptions(settings);
    return native.incr(this.#handle.number, input("the key", given), amount, initial, at, ttl);
  }

  // ---- Many keys

  /** Returns a Map of the keys, in which `fill` sets what was found. */
  #getMany(keys, as, fill) {
    const own = ownKeys(keys);
    for (const given of own) input("a key", given);
    const ns = this.#handle.number;
    const found = new Map(own.map((given) => [nameOf(given), null]));
    if (found.size > 0) fill(found, native.get_many(ns, own, read.form(as)), as);
    return found;
  }

  deleteBulk(given) {
    const keys = ownKeys(Array.isArray(given) ? given : [given]);
    const batch = this.atomic();
    for (const one of keys) batch.delete(one);
    batch.commit();
  }

  list(settings) {
    const { flags, limit, type, texts } = options.listOptions(settings);
    return read.list(native.list(this.#handle.number, flags, limit, read.form(type), ...texts), type);
  }

  /** Yields pages. The first one is small, for callers that need a few keys, and each is larger than the one before. */
  *#pages(settings) {
    for (let cursor, limit = FIRST_PAGE; ; limit = Math.min(4 * limit, LAST_PAGE)) {
      const page = this.list({ ...settings, limit, cursor });
      yield* page.keys;
      if (page.list_complete) return;
      cursor = page.cursor;
    }
  }

  each(settings) {
    const copied = options.eachOptions(settings);
    options.listOptions(copied);
    return this.#pages(copied);
  }

  count(settings) {
    const prefix = options.countPrefix(settings);
    return native.count(this.#handle.number, input("prefix", prefix));
  }

  deletePrefix(prefix) {
    return native.delete_prefix(this.#handle.number, input("prefix", prefix));
  }

  clear() {
    return native.clear(this.#handle.number);
  }

  // ---- Changes

  watch(settings) {
    const { keys, ...others } = options.watchOptions(settings);
    const own = keys && ownKeys(keys);
    if (own) for (const given of own) input("a key", given);
    return new Watch(this, this.#handle, { keys: own, ...others });
  }

  // ---- Export and import

  export(to, settings) {
    const format = options.exportFormat(settings);
    const place = transferPlace(to);
    return native.export(this.#handle.number, place, format);
  }

  async exportAsync(to, settings) {
    const format = options.exportFormat(settings);
    const place = transferPlace(to);
    return native.export_async(this.#handle.number, place, format);
  }

  import(from, settings) {
    const flags = options.importFlags(settings);
    const place = transferPlace(from);
    const [stored, skipped] = native.import(this.#handle.number, place, flags);
    return { stored, skipped };
  }

  async importAsync(from, settings) {
    const flags = options.importFlags(settings);
    const place = transferPlace(from);
    const [stored, skipped] = await native.import_async(this.#handle.number, place, flags);
    return { stored, skipped };
  }

  // ---- Atomic changes

  atomic() {
    return this.#store.atomic().namespace(this);
  }
}

/** The place of an export or import, as the addon takes it: a descriptor, or the bytes of a path. */
const transferPlace = (place) => (typeof place === "number" ? options.descriptor(place) : pathInput("the path", place));
