// Keeping a store across reloads: when what is written where. The places themselves are in persist/.

import { LuatKVError, failed } from "./error.js";
import { openIndexedDB, removeIndexedDB } from "./persist/indexeddb.js";
import { openOPFS, removeOPFS } from "./persist/opfs.js";
import { joined } from "./values.js";

/** How long a write waits for others to be flushed with it, in milliseconds. */
const DELAY = 50;
/** The wait before another try after a failure: at first, and at most. */
const [FIRST_RETRY, LAST_RETRY] = [1000, 30_000];
/** Logs are not made a snapshot before they come to this many bytes. */
const LEAST_LOG = 256 * 1024;
/** How long another tab may take to let go of the store, in milliseconds: a page that is reloaded overlaps itself. */
const PATIENCE = 2000;

const PLACES = {
  indexeddb: { open: openIndexedDB, remove: removeIndexedDB },
  opfs: { open: openOPFS, remove: removeOPFS },
};

/** Removes all that was kept of a store, whatever it is. */
export async function remove({ where, name }) {
  const unlock = await lock(where, name);
  try {
    await PLACES[where].remove(name);
  } catch (error) {
    throw failed("removing the store", error);
  } finally {
    unlock();
  }
}

/**
 * Fills a store with what was kept of it, and answers what keeps it from now on. A place has these methods: `read()`
 * answers its segments in order, as { number, kind, bytes }, from the newest snapshot on, and `torn(segment)` whether
 * one that cannot be read was never whole, and drops it; `append(bytes)` adds a log; `replace(bytes)` a snapshot, in
 * place of all that was; `close()`. `lost` is true where all that was written is gone.
 */
export async function persist(core, { where, name, onError }) {
  const unlock = await lock(where, name);
  try {
    const place = await PLACES[where].open(name);
    try {
      const sizes = await restore(core, place, onError);
      core.changes(false); // from here on, it keeps track
      return new Persister(core, place, { unlock, onError, sizes });
    } catch (error) {
      await place.close();
      throw error;
    }
  } catch (error) {
    unlock();
    core.free();
    throw error;
  }
}

async function restore(core, place, onError) {
  const sizes = { snapshot: 0, log: 0 };
  const segments = await place.read();
  for (const [index, segment] of segments.entries()) {
    const what = `segment ${segment.number} of what was kept`;
    let why = ArrayBuffer.isView(segment.bytes) ? null : "it is torn or damaged";
    const before = segments[index - 1];
    if (before === undefined ? segment.kind === "log" && segment.number !== 1 : segment.number !== before.number + 1) {
      throw new LuatKVError("CORRUPT", `${what} is there, but not the one before it`);
    }
    try {
      if (why === null) core.load(segment.bytes);
    } catch (error) {
      if (error.code !== "CORRUPT" && error.code !== "INVALID") throw error;
      why = error.message;
    }
    if (why !== null) {
      const isLast = index > 0 && index === segments.length - 1;
      if (!isLast || !(await place.torn(segment))) throw new LuatKVError("CORRUPT", `${what} cannot be read: ${why}`);
      tell(onError, new LuatKVError("CORRUPT", `${what} was never written to its end, and is left out: ${why}`));
    } else if (segment.kind === "snapshot") sizes.snapshot += segment.bytes.length;
    else sizes.log += segment.bytes.length;
  }
  return sizes;
}

/** Holds the store's name against other tabs, where the browser has locks; answers what lets it go. */
async function lock(where, name) {
  const { locks } = globalThis.navigator ?? {};
  if (!locks?.request) return () => {};
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE);
  return new Promise((resolve, reject) => {
    const held = locks.request(`luat_kv:${where}:${name}`, { signal: patience.signal }, () => {
      clearTimeout(timer);
      return new Promise((unlock) => resolve(unlock));
    });
    held.catch((error) => {
      clearTimeout(timer);
      const message = `the store ${JSON.stringify(name)} is open already, here or in another tab or worker`;
      reject(patience.signal.aborted ? new LuatKVError("BUSY", message) : failed("locking the store", error));
    });
  });
}

function tell(onError, error) {
  try {
    onError(error);
  } catch (other) {
    console.error(other);
  }
}

/** What keeps a store. One flush goes on at a time. */
class Persister {
  #core;
  #place;
  #unlock;
  #onError;
  #sizes;
  /** Changes that were taken from the store and are not yet written. */
  #pending = [];
  #dirty = false;
  /** Whether the next flush must write everything. */
  #all = false;
  #running = null;
  #timer = null;
  #failures = 0;
  #closing = null;
  #hide;

  constructor(core, place, { unlock, onError, sizes }) {
    this.#core = core;
    this.#place = place;
    this.#unlock = unlock;
    this.#onError = onError;
    this.#sizes = sizes;
    this.#hide = ({ type }) => {
      const isGoing = type === "pagehide" || globalThis.document.visibilityState === "hidden";
      if (isGoing && this.#dirty) this.#background();
    };
    this.#listen("addEventListener");
  }

  #listen(method) {
    globalThis.document?.[method]?.("visibilitychange", this.#hide);
    globalThis[method]?.("pagehide", this.#hide);
  }

  /** To be told of each write. */
  wrote() {
    this.#dirty = true;
    if (this.#timer === null && this.#running === null) this.#wait(DELAY);
  }

  /** To be told when somebody else takes changes: what they were is not known here. */
  taken() {
    this.#all = true;
    this.wrote();
  }

  /** To be told when changes were taken and lost, for want of memory. (Where it was everything, pending has them.) */
  missed(all) {
    if (!all) this.#all = true;
  }

  /** To be told when the store is in another engine, which has tracked nothing as yet. */
  moved() {
    this.taken();
    this.#core.changes(false);
  }

  #wait(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#background();
    }, delay);
    this.#timer.unref?.();
  }

  #background() {
    this.flush().catch(() => {}); // onError was told
  }

  /** Resolves when all that was written until now is written. */
  async flush() {
    // One that is going on may have begun too early.
    if (this.#running !== null) await this.#running.catch(() => {});
    if (this.#running !== null) return this.#running;
    if (!this.#dirty && this.#pending.length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#run();
    try {
      await this.#running;
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      tell(this.#onError, error);
      throw error;
    } finally {
      this.#running = null;
      const isLeft = this.#dirty || this.#pending.length > 0;
      const isOver = this.#closing !== null || this.#core.engine.death !== null;
      if (isLeft && !isOver) this.#wait(this.#failures > 0 ? this.#retryDelay() : DELAY);
    }
  }

  #retryDelay() {
    return Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), LAST_RETRY);
  }

  async #run() {
    try {
      const changed = this.#take();
      if (this.#all || this.#place.lost || this.#isLong(changed)) {
        if (await this.#snapshot()) return;
      }
      const bytes = joined(this.#pending, changed);
      if (bytes.length > 0 && !(await this.#append(bytes))) return void (await this.#snapshot());
      this.#sizes.log += bytes.length;
      this.#pending = [];
    } catch (error) {
      this.#dirty = true;
      throw failed("writing the store", error);
    }
  }

  /** Adds a log. False where what it would follow is found to be gone. */
  async #append(bytes) {
    try {
      await this.#place.append(bytes);
      return true;
    } catch (error) {
      if (this.#place.lost) return false;
      throw error;
    }
  }

  /** Takes what the store has changed, and answers how much is pending. */
  #take() {
    this.#dirty = false;
    for (;;) {
      const bytes = this.#core.changes(false);
      if (bytes.length === 0) break;
      this.#pending.push(bytes);
    }
    return this.#pending.reduce((sum, { length }) => sum + length, 0);
  }

  #isLong(more) {
    return this.#sizes.log + more > Math.max(this.#sizes.snapshot, LEAST_LOG);
  }

  /** Writes everything anew. False where there is no memory for that, in which case logs must do. */
  async #snapshot() {
    let bytes;
    try {
      bytes = this.#core.changes(true);
    } catch (error) {
      if (error.code !== "NOMEM" || this.#all || this.#place.lost) throw error;
      return false;
    }
    this.#all = false;
    this.#pending = [];
    try {
      await this.#place.replace(bytes);
    } catch (error) {
      this.#all = true; // what was pending is in there
      throw error;
    }
    this.#sizes = { snapshot: bytes.length, log: 0 };
    return true;
  }

  /** Flushes, and lets go of everything. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    clearTimeout(this.#timer);
    this.#listen("removeEventListener");
    try {
      if (this.#core.engine.death === null) await this.flush();
    } finally {
      clearTimeout(this.#timer);
      await this.#place.close();
      this.#unlock();
    }
  }
}
