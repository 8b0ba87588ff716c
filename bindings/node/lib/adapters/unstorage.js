// A driver for unstorage.

import { LAST, Target, adapterOptions, inSteps } from "./target.js";

/** How long a watch waits after an error until it looks again, in milliseconds. */
const PAUSE = 1000;

/** A key as unstorage writes it: parts with colons between them. */
const normalized = (key = "") => key.replace(/[:/\\]+/g, ":").replace(/^:|:$/g, "");

const depthOf = (key) => key.split(":").length - 1;

/** The options of `put` for a lifetime in seconds. Unstorage's drivers take 0 for none. */
const lifetime = (ttl) => (ttl && Date.now() + ttl * 1000 <= LAST ? { expirationTtl: Math.ceil(ttl) } : undefined);

/**
 * Passes the changes of a watch on, until it or the store is closed. No change is lost by another error, which the next
 * call of the storage has too, so that one does not end the program. What a listener throws is nobody's to catch.
 */
async function report(watch, change) {
  for (;;) {
    let changes;
    try {
      changes = await watch.next();
    } catch (error) {
      if (error.code === "INVALID") return; // closed
      // The timer of Node must not keep the program alive; that of a browser is a number.
      await new Promise((resolve) => setTimeout(resolve, PAUSE).unref?.());
      continue;
    }
    for (const one of changes) change(one);
  }
}

/** The methods that read. */
const reading = (open, full) => ({
  async hasItem(key) {
    return (await open()).has(full(key));
  },
  async getItem(key) {
    return (await open()).get(full(key));
  },
  async getItems(items) {
    const kv = await open();
    const values = await inSteps(items.map(({ key }) => full(key)), (some) => kv.get(some));
    return items.map(({ key }, index) => ({ key, value: values[index] }));
  },
  async getItemRaw(key) {
    const value = await (await open()).get(full(key), "arrayBuffer");
    return value === null ? null : new Uint8Array(value);
  },
  async getMeta(key) {
    const { value, expiration } = await (await open()).getWithMetadata(full(key), "arrayBuffer");
    if (value === null) return null;
    const size = value.byteLength;
    return expiration === null ? { size } : { size, ttl: Math.max(0, Math.floor(expiration - Date.now() / 1000)) };
  },
});

/** The methods that write. */
const writing = (open, full, ttl) => ({
  async setItem(key, value, options) {
    await (await open()).put(full(key), value, lifetime(options?.ttl ?? ttl));
  },
  async setItems(items, common) {
    const batch = (await open()).atomic();
    for (const { key, value, options } of items) {
      batch.put(full(key), value, lifetime(options?.ttl ?? common?.ttl ?? ttl));
    }
    batch.commit();
  },
  async setItemRaw(key, value, options) {
    await (await open()).put(full(key), value, lifetime(options?.ttl ?? ttl));
  },
  async removeItem(key) {
    await (await open()).delete(full(key));
  },
});

/** The methods for all keys of a base: `prefix` is before the driver's keys, `full(base)` before those of a base. */
const ranging = (open, full, prefix) => ({
  async getKeys(base, { maxDepth = Infinity } = {}) {
    const keys = [];
    for await (const { name } of (await open()).each({ prefix: full(base) })) keys.push(name.slice(prefix.length));
    return keys.filter((key) => depthOf(key) <= maxDepth);
  },
  async clear(base) {
    const kv = await open();
    const range = full(base);
    if (range === "") await kv.clear();
    else await kv.deletePrefix(range);
  },
});

export default function luatKVDriver(given) {
  const options = adapterOptions(given, ["base", "ttl", "driver"]); // Nitro leaves `driver`, which names this file
  const target = new Target(options, "unstorage");
  const open = () => target.open();
  const rangeOf = (base) => (base === "" ? "" : `${base}:`);
  const prefix = rangeOf(normalized(options.base));
  const watches = new Set();
  return {
    name: "luat-kv",
    options,
    flags: { maxDepth: true, ttl: true },
    getInstance: open,
    ...reading(open, (key) => prefix + key),
    ...writing(open, (key) => prefix + key, options.ttl),
    ...ranging(open, (base) => prefix + rangeOf(normalized(base)), prefix),
    async watch(callback) {
      const watch = (await open()).watch(prefix === "" ? {} : { prefix });
      watches.add(watch);
      report(watch, ({ type, name }) => callback(type === "put" ? "update" : "remove", name.slice(prefix.length)));
      return () => {
        watches.delete(watch);
        watch.close();
      };
    },
    async dispose() {
      for (const watch of watches) watch.close();
      watches.clear();
      await target.close();
    },
  };
}
