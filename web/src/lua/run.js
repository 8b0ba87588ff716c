// A script under way: how long it may go on, and who stops it.

import { elapsed } from "../runtime.js";

/** What the module returns; src/wasm/lua.c has the same. */
export const DONE = 0;
export const PAUSING = 1;
export const RAISED = 2;
export const STOPPED = 3;
export const NO_MEMORY = 4;

/** What it is answered when it asks whether the script goes on; src/wasm/machine.h has the same. */
const GO_ON = 0;
const PAUSE = 1;
const TIMEOUT = 2;
const SIGNAL = 3;

/** For how long a script runs before the page has its turn, in milliseconds. */
const SLICE = 10;

export class Run {
  answer = DONE;
  /** "timeout" or "signal", once it is being stopped. */
  reason = null;
  /** What print() threw, as { error }. */
  failure = null;
  /** Whether the module is running it at this moment. */
  inside = false;
  timeout;
  #deadline;
  #signal;
  #slices;
  #sliceEnd = 0;
  #closing = false;
  #core;

  /** `core` is that of the store, which print() may close: what the script wrote after that would be kept nowhere. */
  constructor({ timeout, signal = null, slices = false, core = null }) {
    this.#core = core;
    this.timeout = timeout;
    this.#deadline = timeout === undefined ? Infinity : elapsed() + timeout;
    this.#signal = signal;
    this.#slices = slices;
  }

  /** For what is left to be run at the end. */
  static closing(timeout) {
    return new Run({ timeout });
  }

  beginSlice() {
    this.#sliceEnd = elapsed() + SLICE;
  }

  close() {
    this.#closing = true;
  }

  /** What the signal was aborted with. */
  cause() {
    return this.reason === "signal" ? this.#signal?.reason : undefined;
  }

  /** The module asks, every so many instructions. */
  proceed() {
    if (this.failure !== null || this.#closing || this.#core?.closed || this.#signal?.aborted) {
      this.reason = "signal";
      return SIGNAL;
    }
    const now = elapsed();
    if (now >= this.#deadline) {
      this.reason = "timeout";
      return TIMEOUT;
    }
    return this.#slices && now >= this.#sliceEnd ? PAUSE : GO_ON;
  }
}
