// The cache: each way to change a value is seen by the next read. Runs in Node, in a page and in a worker.

import { bytes, equal, fails, ok } from "./check.js";

const fresh = async ({ Store }, options) => (await Store.open(options)).namespace("test");

/** Reads of a key, each of which the cache may answer. */
const READS = {
  get: (sync, key) => sync.get(key),
  "get of bytes": (sync, key) => sync.get(key, "arrayBuffer"),
  getWithMetadata: (sync, key) => all(sync.getWithMetadata(key)),
  "getWithMetadata of bytes": (sync, key) => all(sync.getWithMetadata(key, "arrayBuffer")),
  has: (sync, key) => sync.has(key),
};

/** The same with reads of many keys, for which there is no cache. */
const TRUTH = {
  get: (sync, key) => sync.get([key]).get(key),
  "get of bytes": (sync, key) => sync.get([key], "arrayBuffer").get(key),
  getWithMetadata: (sync, key) => all(sync.getWithMetadata([key]).get(key) ?? sync.getWithMetadata("none")),
  "getWithMetadata of bytes": (sync, key) =>
    all(sync.getWithMetadata([key], "arrayBuffer").get(key) ?? sync.getWithMetadata("none")),
  has: (sync, key) => sync.get([key]).get(key) !== null,
};

/** What is not enumerable too. */
const all = ({ value, metadata, expiration, version }) => ({ value, metadata, expiration, version });

/** What the key "a" holds before a change. */
const BEFORE = {
  "a value": (sync) => sync.put("a", "1"),
  nothing: (sync) => sync.delete("a"),
  "a value with all else": (sync) => sync.put("a", "1", { expirationTtl: 1000, metadata: { y: 1 } }),
};

/** Changes of the key "a" in a namespace. */
const CHANGES = {
  put: ({ sync }) => sync.put("a", "2"),
  "put of the same value": ({ sync }) => sync.put("a", "1"),
  "put behind a promise": (kv) => kv.put("a", "2"),
  "put with metadata": ({ sync }) => sync.put("a", "2", { metadata: { x: 1 } }),
  "put with a lifetime": ({ sync }) => sync.put("a", "2", { expirationTtl: 100 }),
  "put with an expiration": ({ sync }) => sync.put("a", "2", { expiration: Math.ceil(Date.now() / 1000) + 100 }),
  "put of bytes": ({ sync }) => sync.put("a", bytes(0xff, 0)),
  "put of half of a surrogate pair": ({ sync }) => sync.put("a", "\ud800"),
  "put of a large value": ({ sync }) => sync.put("a", "x".repeat(200_000)),
  "put of a stream": (kv) => kv.put("a", new Response("2").body),
  add: ({ sync }) => sync.add("a", "2"),
  delete: ({ sync }) => sync.delete("a"),
  take: ({ sync }) => sync.take("a"),
  deleteBulk: ({ sync }) => sync.deleteBulk(["a", "b"]),
  touch: ({ sync }) => sync.touch("a", { expirationTtl: 100 }),
  incr: ({ sync }) => sync.incr("a", 5),
  deletePrefix: ({ sync }) => sync.deletePrefix("a"),
  clear: ({ sync }) => sync.clear(),
  "an atomic put": ({ sync }) => sync.atomic().put("a", "2").commit(),
  "an atomic delete": ({ sync }) => sync.atomic().delete("a").commit(),
  "an atomic incr": ({ sync }) => sync.atomic().incr("a").commit(),
  "an atomic put from another namespace": ({ store }) =>
    store.namespace("other").sync.atomic().namespace("test").put("a", "2").commit(),
  import: ({ sync }) => sync.import('[{"key":"a","value":"2"}]'),
  "import with replace": ({ sync }) => sync.import('[{"key":"a","value":"2"}]', { replace: true }),
  "import of an expired entry": ({ sync }) =>
    sync.import('[{"key":"a","value":"2","expiration":1}]', { replace: true }),
  "a failed put": ({ sync }) => fails(() => sync.put("a", "2", { expiration: 1 }), "INVALID"),
  "a failed incr": ({ sync }) => fails(() => sync.incr("b"), "INVALID"),
  "a failed check": ({ sync }) => sync.atomic().check("b", null).put("a", "2").commit(),
  "a sweep": ({ store }) => store.sweep(),
};

const LUA = {
  put: `kv:put("a", "2")`,
  delete: `kv:delete("a")`,
  incr: `kv:incr("a")`,
  touch: `kv:touch("a", { expirationTtl = 100 })`,
  batch: `kv:atomic():put("a", "2"):commit()`,
  clear: `kv:clear()`,
  import: `
    local file <close> = io.open("import.json", "w")
    file:write('[{"key":"a","value":"2"}]')
    file:flush()
    kv:import("import.json", { replace = true })`,
};

/** A value that was put without options. */
const LATER = { value: "later", metadata: null, expiration: null };

/** Checks that each read sees a change, whichever read was in the cache before. */
async function check(kv, change, what) {
  const { sync } = kv;
  for (const [before, prepare] of Object.entries(BEFORE)) {
    for (const name of Object.keys(READS)) {
      sync.put("b", "no number");
      prepare(sync);
      const cached = [1, 2, 3].map(() => READS[name](sync, "a"));
      const is = TRUTH[name](sync, "a");
      equal(cached, [is, is, is], `${name}, ${before}`);
      await change(kv);
      equal(READS[name](sync, "a"), TRUTH[name](sync, "a"), `${name} after ${what} of ${before}`);
      prepare(sync);
      READS[name](sync, "a");
      await change(kv);
      sync.put("a", "later"); // whatever row the key has now
      equal(TRUTH.getWithMetadata(sync, "a"), { ...TRUTH.getWithMetadata(sync, "a"), ...LATER });
      equal(READS[name](sync, "a"), TRUTH[name](sync, "a"), `${name} after a put after ${what} of ${before}`);
    }
  }
}

function checkAll({ sync }, what) {
  for (const name of Object.keys(READS)) equal(READS[name](sync, "a"), TRUTH[name](sync, "a"), `${name}, ${what}`);
}

/** Follows a change by others that the cache knows of. */
const andMore = (change) => async (kv) => {
  await change(kv);
  kv.sync.put("c", "1");
  kv.sync.add("c", "2");
  kv.sync.delete("c");
  kv.store.sweep();
};

/** Runs a function with a clock that stands, and that it can set to Unix seconds. */
async function withClock(run) {
  const { now } = Date;
  let time = now();
  Date.now = () => time;
  try {
    await run((seconds) => (time = 1000 * seconds), Math.ceil(time / 1000));
  } finally {
    Date.now = now;
  }
}

export default {
  async "each change of a key is seen by the next read"(api) {
    const kv = await fresh(api);
    for (const [what, change] of Object.entries(CHANGES)) {
      await check(kv, change, what);
      await check(kv, andMore(change), `${what} and more`);
    }
    await kv.store.close();
  },

  async "so is each change by a script, between scripts and within one"(api) {
    let printed = () => {};
    const lua = await api.Lua.create({ print: () => printed() });
    const kv = lua.kv.namespace("test");
    for (const [what, code] of Object.entries(LUA)) {
      const change = () => lua.runSync(`local kv = KV.namespace("test") ${code}`);
      await check(kv, change, what);
      await check(kv, andMore(change), `${what} and more`);
    }
    let during = 0;
    printed = () => {
      checkAll(kv, "within a script");
      during++;
    };
    lua.runSync(`
      local kv = KV.namespace("test")
      for i = 1, 10 do kv:put("a", tostring(i)) print(i) end`);
    equal([during, kv.sync.get("a")], [10, "10"]);
    lua.close();
  },

  async "a store that moves to another engine takes what it holds along, and scripts change it there"(api) {
    const kv = await fresh(api);
    kv.sync.put("a", "1");
    checkAll(kv, "before");
    const lua = await api.Lua.create({ kv: kv.store });
    checkAll(kv, "after");
    lua.runSync(`KV.namespace("test"):put("a", "2")`);
    equal(kv.sync.get("a"), "2");
    lua.close();
    kv.sync.put("a", "3");
    checkAll(kv, "without Lua");
    await kv.store.close();
  },

  async "a change by a getter of the options is seen by the read that it belongs to"(api) {
    const { sync } = await fresh(api);
    const changes = [() => sync.put("a", "2"), () => sync.delete("a"), () => sync.clear(), () => sync.incr("a")];
    for (const read of [(type) => sync.get("a", type), (type) => sync.getWithMetadata("a", type).value]) {
      for (const change of changes) {
        sync.put("a", "1");
        sync.get("a");
        const options = {
          get type() {
            change();
            return "text";
          },
        };
        equal(read(options), sync.get(["a"]).get("a"));
      }
    }
  },

  async "a put of a key that was read writes only that key, whichever row it has"(api) {
    const { sync } = await fresh(api, { maxMemory: 4 * 2 ** 20 });
    sync.put("a", "1");
    equal([sync.get("a"), sync.delete("a"), sync.put("b", "1").length], ["1", true, 16]); // b has the row of a
    sync.put("a", "2");
    equal([sync.get(["a"]).get("a"), sync.get(["b"]).get("b")], ["2", "1"]);
    equal([sync.get("a"), sync.get("b")], ["2", "1"]);
    const version = sync.put("b", "3");
    equal([sync.get(["b"]).get("b"), sync.getWithMetadata("b").version], ["3", version]);
    sync.clear();
    sync.put("c", "1");
    sync.put("a", "4");
    equal([sync.get(["a", "b", "c"]), sync.get("b")], [new Map([["a", "4"], ["b", null], ["c", "1"]]), null]);
    await fails(() => sync.put("a", "x".repeat(8 * 2 ** 20)), "NOMEM");
    equal([sync.get("a"), sync.get(["a"]).get("a")], ["4", "4"]);
  },

  async "namespaces have keys of their own"({ Store }) {
    const store = await Store.open();
    const [a, b] = ["a", "b"].map((name) => store.namespace(name).sync);
    a.put("key", "1");
    equal([a.get("key"), b.get("key"), a.get("key"), b.get("key")], ["1", null, "1", null]);
    b.put("key", "2");
    equal([a.get("key"), b.get("key")], ["1", "2"]);
    a.delete("key");
    equal([a.get("key"), b.get("key")], [null, "2"]);
    await store.close();
  },

  async "keys with half of a surrogate pair are the keys that they are stored as"(api) {
    const { sync } = await fresh(api);
    for (const change of [(key) => sync.put(key, "2"), (key) => sync.delete(key), (key) => sync.incr(key)]) {
      for (const [one, other] of [["a\ufffd", "a\ud800"], ["a\ud800", "a\ufffd"]]) {
        sync.put(one, "1");
        equal([sync.get(one), sync.get(other), sync.get(one), sync.get(other)], ["1", "1", "1", "1"]);
        change(other);
        equal([sync.get(one), sync.get(other)], [sync.get([one]).get("a\ufffd"), sync.get([one]).get("a\ufffd")]);
      }
    }
    sync.put("value", "\ud800");
    equal([sync.get("value"), sync.get("value")], ["\ufffd", "\ufffd"]);
    sync.put("value", "a\udc00");
    equal(sync.get("value"), "a\ufffd");
  },

  async "a caller that changes what it got changes nothing for others"(api) {
    const kv = await fresh(api);
    const { sync } = kv;
    sync.put("a", '{"list":[1]}', { metadata: { list: [1] } });
    for (let round = 0; round < 3; round++) {
      const json = sync.get("a", "json");
      const { value, metadata } = sync.getWithMetadata("a", "json");
      equal([json, value, metadata], [{ list: [1] }, { list: [1] }, { list: [1] }]);
      for (const object of [json, value, metadata]) object.list.push(2);
    }
    const data = bytes(1, 2, 3);
    sync.put("b", data);
    for (let round = 0; round < 3; round++) {
      const buffer = sync.get("b", "arrayBuffer");
      const whole = sync.getWithMetadata("b", "arrayBuffer").value;
      const streamed = await new Response(sync.get("b", "stream")).arrayBuffer();
      for (const got of [buffer, whole, streamed]) {
        equal(new Uint8Array(got), bytes(1, 2, 3));
        new Uint8Array(got).fill(0);
      }
      data.fill(0);
    }
    await kv.store.close();
  },

  async "an entry ends to the second"(api) {
    const kv = await fresh(api);
    await withClock((setTime, start) => {
      const end = start + 100;
      kv.sync.put("a", "1", { expiration: end });
      kv.sync.put("b", "1");
      for (const name of Object.keys(READS)) {
        setTime(start);
        READS[name](kv.sync, "a");
        setTime(end - 0.001);
        equal([kv.sync.get("b"), READS[name](kv.sync, "a")], ["1", TRUTH[name](kv.sync, "a")], name);
        equal(TRUTH.has(kv.sync, "a"), true);
        setTime(end);
        equal([kv.sync.get("b"), READS[name](kv.sync, "a")], ["1", TRUTH[name](kv.sync, "a")], name);
        equal(TRUTH.has(kv.sync, "a"), false);
      }
    });
    await kv.store.close();
  },

  async "a clock that is set back brings back only what is still there"(api) {
    const kv = await fresh(api);
    const { sync } = kv;
    const sweeps = [() => kv.store.sweep(), () => sync.put("b", "1")];
    const whiles = [() => {}, ...sweeps, () => sync.get("a"), () => sync.count()];
    for (const name of Object.keys(READS)) {
      for (const meanwhile of whiles) {
        await withClock((setTime, start) => {
          sync.put("a", "1", { expirationTtl: 100 });
          READS[name](sync, "a");
          setTime(start + 200);
          meanwhile();
          setTime(start);
          equal(READS[name](sync, "a"), TRUTH[name](sync, "a"), `${name} after ${meanwhile}`);
        });
      }
    }
    await kv.store.close();
  },

  async "a store that is closed answers nothing from its cache"(api) {
    const kv = await fresh(api);
    kv.sync.put("a", "1");
    equal(kv.sync.get("a"), "1");
    const closing = kv.store.close();
    const uses = [() => kv.sync.get("a"), () => kv.get("a"), () => kv.sync.has("a"), () => kv.getWithMetadata("a")];
    for (const use of uses) await fails(use, "INVALID", "closed");
    await closing;
    for (const use of uses) await fails(use, "INVALID", "closed");
  },

  async "it counts what it has, and stays within its size"({ Store }) {
    const size = 1024 * 1024;
    const store = await Store.open({ cacheSize: size });
    const { sync } = store.namespace("test");
    equal(store.stats().cache.size, 0);
    sync.put("a", "1");
    equal(sync.get("a"), "1");
    ok(store.stats().cache.size > 2 && store.stats().cache.size < 1000, store.stats().cache.size);
    let most = 0;
    for (let index = 0; index < 20_000; index++) {
      sync.get(`missing ${index}`);
      if (index % 100 > 0) continue;
      sync.put("value", "x".repeat(index));
      equal(sync.get("value").length, index);
      const cache = store.stats().cache.size;
      ok(cache <= size, `${cache} bytes`);
      most = Math.max(most, cache);
    }
    ok(most > size / 2, `at most ${most} bytes`);
    sync.put("large", "x".repeat(size));
    equal([sync.get("large").length, sync.get("large").length], [size, size]);
    sync.clear();
    equal([sync.get("a"), store.stats().cache.size < 1000], [null, true]);
    await store.close();
  },

  async "with size 0 there is none"({ Store }) {
    const store = await Store.open({ cacheSize: 0 });
    const { sync } = store.namespace("test");
    sync.put("a", "1");
    equal([sync.get("a"), sync.get("a"), sync.get("b"), store.stats().cache.size], ["1", "1", null, 0]);
    await store.close();
  },

  async "random calls answer as those of a store with no cache"({ Store }) {
    const [one, other] = [await Store.open({ cacheSize: 4096 }), await Store.open({ cacheSize: 0 })];
    const random = (count) => Math.floor(Math.random() * count);
    const spaces = ["x", "y"].map((name) => [one, other].map((store) => store.namespace(name).sync));
    for (let step = 0; step < 5000; step++) {
      const pair = spaces[random(2)];
      const key = `key${random(12)}`;
      const value = "7".repeat(random(8) + 1).padEnd(random(3) * 200, "x");
      const call = [
        (kv) => kv.put(key, value),
        (kv) => kv.add(key, value) === null,
        (kv) => kv.delete(key),
        (kv) => kv.take(key).value,
        (kv) => kv.atomic().put(key, value).delete("key1").commit().ok,
        (kv) => kv.deletePrefix("key1"),
        (kv) => kv.has(key),
        ...Array(6).fill((kv) => kv.get(key)),
        ...Array(3).fill((kv) => kv.getWithMetadata(key)),
        (kv) => new Uint8Array(kv.get(key, "arrayBuffer") ?? []),
      ];
      const chosen = call[random(call.length)];
      const [a, b] = pair.map(chosen);
      if (call.indexOf(chosen) > 0) equal(a, b, `step ${step}: ${chosen} of ${key}`);
    }
    await one.close();
    await other.close();
  },
};
