// Limits, and the end of memory.

import { bytes, equal, fails, ok, sleep, streamOf } from "./check.js";

const MIB = 1024 * 1024;

/** A stream without end, that counts what was read of it, and knows whether it was cancelled. */
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
  async "Cloudflare's limits"({ LuatKV }) {
    const kv = (await LuatKV.open({ limits: "cloudflare" })).namespace("test");
    await fails(() => kv.put(".", "1"), "TypeError", '"." is not allowed as a key name.');
    await fails(() => kv.get(".."), "TypeError", '".." is not allowed as a key name.');
    await kv.put("k".repeat(512), "1");
    for (const key of ["k".repeat(513), "ü".repeat(257)])
      await fails(() => kv.put(key, "1"), "LIMIT", "the limit is 512");
    await kv.put("a", new Uint8Array(25 * MIB));
    await fails(() => kv.put("a", new Uint8Array(25 * MIB + 1)), "LIMIT", "26214401 bytes long");
    await fails(() => kv.put("a", "ü".repeat(13 * MIB)), "LIMIT", "27262976 bytes long");
    await kv.put("a", "1", { metadata: "m".repeat(1022) });
    await fails(() => kv.put("a", "1", { metadata: "m".repeat(1023) }), "LIMIT", "1025 bytes long");
    await fails(() => kv.put("a", "1", { expirationTtl: 59 }), "LIMIT", "60");
    await kv.put("a", "1", { expirationTtl: 60 });
    await fails(() => kv.put("a", "1", { expiration: Math.floor(Date.now() / 1000) + 10 }), "LIMIT", "60");
    await kv.list({ limit: 1000 });
    await fails(() => kv.list({ limit: 1001 }), "LIMIT", "1000");
    const keys = Array.from({ length: 101 }, (_, index) => `k${index}`);
    equal((await kv.get(keys.slice(1))).size, 100);
    await fails(() => kv.get(keys), "LIMIT", "101 keys");
    const stream = endless(MIB);
    await fails(() => kv.put("a", stream.stream), "LIMIT", "26214400");
    ok(stream.cancelled && stream.read <= 28 * MIB, `${stream.read} bytes were read`);
    await kv.store.close();
  },

  async "the default limits"({ LuatKV }) {
    const kv = (await LuatKV.open({ maxMemory: 16 * MIB })).namespace("test");
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

  async "values until memory is full, then room again"({ LuatKV }) {
    const kv = (await LuatKV.open({ maxMemory: 6 * MIB })).namespace("test");
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
    await kv.delete("k1"); // to read takes memory too
    equal((await kv.get("k0", "arrayBuffer")).byteLength, 100_000);
    await fails(() => kv.put("large", new Uint8Array(6 * MIB)), "NOMEM");
    await fails(() => kv.put("text", "ü".repeat(3 * MIB)), "NOMEM");
    equal(await kv.clear(), first - 1);
    const second = await fill();
    ok(second > first * 0.9, `${second} values after ${first}`);
    await kv.store.close();
  },

  async "tiny keys until memory is full, then room again"({ LuatKV }) {
    const kv = (await LuatKV.open({ maxMemory: 4 * MIB })).namespace("test").sync;
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
    // What is left must do for these, or they say so; nothing traps.
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

  async "ten thousand of each do not grow the memory"({ LuatKV }) {
    const store = await LuatKV.open();
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

  async "a stream that goes on is read to its end, and one that fails late stores nothing"({ LuatKV }) {
    const kv = (await LuatKV.open()).namespace("test");
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
