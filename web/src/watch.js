// Watches: what has changed of some keys since the last time that the caller asked.
//
// Each call that may change the store ends with core.wrote(). Only while somebody waits, that plans a look at the next
// turn of the event loop, so that all changes until then are found together. A watch that does not wait is registered
// nowhere, so one that is dropped is freed.

import { Known } from "./compare.js";
import { Core } from "./core.js";
import { invalid } from "./error.js";
import * as options from "./options.js";
import { elapsed, pause, weakly } from "./runtime.js";

/** How much longer the watches of a store rest than they have looked. */
const RESTS = 9;
/** The longest delay of a timer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** The waiting calls of a store: the functions that look for them. */
class Waiting {
  #looks = new Set();
  #isPlanned = false;
  /** The time until which they rest. */
  #rested = 0;

  /** The store keeps its calls that wait, and they keep it. Its core must not, or neither would be freed. */
  static #ofStore = new WeakMap();

  static of(store) {
    const there = Waiting.#ofStore.get(store);
    if (there !== undefined) return there;
    const waiting = new Waiting();
    Waiting.#ofStore.set(store, waiting);
    return waiting;
  }

  add(core, look) {
    this.#looks.add(look);
    core.waiting ??= weakly(this);
  }

  remove(core, look) {
    this.#looks.delete(look);
    if (this.#looks.size === 0) core.waiting = null;
  }

  /** Must be called when the store may have changed. */
  wake() {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#look();
  }

  async #look() {
    const rest = this.#rested - elapsed();
    await (rest > 1 ? new Promise((resolve) => setTimeout(resolve, rest)) : pause());
    this.#isPlanned = false;
    const begun = elapsed();
    for (const look of [...this.#looks]) look();
    const ended = elapsed();
    this.#rested = ended + RESTS * (ended - begun);
  }
}

/** Reports changes of some keys of a namespace. */
export class Watch {
  #core;
  /** The reference prevents that the namespace's pointer, and the store, are freed. */
  #namespace;
  #known;
  #signal;
  /** The store's moment when nothing else had changed; null if that is unknown. */
  #moment;
  /** Changes that a loop has still to pass on, the last one first. */
  #left = [];
  /** The call of next() that waits: { resolve, reject, end }; null if there is none. */
  #call = null;
  #timer = null;
  #closed = false;

  /** Only Namespace.watch() calls it. */
  constructor(core, namespace, settings) {
    if (!(core instanceof Core)) throw new TypeError("a Watch comes from watch() of a namespace");
    const { signal, ...watched } = options.watch(settings, core.limits);
    if (signal?.aborted) throw reasonOf(signal);
    this.#core = core;
    this.#namespace = namespace;
    this.#signal = signal;
    this.#known = new Known(core, namespace.name, watched);
    this.#moment = watched.existing || watched.since !== "" ? null : core.moment;
  }

  async next(timeout) {
    const patience = options.milliseconds("timeout", timeout, Infinity);
    this.#check();
    if (this.#left.length === 0) return this.#wait(patience, false);
    const changes = this.#left.reverse();
    this.#left = [];
    return changes;
  }

  #check() {
    if (this.#signal?.aborted) throw reasonOf(this.#signal);
    if (this.#closed) throw invalid("the watch is closed");
  }

  /** Returns changes, or a promise of some. Those for a loop go to #left at once, so that a token knows of them. */
  #wait(patience, isLoop) {
    if (this.#call !== null) throw invalid("another call of next() waits with this watch: one at a time");
    const give = (changes) => (isLoop ? void (this.#left = changes.reverse()) : changes);
    const changes = this.#look();
    if (changes.length > 0 || patience === 0) return give(changes);
    return new Promise((resolve, reject) => {
      this.#call = { resolve: (changes) => resolve(give(changes)), reject, end: elapsed() + patience };
      Waiting.of(this.#namespace.store).add(this.#core, this.#again);
      this.#signal?.addEventListener("abort", this.#abort);
      this.#setTimer();
    });
  }

  /** Returns what has changed. Compares only if something may have. */
  #look() {
    const core = this.#core.open();
    const isCurrent = core.moment === this.#moment && core.engine.death === null;
    if (isCurrent && Date.now() / 1000 < this.#known.nextEnd) return [];
    const changes = this.#known.take();
    this.#moment = this.#known.isComplete ? core.moment : null;
    return changes;
  }

  /** Looks for the call that waits. */
  #again = () => {
    if (this.#call === null) return;
    try {
      const changes = this.#look();
      if (changes.length > 0 || elapsed() >= this.#call.end) this.#end("resolve", changes);
      else this.#setTimer();
    } catch (error) {
      this.#end("reject", error);
    }
  };

  #abort = () => {
    this.#end("reject", reasonOf(this.#signal));
    this.close();
  };

  /** Looks again when the timeout is over, or a key expires. The timer does not keep Node alive. */
  #setTimer() {
    clearTimeout(this.#timer);
    const left = Math.min(this.#call.end - elapsed(), 1000 * this.#known.nextEnd - Date.now());
    if (left === Infinity) return;
    this.#timer = setTimeout(this.#again, Math.min(Math.max(left, 1), LONGEST));
    this.#timer.unref?.();
  }

  #end(how, what) {
    const call = this.#call;
    this.#call = null;
    clearTimeout(this.#timer);
    Waiting.of(this.#namespace.store).remove(this.#core, this.#again);
    this.#signal?.removeEventListener("abort", this.#abort);
    call[how](what);
  }

  [Symbol.asyncIterator]() {
    // Unlike a generator, it can be ended while it waits.
    const next = async () => {
      while (this.#left.length === 0 || this.#closed || this.#signal?.aborted) {
        if (this.#closed && !this.#signal?.aborted) return { done: true, value: undefined };
        this.#check();
        await this.#wait(Infinity, true);
      }
      return { done: false, value: this.#left.pop() };
    };
    const end = async (value) => {
      this.close();
      return { done: true, value };
    };
    return { next, return: end, [Symbol.asyncIterator]: returnThis };
  }

  stream() {
    const changes = this[Symbol.asyncIterator]();
    const pull = async (controller) => {
      const { done, value } = await changes.next();
      if (done) controller.close();
      else controller.enqueue(value);
    };
    // Without a queue of its own, so that a slow reader gets the latest state of each key.
    return new ReadableStream({ pull, cancel: () => this.close() }, { highWaterMark: 0 });
  }

  token() {
    this.#check();
    return this.#known.token(this.#left.length);
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#known = null;
    this.#left = [];
    if (this.#call !== null) this.#end("resolve", []);
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.close();
  }
}

/** Some browsers have signals without a reason. */
const reasonOf = ({ reason }) => reason ?? new DOMException("The watch was aborted", "AbortError");

function returnThis() {
  return this;
}
