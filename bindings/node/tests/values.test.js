// Values: what is put is read as each type.

import assert from "node:assert/strict";
import { constants } from "node:buffer";
import test from "node:test";
import vm from "node:vm";
import { Store } from "luat-kv-native";
import { onBoth, fails, outOfRange, wrongType } from "./support.js";

const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

test("bytes come back byte for byte, of all 256 kinds, none, and a MiB", onBoth((kv) => {
  const large = Buffer.alloc(1 << 20, every);
  for (const bytes of [every, Buffer.alloc(0), large]) {
    kv.put("k", bytes);
    assert.deepEqual(kv.get("k", "buffer"), bytes);
    assert.deepEqual(Buffer.from(kv.get("k", "arrayBuffer")), bytes);
    assert.equal(kv.get("k", "arrayBuffer").byteLength, bytes.length);
    assert.deepEqual(kv.getWithMetadata("k", "buffer").value, bytes);
    assert.deepEqual(kv.get(["k"], "buffer").get("k"), bytes);
    assert.deepEqual(kv.list({ values: "buffer" }).keys[0].value, bytes);
  }
}));

test("values around the size of the shared buffer come back whole", onBoth((kv) => {
  for (const size of [65535, 65536, 65537, 65536 * 3]) {
    kv.put("k", "ab".repeat(size).slice(0, size));
    assert.equal(kv.get("k"), "ab".repeat(size).slice(0, size));
    kv.put("k", "\u20ac".repeat(size));
    assert.equal(kv.get("k"), "\u20ac".repeat(size));
    assert.equal(kv.get("k", { type: "arrayBuffer" }).byteLength, 3 * size);
  }
}));

test("an empty value is a value, and a missing key is null", onBoth((kv) => {
  kv.put("empty", "");
  assert.equal(kv.get("empty"), "");
  assert.equal(kv.get("empty", "buffer").length, 0);
  assert.equal(kv.getWithMetadata("empty").value, "");
  for (const type of ["text", "json", "buffer", "arrayBuffer"]) assert.equal(kv.get("missing", type), null);
  assert.deepEqual(kv.getWithMetadata("missing"), { value: null, metadata: null, expiration: null, version: null });
}));

test("text comes back as it was, NULs, a byte order mark and all; bytes that are none become U+FFFD", onBoth((kv) => {
  for (const text of ["h\u00e9\0\u20ac\u{1f600}", "\ufeffx", "\0"]) {
    kv.put("k", text);
    assert.equal(kv.get("k"), text);
    assert.equal(kv.getWithMetadata("k").value, text);
  }
  kv.put("k", Buffer.from([97, 255, 98]));
  assert.equal(kv.get("k"), "a\ufffdb");
}));

test("bytes that are too many for a string are an error, not a crash", () => {
  const store = Store.openMemory();
  const kv = store.namespace("n");
  kv.put("k", Buffer.alloc(constants.MAX_STRING_LENGTH + 1));
  for (const read of [() => kv.get("k"), () => kv.get("k", "json"), () => kv.getWithMetadata("k")]) {
    assert.throws(read, { code: "ERR_STRING_TOO_LONG" });
  }
  assert.equal(kv.get("k", "buffer").length, constants.MAX_STRING_LENGTH + 1);
  store.close();
});

test("views are stored from where they begin to where they end", onBoth((kv) => {
  const whole = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9).buffer;
  const views = [
    [new Uint8Array(whole, 2, 3), [3, 4, 5]],
    [Buffer.from(whole, 1, 2), [2, 3]],
    [new DataView(whole, 4, 2), [5, 6]],
    [new Uint16Array(whole, 2, 1), [3, 4]],
    [whole, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [new Uint8Array([7, 7]), [7, 7]],
  ];
  for (const [view, bytes] of views) {
    kv.put("k", view);
    assert.deepEqual([...kv.get("k", "buffer")], bytes);
  }
}));

test("memory that threads share is stored too, and memory that was given away is refused", onBoth((kv) => {
  const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(9);
  kv.put(new Uint8Array(shared.buffer).fill(107), shared);
  assert.equal(kv.get("kkk"), "kkk");
  kv.put("k", shared.buffer);
  assert.equal(kv.get("k"), "kkk");
  const gone = new Uint8Array(3);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  wrongType(/detached/, () => kv.put("gone", gone));
  wrongType(/detached/, () => kv.put("gone", gone.buffer));
  wrongType(/detached/, () => kv.get(gone));
  assert.equal(kv.get("gone"), null);
}));

test("what is neither text nor bytes is stored as JSON", onBoth((kv) => {
  for (const value of [{ a: [1, null, "\u20ac"] }, [], {}, 0, -1.5, true, false, new Date(0)]) {
    kv.put("k", value);
    assert.deepEqual(kv.get("k", "json"), JSON.parse(JSON.stringify(value)));
    assert.equal(kv.get("k"), JSON.stringify(value));
    assert.deepEqual(kv.getWithMetadata("k", "json").value, JSON.parse(JSON.stringify(value)));
  }
  kv.put("k", "null");
  assert.equal(kv.get("k", "json"), null);
}));

test("half of a surrogate pair becomes U+FFFD on the way in, everywhere", onBoth((kv, store) => {
  const halves = ["\ud800", "a\udfff", "\udc00\ud800", `${"x".repeat(70_000)}\ud83d`];
  for (const half of halves) {
    const whole = Buffer.from(half).toString();
    kv.put("text", half);
    assert.equal(kv.get("text"), whole);
    kv.put("json", { [half]: [half, "\\ud800", "\\\\ud800", "\u{1f600}"] }, half.length > 9 ? {} : { metadata: { half } });
    assert.deepEqual(kv.get("json", "json"), { [whole]: [whole, "\\ud800", "\\\\ud800", "\u{1f600}"] });
    assert(!/[^\\]\\ud/.test(kv.get("json")), "no escape of half a pair is stored");
    if (half.length > 9) continue;
    assert.deepEqual(kv.getWithMetadata("json").metadata, { half: whole });
    kv.put(half, "key");
    assert.deepEqual([kv.get(half), kv.get(whole)], ["key", "key"]);
    assert.deepEqual(kv.get([half]), new Map([[whole, "key"]]));
    assert.deepEqual(kv.list({ prefix: half }).keys.map(({ name }) => name), [whole]);
    kv.atomic().put(half, half, { metadata: half }).commit();
    assert.deepEqual([kv.get(whole), kv.getWithMetadata(whole).metadata], [whole, whole]);
    kv.delete(half);
    const namespace = store.namespace(half);
    assert.equal(namespace.name, whole);
    assert.equal(store.namespace(whole), namespace);
    namespace.put("k", "v");
    assert(store.namespaces().includes(whole));
  }
  kv.put("json", Buffer.from('"\\ud800"'));
  assert.equal(kv.get("json", "json"), "\ud800", "an escape that another program stored is what it says");
  if (JSON.rawJSON) {
    kv.put("json", { pair: JSON.rawJSON('"\\uD83D\\uDE00"'), half: JSON.rawJSON('"\\uD83D"') });
    assert.deepEqual(kv.get("json", "json"), { pair: "\u{1f600}", half: "\ufffd" });
  }
}));

test("what JSON cannot say is refused, and nothing is stored", onBoth((kv) => {
  const cycle = {};
  cycle.self = cycle;
  let deep = [];
  for (let level = 0; level < 100_000; level++) deep = [deep];
  for (const value of [undefined, null, () => 1, Symbol("s"), 1n, { n: 1n }, Promise.resolve(), new Map(), new Set(), cycle]) {
    wrongType(/./, () => kv.put("k", value));
  }
  outOfRange(/finite/, () => kv.put("k", NaN));
  outOfRange(/finite/, () => kv.put("k", -Infinity));
  fails("INVALID", /too deep/, () => kv.put("k", deep));
  wrongType(/the value must not be undefined/, () => kv.put("k"));
  assert.equal(kv.get("k"), null);
}));

test("a value that is not JSON says which it is, and is still there as text", onBoth((kv) => {
  const notJSON = (read) => assert.throws(read, { name: "SyntaxError", message: /^the value of "k" is not JSON: / });
  kv.put("k", "{oops");
  notJSON(() => kv.get("k", "json"));
  notJSON(() => kv.getWithMetadata("k", "json"));
  notJSON(() => kv.get(["k"], "json"));
  notJSON(() => kv.list({ values: "json" }));
  assert.equal(kv.get("k"), "{oops");
}));

test("what a read gave is the caller's own", onBoth((kv) => {
  kv.put("k", "abc");
  const [one, two] = [kv.get("k", "buffer"), kv.get("k", "buffer")];
  one.fill(0);
  kv.put("k", "xyz");
  kv.get("k");
  assert.equal(two.toString(), "abc");
  const buffer = kv.get("k", "arrayBuffer");
  new Uint8Array(buffer).fill(0);
  assert.equal(kv.get("k"), "xyz");
}));

test("a value, metadata and options whose conversion calls the store do not spoil the call", onBoth((kv) => {
  const meddle = (name) => {
    kv.put("other", `from ${name}`.repeat(20), { metadata: { name }, expirationTtl: 1000 });
    kv.get("other");
    kv.list({ prefix: "o", values: true });
    return name;
  };
  const options = { metadata: { toJSON: () => meddle("metadata") }, get expirationTtl() { return meddle("x") && 60; } };
  kv.put("k", { toJSON: () => meddle("value") }, options);
  const entry = kv.getWithMetadata("k", "json");
  assert.equal(entry.value, "value");
  assert.equal(entry.metadata, "metadata");
  assert(entry.expiration - Date.now() / 1000 < 100);
}));

test("keys are text or its bytes, with NULs and all, in byte order", onBoth((kv) => {
  const longest = process.env.LUAT_KV_TEST_POSTGRES ? 2600 - "test".length : 4096; // shared with the namespace
  const keys = ["\0", "a\0b", "a/%_\\ ", "h\u00e9", "\ufffd", "\u{10000}", "x".repeat(longest)];
  for (const key of keys) kv.put(key, `v${key.length}`);
  for (const key of keys) {
    assert.equal(kv.get(key), `v${key.length}`);
    assert.equal(kv.get(Buffer.from(key)), `v${key.length}`);
  }
  const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  assert.deepEqual(kv.list().keys.map(({ name }) => name), sorted);
  assert.equal(kv.get(Buffer.from("..h\u00e9..").subarray(2, 5)), "v2");
}));

test("a length that somebody has given an array himself is not believed", onBoth((kv, store) => {
  const longer = Object.defineProperty(Uint8Array.of(97, 98), "length", { value: 4e8 });
  class Closing extends Uint8Array {
    get length() {
      store.close();
      return 1;
    }
  }
  kv.put("k", longer);
  assert.equal(kv.get("k"), "ab");
  kv.put(longer, "key");
  assert.equal(kv.get("ab"), "key");
  assert.equal(kv.get(new Closing([107])), "ab");
  assert.equal(store.closed, false);
}));

test("the keys of a bulk read are read once", onBoth((kv, store) => {
  kv.put("a", "1");
  let reads = 0;
  const keys = Object.defineProperty([""], 0, { get: () => (reads++ > 0 ? store.close() : "a") });
  assert.deepEqual(kv.get(keys), new Map([["a", "1"]]));
  const large = new Uint8Array(1 << 22).fill(97);
  const giving = [large.subarray(0, 1), ""];
  Object.defineProperty(giving, 1, { get: () => (structuredClone(large.buffer, { transfer: [large.buffer] }), "b") });
  assert.deepEqual(kv.get(giving), new Map([["a", "1"], ["b", null]]));
}));

test("values of another realm are what they are", onBoth((kv) => {
  for (const bytes of ["ArrayBuffer(2)", "SharedArrayBuffer(2)", "Uint8Array(2)", "DataView(new ArrayBuffer(2))"]) {
    kv.put("k", vm.runInNewContext(`new ${bytes}`));
    assert.deepEqual(kv.get("k", "buffer"), Buffer.alloc(2), bytes);
  }
  for (const none of ["new Map()", "new Set()", "new WeakMap()", "Promise.resolve()"]) {
    wrongType(/which JSON cannot represent/, () => kv.put("k", vm.runInNewContext(none)));
  }
}));
