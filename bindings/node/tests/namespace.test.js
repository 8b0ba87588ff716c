// Keys: their metadata, expiration and version, lists and counters, and batches.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Namespace, Store } from "luat-kv-native";
import { fails, onBoth, run, scratch } from "./support.js";

const soon = () => Math.floor(Date.now() / 1000) + 1000;
const names = (page) => page.keys.map(({ name }) => name);

test("metadata and expiration come back, and a put without them clears them", onBoth((kv) => {
  const expiration = soon();
  for (const metadata of [{ a: [1, "\u20ac"] }, [], "text", 0, false]) {
    kv.put("k", "v", { metadata, expiration });
    const entry = kv.getWithMetadata("k");
    assert.match(entry.version, /^\S+$/);
    assert.deepEqual(entry, { value: "v", metadata, expiration, version: entry.version });
    assert.deepEqual(kv.list().keys, [{ name: "k", expiration, metadata, version: entry.version }]);
  }
  kv.put("k", "v", { metadata: "x".repeat(60_000) });
  assert.equal(kv.getWithMetadata("k").metadata.length, 60_000);
  kv.put("k", "v");
  const { version } = kv.getWithMetadata("k");
  assert.deepEqual(kv.getWithMetadata("k"), { value: "v", metadata: null, expiration: null, version });
  assert.deepEqual(kv.list().keys, [{ name: "k", version }]);
}));

test("expirationTtl counts from now, and wins over expiration", onBoth((kv) => {
  kv.put("k", "v", { expirationTtl: 100, expiration: soon() + 5000 });
  const left = kv.getWithMetadata("k").expiration - Date.now() / 1000;
  assert(left > 90 && left <= 101, `${left}`);
}));

test("an entry is gone everywhere when its time has come", async () => {
  const store = Store.openMemory();
  const kv = store.namespace("n");
  kv.put("k", "v", { expirationTtl: 1 });
  kv.put("touched", "v", { expirationTtl: 1 });
  assert.equal(kv.touch("touched"), true);
  await sleep(2100);
  assert.equal(kv.get("k"), null);
  assert.equal(kv.getWithMetadata("k").version, null);
  assert.deepEqual(names(kv.list()), ["touched"]);
  assert.deepEqual(store.stats().namespaces.get("n"), { live: 1, expired: 1 });
  assert.equal(store.sweep(), 1);
  assert.equal(store.sweep(10), 0);
  assert.equal(typeof kv.add("k", "again"), "string");
  store.close();
});

test("touch gives another expiration, keeps the rest, and tells of a missing key", onBoth((kv) => {
  const expiration = soon();
  kv.put("k", "v", { metadata: 1 });
  assert.equal(kv.touch("k", { expiration }), true);
  const { value, metadata, expiration: now } = kv.getWithMetadata("k");
  assert.deepEqual([value, metadata, now], ["v", 1, expiration]);
  assert.equal(kv.touch("k", {}), true);
  assert.equal(kv.getWithMetadata("k").expiration, null);
  assert.equal(kv.touch("missing"), false);
}));

test("incr counts in 64 bits: a number where that is safe, else a bigint", onBoth((kv) => {
  assert.equal(kv.incr("n"), 1);
  assert.equal(kv.incr("n", -3n), -2);
  assert.equal(kv.incr("n", 2 ** 53 - 1), 2 ** 53 - 3);
  assert.equal(kv.incr("n", 2), 2 ** 53 - 1);
  assert.equal(kv.incr("n"), 2n ** 53n);
  assert.equal(kv.incr("n", -(2n ** 54n)), -(2n ** 53n));
  assert.equal(kv.incr("n", 1), -(2 ** 53 - 1));
  assert.equal(kv.incr("max", 2n ** 63n - 1n), 2n ** 63n - 1n);
  fails("INVALID", /./, () => kv.incr("max"));
  assert.equal(kv.get("max"), "9223372036854775807");
  assert.equal(kv.incr("min", 0, { initial: -(2n ** 63n), expirationTtl: 100 }), -(2n ** 63n));
  assert.notEqual(kv.getWithMetadata("min").expiration, null);
  kv.put("text", "forty-two");
  fails("INVALID", /./, () => kv.incr("text"));
}));

test("a list has pages, a direction, bounds and values", onBoth((kv) => {
  for (const name of ["a", "b1", "b2", "b3", "c"]) kv.put(name, `{"of":"${name}"}`);
  assert.deepEqual(names(kv.list()), ["a", "b1", "b2", "b3", "c"]);
  assert.equal(kv.list().list_complete, true);
  assert(!("cursor" in kv.list()));
  const first = kv.list({ prefix: "b", limit: 2 });
  assert.deepEqual([names(first), first.list_complete], [["b1", "b2"], false]);
  assert.deepEqual(names(kv.list({ prefix: "b", limit: 2, cursor: first.cursor })), ["b3"]);
  assert.deepEqual(names(kv.list({ prefix: Buffer.from("b"), reverse: true })), ["b3", "b2", "b1"]);
  assert.deepEqual(names(kv.list({ start: "b1", stop: "b3", cursor: null })), ["b1", "b2"]);
  assert.deepEqual(kv.list({ values: true }).keys[0].value, '{"of":"a"}');
  assert.deepEqual(kv.list({ values: "json" }).keys[0].value, { of: "a" });
  assert(!("value" in kv.list({ values: false }).keys[0]));
  fails("INVALID", /./, () => kv.list({ cursor: first.cursor, prefix: "c" }));
}));

test("each goes over all pages, also while keys are put and deleted", onBoth((kv) => {
  for (let i = 0; i < 2500; i++) kv.put(`k${String(i).padStart(4, "0")}`, `${i}`);
  assert.equal([...kv.each()].length, 2500);
  const back = [...kv.each({ prefix: "k1", reverse: true, values: "text" })];
  assert.deepEqual([back.length, back[0].name, back[999].value], [1000, "k1999", "1000"]);
  let seen = 0;
  for (const { name } of kv.each({ values: true })) {
    if (seen++ === 10) break;
    kv.delete(name);
  }
  assert.equal(kv.count(), 2490);
  fails("LIMIT", /./, () => kv.each({ prefix: "x".repeat(5000) }).next());
}));

test("each begins with a small page, and each page is larger than the one before", onBoth((kv) => {
  for (let i = 0; i < 3000; i++) kv.put(`k${String(i).padStart(4, "0")}`, "");
  const { list } = Namespace.prototype;
  const read = [];
  Namespace.prototype.list = function (settings) {
    const page = list.call(this, settings);
    read.push(page.keys.length);
    return page;
  };
  try {
    assert.equal(kv.each().next().value.name, "k0000");
    assert(read.length === 1 && read[0] <= 10, `${read}`);
    read.length = 0;
    assert.equal([...kv.each()].length, 3000);
    assert(read.length <= 8 && Math.max(...read) === 1000, `${read}`);
  } finally {
    Namespace.prototype.list = list;
  }
}));

test("what another program wrote does not break a list: no JSON as metadata, a time past 2^53", async () => {
  const path = scratch();
  Store.open(path).close();
  const row = (key, metadata, end) => `INSERT INTO kv (namespace, key, value, metadata, expiration)
    VALUES ('n', '${key}', 'v', ${metadata}, ${end});`;
  await run("sqlite3", [path, row("a", "'[1]'", "NULL") + row("b", "'{bad'", "NULL") + row("c", "NULL", "1 << 60")]);
  const store = Store.open(path);
  const kv = store.namespace("n");
  const bad = /^the metadata of "b" is not JSON/;
  const [a, b, c] = kv.list({ values: true }).keys;
  assert.deepEqual([a.metadata, a.value, b.value, c.expiration], [[1], "v", "v", 2 ** 60]);
  fails("CORRUPT", bad, () => b.metadata);
  const many = kv.getWithMetadata(["a", "b"]);
  assert.deepEqual([many.get("a").metadata, many.get("b").value], [[1], "v"]);
  fails("CORRUPT", bad, () => many.get("b").metadata);
  fails("CORRUPT", bad, () => kv.getWithMetadata("b"));
  assert.deepEqual([kv.get("b"), [...kv.each()].length, kv.getWithMetadata("c").expiration], ["v", 3, 2 ** 60]);
  store.close();
});

test("count, deletePrefix and clear go by their prefix", onBoth((kv, store) => {
  for (const name of ["a", "b1", "b2", "c%"]) kv.put(name, "");
  store.namespace("other").put("b1", "");
  assert.equal(kv.count(), 4);
  assert.equal(kv.count({}), 4);
  assert.equal(kv.count({ prefix: "b" }), 2);
  assert.equal(kv.count({ prefix: "%" }), 0);
  assert.equal(kv.deletePrefix("b"), 2);
  fails("INVALID", /./, () => kv.deletePrefix(""));
  assert.equal(kv.clear(), 2);
  assert.equal(kv.clear(), 0);
  assert.equal(store.namespace("other").count(), 1);
}));

test("get with many keys returns a Map in the order of the keys", onBoth((kv) => {
  kv.put("a", "1", { metadata: { m: 1 } });
  kv.put("__proto__", "2");
  const found = kv.get(["z", "__proto__", "a", Buffer.from("a"), "z"]);
  assert.deepEqual([...found], [["z", null], ["__proto__", "2"], ["a", "1"]]);
  assert.deepEqual([...kv.get(["a"], "json")], [["a", 1]]);
  const whole = kv.getWithMetadata(["a", "z"], { type: "json" });
  assert.deepEqual(whole.get("a"), { value: 1, metadata: { m: 1 }, expiration: null, version: kv.getWithMetadata("a").version });
  assert.equal(whole.get("z"), null);
  assert.equal(kv.get([]).size, 0);
  const keys = Array.from({ length: 10_000 }, (_, i) => `key ${i} ${"\u20ac".repeat(i % 50)}`);
  for (const key of keys.slice(0, 2000)) kv.put(key, key);
  const many = kv.get(keys);
  assert.equal([...many.values()].filter((value) => value !== null).length, 2000);
  for (const key of keys.slice(0, 2000)) assert.equal(many.get(key), key);
}));

// ---- Batches

test("a batch makes all of its changes, or none where a check does not hold", onBoth((kv, store) => {
  const { version } = kv.getWithMetadata("k");
  const made = kv.atomic().check("k", version).put("k", { n: 1 }, { metadata: 1, expirationTtl: 100 }).incr("c", 5n).commit();
  assert.equal(made.ok, true);
  assert.equal(kv.getWithMetadata("k").version, made.version);
  assert.deepEqual(kv.atomic().check("k", null).put("k", "no").delete("c").commit(), { ok: false });
  assert.deepEqual(kv.get("k", "json"), { n: 1 });
  assert.equal(kv.atomic().check("k", made.version).delete("k").incr("c").commit().ok, true);
  assert.deepEqual([kv.get("k"), kv.get("c")], [null, "6"]);
  const both = store.atomic().namespace("one").put("k", "1").namespace(store.namespace("two")).put("k", "2");
  assert.equal(both.commit().ok, true);
  assert.deepEqual(store.namespaces(), ["one", "test", "two"]);
}));

test("a batch copies its values, and refuses what cannot be without losing the rest", onBoth((kv, store) => {
  const bytes = Buffer.from("before");
  const batch = kv.atomic().put("k", bytes);
  bytes.fill("x");
  fails("INVALID", /empty/, () => batch.put("", "x"));
  fails("INVALID", /./, () => batch.incr("k", 1, { expiration: 5 }));
  const other = Store.openMemory();
  fails("INVALID", /./, () => batch.namespace(other.namespace("n")).put("k", "x"));
  assert.equal(batch.namespace(kv).put("l", "2").commit().ok, true);
  assert.deepEqual([kv.get("k"), kv.get("l")], ["before", "2"]);
  fails("INVALID", /no namespace yet/, () => store.atomic().delete("k"));
  other.close();
}));

test("a batch that failed can be committed again, and one that was committed cannot", onBoth((kv) => {
  kv.put("c", "not a number");
  const batch = kv.atomic().put("k", "v").incr("c");
  fails("INVALID", /./, () => batch.commit());
  assert.equal(kv.get("k"), null);
  kv.put("c", "41");
  assert.equal(batch.commit().ok, true);
  assert.deepEqual([kv.get("k"), kv.get("c")], ["v", "42"]);
  for (const use of [() => batch.commit(), () => batch.put("k", "x"), () => batch.namespace("n"), () => batch.check("k", null)]) {
    fails("INVALID", /was committed/, use);
  }
}));
