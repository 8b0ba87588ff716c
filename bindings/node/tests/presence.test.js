// Whether keys exist, their removal, and the versions that writes return.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Atomic, Store } from "luat-kv-native";
import { fails, onBoth, outOfRange, run, scratch, wrongType } from "./support.js";

const MISSING = { value: null, metadata: null, expiration: null, version: null };

test("has looks for live keys", onBoth((kv, store) => {
  kv.put("k", "v");
  kv.put("empty", "");
  kv.put("large", "v".repeat(100_000));
  for (const key of ["k", Buffer.from("k"), "empty", "large"]) assert.equal(kv.has(key), true);
  for (const key of ["K", "k\0", "missing"]) assert.equal(kv.has(key), false);
  assert.equal(store.namespace("other").has("k"), false);
  kv.delete("k");
  assert.equal(kv.has("k"), false);
}));

test("an entry whose time has come is not there, and is not removed", async () => {
  const store = Store.openMemory();
  const kv = store.namespace("n");
  for (const key of ["a", "b", "c"]) kv.put(key, "v", { expirationTtl: 1 });
  await sleep(2100);
  assert.deepEqual([kv.has("a"), kv.delete("b"), kv.take("c")], [false, false, MISSING]);
  store.close();
});

test("delete returns whether the key was there", onBoth((kv) => {
  kv.put("k", "v");
  kv.put("stays", "v");
  assert.deepEqual([kv.delete("k"), kv.delete("k"), kv.delete("missing")], [true, false, false]);
  assert.equal(kv.get("stays"), "v");
}));

test("deleteBulk removes many keys at once, or one", onBoth((kv, store) => {
  const keys = Array.from({ length: 12_000 }, (_, index) => `k${index}`);
  for (const key of keys.slice(0, 500)) kv.put(key, key);
  assert.equal(kv.deleteBulk(["k0", "missing", Buffer.from("k1"), "k1"]), undefined);
  kv.deleteBulk("k2");
  kv.deleteBulk(Buffer.from("k3"));
  kv.deleteBulk([]);
  assert.equal(kv.count(), 496);
  for (const wrong of [["k4", undefined], undefined, ["k4", 1]]) wrongType(/the key must be/, () => kv.deleteBulk(wrong));
  fails("INVALID", /empty/, () => kv.deleteBulk(["k4", ""]));
  assert.equal(kv.count(), 496);
  kv.deleteBulk(keys);
  assert.deepEqual([kv.count(), store.namespaces()], [0, []]);
}));

test("take removes a key, and returns what getWithMetadata would have returned", onBoth((kv) => {
  const settings = { metadata: { a: [1] }, expirationTtl: 1000 };
  for (const type of [undefined, "text", "json", "buffer", "arrayBuffer", { type: "json" }]) {
    kv.put("k", "[1]", settings);
    const entry = kv.getWithMetadata("k", type);
    assert.deepEqual(kv.take(Buffer.from("k"), type), entry);
    assert.equal(kv.has("k"), false);
    assert.deepEqual(kv.take("k", type), MISSING);
  }
  kv.put("large", "v".repeat(100_000));
  assert.equal(kv.take("large").value.length, 100_000);
}));

test("a take that fails leaves the key", async () => {
  const path = scratch();
  Store.open(path).close();
  const row = `INSERT INTO kv (namespace, key, value, metadata) VALUES ('n', 'bad', 'v', '{bad')`;
  await run("sqlite3", [path, row]);
  const store = Store.open(path);
  const kv = store.namespace("n");
  kv.put("k", "not JSON");
  assert.throws(() => kv.take("k", "json"), { name: "SyntaxError", message: /^the value of "k" is not JSON/ });
  wrongType(/type must be one of/, () => kv.take("k", "jsn"));
  fails("CORRUPT", /the metadata of "bad" is not JSON/, () => kv.take("bad"));
  assert.deepEqual([kv.take("k").value, kv.get("bad")], ["not JSON", "v"]);
  store.close();
});

test("take removes only what it returns", onBoth((kv) => {
  const { check } = Atomic.prototype;
  const writers = [() => kv.put("k", "new"), () => kv.delete("k")];
  // Another writer writes between the read and the removal.
  Atomic.prototype.check = function (key, version) {
    writers.shift()?.();
    return check.call(this, key, version);
  };
  try {
    kv.put("k", "old");
    assert.deepEqual(kv.take("k"), MISSING);
    kv.put("k", "old");
    writers.push(() => kv.put("k", "new"));
    assert.equal(kv.take("k").value, "new");
    assert.deepEqual([writers.length, kv.has("k")], [0, false]);
  } finally {
    Atomic.prototype.check = check;
  }
}));

test("put returns the version of the entry, and add the version or null", onBoth((kv) => {
  const version = () => kv.getWithMetadata("k").version;
  const first = kv.add("k", "1", { metadata: "m" });
  assert.equal(first, version());
  assert.equal(kv.add("k", "2"), null);
  assert.deepEqual([kv.get("k"), version()], ["1", first]);
  const second = kv.put("k", { n: 1 }, { expirationTtl: 100 });
  assert.equal(second, version());
  assert.notEqual(first, second);
  assert.equal(kv.atomic().check("k", first).put("k", "3").commit().ok, false);
  assert.equal(kv.atomic().check("k", second).put("k", "3").commit().ok, true);
  outOfRange(/expirationTtl/, () => kv.put("k", "4", { expirationTtl: -1 }));
  assert.equal(kv.get("k"), "3");
}));

test("keys are checked as everywhere", onBoth((kv) => {
  for (const call of [(key) => kv.has(key), (key) => kv.delete(key), (key) => kv.take(key)]) {
    fails("INVALID", /empty/, () => call(""));
    fails("INVALID", /UTF-8/, () => call(Buffer.of(0xff)));
    fails("LIMIT", /4097/, () => call("k".repeat(4097)));
    for (const wrong of [undefined, null, 1, {}, ["k"]]) wrongType(/the key must be a string or a Uint8Array/, () => call(wrong));
  }
}));
