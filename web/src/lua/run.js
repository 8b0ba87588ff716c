// A running script: its time limit, and what stops it.

import { elapsed } from "../runtime.js";

/** Results of the module. src/wasm/lua.c has the same numbers. */
export const DONE = 0;
export const PAUSING = 1;
export const RAISED = 2;
export const STOPPED = 3;
export const NO_MEMORY = 4;

/** Answers to the module's question whether the script goes on. src/wasm/machine.h has the same numbers. */
const GO_ON = 0;
const PAUSE = 1;
const TIMEOUT = 2;
const SIGNAL = 3;

/** How long a script runs before it yields to the page, in milliseconds. */
const SLICE = 10;

export class Run {
  answer = DONE;
  /** "timeout" or "signal" if the script is being stopped; otherwise null. */
  reason = null;
  /** An exception of print(), as { error }; otherwise null. */
  failure = null;
  /** Whether the script is running in the module at this moment. */
  inside = false;
  timeout;
  #deadline;
  #signal;
  #slices;
  #sliceEnd = 0;
  #closing = false;
  #core;

  /** `core` is the store's. print() may close the store, which stops the script: its later writes would be lost. */
  constructor({ timeout, signal = null, slices = false, core = null }) {
    this.#core = core;
    this.timeout = timeout;
    this.#deadline = timeout === undefined ? Infinity : elapsed() + timeout;
    this.#signal = signal;
    this.#slices = slices;
  }

  /** A run for the finalizers at the end. */
  static closing(timeout) {
    return new Run({ timeout });
  }

  beginSlice() {
    this.#sliceEnd = elapsed() + SLICE;
  }

  close() {
    this.#closing = true;
  }

  /** The reason that the signal was aborted with. */
  cause() {
    return this.reason === "signal" ? this.#signal?.reason : undefined;
  }

  /** The module calls it at regular numbers of instructions. */
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
