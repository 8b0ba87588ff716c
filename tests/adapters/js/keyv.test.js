// The adapter for keyv, where keyv's own suite does not look: exact lifetimes, errors, keyv 6, and how a store is opened.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import test from "node:test";
import Keyv5 from "keyv";
import Keyv6 from "keyv-6";
import { Store } from "luat-kv-native";
import { packages, scratch } from "./stores.js";

/** Runs a test on both packages: body(t, namespace, package). */
function onBoth(name, body) {
  for (const one of packages) {
    test(`${one.name}: ${name}`, async (t) => {
      const store = await one.open();
      t.after(() => store.close());
      await body(t, store.namespace("keyv"), one);
    });
  }
}

/** Stops the clock that adapters and keyv look at, which is not the one of the store. Returns a function that moves it. */
function stopped(t) {
  const now = Date.now();
  t.mock.timers.enable({ apis: ["Date"], now });
  return (milliseconds) => t.mock.timers.setTime(now + milliseconds);
}

const listed = async (iterator) => {
  const found = [];
  for await (const entry of iterator) found.push(entry);
  return found.sort();
};

/** Each keyv, with what it writes between its namespace and a key. */
const versions = [["keyv 5", Keyv5, ":"], ["keyv 6", Keyv6, "::"]];

for (const [version, Keyv, separator] of versions) {
  onBoth(`${version} reads what it stores, by one key and by many`, async (t, kv, { Keyv: Adapter }) => {
    const keyv = new Keyv({ store: new Adapter(kv), namespace: "app" });
    keyv.on("error", assert.fail);
    assert.equal(await keyv.set("a", { b: [1] }), true);
    assert.deepEqual(await keyv.setMany([{ key: "b", value: "2" }, { key: "c", value: null }]), [true, true]);
    assert.deepEqual(await keyv.get(["a", "b", "none"]), [{ b: [1] }, "2", undefined]);
    assert.deepEqual([await keyv.has("a"), await keyv.has("none")], [true, false]);
    assert.deepEqual(await keyv.hasMany(["a", "none", "c"]), [true, false, true]);
    assert.deepEqual((await kv.list()).keys.map(({ name }) => name), ["a", "b", "c"].map((key) => `app${separator}${key}`));
    assert.deepEqual(await listed(keyv.iterator()), [["a", { b: [1] }], ["b", "2"], ["c", null]]);
    assert.deepEqual([await keyv.delete("a"), await keyv.delete("a")], [true, false]);
    await keyv.deleteMany(["b", "none"]);
    assert.deepEqual(await listed(keyv.iterator()), [["c", null]]);
  });

  onBoth(`${version} clears its own namespace only`, async (t, kv, { Keyv: Adapter }) => {
    const [one, other] = ["one", "one2"].map((namespace) => new Keyv({ store: new Adapter(kv), namespace }));
    await one.set("k", "1");
    await other.set("k", "2");
    await kv.put("one", "not of keyv");
    await one.clear();
    assert.deepEqual([await one.get("k"), await other.get("k"), await kv.get("one")], [undefined, "2", "not of keyv"]);
  });

  onBoth(`${version}'s lifetimes are exact, and the store keeps entries no shorter`, async (t, kv, { Keyv: Adapter }) => {
    const keyv = new Keyv({ store: new Adapter(kv), namespace: "app" });
    const at = stopped(t);
    const begun = Date.now();
    await keyv.set("brief", "1", 100_250);
    await keyv.setMany([{ key: "long", value: "2", ttl: 200_001 }, { key: "endless", value: "3" }]);
    const { expiration } = await kv.getWithMetadata(`app${separator}long`);
    assert(expiration * 1000 >= begun + 200_001, `${expiration}`);
    at(100_249);
    assert.deepEqual(await keyv.get(["brief", "long", "endless"]), ["1", "2", "3"]);
    assert.equal(await keyv.has("brief"), true);
    at(100_251);
    assert.deepEqual(await keyv.get(["brief", "long"]), [undefined, "2"]);
    assert.deepEqual([await keyv.get("brief"), await keyv.has("brief")], [undefined, false]);
    assert.deepEqual(await keyv.hasMany(["brief", "long"]), [false, true]);
    assert.deepEqual(await listed(keyv.iterator()), [["endless", "3"], ["long", "2"]]);
  });
}

onBoth("lifetimes that are over, that do not end, or that end after the year 9999", async (t, kv, { Keyv: Adapter }) => {
  const store = new Adapter(kv);
  for (const ttl of [0, undefined, NaN, Infinity, Number.MAX_SAFE_INTEGER]) {
    assert.equal(await store.set("k", "v", ttl), true);
    const { value, expiration } = await kv.getWithMetadata("k");
    assert.deepEqual([value, expiration], ["v", null]);
  }
  await store.set("k", "over", -1);
  assert.equal(await kv.get("k"), null);
});

onBoth("many keys are read in steps, and stored and removed at once", async (t, kv, { Keyv: Adapter }) => {
  const keyv = new Keyv5({ store: new Adapter(kv) });
  const keys = Array.from({ length: 1234 }, (_, index) => `k${index}`);
  await keyv.setMany(keys.map((key) => ({ key, value: key })));
  assert.deepEqual(await keyv.getMany([...keys, "none", "k7"]), [...keys, undefined, "k7"]);
  assert.equal(await keyv.deleteMany(keys), true);
  assert.equal(await kv.count(), 0);
  await keyv.set("k", "v");
  assert.equal(await keyv.deleteMany([...Array.from({ length: 12_345 }, (_, index) => `none${index}`), "k"]), false);
  assert.equal(await kv.count(), 0);
  const broken = [{ key: "k", value: "v" }, { key: "", value: "v" }];
  await assert.rejects(new Adapter(kv).setMany(broken));
  assert.equal(await kv.count(), 0);
});

onBoth("a value that is not serialized is refused", async (t, kv, { Keyv: Adapter }) => {
  const message = "the value must be a string, not a object: leave keyv's serialization switched on";
  await assert.rejects(new Adapter(kv).set("k", { value: 1 }), { name: "TypeError", message });
  assert.equal(await kv.count(), 0);
});

onBoth("keyv is told of an error, also of one that it drops", async (t, kv, { Keyv: Adapter }) => {
  const keyv = new Keyv5({ store: new Adapter(kv) });
  const errors = [];
  keyv.on("error", (error) => errors.push(error.code));
  await kv.store.close();
  assert.deepEqual([await keyv.get("k"), await keyv.set("k", "v")], [undefined, false]);
  assert.deepEqual(errors, ["INVALID", "INVALID"]);
});

onBoth("disconnect() leaves a store open that it did not open", async (t, kv, { Keyv: Adapter }) => {
  const keyv = new Keyv5({ store: new Adapter({ namespace: kv }) });
  await keyv.set("k", "v");
  await keyv.disconnect();
  assert.equal(await kv.get("keyv:k"), JSON.stringify({ value: "v" }));
});

onBoth("wrong options are refused, and say what would be right", async (t, kv, { Keyv: Adapter }) => {
  const refusal = (options, message) => assert.throws(() => new Adapter(options), { name: "TypeError", message });
  refusal("app.db", "an adapter takes a namespace or options, not a string");
  refusal({ path: "app.db" }, "unknown option path: the options are namespace, store");
  refusal({ namespace: 7 }, "the option namespace is a namespace of a store, or a name");
  refusal({ namespace: kv, store: "app.db" }, "the option store has no effect beside an open namespace: omit it");
});

test("luat-kv-native: it opens a store by itself, at the first use, and disconnect() closes it", async () => {
  const { Keyv: Adapter } = packages[0];
  const path = scratch();
  for (const [store, namespace, name] of [[path, undefined, "keyv"], [{ url: path, busyTimeout: 9 }, "mine", "mine"]]) {
    const keyv = new Keyv5({ store: new Adapter({ store, namespace }) });
    await keyv.set("k", name);
    await keyv.disconnect();
    assert.equal(await keyv.get("k"), name); // it is opened again
    await keyv.disconnect();
    const reader = Store.open(path, { readonly: true });
    assert.equal(reader.namespace(name).get("keyv:k", "json").value, name);
    reader.close();
  }
  await assert.rejects(new Adapter({ store: { url: path, timeout: 1 } }).get("k"), { name: "TypeError" });
});

test("luat-kv-native: a store that could not be opened is opened by the next call", async () => {
  const { Keyv: Adapter, driver } = packages[0];
  for (const use of [
    (store) => [new Adapter({ store }), (adapter) => adapter.get("k"), (adapter) => adapter.disconnect()],
    (store) => [driver({ store }), (driven) => driven.getKeys(), (driven) => driven.dispose()],
  ]) {
    const folder = scratch();
    writeFileSync(folder, "no folder");
    const [adapter, read, close] = use(`${folder}/kv.db`);
    await assert.rejects(read(adapter), { code: "IO" });
    await assert.rejects(read(adapter), { code: "IO" });
    await close(adapter); // there is nothing to close
    await assert.rejects(read(adapter), { code: "IO" });
    rmSync(folder);
    await read(adapter);
    await close(adapter);
  }
});

test("luat-kv-native: without a place it opens the project's store", async (t) => {
  const path = scratch();
  process.env.LUAT_KV_DB = path;
  t.after(() => delete process.env.LUAT_KV_DB);
  const adapter = new packages[0].Keyv();
  await adapter.set("k", "v");
  await adapter.disconnect();
  const reader = Store.open(path);
  assert.equal(reader.namespace("keyv").get("k"), "v");
  reader.close();
});

test("luat-kv: it opens a store by itself, with options of Store.open()", async () => {
  const { Keyv: Adapter } = packages[1];
  const keyv = new Keyv5({ store: new Adapter({ store: { maxMemory: 4 << 20 } }) });
  await keyv.set("k", "v");
  assert.equal(await keyv.get("k"), "v");
  await keyv.disconnect();
  await assert.rejects(new Adapter({ store: { path: "x" } }).get("k"), { name: "TypeError" });
});
