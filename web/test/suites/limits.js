// Limits, and exhausted memory.

import { bytes, equal, fails, ok, sleep, streamOf } from "./check.js";

const MIB = 1024 * 1024;

/** An endless stream, which counts the bytes that were read, and records whether it was cancelled. */
function endless(chunk) {
  const seen = { read: 0, cancelled: false };
  seen.stream = new ReadableStream({
    pull(controller) {
      seen.read += chunk;
      controller.enqueue(new Uint8Array(chunk));
    },
    cancel() {
      seen.cancelled = true;
    },
  });
  return seen;
}

export default {
  async "Cloudflare's limits"({ Store }) {
    const kv = (await Store.open({ limits: "cloudflare" })).namespace("test");
    await fails(() => kv.put(".", "1"), "TypeError", '"." is not allowed as a key name.');
    await fails(() => kv.get(".."), "TypeError", '".." is not allowed as a key name.');
    await kv.put("k".repeat(512), "1");
    const long = (method, length = 513) =>
      `KV ${method} failed: 414 UTF-8 encoded length of ${length} exceeds key length limit of 512.`;
    const key = "k".repeat(513);
    await fails(() => kv.put("ü".repeat(257), "1"), "LIMIT", long("PUT", 514));
    for (const method of ["get", "getWithMetadata", "has", "take"]) await fails(() => kv[method](key), "LIMIT", long("GET"));
    await fails(() => kv.get([key]), "LIMIT", long("GET_BULK"));
    await fails(() => kv.delete(key), "LIMIT", long("DELETE"));
    await fails(() => kv.touch(key), "LIMIT", long("PUT"));
    await fails(() => kv.list({ prefix: key }), "LIMIT", long("GET"));
    await kv.put("a", new Uint8Array(25 * MIB));
    const large = (length) => `KV PUT failed: 413 Value length of ${length} exceeds limit of 26214400.`;
    await fails(() => kv.put("a", new Uint8Array(25 * MIB + 1)), "LIMIT", large(26_214_401));
    await fails(() => kv.put("a", "ü".repeat(13 * MIB)), "LIMIT", large(27_262_976));
    await kv.put("a", "1", { metadata: "m".repeat(1022) });
    const words = "KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024.";
    await fails(() => kv.put("a", "1", { metadata: "m".repeat(1023) }), "LIMIT", words);
    await kv.list({ limit: 1000 });
    const page = "KV GET failed: 400 Invalid key_count_limit of 1001. Please specify an integer less than 1000.";
    await fails(() => kv.list({ limit: 1001 }), "LIMIT", page);
    const stream = endless(MIB);
    await fails(() => kv.put("a", stream.stream), "LIMIT", "26214400");
    ok(stream.cancelled && stream.read <= 28 * MIB, `${stream.read} bytes were read`);
    await kv.store.close();
  },

  async "Cloudflare's limits of lifetimes, in Workers' words"({ Store }) {
    const kv = (await Store.open({ limits: "cloudflare" })).namespace("test");
    const now = Math.floor(Date.now() / 1000);
    const begin = (name, value) => `KV PUT failed: 400 Invalid ${name} of ${value}. `;
    for (const [expirationTtl, read] of [[0, 0], [-1, -1], [NaN, 0], [null, 0], ["nan", 0], [{}, 0]]) {
      const words = `${begin("expiration_ttl", read)}Please specify integer greater than 0.`;
      await fails(() => kv.put("a", "1", { expirationTtl }), "INVALID", words);
    }
    for (const [expirationTtl, read] of [[59, 59], [59.9, 59], ["30", 30], [true, 1]]) {
      const words = `${begin("expiration_ttl", read)}Expiration TTL must be at least 60.`;
      await fails(() => kv.put("a", "1", { expirationTtl }), "LIMIT", words);
    }
    for (const [expiration, read] of [[0, 0], [null, 0], ["nan", 0], [now - 1, now - 1]]) {
      const words = "Please specify integer greater than the current number of seconds since the UNIX epoch.";
      await fails(() => kv.put("a", "1", { expiration }), "INVALID", begin("expiration", read) + words);
    }
    const words = `${begin("expiration", now + 30)}Expiration times must be at least 60 seconds in the future.`;
    await fails(() => kv.put("a", "1", { expiration: now + 30.5 }), "LIMIT", words);
    for (const value of [2 ** 31, -(2 ** 31) - 1, 1e300, Date.now()]) {
      const range = "Value out of range. Must be between -2147483648 and 2147483647 (inclusive).";
      await fails(() => kv.put("a", "1", { expirationTtl: value }), "TypeError", range);
      await fails(() => kv.put("a", "1", { expiration: value }), "TypeError", range);
      await fails(() => kv.get("a", { cacheTtl: value }), "TypeError", range);
      if (value > 0) await fails(() => kv.list({ limit: value }), "TypeError", range);
    }
    equal(await kv.has("a"), false);
    await kv.put("a", "1", { expirationTtl: 60 });
    await kv.put("a", "1", { expirationTtl: 60, expiration: -1 });
    await kv.put("a", "1", { expiration: now + 100 });
    await kv.put("a", "1", { expiration: 2 ** 31 - 1 });
  },

  async "Cloudflare's limits of reads, in Workers' words"({ Store }) {
    const kv = (await Store.open({ limits: "cloudflare" })).namespace("test");
    await kv.put("a", "1");
    for (const [cacheTtl, read] of [[29, 29], [0, 0], ["x", 0], [null, 0], [-1, -1]]) {
      const words = (method) => `KV ${method} failed: 400 Invalid cache_ttl of ${read}. Cache TTL must be at least 30.`;
      for (const method of ["get", "getWithMetadata"]) {
        await fails(() => kv[method]("a", { cacheTtl }), "LIMIT", words("GET"));
        await fails(() => kv[method](["a"], { cacheTtl }), "LIMIT", words("GET_BULK"));
      }
    }
    equal([await kv.get("a", { cacheTtl: 30 }), await kv.get("a", { cacheTtl: "60" })], ["1", "1"]);
    for (const method of ["get", "getWithMetadata"]) {
      const few = "KV GET_BULK failed: 400 You must request a minimum of 1 key";
      await fails(() => kv[method]([]), "INVALID", few);
      const keys = Array.from({ length: 101 }, (_, index) => `k${index}`);
      equal((await kv[method](keys.slice(1))).size, 100);
      await fails(() => kv[method](keys), "LIMIT", "KV GET_BULK failed: 400 You can request a maximum of 100 keys");
      for (const type of ["arrayBuffer", "stream", "banana"]) {
        const words = `KV GET_BULK failed: 400 "${type}" is not a valid type. Use "json" or "text"`;
        await fails(() => kv[method](["a"], type), "INVALID", words);
        await fails(() => kv[method](["a"], { type }), "INVALID", words);
      }
    }
    await kv.put("bad", "{");
    const bad = "KV GET_BULK failed: 400 At least one of the requested keys corresponds to a non-json value";
    const { cause } = await fails(() => kv.get(["a", "bad"], "json"), "INVALID", bad);
    ok(cause.message.startsWith('the value of "bad" is not JSON'), cause.message);
    await kv.put("b", new Uint8Array(25 * MIB - 1));
    equal((await kv.get(["a", "b"])).size, 2);
    await kv.put("a", "12");
    const words = "KV GET_BULK failed: 413 Total size of request exceeds the limit of 25MB";
    await fails(() => kv.get(["a", "b"]), "LIMIT", words);
    await fails(() => kv.getWithMetadata(["a", "b"]), "LIMIT", words);
    await kv.store.close();
  },

  async "Cloudflare's limit of a deletion"({ Store }) {
    const kv = (await Store.open({ limits: "cloudflare" })).namespace("test");
    const keys = Array.from({ length: 101 }, (_, index) => `k${index}`);
    for (const key of keys) await kv.put(key, "1");
    const words = "KV DELETE failed: 400 You can delete maximum of 100 keys per request";
    await fails(() => kv.deleteBulk(keys), "LIMIT", words);
    equal(await kv.count(), 101);
    await kv.deleteBulk(keys.slice(1));
    equal(await kv.count(), 1);
  },

  async "the default limits"({ Store }) {
    const kv = (await Store.open({ maxMemory: 16 * MIB })).namespace("test");
    await kv.put("k".repeat(4096), "1");
    await fails(() => kv.put("k".repeat(4097), "1"), "LIMIT", "the key is 4097 bytes long; the limit is 4096");
    await fails(() => kv.get("ü".repeat(100_000_000)), "LIMIT", "200000000 bytes long");
    await fails(() => kv.list({ prefix: "k".repeat(4097) }), "LIMIT", "4097");
    await fails(() => kv.put("a", "1", { metadata: "m".repeat(65_535) }), "LIMIT", "65537 bytes");
    await fails(() => kv.list({ cursor: "c".repeat(20_000) }), "LIMIT", "cursor");
    await fails(
      () => kv.put("a", new Uint8Array(512 * MIB + 1)),
      "LIMIT",
      "536870913 bytes long; the limit is 536870912",
    );
    const within = new Uint8Array(512 * MIB);
    await fails(() => kv.put("a", within), "NOMEM", /536870912 bytes; maxMemory is 16777216/);
    await fails(() => kv.put("a", new DataView(within.buffer, 1)), "NOMEM", "maxMemory");
    equal(await kv.count(), 1);
    await kv.store.close();
  },

  async "values until memory is full, then room again"({ Store }) {
    const kv = (await Store.open({ maxMemory: 6 * MIB })).namespace("test");
    const value = new Uint8Array(100_000);
    const fill = async () => {
      for (let count = 0; ; count++) {
        try {
          kv.sync.put(`k${count}`, value);
        } catch (error) {
          await fails(
            () => {
              throw error;
            },
            "NOMEM",
            "100000 bytes",
          );
          return count;
        }
      }
    };
    const first = await fill();
    ok(first > 20, `${first} values`);
    equal(await kv.count(), first);
    await kv.delete("k0");
    await kv.put("k0", value);
    await kv.delete("k1"); // reading also needs memory
    equal((await kv.get("k0", "arrayBuffer")).byteLength, 100_000);
    await fails(() => kv.put("large", new Uint8Array(6 * MIB)), "NOMEM");
    await fails(() => kv.put("text", "ü".repeat(3 * MIB)), "NOMEM");
    equal(await kv.clear(), first - 1);
    const second = await fill();
    ok(second > first * 0.9, `${second} values after ${first}`);
    await kv.store.close();
  },

  async "tiny keys until memory is full, then room again"({ Store }) {
    const kv = (await Store.open({ maxMemory: 4 * MIB })).namespace("test").sync;
    let count = 0;
    const fill = () => {
      for (count = 0; ; count++) kv.put(`${count}`, "");
    };
    await fails(fill, "NOMEM", "maxMemory is 4194304");
    const first = count;
    ok(first > 5000, `${first} keys`);
    equal([kv.get("0"), kv.count()], ["", first]);
    for (let index = 0; index < 1000; index++) kv.delete(`${index}`);
    for (let index = 0; index < 900; index++) kv.put(`${index}`, "");
    kv.clear();
    await fails(fill, "NOMEM");
    ok(count > first * 0.8, `${count} keys after ${first}`);
    // These succeed with the remaining memory or throw NOMEM, but do not trap.
    for (const use of [
      () => kv.list({ limit: 10_000 }),
      () => kv.get(Array.from({ length: 9999 }, (_, index) => `${index}`)),
      () => kv.export(),
      () => kv.atomic().put("a", "1").commit(),
      () => kv.store.namespaces(),
      () => kv.incr("counter"),
    ]) {
      try {
        use();
      } catch (error) {
        await fails(() => {
          throw error;
        }, "NOMEM");
      }
    }
    equal(kv.get("0"), "");
    await kv.store.close();
  },

  async "ten thousand of each do not grow the memory"({ Store }) {
    const store = await Store.open();
    const kv = store.namespace("test").sync;
    const value = "v".repeat(100_000);
    const round = (index) => {
      const key = `k${index % 10}`;
      kv.put(key, index % 100 === 0 ? value : "1", { metadata: { m: 1 }, expirationTtl: 100 });
      kv.get(key);
      kv.get(key, "arrayBuffer");
      kv.getWithMetadata(key);
      kv.get([key, "none"]);
      kv.add(key, "1");
      kv.touch(key);
      kv.incr("n");
      kv.list({ limit: 2, prefix: "k", values: true });
      kv.count();
      kv.atomic().check(key, null).put(key, "1").commit();
      kv.delete(key);
      if (index % 100 === 0) kv.import(kv.export(), { replace: true });
      store.namespaces();
      store.stats();
      try {
        kv.put(key, "1", { expiration: 1 });
      } catch {}
    };
    for (let index = 0; index < 1000; index++) round(index);
    const before = store.stats().memory;
    for (let index = 0; index < 10_000; index++) round(index);
    ok(store.stats().memory <= before + 2 * 65_536, `${before} bytes became ${store.stats().memory}`);
    await store.close();
  },

  async "a stream that goes on is read to its end, and one that fails late stores nothing"({ Store }) {
    const kv = (await Store.open()).namespace("test");
    const slow = new ReadableStream({
      async pull(controller) {
        await sleep(5);
        this.count = (this.count ?? 0) + 1;
        if (this.count > 5) controller.close();
        else controller.enqueue(bytes(this.count));
      },
    });
    const done = kv.put("a", slow);
    equal(await kv.get("a"), null);
    await done;
    equal(await kv.get("a", "arrayBuffer"), bytes(1, 2, 3, 4, 5).buffer);
    const closing = kv.put("b", streamOf(bytes(1)));
    await kv.store.close();
    await fails(() => closing, "INVALID", "the store is closed");
  },
};
