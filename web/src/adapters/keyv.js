// A store for keyv 5 and 6.

import { LAST, Target, adapterOptions, inSteps } from "./target.js";

/**
 * What `put` is told of a lifetime in milliseconds. Entries live for whole seconds, so the store's lifetime is rounded up,
 * and the metadata has the exact end, which reads compare with the clock.
 */
function lifetime(ttl) {
  const expires = Date.now() + ttl;
  if (expires > LAST) return undefined;
  return { expirationTtl: Math.max(1, Math.ceil(ttl / 1000)), metadata: { expires } };
}

/** Whether keyv means a lifetime. It has 0 for none, and NaN and Infinity do not end either. */
const hasEnd = (ttl) => Number.isFinite(ttl) && ttl !== 0;

const isLive = (entry) => entry !== null && entry.value !== null && !(entry.metadata?.expires <= Date.now());

/** Writes an entry to a namespace, or adds that to a batch. An entry whose lifetime is over removes the key. */
function write(to, { key, value, ttl }) {
  if (typeof value !== "string") {
    throw new TypeError(`the value must be a string, not a ${typeof value}: leave keyv's serialization switched on`);
  }
  if (hasEnd(ttl) && ttl < 0) return to.delete(key);
  return to.put(key, value, hasEnd(ttl) ? lifetime(ttl) : undefined);
}

/**
 * Keyv makes the keys, with its namespace before them, so `namespace` is not among the properties here: keyv 5 sets it,
 * for clear(), and keyv 6 would leave the prefix to a store that has it.
 */
export class KeyvLuatKV {
  /** Keyv 5 iterates only over stores whose dialect it knows. */
  opts = { dialect: "sqlite", url: "" };
  #target;
  #listeners = [];

  constructor(options) {
    this.#target = new Target(adapterOptions(options, []), "keyv");
  }

  /** Keyv listens to "error". */
  on(event, listener) {
    if (event === "error") this.#listeners.push(listener);
    return this;
  }

  async get(key) {
    try {
      const entry = await (await this.#target.open()).getWithMetadata(key);
      return isLive(entry) ? entry.value : undefined;
    } catch (error) {
      for (const listener of this.#listeners) listener(error); // keyv 5 drops what this method throws
      throw error;
    }
  }

  async #entries(keys) {
    const kv = await this.#target.open();
    return inSteps(keys, (some) => kv.getWithMetadata(some));
  }

  async getMany(keys) {
    return (await this.#entries(keys)).map((entry) => (isLive(entry) ? entry.value : undefined));
  }

  async has(key) {
    return isLive(await (await this.#target.open()).getWithMetadata(key));
  }

  async hasMany(keys) {
    return (await this.#entries(keys)).map(isLive);
  }

  async set(key, value, ttl) {
    await write(await this.#target.open(), { key, value, ttl });
    return true;
  }

  /** Stores all entries, or none if it fails. */
  async setMany(entries) {
    const batch = (await this.#target.open()).atomic();
    for (const entry of entries) write(batch, entry);
    batch.commit();
    return entries.map(() => true);
  }

  async delete(key) {
    return (await this.#target.open()).delete(key);
  }

  /** Removes all keys, or none if it fails. Returns whether every one was there. */
  async deleteMany(keys) {
    const found = await this.hasMany(keys);
    const batch = (await this.#target.open()).atomic(); // deleteBulk() has a limit in the package for browsers
    for (const key of keys) batch.delete(key);
    batch.commit();
    return found.every(Boolean);
  }

  async clear() {
    const kv = await this.#target.open();
    if (this.namespace) await kv.deletePrefix(`${this.namespace}:`);
    else await kv.clear();
  }

  async *iterator(namespace) {
    const kv = await this.#target.open();
    for await (const entry of kv.each({ prefix: namespace ? `${namespace}:` : "", values: true })) {
      if (isLive(entry)) yield [entry.name, entry.value];
    }
  }

  async disconnect() {
    await this.#target.close();
  }
}

export default KeyvLuatKV;
