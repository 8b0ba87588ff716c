// Keeping a store across reloads: when what is written. One flush goes on at a time.

import { joined } from "../values.js";
import { isOvertaken, refusal } from "./refusal.js";

/** How long a write waits for others to be flushed with it, in milliseconds. */
const DELAY = 50;
/** The wait before another try after a failure: at first, and at most. */
const [FIRST_RETRY, LAST_RETRY] = [1000, 30_000];
/** Logs are not made a snapshot before they come to this many bytes. */
const LEAST_LOG = 256 * 1024;
/** How many bytes a log counts for: many small ones take long to open. */
export const weightOf = (length) => Math.max(length, 8 * 1024);

export async function tell(onError, error) {
  try {
    await onError(error);
  } catch (other) {
    console.error(other);
  }
}

const lengthOf = (chunks) => chunks.reduce((sum, { length }) => sum + length, 0);

/** What keeps a store. */
export class Persister {
  #core;
  #place;
  #unlock;
  #onError;
  #sizes;
  /** Changes that were taken from the store and are not yet written. */
  #pending = [];
  /** How many of these are being written. */
  #inFlight = 0;
  #dirty = false;
  /** Whether the next flush must write everything. */
  #all = false;
  /** Whether the place has damaged segments, which stay until the store has changed: then it writes everything. */
  #isPartial;
  /** The error for which nothing can be written any more. */
  #over = null;
  #running = null;
  #timer = null;
  #failures = 0;
  #closing = null;
  #hide;

  constructor(core, place, { unlock, onError, sizes, damage, isPartial }) {
    this.#core = core;
    this.#place = place;
    this.#unlock = unlock;
    this.#onError = onError;
    this.#sizes = sizes;
    /** The error for what could not be read when the store was opened. */
    this.damage = damage;
    this.#isPartial = isPartial;
    this.#hide = ({ type }) => {
      if (type !== "visibilitychange" || globalThis.document.visibilityState === "hidden") this.#leave();
    };
    this.#listen("addEventListener");
  }

  #listen(method) {
    globalThis.document?.[method]?.("visibilitychange", this.#hide);
    // A page may still have time to write at the first of these, and not at the second.
    for (const type of ["beforeunload", "pagehide"]) globalThis[method]?.(type, this.#hide);
  }

  /** To be told of each write. */
  wrote() {
    this.#dirty = true;
    if (this.#timer === null && this.#running === null && this.#over === null) this.#wait(DELAY);
  }

  /** To be told when somebody else takes changes: what they were, if there were any, is not known here. */
  taken() {
    if (this.#dirty) this.#all = true;
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

  /** Writes what it can in a page that may be about to end: nothing that has to wait comes through there. */
  #leave() {
    if (!this.#dirty) return;
    if (this.#running !== null) this.#extend();
    this.#background();
  }

  /**
   * Has what is being written written once more with what has changed since, where the place can. The next flush writes
   * these changes again, if the page lives on: a change that is applied twice is the same change.
   */
  #extend() {
    if (this.#place.extend === undefined) return;
    try {
      this.#take();
      const more = this.#pending.slice(this.#inFlight);
      if (more.length > 0) this.#place.extend(joined(more, lengthOf(more))).catch(() => {}); // the next flush tells
    } catch {
      this.#dirty = true; // for the next flush
    }
  }

  /** Resolves when all that was written until now is written. */
  async flush() {
    // One that is going on may have begun too early.
    if (this.#running !== null) await this.#running.catch(() => {});
    if (this.#running !== null) return this.#running;
    if (!this.#dirty && this.#pending.length === 0) return;
    if (this.#over !== null) throw this.#over;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#run();
    try {
      await this.#running;
      this.#failures = 0;
    } catch (error) {
      this.#failures++;
      if (isOvertaken(error)) this.#over = error;
      tell(this.#onError, error);
      throw error;
    } finally {
      this.#running = null;
      const isLeft = this.#dirty || this.#pending.length > 0;
      const isOver = this.#closing !== null || this.#over !== null || this.#core.engine.death !== null;
      if (isLeft && !isOver) this.#wait(this.#failures > 0 ? this.#retryDelay() : DELAY);
    }
  }

  #retryDelay() {
    return Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), LAST_RETRY);
  }

  async #run() {
    try {
      const changed = this.#take();
      if (changed === 0 && !this.#all && !this.#place.lost) return;
      if (this.#all || this.#isPartial || this.#place.lost || this.#isLong(changed)) {
        if (await this.#snapshot()) return;
      }
      if (!(await this.#append())) await this.#snapshot();
    } catch (error) {
      this.#dirty = true;
      throw refusal("writing the store", error);
    }
  }

  /** Adds what is pending as a log. False where what it would follow is found to be gone. */
  async #append() {
    const bytes = joined(this.#pending, lengthOf(this.#pending));
    if (bytes.length === 0) return true;
    this.#inFlight = this.#pending.length;
    try {
      await this.#place.append(bytes);
      this.#pending.splice(0, this.#inFlight);
      this.#sizes.log += weightOf(bytes.length);
      return true;
    } catch (error) {
      if (this.#place.lost) return false;
      throw error;
    } finally {
      this.#inFlight = 0;
    }
  }

  /** Takes what the store has changed, and returns how much is pending. */
  #take() {
    this.#dirty = false;
    for (;;) {
      const bytes = this.#core.changes(false);
      if (bytes.length === 0) break;
      this.#pending.push(bytes);
    }
    return lengthOf(this.#pending);
  }

  #isLong(more) {
    return this.#sizes.log + weightOf(more) > Math.max(this.#sizes.snapshot, LEAST_LOG);
  }

  /** Writes everything anew. False where there is no memory for that, in which case logs must do. */
  async #snapshot() {
    let bytes;
    try {
      bytes = this.#core.changes(true);
    } catch (error) {
      if (error.code !== "NOMEM" || this.#all || this.#isPartial || this.#place.lost) throw error;
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
    this.#isPartial = false;
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
      await this.#unlock();
    }
  }
}
