import { setImmediate as turn } from "node:timers/promises";
import { Handle, closeWith } from "./handle.js";
import { invalid } from "./input.js";
import { native } from "./library.js";
import * as options from "./options.js";
import * as read from "./read.js";

/** How often a watch looks for changes where the system has no descriptor that reports them, in milliseconds. */
const LOOK = 100;

/** How much longer a watch rests than it has looked, if it found nothing. */
const RESTS = 4;

/** For the token: all changes that the library has returned last. */
const ALL = -1;

/** The maximum time of a timer, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The wait of a watch. It references the watch only as long as that waits, so that the collector can free it. */
class Wait {
  #handle;
  #isRef = false;
  #timer = null;
  #resolve = null;

  constructor(parent, { flags, keys, prefix, since }, onClose) {
    this.#handle = new Handle(native.watch_open(parent.number, flags, keys, prefix, since), parent, (number) => {
      this.#end();
      onClose(number);
    });
  }

  get handle() {
    return this.#handle;
  }

  /** Waits until there may be a change, until the handle is closed, or until a time in milliseconds is over. */
  async forChange(time) {
    const isPolled = native.watch_wait(this.#handle.number, () => this.#end());
    await this.forTime(isPolled ? time : Math.min(time, LOOK));
    if (!this.#handle.closed) native.watch_wait(this.#handle.number, null);
  }

  forTime(time) {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      if (time === Infinity) return;
      this.#timer = setTimeout(() => this.#end(), Math.min(time, LONGEST_TIMER));
      if (!this.#isRef) this.#timer.unref();
    });
  }

  #end() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#resolve?.();
    this.#resolve = null;
  }

  set isRef(isRef) {
    this.#isRef = isRef;
    if (isRef) this.#timer?.ref();
    else this.#timer?.unref();
    if (!this.#handle.closed) native.watch_ref(this.#handle.number, isRef);
  }
}

/** Reports what changes in a namespace. */
export class Watch {
  #namespace; // keeps the store from being collected, and so closed, before this
  #wait;
  #handle;
  #type;
  #isWaiting = false;
  /** What the library has returned last, and how many of these changes were passed on. */
  #changes = [];
  #taken = 0;
  /** Why it was closed, unless the store was. */
  #end = null;
  /** The token when the store was closed. */
  #lastToken = null;

  /** Only Namespace.watch() calls it, with the namespace's handle and the options. */
  constructor(namespace, parent, settings) {
    if (!(parent instanceof Handle)) throw new TypeError("a Watch comes from watch() of a namespace");
    const { type, signal } = settings;
    if (signal?.aborted) throw signal.reason;
    const self = new WeakRef(this); // a signal may live much longer
    const abort = () => self.deref()?.#close({ isAbort: true, error: signal.reason });
    this.#namespace = namespace;
    this.#wait = new Wait(parent, settings, (number) => {
      signal?.removeEventListener("abort", abort);
      self.deref()?.#keepToken(number);
    });
    this.#handle = closeWith(this, this.#wait.handle);
    this.#type = type;
    signal?.addEventListener("abort", abort);
  }

  get closed() {
    return this.#handle.closed;
  }

  poll() {
    this.#checkNotWaiting();
    this.#look();
    return this.#takeAll();
  }

  async next(timeout) {
    return this.#waitUntil(performance.now() + options.timeout(timeout), () => this.#takeAll());
  }

  token() {
    if (this.#end) throw this.#end.error;
    return this.#lastToken ?? this.#tokenOf(this.#handle.number);
  }

  #tokenOf(number) {
    return native.watch_token(number, this.#hasMore ? this.#taken : ALL);
  }

  /** For a program that saves the token when its loop has ended with the store. */
  #keepToken(number) {
    if (this.#end) return;
    try {
      this.#lastToken = this.#tokenOf(number);
    } catch {
      // There is no memory for it.
    }
  }

  /** The number of its handle. If it is closed, throws why. */
  get #number() {
    if (this.#end) throw this.#end.error;
    return this.#handle.number;
  }

  #checkNotWaiting() {
    if (this.#isWaiting) throw invalid("another next() waits with this watch; each needs its own");
  }

  get #hasMore() {
    return this.#taken < this.#changes.length;
  }

  #takeAll() {
    const all = this.#taken === 0 ? this.#changes : this.#changes.slice(this.#taken);
    this.#changes = [];
    this.#taken = 0;
    return all;
  }

  /** Asks the library for the changes by now, if all that it returned last were taken. */
  #look() {
    const number = this.#number;
    if (this.#hasMore) return;
    const page = native.watch_next(number, this.#type ? read.AS_BYTES : read.AS_NOTHING);
    this.#changes = page === null ? [] : read.changes(page, this.#type);
    this.#taken = 0;
  }

  /** Waits until there are changes, or until its end, and takes them before any other call can. */
  async #waitUntil(end, take) {
    this.#checkNotWaiting();
    if (this.#end) throw this.#end.error;
    this.#isWaiting = true;
    try {
      // Otherwise a loop that writes what it watches, or a writer without a pause, would stop the event loop.
      await turn();
      await this.#lookUntil(end);
      return take();
    } finally {
      this.#isWaiting = false;
    }
  }

  /** After close(), finds none. */
  async #lookUntil(end) {
    while (this.#end?.isAbort !== false) {
      const begun = performance.now();
      this.#look();
      const ended = performance.now();
      if (this.#hasMore || ended >= end) return;
      await this.#wait.forChange(end - ended);
      // Writes to other keys, without a pause, would otherwise keep the event loop looking all the time.
      const rest = Math.min(ended + Math.max(1, RESTS * (ended - begun)), end) - performance.now();
      if (rest > 0 && !this.closed) await this.#wait.forTime(rest);
    }
  }

  async *#each() {
    try {
      for (;;) {
        this.#checkNotWaiting();
        this.#number; // throws if it is closed
        if (this.#hasMore) yield this.#changes[this.#taken++];
        else await this.#waitUntil(Infinity, () => {});
      }
    } catch (error) {
      if (!this.#end || this.#end.isAbort) throw error;
    }
  }

  [Symbol.asyncIterator]() {
    const changes = this.#each();
    return {
      next: () => changes.next(),
      return: () => {
        this.close(); // which ends a next() that waits
        return changes.return();
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  stream() {
    const changes = this[Symbol.asyncIterator]();
    const pull = async (controller) => {
      const { done, value } = await changes.next();
      if (done) controller.close();
      else controller.enqueue(value);
    };
    // It has no queue, so that a slow reader gets the latest state of each key.
    return new ReadableStream({ pull, cancel: () => this.close() }, { highWaterMark: 0 });
  }

  ref() {
    this.#wait.isRef = true;
    return this;
  }

  unref() {
    this.#wait.isRef = false;
    return this;
  }

  close() {
    this.#close({ isAbort: false, error: invalid("the watch is closed") });
  }

  #close(end) {
    this.#end ??= end;
    this.#handle.close();
  }

  [Symbol.dispose]() {
    this.close();
  }
}
