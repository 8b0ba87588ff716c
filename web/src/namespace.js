import { BYTES, LIMITS_CLOUDFLARE, OK } from "./abi.js";
import { Atomic } from "./atomic.js";
import { BULK, DELETE, checkTotal, notJSON } from "./cloudflare.js";
import { Commit } from "./commit.js";
import { places } from "./core.js";
import { exportText, importText } from "./bulk.js";
import { invalid } from "./error.js";
import { MAX_NAME } from "./limits.js";
import * as options from "./options.js";
import { readPage, readRow } from "./read.js";
import { isWellFormed } from "./slot.js";
import * as values from "./values.js";
import { setIncr, setPut } from "./structs.js";

/** The size of each()'s first page, and the maximum size of its later pages, in keys. */
const [FIRST_PAGE, LAST_PAGE] = [4, 1000];

/** A set of keys within a store, with synchronous methods. */
export class SyncNamespace {
  #core;
  #owner;
  #name;
  #pointer = 0;
  #epoch = 0;
  /** The cache's rows of this namespace. */
  #table;

  /** Only Namespace calls it. The reference to that Namespace, `owner`, prevents that its pointer is freed. */
  constructor(core, owner, name) {
    if (owner === undefined) throw new TypeError("a SyncNamespace is the sync of a Namespace");
    this.#core = core;
    this.#owner = owner;
    this.#name = name;
    this.#table = core.cache.table();
    places.set(this, { core, name });
  }

  get name() {
    return this.#name;
  }

  get store() {
    return this.#owner.store;
  }

  /** The current pointer. It changes when the store moves to another engine. */
  #handle() {
    const core = this.#core;
    if (this.#epoch !== core.epoch) {
      this.#pointer = core.handle(this.#name);
      this.#epoch = core.epoch;
    }
    return this.#pointer;
  }

  // ---- One key

  get(given, type) {
    // A key that is in the cache was checked.
    const row = this.#table.find(given);
    if (row !== undefined && row.text !== null) {
      if (type === undefined || type === "text") return row.text;
      if (type === "json") return values.parse(row.text, given);
    }
    if (Array.isArray(given)) return this.#getMany(given, type, values.entryValue);
    const { limits } = this.#core;
    const name = options.key(given, limits, "GET");
    const as = type === undefined ? "text" : options.type(type, limits);
    return values.valueOf(this.#row(name, as, false), as, name);
  }

  /** Returns a row that has what is needed, from the cache or the module. No code of the caller runs meanwhile. */
  #row(name, as, isWhole) {
    const found = this.#table.find(name);
    if (found?.has(as, isWhole)) return found;
    const ns = this.#handle();
    const row = readRow(this.#core.engine, ns, name, as, isWhole);
    this.#table.keep(name, row);
    return row;
  }

  getWithMetadata(given, type) {
    if (Array.isArray(given)) return this.#getMany(given, type, values.bulkWithMetadata);
    const { limits } = this.#core;
    const name = options.key(given, limits, "GET");
    const as = type === undefined ? "text" : options.type(type, limits);
    return values.withMetadata(this.#row(name, as, true), as, name);
  }

  put(given, what, settings) {
    if (typeof what === "string" && settings === undefined) {
      // A key that is in the cache was checked.
      const row = this.#table.replaceable(given);
      if (row !== undefined && isWellFormed(what)) return this.#replace(given, row, what);
    }
    return this.#write(false, given, what, settings);
  }

  /** Puts a text. The module need not be told the key, since it has told where the key's row is. */
  #replace(name, row, text) {
    const core = this.#core;
    options.checkValue(text, core.limits);
    const { engine } = core;
    const { value, VERSION, ERROR, raw } = engine;
    try {
      value.setText("the value", text);
      let status;
      try {
        status = raw.luat_kv_wasm_replace(core.pointer, row.id, value.pointer, value.length, VERSION, ERROR);
      } catch (error) {
        throw engine.died(error);
      }
      if (status < 0) throw engine.failure(status, noRoom(text));
    } finally {
      value.release();
    }
    core.wrote();
    this.#table.replaced(name, row, text);
    return engine.outVersion();
  }

  add(given, what, settings) {
    return this.#write(true, given, what, settings);
  }

  /** Returns the version of the new entry; null if nothing was stored. */
  #write(isAdd, given, what, settings) {
    const core = this.#core;
    const name = options.key(given, core.limits);
    const prepared = settings === undefined ? null : options.put(settings, core.limits);
    const stored = values.storable(what); // last, since a getter of the options could have detached its buffer
    options.checkValue(stored, core.limits);
    const ns = this.#handle();
    const { engine } = core;
    const { key, value, VERSION, ERROR } = engine;
    const isCurrent = core.cache.isCurrent();
    try {
      if (typeof stored === "string") value.setText("the value", stored);
      else value.setBytes("the value", stored);
      key.setText("the key", name);
      const struct = prepared === null ? 0 : setPut(engine, prepared);
      const { raw } = engine;
      let status;
      try {
        status = isAdd
          ? raw.luat_kv_add_versioned(ns, key.pointer, key.length, value.pointer, value.length, struct, VERSION, ERROR)
          : raw.luat_kv_put_versioned(ns, key.pointer, key.length, value.pointer, value.length, struct, VERSION, ERROR);
      } catch (error) {
        throw engine.died(error);
      }
      if (status < 0) throw engine.failure(status, noRoom(stored));
      core.wrote();
      if (status !== OK) {
        if (isCurrent) core.cache.settle();
        return null;
      }
      const version = engine.outVersion();
      if (isCurrent) this.#wrote(name, stored, prepared);
      return version;
    } finally {
      value.release();
      engine.metadata.release();
    }
  }

  /** Tells the cache what was stored. */
  #wrote(name, stored, prepared) {
    // Only the module knows when a lifetime ends, and which text it has for one that is not well-formed.
    const isKnown = typeof stored === "string" && isWellFormed(stored) && !prepared?.hasLifetime;
    if (isKnown) this.#table.stored(name, stored);
    else this.#table.wrote(name);
  }

  has(given) {
    const row = this.#table.find(given);
    if (row !== undefined) return !row.isMissing;
    const name = options.key(given, this.#core.limits, "GET");
    return this.#core.has(this.#handle(), name);
  }

  delete(given) {
    const name = options.key(given, this.#core.limits, DELETE);
    return this.#remove(this.#handle(), name);
  }

  #remove(ns, name) {
    return this.#changing(name, () => this.#core.remove(ns, name));
  }

  /** Makes a call that changes one key. If it throws, the cache takes notice at the next read. */
  #changing(name, call) {
    const isCurrent = this.#core.cache.isCurrent();
    const answer = call();
    if (isCurrent) this.#table.wrote(name);
    return answer;
  }

  /**
   * Removes the entry only after it was read, so an entry that cannot be read, such as text that is not JSON, is kept.
   * (luat_kv_take() would already have removed it.)
   */
  take(given, type) {
    const { limits } = this.#core;
    const name = options.key(given, limits, "GET");
    const as = options.type(type, limits);
    const row = this.#row(name, as, true);
    const entry = values.withMetadata(row, as, name);
    // No other code runs in between, but the entry may have expired.
    return !row.isMissing && this.#remove(this.#handle(), name) ? entry : values.missing();
  }

  touch(given, settings) {
    const core = this.#core;
    const name = options.key(given, core.limits);
    const { expiration, ttl } = options.touch(settings, core.limits);
    const ns = this.#handle();
    const { engine } = core;
    const { call, key, ERROR } = engine;
    key.setText("the key", name);
    return this.#changing(name, () => {
      const status = call.touch(ns, key.pointer, key.length, BigInt(expiration), BigInt(ttl), ERROR);
      core.wrote();
      return engine.checked(status) === OK;
    });
  }

  incr(given, by = 1, settings) {
    const core = this.#core;
    const name = options.key(given, core.limits);
    const amount = options.int64("by", by);
    const prepared = options.incr(settings, core.limits);
    const ns = this.#handle();
    const { engine } = core;
    const { call, key, NUMBER, ERROR } = engine;
    key.setText("the key", name);
    const struct = prepared === null ? 0 : setIncr(engine, prepared);
    this.#changing(name, () => engine.checked(call.incr(ns, key.pointer, key.length, amount, struct, NUMBER, ERROR)));
    core.wrote();
    return engine.outSum();
  }

  // ---- Many keys

  #getMany(given, type, reading) {
    const core = this.#core;
    const names = options.keys(given, core.limits, BULK);
    const as = options.bulkType(type, core.limits);
    const ns = this.#handle();
    const found = new Map();
    for (const name of names) found.set(name, null);
    if (found.size === 0) return found;
    const { engine } = core;
    const page = readMany(engine, ns, names);
    const isLimited = core.limits === LIMITS_CLOUDFLARE;
    let total = 0;
    const add = (entry) => {
      total += values.lengthOf(engine, entry);
      if (isLimited) checkTotal(total);
      const name = values.entryKey(engine, entry);
      found.set(name, reading(engine, entry, as, name));
    };
    try {
      values.eachEntry(engine, page, add);
    } catch (error) {
      throw isLimited && error instanceof SyntaxError ? notJSON(error) : error;
    }
    return found;
  }

  deleteBulk(given) {
    const core = this.#core;
    const keys = options.keys(Array.isArray(given) ? given : [given], core.limits, DELETE);
    this.#handle();
    const commit = new Commit(core);
    try {
      for (const key of keys) commit.step(this.#name, key, (_, ns) => commit.delete(ns));
      commit.run();
    } finally {
      commit.free();
    }
    core.wrote();
  }

  /** A page of a checked list: what `reading` returns for each entry, and the cursor of the next page, or null. */
  #page(list, reading) {
    const ns = this.#handle();
    const { engine } = this.#core;
    return readPage(engine, ns, list, (entry) => reading(engine, entry, list.values));
  }

  list(settings) {
    const list = options.list(settings, this.#core.limits);
    const keys = [];
    const cursor = this.#page(list, (engine, entry, as) => keys.push(values.listed(engine, entry, as)));
    if (cursor === null) return { keys, list_complete: true, cacheStatus: null };
    return { keys, list_complete: false, cursor, cacheStatus: null };
  }

  each(settings) {
    const list = options.each(settings, this.#core.limits);
    this.#handle();
    return this.#pages(list);
  }

  /** Yields pages. The first one is small, for callers that need a few keys, and each is larger than the one before. */
  *#pages(list) {
    for (list.limit = FIRST_PAGE; ; list.limit = Math.min(4 * list.limit, LAST_PAGE)) {
      const page = this.list(list);
      yield* page.keys;
      if (page.list_complete) return;
      list.cursor = page.cursor;
    }
  }

  count(settings) {
    return this.#range("count", options.count(settings, this.#core.limits));
  }

  deletePrefix(prefix) {
    const limits = this.#core.limits;
    const text = options.text("prefix", prefix, MAX_NAME[limits]);
    if (text === "") throw invalid("the prefix is empty: clear() removes all keys");
    return this.#range("delete_prefix", text);
  }

  #range(name, prefix) {
    const ns = this.#handle();
    const { engine } = this.#core;
    const { call, key, NUMBER, ERROR } = engine;
    key.setText("prefix", prefix);
    const status = call[name](ns, key.pointer, key.length, NUMBER, ERROR);
    // Also after an error, before which some keys may have been removed.
    if (name !== "count") this.#core.wrote();
    engine.checked(status);
    return engine.outCount();
  }

  clear() {
    const ns = this.#handle();
    const { engine } = this.#core;
    const status = engine.call.clear(ns, engine.NUMBER, engine.ERROR);
    this.#core.wrote();
    engine.checked(status);
    return engine.outCount();
  }

  // ---- Export and import

  export(settings) {
    const format = options.exportFormat(settings);
    const list = options.each({ values: "arrayBuffer" }, this.#core.limits);
    return exportText(format, (use) => {
      for (;;) {
        const cursor = this.#page(list, (engine, entry) => use(values.exported(engine, entry)));
        if (cursor === null) return;
        list.cursor = cursor;
      }
    });
  }

  import(from, settings) {
    const replace = options.importReplace(settings);
    this.#handle();
    return importText(values.importable(from), replace, this.#core, this.#name);
  }

  // ---- Atomic changes

  atomic() {
    return new Atomic(this.#core.open(), this.#owner.store).namespace(this);
  }
}

function noRoom(stored) {
  return `there is no memory for a value of ${stored.length} ${typeof stored === "string" ? "characters" : "bytes"}`;
}

/** The page of a bulk read. One block of memory holds the views of all keys, and then the keys. */
function readMany(engine, ns, names) {
  const encoder = new TextEncoder();
  const { size, data, len } = BYTES;
  const length = names.reduce((sum, name) => sum + size + 3 * name.length, 0);
  const start = engine.alloc(length, "there is no memory for the keys");
  try {
    const { bytes, view } = engine.fresh();
    let at = start + size * names.length;
    names.forEach((name, index) => {
      const { written } = encoder.encodeInto(name, bytes.subarray(at, at + 3 * name.length));
      view.setUint32(start + size * index + data, at, true);
      view.setUint32(start + size * index + len, written, true);
      at += written;
    });
    engine.checked(engine.call.get_many(ns, start, names.length, engine.HANDLE, engine.ERROR));
    return engine.outHandle();
  } finally {
    engine.free(start, length);
  }
}
