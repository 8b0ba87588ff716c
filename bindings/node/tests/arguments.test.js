// Wrong types, numbers out of range, and errors with their codes.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import test from "node:test";
import { Atomic, LuatKVError, Namespace, Store } from "luat-kv-native";
import { fails, locked, onBoth, outOfRange, scratch, wrongType } from "./support.js";

const strange = [undefined, null, 1, 1n, true, {}, [], () => 1, Symbol("s"), new ArrayBuffer(1)];

test("a key, a prefix and a name must be text or bytes", onBoth((kv, store) => {
  for (const key of strange) {
    if (!Array.isArray(key)) {
      wrongType(/the key must be a string or a Uint8Array, not /, () => kv.get(key));
      wrongType(/the key/, () => kv.getWithMetadata(key));
      wrongType(/the key/, () => kv.deleteBulk(key));
    }
    wrongType(/the key/, () => kv.has(key));
    wrongType(/the key/, () => kv.take(key));
    wrongType(/the key/, () => kv.put(key, "x"));
    wrongType(/the key/, () => kv.add(key, "x"));
    wrongType(/the key/, () => kv.delete(key));
    wrongType(/the key/, () => kv.touch(key));
    wrongType(/the key/, () => kv.incr(key));
    wrongType(/prefix/, () => kv.deletePrefix(key));
    wrongType(/a key/, () => kv.get([key]));
    wrongType(/a key/, () => kv.getWithMetadata(["k", key]));
    wrongType(/the key/, () => kv.atomic().check(key, null));
    wrongType(/the key/, () => kv.atomic().put(key, "x"));
    wrongType(/the key/, () => kv.atomic().delete(key));
    wrongType(/the key/, () => kv.atomic().incr(key));
    wrongType(/the namespace must be a string/, () => store.namespace(key));
  }
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
  fails("INVALID", /UTF-8/, () => kv.get(["k", Buffer.from([255])]));
}));

test("options must be an object, of names that are known", onBoth((kv) => {
  for (const options of [1, "x", [], true]) {
    wrongType(/options must be an object/, () => kv.put("k", "x", options));
    wrongType(/options must be an object/, () => kv.list(options));
    wrongType(/options must be an object/, () => kv.count(options));
  }
  for (const options of [new Map([["expirationTtl", 60]]), new Set(), new Date(), Promise.resolve({ expirationTtl: 60 })]) {
    wrongType(/options must be a plain object, not a (Map|Set|Date|Promise)/, () => kv.put("k", "x", options));
  }
  for (const name of ["expiration_ttl", "ttl", "expirationTTL", "expires"]) {
    wrongType(new RegExp(`unknown option ${name}: did you mean expiration`), () => kv.put("k", "x", { [name]: 60 }));
    wrongType(new RegExp(`unknown option ${name}`), () => kv.touch("k", { [name]: 60 }));
  }
  wrongType(/unknown option limits: did you mean limit/, () => kv.list({ limits: 1 }));
  wrongType(/unknown option timeout: did you mean busyTimeout/, () => Store.openMemory({ timeout: 1 }));
  wrongType(/unknown option Replace: did you mean replace/, () => kv.import("x", { Replace: true }));
  for (const none of [undefined, null]) {
    kv.put("k", "x", none);
    assert.deepEqual([kv.list(none).keys.length, kv.count(none), kv.get("k", none)], [1, 1, "x"]);
    assert.equal(kv.list({ prefix: none, start: none, stop: none, cursor: none }).keys.length, 1);
    assert.equal(kv.count({ prefix: none }), 1);
  }
  kv.put("k", "x", { expiration: undefined, expirationTtl: undefined, metadata: null });
  assert.equal(kv.getWithMetadata("k").metadata, null);
}));

test("an unknown option is ignored where the one it looks like is given, or where it looks like none", onBoth((kv) => {
  for (const options of [{ expirationTtl: 60, ttl: 60 }, { expirationTtl: 60, colour: 1 }]) {
    kv.put("k", 1, options);
    assert.ok(kv.getWithMetadata("k").expiration > Date.now() / 1000 + 58);
  }
  for (const options of [{ expirationTtl: undefined, ttl: 0 }, { ttl: undefined }, { colour: 60, flags: 0 }]) {
    kv.put("k", 1, options);
    assert.equal(kv.getWithMetadata("k").expiration, null);
  }
  assert.equal(kv.get("k", { type: "json", cacheTtl: 60 }), 1);
}));

test("where Workers has nothing like it, every unknown option is an error", onBoth((kv) => {
  wrongType(/unknown option colour: the options are busyTimeout, limits/, () => Store.openMemory({ colour: 1 }));
  wrongType(/unknown option colour/, () => Store.open(scratch(), { readonly: false, colour: 1 }));
  wrongType(/unknown option colour/, () => Store.openProject(null, { colour: 1 }));
  wrongType(/unknown option colour: the options are format/, () => kv.export(scratch(), { format: "json", colour: 1 }));
  wrongType(/unknown option colour: the options are replace/, () => kv.import(scratch(), { colour: 1 }));
  Store.openMemory({ colour: undefined }).close();
}));

test("an option of another method is refused where it would not do what it says", onBoth((kv) => {
  for (const name of ["limit", "cursor"]) wrongType(/there is no option .* each\(\) goes/, () => kv.each({ [name]: 1 }));
  for (const name of ["start", "stop", "limit"]) wrongType(/there is no option/, () => kv.count({ [name]: "a" }));
  wrongType(/the metadata stays as it is/, () => kv.touch("k", { metadata: 1 }));
  wrongType(/a counter has no metadata/, () => kv.incr("k", 1, { metadata: 1 }));
}));

test("similar.js is that of the web package", () => {
  const own = new URL("../lib/similar.js", import.meta.url);
  assert.equal(readFileSync(own, "utf8"), readFileSync(`${process.env.LUAT_KV_ROOT}/web/src/similar.js`, "utf8"));
});

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
    const store = Store.open(path, {});
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

test("lifetimes must be times, from a second on", onBoth((kv) => {
  kv.put("k", "as it was");
  for (const name of ["expiration", "expirationTtl"]) {
    const wrong = [...numbers.filter((number) => number !== 1.5), 0.9, null, {}, true, false, "", "x", "60 s", [1, 2]];
    for (const value of wrong) {
      outOfRange(new RegExp(`${name} must be a number of whole seconds from 1, not`), () => kv.put("k", "x", { [name]: value }));
      outOfRange(/whole seconds/, () => kv.add("n", "x", { [name]: value }));
      outOfRange(/whole seconds/, () => kv.touch("k", { [name]: value }));
      outOfRange(/whole seconds/, () => kv.incr("n", 1, { [name]: value }));
      outOfRange(/whole seconds/, () => kv.atomic().put("k", "x", { [name]: value }));
    }
    for (const value of [60n, Symbol("60")]) {
      wrongType(/Cannot convert a (BigInt|Symbol) value to a number/, () => kv.put("k", "x", { [name]: value }));
    }
  }
  // A time after the year 9999 is an error, rather than stored as another number.
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

test("numbers of Workers' options are read as WebIDL does", onBoth((kv) => {
  const left = (options) => {
    kv.put("k", "x", options);
    return kv.getWithMetadata("k").expiration - Date.now() / 1000;
  };
  for (const expirationTtl of ["60", 60.9, " 60.9 ", [60], { valueOf: () => 60 }]) {
    assert.ok(left({ expirationTtl }) > 58 && left({ expirationTtl }) <= 61, inspect(expirationTtl));
  }
  const expiration = Date.now() / 1000 + 3600;
  for (const given of [expiration, String(expiration)]) assert.ok(left({ expiration: given }) > 3590);
  assert.ok(left({ expirationTtl: 60, expiration: -1 }) > 58, "the one from now on wins");
  kv.put("l", "x");
  for (const limit of ["1", 1.9, true]) assert.equal(kv.list({ limit }).keys.length, 1);
  for (const limit of [0, -1, null, NaN, Infinity, "", "x", {}]) assert.equal(kv.list({ limit }).keys.length, 2);
  wrongType(/BigInt/, () => kv.list({ limit: 1n }));
}));

test("the numbers of a list, a sweep and a counter must fit", onBoth((kv, store) => {
  for (const number of [2 ** 32, 2 ** 53, Number.MAX_VALUE]) fails("LIMIT", /limit/, () => kv.list({ limit: number }));
  for (const number of [...numbers, 2 ** 32]) {
    if (number !== 0 && number < 2 ** 32) outOfRange(/max must be/, () => store.sweep(number));
    if (number % 1 !== 0 || number > 2 ** 32) outOfRange(/by must be/, () => kv.incr("n", number));
  }
  fails("LIMIT", /10001/, () => kv.list({ limit: 10_001 }));
  outOfRange(/64 bits/, () => kv.incr("n", 2n ** 63n));
  outOfRange(/64 bits/, () => kv.incr("n", 1, { initial: -(2n ** 63n) - 1n }));
  wrongType(/by must be a number or a bigint/, () => kv.incr("n", "1"));
  wrongType(/by must be a number or a bigint/, () => kv.incr("n", null));
  fails("LIMIT", /10001/, () => kv.get(Array.from({ length: 10_001 }, (_, i) => `k${i}`)));
  assert.equal(kv.get("n"), null);
}));

test("types, flags and words must be of those that there are", onBoth((kv) => {
  for (const type of ["Text", "stream", "", 1, ["text"], { type: "xml" }]) {
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
    assert.deepEqual(kv.list({ cursor: empty }), kv.list()); // as in Workers
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
  for (const path of [undefined, null, 1, {}, []]) wrongType(/the URL or path must be a string, a Uint8Array or a URL, not/, () => Store.open(path));
  wrongType(/the folder must be/, () => Store.openProject(1));
  fails("INVALID", /NUL/, () => Store.open("a\0b"));
  fails("INVALID", /surrogate/, () => Store.open("\ud800"));
  fails("INVALID", /./, () => Store.open(""));
  fails("INVALID", /./, () => Store.open(":memory:"));
  wrongType(/file/, () => Store.openProject(new URL("http://example.com/kv.db")));
  const store = Store.openMemory();
  wrongType(/the path must be a string, a Uint8Array or a file: URL/, () => store.backup());
  outOfRange(/descriptor/, () => store.namespace("n").export(-1));
  fails("IO", /./, () => store.namespace("n").export(1_000_000));
  store.close();
});

test("the options of open must be right", () => {
  for (const number of [-1, 1.5, NaN, Infinity, 2 ** 32, 2 ** 53, 2 ** 64]) {
    outOfRange(/busyTimeout must be a whole number from 0 to 4294967295/, () => Store.open(scratch(), { busyTimeout: number }));
  }
  wrongType(/busyTimeout must be a number/, () => Store.open(scratch(), { busyTimeout: "5" }));
  for (const number of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
    outOfRange(/cacheSize must be a whole number from 0, not/, () => Store.open(scratch(), { cacheSize: number }));
  }
  wrongType(/cacheSize must be a number, not string/, () => Store.open(scratch(), { cacheSize: "0" }));
  fails("INVALID", /cache_size is 9007199254740991 bytes, more than the memory/, () => Store.open(scratch(), { cacheSize: 2 ** 53 - 1 }));
  wrongType(/limits must be one of default, cloudflare, not "cf"/, () => Store.open(scratch(), { limits: "cf" }));
  wrongType(/durability must be one of normal, full, not number/, () => Store.open(scratch(), { durability: 1 }));
  wrongType(/readonly must be a boolean/, () => Store.open(scratch(), { readonly: 1 }));
  wrongType(/nowait must be a boolean/, () => Store.open(scratch(), { nowait: "no" }));
  fails("INVALID", /./, () => Store.openMemory({ readonly: true }));
});

test("INVALID, IO, CORRUPT, READONLY and LIMIT come as what they are", () => {
  const folder = scratch("folder");
  mkdirSync(folder);
  fails("IO", /./, () => Store.open(folder));
  fails("IO", /./, () => Store.open(scratch("missing.db"), { readonly: true }));
  const garbage = scratch("garbage.db");
  writeFileSync(garbage, "x".repeat(10_000));
  fails("CORRUPT", /./, () => Store.open(garbage));
  const path = scratch();
  Store.open(path).close();
  const store = Store.open(path, { readonly: true });
  fails("READONLY", /./, () => store.namespace("n").put("k", "v"));
  store.close();
  const narrow = Store.openMemory({ limits: "cloudflare" }).namespace("n");
  fails("LIMIT", /513/, () => narrow.put("x".repeat(513), "v"));
  fails("LIMIT", /60/, () => narrow.put("k", "v", { expirationTtl: 59 }));
});

test("BUSY comes when another process writes for too long, and the store works on", async () => {
  const path = scratch();
  const stores = [Store.open(path, { nowait: true }), Store.open(path, { busyTimeout: 0 }), Store.open(path, { busyTimeout: 20 })];
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
  const kv = Store.openMemory().namespace("n");
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
  const kv = Store.openMemory().namespace("n");
  wrongType(/./, () => Namespace.prototype.get.call({}, "k"));
  wrongType(/./, () => Store.prototype.close.call(kv));
  wrongType(/./, () => kv.atomic().namespace({}));
});

