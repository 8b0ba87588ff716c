import { constants } from "./declarations.js";
import { native, text } from "./library.js";
import { ERROR, Input, NUMBER, checked, invalid, key, outNumber, value } from "./memory.js";
import { Namespace, setPut } from "./namespace.js";
import * as options from "./options.js";

const version = new Input(64);

/** Changes that are collected, and then applied all together or not at all. */
export class Atomic {
  #store;
  #handle;
  #namespace;

  /** Only Store.atomic() calls it. */
  constructor(store, handle) {
    if (handle === undefined) throw new TypeError("an Atomic comes from atomic() of a store or a namespace");
    this.#store = store; // keeps the store from being collected, and so closed, before this
    this.#handle = handle;
  }

  /** The pointers of the batch and the namespace. */
  #pointers() {
    const batch = this.#pointer();
    if (!this.#namespace) throw invalid("this batch has no namespace yet: call namespace() first");
    return [batch, Namespace.handleOf(this.#namespace).pointer];
  }

  #pointer() {
    // A committed batch is freed at once. Its store may still be open.
    if (this.#handle === null) throw invalid("this batch was committed");
    return this.#handle.pointer;
  }

  namespace(given) {
    this.#pointer();
    this.#namespace = given instanceof Namespace ? given : this.#store.namespace(given);
    return this;
  }

  check(given, expected) {
    if (expected !== null && typeof expected !== "string") {
      throw new TypeError("version must be a string, or null where the key must be missing");
    }
    const [batch, ns] = this.#pointers();
    if (expected === "") throw invalid("version is empty: where the key must be missing, it is null");
    version.set("version", expected ?? "");
    key.set("the key", given);
    const bytes = expected === null ? null : version.pointer;
    checked(native.batch_check(batch, ns, key.pointer, key.length, bytes, version.length, ERROR));
    return this;
  }

  put(given, what, settings) {
    const struct = setPut(given, what, settings);
    const [batch, ns] = this.#pointers();
    const status = native.batch_put(batch, ns, key.pointer, key.length, value.pointer, value.length, struct, ERROR);
    value.forget();
    checked(status);
    return this;
  }

  delete(given) {
    const [batch, ns] = this.#pointers();
    key.set("the key", given);
    checked(native.batch_delete(batch, ns, key.pointer, key.length, ERROR));
    return this;
  }

  incr(given, by = 1, settings) {
    const amount = options.int64("by", by);
    const struct = options.incrOptions(settings);
    const [batch, ns] = this.#pointers();
    key.set("the key", given);
    checked(native.batch_incr(batch, ns, key.pointer, key.length, amount, struct, ERROR));
    return this;
  }

  commit() {
    const batch = this.#pointer();
    const status = checked(native.batch_commit(batch, ERROR));
    const answer =
      status === constants.OK
        ? { ok: true, version: text(native.batch_version(batch, NUMBER), outNumber()) }
        : { ok: false };
    this.#handle.close();
    this.#handle = null;
    return answer;
  }
}
