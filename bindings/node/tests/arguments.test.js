// Wrong types, numbers out of range, and errors with their codes.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import test from "node:test";
import { Atomic, LuatKVError, Namespace, Store, open, openMemory, openProject } from "luat-kv-native";
import { fails, locked, onBoth, outOfRange, scratch, wrongType } from "./support.js";

const strange = [undefined, null, 1, 1n, true, {}, [], () => 1, Symbol("s"), new ArrayBuffer(1)];

test("a key, a prefix and a name must be text or bytes", onBoth((kv, store) => {
  for (const key of strange) {
    wrongType(/the key must be a string or a Uint8Array, not /, () => kv.get(key));
    wrongType(/the key/, () => kv.getWithMetadata(key));
    wrongType(/the key/, () => kv.put(key, "x"));
    wrongType(/the key/, () => kv.add(key, "x"));
    wrongType(/the key/, () => kv.delete(key));
    wrongType(/the key/, () => kv.touch(key));
    wrongType(/the key/, () => kv.incr(key));
    wrongType(/prefix/, () => kv.deletePrefix(key));
    wrongType(/a key/, () => kv.getMany([key]));
    wrongType(/the key/, () => kv.atomic().check(key, null));
    wrongType(/the key/, () => kv.atomic().put(key, "x"));
    wrongType(/the key/, () => kv.atomic().delete(key));
    wrongType(/the key/, () => kv.atomic().incr(key));
    wrongType(/the namespace must be a string/, () => store.namespace(key));
  }
  wrongType(/keys must be an array, not string/, () => kv.getMany("k"));
  assert.deepEqual(store.namespaces(), []);
}));

test("keys that are empty, no UTF-8 or too long are refused with their code", onBoth((kv) => {
  for (const use of [(key) => kv.get(key), (key) => kv.put(key, "x"), (key) => kv.delete(key), (key) => kv.incr(key)]) {
    fails("INVALID", /empty/, () => use(""));
    fails("INVALID", /empty/, () => use(new Uint8Array(0)));
    fails("INVALID", /UTF-8/, () => use(Buffer.from([0xff, 0xfe])));
    fails("INVALID", /UTF-8/, () => use(Buffer.from([0xed, 0xa0, 0x80])));
    fails("LIMIT", /4097/, () => use("x".repeat(4097)));
    fails("LIMIT", /100000/, () => use(Buffer.alloc(100_000, "x")));
  }
  fails("INVALID", /UTF-8/, () => kv.getMany(["k", Buffer.from([255])]));
}));

test("options must be an object, of names that are known", onBoth((kv) => {
  for (const options of [null, 1, "x", [], true]) {
    wrongType(/options must be an object/, () => kv.put("k", "x", options));
    wrongType(/options must be an object/, () => kv.list(options));
    wrongType(/options must be an object/, () => kv.count(options));
  }
  for (const options of [new Map([["expirationTtl", 60]]), new Set(), new Date(), Promise.resolve({ expirationTtl: 60 })]) {
    wrongType(/options must be a plain object, not a (Map|Set|Date|Promise)/, () => kv.put("k", "x", options));
  }
  wrongType(/unknown option expiration_ttl: there are expiration, expirationTtl, metadata/, () =>
    kv.put("k", "x", { expiration_ttl: 60 }));
  wrongType(/unknown option metadata/, () => kv.touch("k", { metadata: 1 }));
  wrongType(/unknown option limits/, () => kv.list({ limits: 1 }));
  wrongType(/unknown option limit/, () => kv.each({ limit: 1 }));
  wrongType(/unknown option timeout/, () => openMemory({ timeout: 1 }));
  wrongType(/unknown option overwrite/, () => kv.import("x", { overwrite: true }));
  kv.put("k", "x", { expiration: undefined, expirationTtl: undefined, metadata: null });
  assert.equal(kv.getWithMetadata("k").metadata, null);
}));

test("only own properties of options count", onBoth((kv) => {
  kv.put("k", "v");
  Object.prototype.expirationTtl = 7;
  Object.prototype.metadata = "not mine";
  Object.prototype.limit = 1;
  Object.prototype.readonly = true;
  Object.prototype.initial = 100;
  try {
    for (const options of [{}, undefined, { expiration: 2 ** 37 }, Object.create({ expirationTtl: 5 })]) {
      kv.put("k", "v", options);
      const { expiration, metadata } = kv.getWithMetadata("k");
      assert.deepEqual([expiration, metadata], [options?.expiration ?? null, null]);
    }
    assert.equal(kv.touch("k"), true);
    assert.equal(kv.touch("k", {}), true);
    assert.equal(kv.getWithMetadata("k").expiration, null);
    assert.equal(kv.incr("n", 1, {}), 1);
    assert.equal(kv.atomic().put("k2", "v", {}).commit().ok, true);
    assert.equal(kv.list({}).keys.length, 3);
    const path = scratch();
    const store = open(path, {});
    store.namespace("n").put("k", "v");
    store.close();
  } finally {
    for (const name of ["expirationTtl", "metadata", "limit", "readonly", "initial"]) delete Object.prototype[name];
  }
  const hidden = Object.defineProperty({}, "metadata", { value: "hidden" });
  kv.put("k", "v", hidden);
  assert.equal(kv.getWithMetadata("k").metadata, "hidden");
}));

const numbers = [-1, 0, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 53 + 2, 2 ** 64, Number.MAX_VALUE];

test("lifetimes must be whole numbers that make sense", onBoth((kv) => {
  kv.put("k", "as it was");
  for (const name of ["expiration", "expirationTtl"]) {
    for (const number of numbers) {
      outOfRange(new RegExp(`${name} must be a whole number from 1, not`), () => kv.put("k", "x", { [name]: number }));
      outOfRange(/whole number/, () => kv.add("n", "x", { [name]: number }));
      outOfRange(/whole number/, () => kv.touch("k", { [name]: number }));
      outOfRange(/whole number/, () => kv.incr("n", 1, { [name]: number }));
      outOfRange(/whole number/, () => kv.atomic().put("k", "x", { [name]: number }));
    }
    for (const value of ["60", 60n, null, {}, true, false, new Date()]) {
      wrongType(new RegExp(`${name} must be a number`), () => kv.put("k", "x", { [name]: value }));
    }
  }
  // What is past the year 9999 is refused before it can come back as another number.
  for (const name of ["expiration", "expirationTtl"]) {
    fails("INVALID", /9999/, () => kv.put("k", "x", { [name]: Number.MAX_SAFE_INTEGER }));
    fails("INVALID", /9999/, () => kv.put("k", "x", { [name]: 253_402_300_800 }));
  }
  fails("INVALID", /not in the future/, () => kv.put("k", "x", { expiration: 1 }));
  fails("INVALID", /not in the future/, () => kv.touch("k", { expiration: 1000 }));
  assert.equal(kv.get("k"), "as it was");
  assert.equal(kv.get("n"), null);
  kv.put("k", "x", { expiration: 2 ** 37 });
  assert.equal(kv.getWithMetadata("k").expiration, 2 ** 37);
}));

test("the numbers of a list, a sweep and a counter must fit", onBoth((kv, store) => {
  for (const number of [...numbers, 2 ** 32]) {
    outOfRange(/limit must be a whole number from 1/, () => kv.list({ limit: number }));
    if (number !== 0 && number < 2 ** 32) outOfRange(/max must be/, () => store.sweep(number));
    if (number % 1 !== 0 || number > 2 ** 32) outOfRange(/by must be/, () => kv.incr("n", number));
  }
  fails("LIMIT", /10001/, () => kv.list({ limit: 10_001 }));
  outOfRange(/64 bits/, () => kv.incr("n", 2n ** 63n));
  outOfRange(/64 bits/, () => kv.incr("n", 1, { initial: -(2n ** 63n) - 1n }));
  wrongType(/by must be a number or a bigint/, () => kv.incr("n", "1"));
  wrongType(/by must be a number or a bigint/, () => kv.incr("n", null));
  fails("LIMIT", /10001/, () => kv.getMany(Array.from({ length: 10_001 }, (_, i) => `k${i}`)));
  assert.equal(kv.get("n"), null);
}));

test("types, flags and words must be of those that there are", onBoth((kv) => {
  for (const type of ["Text", "stream", "", null, 1, ["text"], { type: "xml" }]) {
    wrongType(/type must be one of text, json, buffer, arrayBuffer|options must be|unknown option/, () => kv.get("missing", type));
  }
  wrongType(/type must be one of/, () => kv.list({ values: "xml" }));
  wrongType(/reverse must be a boolean/, () => kv.list({ reverse: 1 }));
  wrongType(/cursor must be/, () => kv.list({ cursor: 1 }));
  wrongType(/format must be one of json, jsonl, not "csv"/, () => kv.export(scratch(), { format: "csv" }));
  wrongType(/format must be one of/, () => kv.export(scratch(), { format: "toString" }));
  wrongType(/replace must be a boolean/, () => kv.import(scratch(), { replace: "yes" }));
  wrongType(/version must be a string, or null/, () => kv.atomic().check("k"));
  fails("INVALID", /version/, () => kv.atomic().check("k", "nonsense"));
  fails("INVALID", /version is empty/, () => kv.atomic().check("k", ""));
  fails("INVALID", /cursor/, () => kv.list({ cursor: "nonsense" }));
  for (const empty of ["", new Uint8Array(0)]) {
    fails("INVALID", /^cursor is empty: leave it out where there is none$/, () => kv.list({ cursor: empty }));
    fails("INVALID", /^stop is empty: leave it out where there is none$/, () => kv.list({ stop: empty }));
    fails("INVALID", /^stop is empty/, () => kv.each({ stop: empty }));
    assert.deepEqual(kv.list({ prefix: empty, start: empty }).keys, []);
  }
}));

test("metadata must be something that JSON can say, and not too much", onBoth((kv) => {
  wrongType(/metadata must not be function/, () => kv.put("k", "x", { metadata: () => 1 }));
  wrongType(/metadata must not be a Map/, () => kv.put("k", "x", { metadata: new Map() }));
  outOfRange(/metadata must be finite/, () => kv.put("k", "x", { metadata: NaN }));
  fails("LIMIT", /metadata/, () => kv.put("k", "x", { metadata: "x".repeat(65_536) }));
  let deep = 1;
  for (let level = 0; level < 129; level++) deep = [deep];
  fails("INVALID", /128|deep|recursion/, () => kv.put("k", "x", { metadata: deep }));
  assert.equal(kv.get("k"), null);
}));

test("paths must be paths", () => {
  for (const path of [undefined, null, 1, {}, []]) wrongType(/the path must be a string, a Uint8Array or a file/, () => open(path));
  wrongType(/the folder must be/, () => openProject(1));
  fails("INVALID", /NUL/, () => open("a\0b"));
  fails("INVALID", /surrogate/, () => open("\ud800"));
  fails("INVALID", /./, () => open(""));
  fails("INVALID", /./, () => open(":memory:"));
  wrongType(/file/, () => open(new URL("http://example.com/kv.db")));
  const store = openMemory();
  wrongType(/the path/, () => store.backup());
  outOfRange(/descriptor/, () => store.namespace("n").export(-1));
  fails("IO", /./, () => store.namespace("n").export(1_000_000));
  store.close();
});

test("the options of open must be right", () => {
  for (const number of [-1, 1.5, NaN, Infinity, 2 ** 32, 2 ** 53, 2 ** 64]) {
    outOfRange(/busyTimeout must be a whole number from 0 to 4294967295/, () => open(scratch(), { busyTimeout: number }));
  }
  wrongType(/busyTimeout must be a number/, () => open(scratch(), { busyTimeout: "5" }));
  wrongType(/limits must be one of default, cloudflare, not "cf"/, () => open(scratch(), { limits: "cf" }));
  wrongType(/durability must be one of normal, full, not number/, () => open(scratch(), { durability: 1 }));
  wrongType(/readonly must be a boolean/, () => open(scratch(), { readonly: 1 }));
  wrongType(/nowait must be a boolean/, () => open(scratch(), { nowait: "no" }));
  fails("INVALID", /./, () => openMemory({ readonly: true }));
});

test("INVALID, IO, CORRUPT, READONLY and LIMIT come as what they are", () => {
  const folder = scratch("folder");
  mkdirSync(folder);
  fails("IO", /./, () => open(folder));
  fails("IO", /./, () => open(scratch("missing.db"), { readonly: true }));
  const garbage = scratch("garbage.db");
  writeFileSync(garbage, "x".repeat(10_000));
  fails("CORRUPT", /./, () => open(garbage));
  const path = scratch();
  open(path).close();
  const store = open(path, { readonly: true });
  fails("READONLY", /./, () => store.namespace("n").put("k", "v"));
  store.close();
  const narrow = openMemory({ limits: "cloudflare" }).namespace("n");
  fails("LIMIT", /513/, () => narrow.put("x".repeat(513), "v"));
  fails("LIMIT", /60/, () => narrow.put("k", "v", { expirationTtl: 59 }));
});

test("BUSY comes when another process writes for too long, and the store works on", async () => {
  const path = scratch();
  const stores = [open(path, { nowait: true }), open(path, { busyTimeout: 0 }), open(path, { busyTimeout: 20 })];
  const unlock = await locked(path);
  for (const store of stores) fails("BUSY", /./, () => store.namespace("n").put("k", "v"));
  const batch = stores[0].namespace("n").atomic().put("k", "from the batch");
  fails("BUSY", /./, () => batch.commit());
  await unlock();
  assert.equal(batch.commit().ok, true);
  for (const store of stores) {
    assert.equal(store.namespace("n").get("k"), "from the batch");
    store.close();
  }
});

test("an error is an Error with a code, a status and a stack of the caller's", () => {
  const kv = openMemory().namespace("n");
  const error = (function caller() {
    try {
      kv.put("", "x");
    } catch (caught) {
      return caught;
    }
  })();
  assert(error instanceof Error && error instanceof LuatKVError);
  assert.deepEqual([error.name, error.code, error.status], ["LuatKVError", "INVALID", -1]);
  assert.match(error.stack, /^LuatKVError: the key is empty\n[^]*caller/);
  assert.match(inspect(error), /code: 'INVALID',\s*status: -1/);
  assert(!Object.keys(error).includes("name"));
});

test("classes are not made by hand, and methods not called on others", () => {
  for (const type of [Store, Namespace, Atomic]) wrongType(/comes from/, () => new type());
  const kv = openMemory().namespace("n");
  wrongType(/./, () => Namespace.prototype.get.call({}, "k"));
  wrongType(/./, () => Store.prototype.close.call(kv));
  wrongType(/./, () => kv.atomic().namespace({}));
});

