// What a watch knows of its keys, and how it finds out what has changed: it compares their versions. The store does
// nothing else meanwhile, and its clock is stopped, so that everything is as of one moment.

import { LuatKVError } from "./error.js";
import { Listing } from "./options.js";
import { readPage, readRow, readVersion } from "./read.js";
import { compareBytes, wellFormed } from "./slot.js";
import { rowsOf, tokenOf } from "./token.js";
import { changed, setThrowing, valueOf } from "./values.js";

/** The size of the pages in which a range is compared, in keys. */
const PAGE = 1000;
/** The size of the values from which on further changes are left for the next time, in bytes or characters. */
const MOST_VALUES = 16 * 1024 * 1024;

export class Known {
  /** The earliest expiration of the known keys, in Unix seconds. */
  nextEnd = Infinity;
  /** Whether the last call of take() returned all changes. */
  isComplete = true;
  #core;
  #namespace;
  #watched;
  /** The live keys: each with its version, its expiration (0 for never), and the last round in which it was seen. */
  #rows = new Map();
  #round = 0;
  /** The names of the changes that take() has returned, each with its row before; undefined if it had none. */
  #before = [];

  /**
   * `watched` is the result of options.watch(). What the keys hold now is known, unless `existing` is set, or a token
   * in `since` contains what is known.
   */
  constructor(core, namespace, { since, ...watched }) {
    this.#core = core;
    this.#namespace = namespace;
    this.#watched = { ...watched, values: null };
    core.open();
    if (since !== "") this.#rows = this.#rowsOf(since);
    else if (!watched.existing) this.take();
    this.#watched = watched;
    this.#before = [];
  }

  #rowsOf(token) {
    const { keys, prefix } = this.#watched;
    const [some, start] = [new Set(keys), wellFormed(prefix)];
    return rowsOf(token, this.#namespace, (name) => (keys === null ? name.startsWith(start) : some.has(name)));
  }

  /** Returns a token. The last `left` changes that take() has returned are not known in it. */
  token(left) {
    const rows = new Map(this.#rows);
    for (const [name, row] of this.#before.slice(this.#before.length - left)) {
      if (row === undefined) rows.delete(name);
      else rows.set(name, row);
    }
    return tokenOf(this.#namespace, rows);
  }

  /** Returns the changes since the last call, each key once, in byte order. If it throws, nothing is lost. */
  take() {
    const { engine } = this.#core.open();
    const now = Date.now() / 1000;
    engine.stoppedAt = now;
    try {
      const ns = this.#core.handle(this.#namespace);
      const changes = this.#compare(engine, ns, now);
      const length = this.#watched.values === null ? changes.length : this.#readValues(engine, ns, changes);
      this.isComplete = length === changes.length;
      changes.length = length;
      this.#apply(changes);
      return changes;
    } finally {
      engine.stoppedAt = null;
    }
  }

  #compare(engine, ns, now) {
    const round = ++this.#round;
    const changes = [];
    let count = 0;
    let nextEnd = Infinity;
    /** Returns whether a live key has changed. */
    const isChanged = (name, version, end) => {
      if (end !== 0 && end < nextEnd) nextEnd = end;
      const row = this.#rows.get(name);
      if (row === undefined) return true;
      row.round = round;
      count++;
      return row.version !== version;
    };
    const { keys, prefix } = this.#watched;
    if (keys === null) this.#compareRange(engine, ns, prefix, isChanged, changes);
    else this.#compareKeys(engine, ns, keys, isChanged, changes);
    this.nextEnd = nextEnd;
    if (count === this.#rows.size) return changes;
    for (const [name, row] of this.#rows) if (row.round !== round) changes.push(gone(name, row, now));
    return changes.sort((one, other) => compareBytes(one.name, other.name));
  }

  #compareRange(engine, ns, prefix, isChanged, changes) {
    const list = new Listing();
    list.prefix = prefix;
    list.limit = PAGE;
    do {
      list.cursor = readPage(engine, ns, list, (entry) => changed(engine, entry, isChanged, changes));
    } while (list.cursor !== null);
  }

  #compareKeys(engine, ns, keys, isChanged, changes) {
    for (const name of keys) {
      const row = readVersion(engine, ns, name);
      if (row === null || !isChanged(name, row.version, row.end)) continue;
      // It is the first key that begins with its name. (A read of the key would copy its value too.)
      const list = new Listing();
      list.prefix = name;
      list.limit = 1;
      readPage(engine, ns, list, (entry) => changed(engine, entry, () => true, changes));
    }
  }

  /** Reads the values of changes. Returns for how many there is room. */
  #readValues(engine, ns, changes) {
    const as = this.#watched.values;
    let size = 0;
    for (const [index, change] of changes.entries()) {
      if (change.type !== "put") continue;
      if (size >= MOST_VALUES) return index;
      try {
        const row = readRow(engine, ns, change.name, as, false);
        size += row.text?.length ?? row.bytes.byteLength;
        change.value = valueOf(row, as, change.name);
      } catch (error) {
        // A value that cannot be read as this type must not hide the other changes.
        const isOwn = error instanceof SyntaxError || (error instanceof LuatKVError && error.code === "LIMIT");
        if (!isOwn) throw error;
        setThrowing(change, "value", error);
      }
    }
    return changes.length;
  }

  #apply(changes) {
    this.#before = changes.map(({ name }) => [name, this.#rows.get(name)]);
    for (const { name, type, version, expiration = 0 } of changes) {
      if (type === "put") this.#rows.set(name, { version, end: expiration, round: this.#round });
      else this.#rows.delete(name);
    }
  }
}

function gone(name, { end }, now) {
  return end !== 0 && end <= now ? { name, type: "delete", expired: true } : { name, type: "delete" };
}
