// The driver for unstorage, by unstorage's documentation of drivers and storages.

import assert from "node:assert/strict";
import test from "node:test";
import { Store } from "luat-kv-native";
import { createStorage, prefixStorage, restoreSnapshot, snapshot } from "unstorage";
import { packages, scratch } from "./stores.js";

/** Runs a test on both packages, without a base and with one: body(t, storage, namespace, driver, base). */
function onEach(name, body) {
  for (const { name: where, open, driver } of packages) {
    for (const base of ["", "app:data"]) {
      test(`${where}${base && " with a base"}: ${name}`, async (t) => {
        const store = await open();
        const kv = store.namespace("unstorage");
        const storage = createStorage({ driver: driver({ namespace: kv, base }) });
        t.after(async () => {
          await storage.dispose();
          await store.close();
        });
        await body(t, storage, kv, driver, base && `${base}:`);
      });
    }
  }
}

onEach("items of all kinds", async (t, storage, kv, driver, prefix) => {
  const items = { text: "a", empty: "", number: 0, no: false, object: { a: [1, null] }, unicode: "\u{1f600}é" };
  for (const [key, value] of Object.entries(items)) {
    await storage.setItem(`kinds/${key}`, value);
    assert.deepEqual(await storage.getItem(`kinds:${key}`), value);
    assert.equal(await storage.hasItem(`kinds:${key}`), true);
  }
  assert.equal(await kv.get(`${prefix}kinds:object`), '{"a":[1,null]}');
  assert.deepEqual([await storage.getItem("none"), await storage.hasItem("none")], [null, false]);
  await storage.removeItem("kinds:text");
  await storage.setItem("kinds:no", undefined); // unstorage removes it
  assert.deepEqual([await storage.hasItem("kinds:text"), await storage.hasItem("kinds:no")], [false, false]);
});

onEach("raw items are bytes", async (t, storage) => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const value of [bytes, bytes.buffer, Buffer.from(bytes), new DataView(bytes.buffer)]) {
    await storage.setItemRaw("raw", value);
    const found = await storage.getItemRaw("raw");
    assert(found instanceof Uint8Array);
    assert.deepEqual([...found], [...bytes]);
  }
  await storage.setItemRaw("raw", "text");
  assert.equal(await storage.getItem("raw"), "text");
  assert.equal(await storage.getItemRaw("none"), null);
});

onEach("many items at once", async (t, storage, kv, driver, prefix) => {
  const items = Array.from({ length: 250 }, (_, index) => ({ key: `many:${index}`, value: { index } }));
  await storage.setItems(items);
  assert.deepEqual(await storage.getItems(items.map(({ key }) => key)), items);
  assert.deepEqual(await storage.getItems(["none", { key: "many:7" }]), [{ key: "none", value: null }, items[7]]);
  const broken = [{ key: "a", value: "1" }, { key: "b".repeat(5000), value: "2" }];
  await assert.rejects(storage.setItems(broken), { code: "LIMIT" });
  assert.equal(await kv.has(`${prefix}a`), false);
});

onEach("lifetimes in seconds: of an item, of some, of all", async (t, storage, kv, driver, prefix) => {
  const left = async (key) => (await kv.getWithMetadata(prefix + key)).expiration - Date.now() / 1000;
  const isAbout = async (key, ttl) => assert((await left(key)) > ttl - 100 && (await left(key)) <= ttl + 2, `${key} ${ttl}`);
  await storage.setItem("one", "1", { ttl: 1000 });
  await storage.setItem("part", "1", { ttl: 2000.5 });
  await storage.setItemRaw("raw", "1", { ttl: 3000 });
  await storage.setItems([{ key: "own", value: "1", options: { ttl: 4000 } }, { key: "common", value: "2" }], { ttl: 5000 });
  for (const [key, ttl] of [["one", 1000], ["part", 2001], ["raw", 3000], ["own", 4000], ["common", 5000]]) {
    await isAbout(key, ttl);
  }
  const all = createStorage({ driver: driver({ namespace: kv, base: prefix, ttl: 6000 }) });
  await all.setItem("default", "1");
  await isAbout("default", 6000);
  for (const ttl of [0, null, Infinity, 1e12]) { // the last ends after the year 9999
    await storage.setItem("one", "1", { ttl });
    assert.equal((await kv.getWithMetadata(`${prefix}one`)).expiration, null);
  }
  await assert.rejects(storage.setItem("one", "2", { ttl: -1 }));
  assert.equal(await storage.getItem("one"), 1);
});

onEach("native and other meta of an item", async (t, storage) => {
  await storage.setItem("k", "héllo", { ttl: 1000 });
  await storage.setItem("endless", "");
  const { size, ttl } = await storage.getMeta("k", { nativeOnly: true });
  assert.equal(size, 6);
  assert(Number.isInteger(ttl) && ttl <= 1001 && ttl > 900, `${ttl}`);
  assert.deepEqual({ ...(await storage.getMeta("endless")) }, { size: 0 });
  assert.deepEqual({ ...(await storage.getMeta("none")) }, {});
  await storage.setMeta("endless", { author: "a", mtime: new Date(0) });
  assert.deepEqual({ ...(await storage.getMeta("endless")) }, { size: 0, author: "a", mtime: new Date(0) });
  await storage.removeItem("endless", { removeMeta: true });
  assert.deepEqual({ ...(await storage.getMeta("endless")) }, {});
});

const TREE = { a: "1", "a:b": "2", "a:b:c": "3", "ab:c": "4", d: "5" };

onEach("keys of a base, to a depth, and to clear a base", async (t, storage, kv, driver, prefix) => {
  await kv.put("stranger", "1"); // outside of the base, where there is one
  await restoreSnapshot(storage, TREE);
  const own = prefix === "" ? ["stranger"] : [];
  assert.deepEqual((await storage.getKeys()).sort(), [...Object.keys(TREE), ...own]);
  assert.deepEqual((await storage.getKeys("a")).sort(), ["a:b", "a:b:c"]);
  assert.deepEqual((await storage.getKeys("", { maxDepth: 0 })).sort(), ["a", "d", ...own]);
  assert.deepEqual((await storage.getKeys("a", { maxDepth: 1 })).sort(), ["a:b"]);
  assert.deepEqual((await prefixStorage(storage, "a").getKeys()).sort(), ["b", "b:c"]);
  assert.deepEqual(await snapshot(storage, "a:b"), { c: 3 });
  await storage.getMount().driver.clear("a:"); // storage.clear("a") is for what is mounted there
  assert.deepEqual((await storage.getKeys()).sort(), ["a", "ab:c", "d", ...own]);
  await storage.clear();
  assert.deepEqual(await storage.getKeys(), []);
  assert.equal(await kv.get("stranger"), prefix === "" ? null : "1");
});

onEach("mounted beside another driver", async (t, storage, kv, driver) => {
  const other = createStorage();
  other.mount("kv", driver({ namespace: kv, base: "mounted" }));
  await other.setItem("kv:a", "1");
  await other.setItem("b", "2");
  assert.equal(await kv.get("mounted:a"), "1");
  assert.deepEqual((await other.getKeys()).sort(), ["b", "kv:a"]);
});

/** Collects what a storage reports; `until(count)` waits for that many reports. */
async function watched(storage) {
  const [events, waiting] = [[], new Set()];
  const unwatch = await storage.watch((event, key) => {
    events.push(`${event} ${key}`);
    for (const look of waiting) look();
  });
  const until = (count) =>
    new Promise((resolve) => {
      const look = () => events.length >= count && resolve([...events].sort());
      waiting.add(look);
      look();
    });
  return { until, unwatch, events };
}

onEach("a watch reports changes by the storage and by others, of its base only", async (t, storage, kv, driver, prefix) => {
  const first = await watched(storage);
  const alive = setInterval(() => {}, 1000); // a watch does not keep the program alive
  t.after(() => clearInterval(alive));
  await storage.setItem("a:b", "1");
  assert.deepEqual(await first.until(1), ["update a:b"]);
  await kv.put(`${prefix}c`, "2");
  if (prefix !== "") await kv.put("c", "of another base");
  assert.deepEqual(await first.until(2), ["update a:b", "update c"]);
  await storage.removeItem("a:b");
  await first.until(3);
  assert.deepEqual(first.events.at(-1), "remove a:b");
  await first.unwatch();
  const second = await watched(storage);
  await storage.setItem("d", "3");
  assert.deepEqual(await second.until(1), ["update d"]);
  assert.equal(first.events.length, 3);
});

test("luat-kv-native: a watch reports what is written by another store", async (t) => {
  const path = scratch();
  const [own, other] = [packages[0].driver({ store: path }), packages[0].driver({ store: path })];
  const [storage, writer] = [own, other].map((driver) => createStorage({ driver }));
  t.after(() => Promise.all([storage.dispose(), writer.dispose()]));
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  const { until } = await watched(storage);
  await writer.setItem("k", "v");
  assert.deepEqual(await until(1), ["update k"]);
});

test("a watch waits and looks again after an error, and tells its end to nobody", async (t) => {
  const failed = (code) => Object.assign(new Error(code), { code });
  const answers = [failed("BUSY"), failed("IO"), [{ name: "k", type: "put" }]];
  const closed = Object.assign(new Error("closed"), { code: "INVALID" });
  const next = async () => {
    const answer = answers.shift() ?? closed;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const namespace = { getWithMetadata() {}, watch: () => ({ next, close() {} }) };
  const storage = createStorage({ driver: packages[0].driver({ namespace }) });
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  const { until } = await watched(storage);
  assert.deepEqual(await until(1), ["update k"]);
});

test("luat-kv-native: it opens a store by itself, and dispose() closes it", async () => {
  const path = scratch();
  const options = { driver: "luat-kv-native/unstorage", store: { url: path, durability: "full" }, namespace: "mine" };
  const storage = createStorage({ driver: packages[0].driver(options) });
  const { unwatch } = await watched(storage);
  await storage.setItem("k", "v");
  await storage.dispose();
  await unwatch();
  const reader = Store.open(path);
  assert.equal(reader.namespace("mine").get("k"), "v");
  reader.close();
});

test("luat-kv: it opens a store by itself, which dispose() ends", async () => {
  const driver = packages[1].driver({ store: { maxMemory: 4 << 20 } });
  const storage = createStorage({ driver });
  await storage.setItem("k", "v");
  assert.equal(await (await driver.getInstance()).get("k"), "v");
  await storage.dispose();
  assert.equal(await storage.getItem("k"), null); // another store, in memory
  await storage.dispose();
});

for (const { name, driver } of packages) {
  test(`${name}: wrong options are refused, and say what would be right`, () => {
    const message = "unknown option path: the options are namespace, store, base, ttl, driver";
    assert.throws(() => driver({ path: "app.db" }), { name: "TypeError", message });
    assert.throws(() => driver("app.db"), { name: "TypeError", message: /takes a namespace or options, not a string/ });
  });
}
