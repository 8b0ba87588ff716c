// Where an adapter keeps its entries: a namespace that it was given, or one of a store that it opens by itself.

import { openStore } from "./open.js";

const isNamespace = (given) => typeof given?.getWithMetadata === "function";

/** Returns an adapter's options: an object of known names, or a namespace alone. */
export function adapterOptions(given, known) {
  if (isNamespace(given)) return { namespace: given };
  if (given === undefined || given === null) return {};
  if (typeof given !== "object") throw new TypeError(`an adapter takes a namespace or options, not a ${typeof given}`);
  const names = ["namespace", "store", ...known];
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw new TypeError(`unknown option ${name}: the options are ${names.join(", ")}`);
  }
  return given;
}

export class Target {
  #name;
  #source;
  /** A promise of the open namespace; null before it is used, and after close(). */
  #opening = null;

  constructor({ namespace, store }, defaultName) {
    if (isNamespace(namespace)) {
      if (store !== undefined) throw new TypeError("the option store has no effect beside an open namespace: omit it");
      this.#opening = Promise.resolve(namespace);
      return;
    }
    this.#name = namespace ?? defaultName;
    if (typeof this.#name !== "string") throw new TypeError("the option namespace is a namespace of a store, or a name");
    this.#source = { store };
  }

  /** The namespace. The store is opened at the first use, and again after an error or close(). */
  open() {
    if (this.#opening === null) {
      const opening = this.#open();
      this.#opening = opening;
      // Set only here: Store.open() of the package for Node fails before there is a promise.
      opening.catch(() => {
        if (this.#opening === opening) this.#opening = null;
      });
    }
    return this.#opening;
  }

  async #open() {
    const store = await openStore(this.#source.store);
    try {
      return store.namespace(this.#name);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Closes the store if this has opened it: a namespace that was given belongs to the caller. */
  async close() {
    if (this.#source === undefined || this.#opening === null) return;
    const opening = this.#opening;
    this.#opening = null;
    const namespace = await opening.catch(() => null); // the call that opened it has the error
    await namespace?.store.close();
  }
}

/** The last millisecond of the year 9999: an entry that would live longer has no end. */
export const LAST = 253_402_300_799_000;

/** How many keys are read at once: as many as the limits of Workers KV allow. */
const AT_ONCE = 100;

/** Reads many keys in steps: `read` returns the Map of some. Returns the results in the order of the keys. */
export async function inSteps(keys, read) {
  const results = [];
  for (let start = 0; start < keys.length; start += AT_ONCE) {
    const some = keys.slice(start, start + AT_ONCE);
    const found = await read(some);
    results.push(...some.map((key) => found.get(key) ?? null));
  }
  return results;
}
