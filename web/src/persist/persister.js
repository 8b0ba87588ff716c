// Decides when the changes of a persisted store are written. There is one flush at a time.

import { joined } from "../values.js";
import { isOvertaken, refusal } from "./refusal.js";

/** The delay between a write and its flush, in milliseconds, so that several writes share a flush. */
const DELAY = 50;
/** The first and the maximum delay before a retry after a failure, in milliseconds. */
const [FIRST_RETRY, LAST_RETRY] = [1000, 30_000];
/** The minimum size of all logs, in bytes, before a snapshot replaces them. */
const LEAST_LOG = 256 * 1024;
/** The weight of a log in bytes. It has a minimum, since many small logs take long to open. */
export const weightOf = (length) => Math.max(length, 8 * 1024);

export async function tell(onError, error) {
  try {
    await onError(error);
  } catch (other) {
    console.error(other);
  }
}

const lengthOf = (chunks) => chunks.reduce((sum, { length }) => sum + length, 0);

/** Writes a store's changes to its place. */
export class Persister {
  #core;
  #place;
  #unlock;
  #onError;
  #sizes;
  /** Changes that were taken from the store and are not yet written. */
  #pending = [];
  /** The number of pending changes that are being written. */
  #inFlight = 0;
  #dirty = false;
  /** Whether the next flush must write everything. */
  #all = false;
  /** Whether the place has damaged segments. They are kept until the store changes: then it writes everything. */
  #isPartial;
  /** The error after which no write can succeed; null before. */
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
    /** The error for segments that could not be read when the store was opened; null if there were none. */
    this.damage = damage;
    this.#isPartial = isPartial;
    this.#hide = ({ type }) => {
      if (type !== "visibilitychange" || globalThis.document.visibilityState === "hidden") this.#leave();
    };
    this.#listen("addEventListener");
  }

  #listen(method) {
    globalThis.document?.[method]?.("visibilitychange", this.#hide);
    // A page may have time to write at "beforeunload", but no longer at "pagehide".
    for (const type of ["beforeunload", "pagehide"]) globalThis[method]?.(type, this.#hide);
  }

  /** Must be called after each write. */
  wrote() {
    this.#dirty = true;
    if (this.#timer === null && this.#running === null && this.#over === null) this.#wait(DELAY);
  }

  /** Must be called when changes were taken for something else: this object does not know which. */
  taken() {
    if (this.#dirty) this.#all = true;
  }

  /** Must be called when taken changes were lost for lack of memory. (With `all`, pending still has them.) */
  missed(all) {
    if (!all) this.#all = true;
  }

  /** Must be called when the store has moved to another engine, which does not track changes yet. */
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
    this.flush().catch(() => {}); // onError got the error
  }

  /** Writes what it can in a page that may be closing. Requests that start after a wait may not be carried out. */
  #leave() {
    if (!this.#dirty) return;
    if (this.#running !== null) this.#extend();
    this.#background();
  }

  /**
   * Writes the current segment again, with the changes since, if the place supports it. If the page stays open,
   * the next flush writes these changes once more. That is harmless, since a change can be applied twice.
   */
  #extend() {
    if (this.#place.extend === undefined) return;
    try {
      this.#take();
      const more = this.#pending.slice(this.#inFlight);
      if (more.length > 0) this.#place.extend(joined(more, lengthOf(more))).catch(() => {}); // the next flush reports
    } catch {
      this.#dirty = true; // the next flush takes them
    }
  }

  /** Resolves when all writes until now are on disk. */
  async flush() {
    // A flush in progress may have begun before the last write.
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

  /** Writes the pending changes as a log. Returns false if the earlier segments have been deleted. */
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

  /** Takes the store's changes, and returns the number of pending bytes. */
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

  /** Writes a snapshot. Returns false if there is no memory for it; then a log must be written. */
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
      this.#all = true; // the pending changes were part of the snapshot
      throw error;
    }
    this.#isPartial = false;
    this.#sizes = { snapshot: bytes.length, log: 0 };
    return true;
  }

  /** Flushes, closes the place, and unlocks the name. */
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
