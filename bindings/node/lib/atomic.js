import { Handle, closeWith } from "./handle.js";
import { input, invalid } from "./input.js";
import { native } from "./library.js";
import { Namespace, storable } from "./namespace.js";
import * as options from "./options.js";

/** Changes that are collected, and then applied all together or not at all. */
export class Atomic {
  #store;
  #handle;
  #namespace;

  /** Only Store.atomic() calls it. */
  constructor(store, handle) {
    if (!(handle instanceof Handle)) throw new TypeError("an Atomic comes from atomic() of a store or a namespace");
    this.#store = store; // keeps the store from being collected, and so closed, before this
    this.#handle = closeWith(this, handle);
  }

  /** The handles of the batch and the namespace. */
  #handles() {
    const batch = this.#number();
    if (!this.#namespace) throw invalid("this batch has no namespace yet: call namespace() first");
    return [batch, Namespace.handleOf(this.#namespace).number];
  }

  #number() {
    // A committed batch is freed at once. Its store may still be open.
    if (this.#handle === null) throw invalid("this batch was committed");
    return this.#handle.number;
  }

  namespace(given) {
    this.#number();
    this.#namespace = given instanceof Namespace ? given : this.#store.namespace(given);
    return this;
  }

  check(given, expected) {
    if (expected !== null && typeof expected !== "string") {
      throw new TypeError("version must be a string, or null where the key must be missing");
    }
    const [batch, ns] = this.#handles();
    if (expected === "") throw invalid("version is empty: where the key must be missing, it is null");
    native.batch_check(batch, ns, input("the key", given), expected);
    return this;
  }

  put(given, what, settings) {
    const value = storable(what);
    const { at, ttl, metadata } = options.putOptions(settings);
    const key = input("the key", given);
    const [batch, ns] = this.#handles();
    native.batch_put(batch, ns, key, value, at, ttl, metadata);
    return this;
  }

  delete(given) {
    const [batch, ns] = this.#handles();
    native.batch_delete(batch, ns, input("the key", given));
    return this;
  }

  incr(given, by = 1, settings) {
    const amount = options.int64("by", by);
    const { initial, at, ttl } = options.incrOptions(settings);
    const [batch, ns] = this.#handles();
    native.batch_incr(batch, ns, input("the key", given), amount, initial, at, ttl);
    return this;
  }

  commit() {
    const version = native.batch_commit(this.#number());
    this.#handle.close();
    this.#handle = null;
    return version === null ? { ok: false } : { ok: true, version };
  }
}
