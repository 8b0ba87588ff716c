import test from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import { coreOf } from "../src/store.js";
import tests from "./suites/cache.js";
import namespaceTests from "./suites/namespace.js";
import { Lua, Store, api, equal, fails, ok, open, suite } from "./support.js";

suite(tests);

const open0 = (options) => Store.open({ cacheSize: 0, ...options });
const Uncached = new Proxy(Store, { get: (store, name) => (name === "open" ? open0 : store[name]) });
for (const [name, run] of Object.entries(namespaceTests)) {
  test(`without a cache: ${name}`, () => run({ ...api, Store: Uncached }));
}

/** Counts the reads of single entries that reach the module. */
function counted(kv) {
  const { engine } = coreOf(kv.store);
  const { raw } = engine;
  const count = { reads: 0 };
  const read = (...values) => (count.reads++, raw.luat_kv_wasm_read(...values));
  engine.raw = { ...raw, luat_kv_wasm_read: read };
  return count;
}

test("what was read is read from the module once, until something changes", async (t) => {
  const kv = await open(t);
  const { sync } = kv;
  sync.put("a", "1", { metadata: 1 });
  const count = counted(kv);
  const readsOf = (run) => {
    const before = count.reads;
    run();
    return count.reads - before;
  };
  const times = (read) => () => [1, 2, 3].forEach(read);
  equal(readsOf(times(() => sync.get("a"))), 1);
  equal(readsOf(times(() => sync.get("a", "json"))), 0);
  equal(readsOf(times(() => sync.getWithMetadata("a"))), 1, "the metadata were not read");
  equal(readsOf(times(() => sync.get("a", { type: "text" }))), 0);
  equal(readsOf(times(() => sync.get("a", "arrayBuffer"))), 1);
  equal(readsOf(times(() => sync.get("missing"))), 1);
  equal(readsOf(times(() => sync.has("missing"))), 0);
  equal(readsOf(times(() => (sync.put("missing", "2"), sync.get("missing")))), 0, "it is read often");
  equal(readsOf(times(() => (sync.put("other", "2"), sync.get("missing")))), 0, "another key");
  equal(readsOf(times(() => (sync.add("missing", "3"), sync.get("missing")))), 0, "nothing was added");
  equal(readsOf(times(() => (sync.delete("other"), sync.get("missing")))), 0);
  equal(readsOf(times(() => (kv.store.sweep(), sync.get("missing")))), 0);
  equal(readsOf(times(() => (coreOf(kv.store).changes(false), sync.get("missing")))), 0, "a flush");
  equal(readsOf(times(() => (sync.put("missing", "2", { expirationTtl: 100 }), sync.get("missing")))), 3);
  equal(readsOf(times(() => (sync.deleteBulk(["other"]), sync.get("missing")))), 3);
});

test("a put of a key that was read belongs to the next record", async (t) => {
  const { sync, store } = await open(t);
  const changes = () => coreOf(store).changes(false).length;
  equal([changes(), sync.put("a", "1").length, changes() > 0, sync.get("a"), changes()], [0, 16, true, "1", 0]);
  const { engine } = coreOf(store);
  engine.raw = { ...engine.raw, luat_kv_put_versioned: () => ok(false, "the key was passed again") };
  let flushes = 0;
  coreOf(store).persister = { wrote: () => flushes++ };
  sync.put("a", "2");
  coreOf(store).persister = null;
  equal([flushes, changes() > 0, changes()], [1, true, 0]);
});

// The same as in src/backend/memory/maps.rs, for the index that only this module has.
test("single keys and ranges find the same rows", async (t) => {
  const { store } = await open(t, { cacheSize: 0 });
  const spaces = ["a", "ab", "b"].map((name) => store.namespace(name).sync);
  const key = (number) => `b${String(number).padStart(5, "0")}`;
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 4000; number++) {
      spaces.forEach((space, place) => space.put(key(number), `${round} ${number} ${place}`));
      spaces[0].delete(key(number >> 1));
    }
    equal([...spaces[0].each()].map(({ name }) => name), Array.from({ length: 2000 }, (_, at) => key(2000 + at)));
    spaces.forEach((space, place) => {
      for (let number = 0; number < 4000; number++) {
        equal(space.get(key(number)), place === 0 && number < 2000 ? null : `${round} ${number} ${place}`);
      }
      equal(space.get(key(4000)), null);
    });
    equal([spaces[1].clear(), spaces[1].has(key(0)), spaces[2].has(key(0))], [4000, false, true]);
  }
  spaces.forEach((space) => space.clear());
  equal(store.namespaces(), []);
});

test("it survives that the memory grows", async (t) => {
  const kv = await open(t);
  kv.sync.put("a", "1");
  equal(kv.sync.get("a"), "1");
  const count = counted(kv);
  const before = kv.store.stats().memory;
  kv.sync.put("large", "x".repeat(10_000_000));
  ok(kv.store.stats().memory > before, "it has grown");
  equal([kv.sync.get("a"), kv.sync.get("a"), kv.sync.get("large").length], ["1", "1", 10_000_000]);
  ok(count.reads < 4, `${count.reads} reads`);
});

test("what is read again and again stays, and what is not leaves", async (t) => {
  const kv = await open(t, { cacheSize: 64 * 1024 });
  const count = counted(kv);
  for (let index = 0; index < 10_000; index++) {
    equal(kv.sync.get(`missing ${index}`), null);
    if (index % 10 === 0) equal(kv.sync.get("often"), null);
  }
  equal(count.reads, 10_001);
  equal([kv.sync.get("missing 0"), count.reads], [null, 10_002]);
});

test("there is one after the store has moved to another engine", async (t) => {
  const kv = await open(t);
  const lua = await Lua.create({ kv: kv.store });
  t.after(() => lua.close());
  const count = counted(kv);
  equal([kv.sync.get("a"), kv.sync.get("a"), count.reads], [null, null, 1]);
});

test("a closed store keeps nothing in its cache", async () => {
  const kv = (await Store.open()).namespace("test");
  const { cache } = coreOf(kv.store);
  equal([kv.sync.get("a"), cache.size > 0], [null, true]);
  await kv.store.close();
  equal(cache.size, 0);
});

test("an instance that has ended answers nothing from its cache", async (t) => {
  const kv = await open(t);
  kv.sync.put("a", "1");
  equal(kv.sync.get("a"), "1");
  const { now } = Date;
  Date.now = () => {
    throw new Error("no time");
  };
  try {
    await fails(() => kv.count(), "PANIC", "no time"); // it writes nothing
  } finally {
    Date.now = now;
  }
  await fails(() => kv.get("a"), "PANIC", "no time");
  await fails(() => kv.has("a"), "PANIC", "no time");
});

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc");

test("a million keys use the memory that it was given", async (t) => {
  const kv = await open(t, { cacheSize: 8 * 1024 * 1024 });
  const { sync } = kv;
  const used = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  for (let index = 0; index < 1000; index++) sync.get(`warm ${index}`);
  const before = used();
  for (let index = 0; index < 1_000_000; index++) {
    const key = `key ${index}`;
    if (index % 4 === 0) sync.put(key, `value ${index}`);
    sync.get(key);
  }
  const grown = used() - before;
  ok(grown < 8 * 1024 * 1024, `${grown} bytes`);
  ok(grown > 1024 * 1024, `${grown} bytes: the cache is empty`);
  ok(kv.store.stats().cache.size <= 8 * 1024 * 1024);
});
