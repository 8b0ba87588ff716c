import { types } from "node:util";
import { constants } from "./declarations.js";
import { native } from "./library.js";
import * as memory from "./memory.js";
import { ERROR, HANDLE, NUMBER, VALUE_ADDRESS, SECOND, VERSION } from "./memory.js";
import { checked, key, outHandle, outNumber, outVersion, valueBuffer, value } from "./memory.js";
import * as options from "./options.js";
import * as read from "./read.js";

/** The value to store, as a string or a Uint8Array: bytes and strings unchanged, anything else as JSON. */
function storable(given) {
  if (typeof given === "string" || memory.isBytes(given)) return given;
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (types.isAnyArrayBuffer(given)) return new Uint8Array(given);
  if (given === null) throw new TypeError("the value must not be null: delete the key, or store the text null");
  return options.json("the value", given);
}

/** Sets the inputs of a put, the key last, and returns its options struct. */
export function setPut(given, what, settings) {
  const stored = storable(what);
  const struct = options.putOptions(settings);
  value.set("the value", stored);
  key.set("the key", given);
  return struct;
}

/** The keys of a bulk read, as an array of luat_kv_bytes and the memory that it points to. */
function setKeys(keys) {
  const encoded = keys.map((given) => {
    const input = new memory.Input().set("a key", given);
    return { input, data: input.address, len: BigInt(input.length) };
  });
  const words = new BigUint64Array(2 * keys.length);
  encoded.forEach(({ data, len }, index) => words.set([data, len], 2 * index));
  return { encoded, words };
}

/** A copy of keys, each read once: a getter could close the store, or transfer the memory of an earlier key. */
const ownKeys = (keys) => Array.from(keys, (given) => (memory.isBytes(given) ? new Uint8Array(given) : given));

const nameOf = (given) => (typeof given === "string" ? memory.wellFormed(given) : Buffer.from(given).toString());

/** The size of each()'s first page, and the maximum size of its later pages, in keys. */
const [FIRST_PAGE, LAST_PAGE] = [4, 1000];

/** A set of keys within a store. */
export class Namespace {
  #store;
  #handle;
  #name;

  /** Only Store.namespace() calls it. */
  constructor(store, handle, name) {
    if (handle === undefined) throw new TypeError("a Namespace comes from store.namespace()");
    this.#store = store; // keeps the store from being collected, and so closed, before this
    this.#handle = handle;
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
    if (Array.isArray(given)) return this.#getMany(given, options.type(type), read.value);
    const as = type === undefined ? "text" : options.type(type);
    const ns = this.#handle.pointer;
    key.set("the key", given);
    const status = checked(native.get(ns, key.pointer, key.length, VALUE_ADDRESS, valueBuffer.length, NUMBER, ERROR));
    if (status === constants.NOT_FOUND) return null;
    const length = outNumber();
    if (status === constants.TOO_SMALL) return this.#getLarge(ns, length, as, given);
    if (as === "text") return valueBuffer.toString("utf8", 0, length);
    return read.fromBuffer(Buffer.from(valueBuffer.subarray(0, length)), as, given);
  }

  // The key is still in the input that get() has set.
  #getLarge(ns, length, as, given) {
    for (let size = length; ; ) {
      const buffer = Buffer.allocUnsafeSlow(size);
      const status = checked(native.get(ns, key.pointer, key.length, buffer, size, NUMBER, ERROR));
      if (status === constants.NOT_FOUND) return null;
      const now = outNumber();
      if (status === constants.OK) return read.fromBuffer(now < size ? buffer.subarray(0, now) : buffer, as, given);
      size = now;
    }
  }

  getWithMetadata(given, type) {
    if (Array.isArray(given)) return this.#getMany(given, options.type(type), read.bulkWithMetadata);
    return this.#getEntry(given, options.type(type)) ?? { ...read.MISSING };
  }

  /** The entry of a key; null if the key is missing. */
  #getEntry(given, as) {
    const ns = this.#handle.pointer;
    key.set("the key", given);
    const status = checked(native.get_entry(ns, key.pointer, key.length, HANDLE, ERROR));
    if (status === constants.NOT_FOUND) return null;
    const entry = outHandle();
    try {
      return read.withMetadata(entry, as, given);
    } finally {
      native.entry_free(entry);
    }
  }

  has(given) {
    const ns = this.#handle.pointer;
    key.set("the key", given);
    return checked(native.has(ns, key.pointer, key.length, ERROR)) === constants.OK;
  }

  put(given, what, settings) {
    return this.#write(native.put_versioned, given, what, settings);
  }

  add(given, what, settings) {
    return this.#write(native.add_versioned, given, what, settings);
  }

  /** Returns the version of the new entry; null if nothing was stored. */
  #write(call, given, what, settings) {
    const struct = setPut(given, what, settings);
    const { pointer, length } = value;
    const status = call(this.#handle.pointer, key.pointer, key.length, pointer, length, struct, VERSION, ERROR);
    value.forget();
    return checked(status) === constants.OK ? outVersion() : null;
  }

  delete(given) {
    const ns = this.#handle.pointer;
    key.set("the key", given);
    return checked(native.remove(ns, key.pointer, key.length, ERROR)) === constants.OK;
  }

  /**
   * Removes the entry only after it was read, and only if it still has the same version. So an entry that cannot be
   * read, such as text that is not JSON, is kept. (luat_kv_take() would already have removed it.)
   */
  take(given, type) {
    const as = options.type(type);
    const own = memory.isBytes(given) ? new Uint8Array(given) : given; // another thread could change shared memory
    for (;;) {
      const entry = this.#getEntry(own, as);
      if (entry === null) return { ...read.MISSING };
      if (this.atomic().check(own, entry.version).delete(own).commit().ok) return entry;
    }
  }

  touch(given, settings) {
    const [at, ttl] = options.touchOptions(settings);
    const ns = this.#handle.pointer;
    key.set("the key", given);
    return checked(native.touch(ns, key.pointer, key.length, at, ttl, ERROR)) === constants.OK;
  }

  incr(given, by = 1, settings) {
    const amount = options.int64("by", by);
    const struct = options.incrOptions(settings);
    const ns = this.#handle.pointer;
    key.set("the key", given);
    checked(native.incr(ns, key.pointer, key.length, amount, struct, NUMBER, ERROR));
    return memory.outSum();
  }

  // ---- Many keys

  #getMany(keys, as, reading) {
    const own = ownKeys(keys);
    const { encoded, words } = setKeys(own);
    const ns = this.#handle.pointer;
    const found = new Map(own.map((given) => [nameOf(given), null]));
    if (found.size === 0) return found;
    checked(native.get_many(ns, words, encoded.length, HANDLE, ERROR));
    read.eachEntry(outHandle(), (entry, name) => found.set(name, reading(entry, as, name)));
    return found;
  }

  deleteBulk(given) {
    const keys = ownKeys(Array.isArray(given) ? given : [given]);
    const batch = this.atomic();
    for (const one of keys) batch.delete(one);
    batch.commit();
  }

  list(settings) {
    const [struct, as] = options.listOptions(settings);
    checked(native.list(this.#handle.pointer, struct, HANDLE, ERROR));
    return read.list(outHandle(), as);
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
    const ns = this.#handle.pointer;
    key.set("prefix", prefix);
    checked(native.count(ns, key.pointer, key.length, NUMBER, ERROR));
    return outNumber();
  }

  deletePrefix(prefix) {
    const ns = this.#handle.pointer;
    key.set("prefix", prefix);
    checked(native.delete_prefix(ns, key.pointer, key.length, NUMBER, ERROR));
    return outNumber();
  }

  clear() {
    checked(native.clear(this.#handle.pointer, NUMBER, ERROR));
    return outNumber();
  }

  // ---- Export and import

  export(to, settings) {
    const format = options.exportFormat(settings);
    const [suffix, place] = transferPlace(to);
    checked(native[`export${suffix}`](this.#handle.pointer, place, format, NUMBER, ERROR));
    return outNumber();
  }

  async exportAsync(to, settings) {
    const format = options.exportFormat(settings);
    const [suffix, place] = transferPlace(to);
    const [count] = await this.#handle.background(`export${suffix}`, [place, format], 1);
    return count;
  }

  import(from, settings) {
    const flags = options.importFlags(settings);
    const [suffix, place] = transferPlace(from);
    checked(native[`import${suffix}`](this.#handle.pointer, place, flags, NUMBER, SECOND, ERROR));
    return { stored: outNumber(), skipped: memory.outSecond() };
  }

  async importAsync(from, settings) {
    const flags = options.importFlags(settings);
    const [suffix, place] = transferPlace(from);
    const [stored, skipped] = await this.#handle.background(`import${suffix}`, [place, flags], 2);
    return { stored, skipped };
  }

  // ---- Atomic changes

  atomic() {
    return this.#store.atomic().namespace(this);
  }
}

/** Returns the suffix of the function for a place, "" for a path or "_fd", and the place as its argument. */
function transferPlace(place) {
  if (typeof place === "number") return ["_fd", options.descriptor(place)];
  return ["", memory.cString("the path", place)];
}
