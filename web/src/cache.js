// The cache of a store: entries that were read, so that reading them again does not call the module.
//
// Only calls into the module change a store, and each call that may do so sets a word in the module's memory (`changed`
// in src/backend/memory.rs). A read looks at the word first: if it is not 0, it empties the cache and sets the word to
// 0. A write of one key from here corrects that key instead. It sets the word to 0 if the word was 0 before the call,
// since the call then made the only change. docs/design.md has the whole argument.
//
// The cache has two generations. What is read enters the young one. When that is full, it becomes the old one, and the
// old one is dropped: so an entry leaves the cache when it was not read during a whole generation.

import { isWellFormed } from "./slot.js";

/** What an entry costs beside its strings and bytes, in bytes: the row, and its places in two maps. */
const OVERHEAD = 256;

const NO_ROW = 0xffff_ffff;

/** An entry, or a key that is missing. Its bytes are never passed to a caller, who could change them. */
export class Row {
  isMissing = false;
  /** The value as a string or as an ArrayBuffer, depending on how it was read; null otherwise. */
  text = null;
  bytes = null;
  /** The expiration in Unix seconds, also that of an expired entry, which is missing; 0 for never. */
  end;
  /** The JSON of the metadata; null for none. It is known if the version is. */
  metadata = null;
  version = null;
  /** The number of the module's row, as long as the cache is current; NO_ROW if it is unknown. */
  id = NO_ROW;
  /** Whether the cache has it. */
  isKept = false;
  cost = 0;

  constructor(end) {
    this.end = end;
  }

  /** Whether it has what is needed to read the value as a type, and, if `isWhole`, all else. */
  has(as, isWhole) {
    if (this.isMissing) return true;
    if (isWhole && this.version === null) return false;
    return as === "text" || as === "json" ? this.text !== null : this.bytes !== null;
  }
}

/** What a row costs in bytes. A character counts as two, which it has in most strings that are not ASCII. */
function costOf(key, { text, bytes, metadata }) {
  const strings = key.length + (text?.length ?? 0) + (metadata?.length ?? 0);
  return OVERHEAD + 2 * strings + (bytes?.byteLength ?? 0);
}

/** The memory of a cache that has no engine. */
const NOTHING = new Uint32Array(0);
const NO_ENGINE = { words: NOTHING, fresh: () => NO_ENGINE };

export class Cache {
  #most;
  #young = 0;
  #old = 0;
  /** The tables that have rows. */
  #tables = new Set();
  engine = NO_ENGINE;
  /** The index of the word in the engine's memory. */
  at = 0;

  /** `size` is the limit in bytes; 0 for no cache. */
  constructor(size) {
    this.#most = Math.floor(size / 2);
  }

  get size() {
    return this.#young + this.#old;
  }

  /** Uses the word of a store in an engine. */
  attach(engine, pointer) {
    this.detach();
    if (this.#most === 0) return;
    this.at = (engine.call.wasm_changed(pointer) >>> 0) / 4;
    this.engine = engine;
  }

  detach() {
    this.engine = NO_ENGINE;
    this.#empty();
  }

  table() {
    return new Table(this);
  }

  /** Whether the cache has taken notice of all changes. (After the memory has grown, this is false until a read.) */
  isCurrent() {
    return this.engine.words[this.at] === 0;
  }

  /** Must be called after a change that the cache knows of, if isCurrent() was true before. */
  settle() {
    this.engine.fresh().words[this.at] = 0;
  }

  /** Makes a call that changes nothing that can be read, except that expired entries may be removed. */
  unchanged(call) {
    const wasCurrent = this.isCurrent();
    const answer = call();
    if (wasCurrent) this.settle();
    return answer;
  }

  /** Empties the cache if the store has changed. */
  renew() {
    const { words } = this.engine.fresh();
    if (words[this.at] === 0) return; // the memory has grown, no more
    this.#empty();
    words[this.at] = 0;
  }

  /**
   * Whether an expiration has been reached, by the clock of the module. The module may have removed expired entries. So
   * if the clock was set back, what has not expired by that clock may be missing, and the cache is emptied.
   */
  isOver(end) {
    const now = Date.now() / 1000;
    const isBack = now < this.engine.latest;
    if (isBack) this.#empty();
    this.engine.latest = now;
    return isBack || now >= end;
  }

  /** Counts a row that enters a table, or returns false if it is too large. */
  admit(table, key, row) {
    row.cost = costOf(key, row);
    if (row.cost > this.#most) return false;
    if (this.#young + row.cost > this.#most) this.#age();
    this.#young += row.cost;
    this.#tables.add(table);
    return true;
  }

  /** Counts a row of the young generation that has changed, or returns false if there is no room for it. */
  recount(key, row) {
    const cost = costOf(key, row);
    if (this.#young - row.cost + cost > this.#most) return false;
    this.#young += cost - row.cost;
    row.cost = cost;
    return true;
  }

  /** Counts a row that leaves the young generation. */
  release(row) {
    this.#young -= row.cost;
  }

  #age() {
    for (const table of this.#tables) if (!table.age()) this.#tables.delete(table);
    this.#old = this.#young;
    this.#young = 0;
  }

  #empty() {
    for (const table of this.#tables) table.empty();
    this.#tables.clear();
    this.#young = 0;
    this.#old = 0;
  }
}

/** The rows of a namespace, by key. */
class Table {
  #cache;
  #young = new Map();
  #old = new Map();

  constructor(cache) {
    this.#cache = cache;
  }

  /** The row of a key if it is valid now; undefined otherwise, and for anything that is not a string. */
  find(key) {
    const cache = this.#cache;
    if (cache.engine.words[cache.at] !== 0) cache.renew();
    let row = this.#young.get(key);
    if (row === undefined) {
      row = this.#old.get(key);
      if (row === undefined) return undefined;
      this.keep(key, row);
    }
    return row.end !== 0 && cache.isOver(row.end) ? undefined : row;
  }

  /** Keeps a row that was read, unless the cache is off or the row is too large. */
  keep(key, row) {
    // A key that is not well-formed is stored under another name.
    if (this.#cache.engine === NO_ENGINE || !isWellFormed(key)) return;
    this.#drop(key);
    row.isKept = this.#cache.admit(this, key, row);
    if (row.isKept) this.#young.set(key, row);
  }

  /** The row of a key if a put can replace its value without the key; undefined otherwise. */
  replaceable(key) {
    const row = this.#young.get(key);
    return row !== undefined && row.id !== NO_ROW && row.end === 0 && this.#cache.isCurrent() ? row : undefined;
  }

  #drop(key) {
    const row = this.#young.get(key);
    if (row === undefined) return this.#old.delete(key);
    this.#cache.release(row);
    this.#young.delete(key);
    this.#old.delete(key);
    return true;
  }

  /**
   * Must be called after a write of one key, if the cache was current before. Forgets the key, and returns whether it
   * was in the cache.
   */
  wrote(key) {
    const wasThere = this.#drop(key);
    // The cache may have the name under which it was stored. So the next read empties the cache.
    if (wasThere || isWellFormed(key)) this.#cache.settle();
    return wasThere;
  }

  /**
   * The same after a put of a text that does not expire. A key that was in the cache stays there, since it is read
   * often; its version does not, since then each put would leave a string for the garbage collector to move.
   */
  stored(key, text) {
    const young = this.#young.get(key);
    if (young !== undefined) return this.replaced(key, young, text);
    if (!this.wrote(key)) return;
    const row = new Row(0);
    row.text = text;
    this.keep(key, row);
  }

  /** The same for the row of a key that is in the young generation. */
  replaced(key, row, text) {
    row.isMissing = false;
    row.text = text;
    row.bytes = null;
    row.end = 0;
    row.metadata = null;
    row.version = null;
    if (this.#cache.recount(key, row)) this.#cache.settle();
    else this.wrote(key);
  }

  /** Makes the young generation the old one. Returns whether there is something left. */
  age() {
    this.#old = this.#young;
    this.#young = new Map();
    return this.#old.size > 0;
  }

  empty() {
    this.#young = new Map();
    this.#old = new Map();
  }
}
