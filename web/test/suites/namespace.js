// Namespaces. Runs in Node, in a page and in a worker: each test gets the package's exports.

import { bytes, drained, equal, fails, ok, sleep, streamOf } from "./check.js";

const fresh = async ({ Store }, options) => (await Store.open(options)).namespace("test");
const MISSING = { value: null, metadata: null, cacheStatus: null };
const soon = () => Math.floor(Date.now() / 1000) + 1000;

/** UTF-8 of all kinds, and lengths around those from which on the encoder is used. */
const TEXTS = [
  "",
  "a",
  "\0",
  "a\0b",
  "\ufeffBOM",
  "ü",
  "€",
  "😀",
  "\u2028",
  ...[32, 33, 160, 161].map((length) => "x".repeat(length)),
  ...[32, 160].map((length) => `${"x".repeat(length - 1)}ü`),
];

export default {
  async "get answers what put stored, and null for what is missing"(api) {
    const kv = await fresh(api);
    equal(await kv.get("a"), null);
    await kv.put("a", "1");
    equal(await kv.get("a"), "1");
    equal(await kv.get("a", "text"), "1");
    equal(await kv.get("a", { type: "text" }), "1");
    equal(await kv.get("a", { cacheTtl: 60 }), "1");
    equal(await kv.get("a", {}), "1");
    equal(await kv.get("a", undefined), "1");
    equal(await kv.get("a", { type: undefined, cacheTtl: undefined }), "1");
    equal(await kv.getWithMetadata("b"), MISSING);
    equal(await kv.getWithMetadata("b", "json"), MISSING);
  },

  async "texts of every kind come back, as keys and as values"(api) {
    const kv = await fresh(api);
    for (const text of [...TEXTS, "y".repeat(70_000), "ü".repeat(70_000)]) {
      await kv.put("key", text);
      equal(await kv.get("key"), text);
      if (text === "" || text.length > 4096) continue;
      await kv.put(text, text);
      equal(await kv.get(text), text);
      equal((await kv.list({ prefix: text, limit: 1 })).keys[0].name, text);
    }
  },

  async "bytes of every kind come back"(api) {
    const kv = await fresh(api);
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    for (const given of [all, all.buffer, new DataView(all.buffer, 3, 9), new Float64Array(all.buffer, 8, 2)]) {
      await kv.put("bytes", given);
      const wanted = ArrayBuffer.isView(given) ? [given.buffer, given.byteOffset, given.byteLength] : [given];
      equal(new Uint8Array(await kv.get("bytes", "arrayBuffer")), new Uint8Array(new Uint8Array(...wanted)));
    }
    await kv.put("none", new ArrayBuffer(0));
    equal(await kv.get("none", "arrayBuffer"), new ArrayBuffer(0));
    equal(await kv.get("none"), "");
    const large = new Uint8Array(300_000).map((_, index) => index * 7);
    await kv.put("large", large);
    equal(new Uint8Array(await kv.get("large", { type: "arrayBuffer" })), large);
  },

  async "an ArrayBuffer that was read is the reader's own"(api) {
    const kv = await fresh(api);
    await kv.put("a", bytes(1, 2, 3));
    new Uint8Array(await kv.get("a", "arrayBuffer")).fill(9);
    equal(await kv.get("a", "arrayBuffer"), bytes(1, 2, 3).buffer);
  },

  async "what is not UTF-8 reads as U+FFFD"(api) {
    const kv = await fresh(api);
    await kv.put("a", bytes(0x61, 0xff, 0x62));
    equal(await kv.get("a"), "a\ufffdb");
  },

  async "JSON is parsed, and what is none says whose it is"(api) {
    const kv = await fresh(api);
    await kv.put("a", JSON.stringify({ b: [1, null, "ü"] }));
    equal(await kv.get("a", "json"), { b: [1, null, "ü"] });
    equal((await kv.getWithMetadata("a", { type: "json" })).value, { b: [1, null, "ü"] });
    await kv.put("bad", "{");
    await fails(() => kv.get("bad", "json"), "SyntaxError", 'the value of "bad" is not JSON');
    await fails(() => kv.getWithMetadata("bad", "json"), "SyntaxError", '"bad"');
    await fails(() => kv.get(["a", "bad"], "json"), "SyntaxError", '"bad"');
    await fails(() => kv.list({ values: "json" }), "SyntaxError", '"bad"');
    equal(await kv.get("bad"), "{");
  },

  async "streams are stored, and values are read as streams of bytes"(api) {
    const kv = await fresh(api);
    await kv.put("a", streamOf(bytes(1, 2), bytes(3).buffer, bytes(), bytes(4, 5)));
    equal(new Uint8Array(await kv.get("a", "arrayBuffer")), bytes(1, 2, 3, 4, 5));
    equal(await drained(await kv.get("a", "stream")), bytes(1, 2, 3, 4, 5));
    equal(await drained(kv.sync.get("a", "stream")), bytes(1, 2, 3, 4, 5));
    equal(await drained((await kv.getWithMetadata("a", "stream")).value), bytes(1, 2, 3, 4, 5));
    equal(await kv.get("none", "stream"), null);
    await kv.put("empty", streamOf());
    equal(await drained(await kv.get("empty", "stream")), bytes());
    const large = new Uint8Array(200_000).map((_, index) => index * 3);
    await kv.put("large", new Response(large).body, { metadata: "m" });
    equal(await drained(await kv.get("large", "stream")), large);
    equal((await kv.getWithMetadata("large", "arrayBuffer")).metadata, "m");
    equal(await kv.add("large", streamOf(bytes(1))), null);
    equal(await kv.add("new", streamOf(bytes(1))), (await kv.getWithMetadata("new")).version);
    equal(await kv.put("new", streamOf(bytes(1))), (await kv.getWithMetadata("new")).version);
  },

  async "a stream that fails stores nothing"(api) {
    const kv = await fresh(api);
    const failing = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes(1));
      },
      pull(controller) {
        controller.error(new RangeError("of the stream's own"));
      },
    });
    await fails(() => kv.put("a", failing), "RangeError", "of the stream's own");
    await fails(() => kv.put("a", streamOf("text")), "TypeError", "Uint8Arrays");
    await fails(() => kv.put("a", streamOf(bytes(1)), { ttl: 1 }), "TypeError", "unknown option");
    const locked = streamOf(bytes(1));
    locked.getReader();
    await fails(() => kv.put("a", locked), "TypeError");
    equal(await kv.get("a"), null);
  },

  async "metadata and expirations come back, and go with another put"(api) {
    const kv = await fresh(api);
    const expiration = soon();
    for (const metadata of [{ a: [1, { b: null }] }, [], "", "text", 0, false, 1.5, "😀"]) {
      await kv.put("a", "1", { metadata, expiration });
      const entry = await kv.getWithMetadata("a");
      equal(entry.metadata, metadata);
      equal(entry.expiration, expiration);
      equal((await kv.list()).keys[0].metadata, metadata);
    }
    await kv.put("a", "1", { metadata: "m".repeat(60_000) });
    equal((await kv.getWithMetadata("a")).metadata.length, 60_000);
    await kv.put("a", "2", { metadata: null, expiration: undefined });
    const entry = await kv.getWithMetadata("a");
    equal(entry, { value: "2", metadata: null, cacheStatus: null });
    equal(entry.expiration, null);
    ok(/^[\w-]{16}$/.test(entry.version), entry.version);
  },

  async "an entry is gone when its time has come"(api) {
    const kv = await fresh(api);
    await kv.put("short", "1", { expirationTtl: 1 });
    await kv.put("long", "1", { expirationTtl: 100, expiration: 1 });
    const left = (await kv.getWithMetadata("long")).expiration - Date.now() / 1000;
    ok(left > 98 && left <= 101, String(left));
    equal(await kv.get("short"), "1");
    await sleep(2100);
    equal(await kv.get("short"), null);
    equal(
      (await kv.list()).keys.map(({ name }) => name),
      ["long"],
    );
    equal(kv.store.sweep(), 1);
    equal(kv.store.sweep(5), 0);
  },

  async "add stores only what is missing"(api) {
    const kv = await fresh(api);
    equal(await kv.add("a", "1", { metadata: 5 }), (await kv.getWithMetadata("a")).version);
    equal(await kv.add("a", "2"), null);
    equal((await kv.getWithMetadata("a")).value, "1");
  },

  async "touch changes the expiration, and nothing else"(api) {
    const kv = await fresh(api);
    const expiration = soon();
    equal(await kv.touch("a"), false);
    await kv.put("a", "1", { metadata: { m: 1 } });
    const before = await kv.getWithMetadata("a");
    equal(await kv.touch("a", { expiration }), true);
    const after = await kv.getWithMetadata("a");
    equal(after, before);
    equal([before.expiration, after.expiration], [null, expiration]);
    ok(after.version !== before.version);
    await kv.touch("a");
    equal((await kv.getWithMetadata("a")).expiration, null);
  },

  async "incr counts, in numbers where these are safe"(api) {
    const kv = await fresh(api);
    equal(await kv.incr("a"), 1);
    equal(await kv.incr("a", 41), 42);
    equal(await kv.incr("a", -50n), -8);
    equal(await kv.get("a"), "-8");
    equal(await kv.incr("b", 1, { initial: 2 ** 53 - 2 }), Number.MAX_SAFE_INTEGER);
    equal(await kv.incr("b"), 2n ** 53n);
    equal(await kv.incr("c", 0, { initial: -(2n ** 63n), expirationTtl: 50 }), -(2n ** 63n));
    ok((await kv.getWithMetadata("c")).expiration > 0);
    await fails(() => kv.incr("c", -1), "INVALID");
    await kv.put("text", "x");
    await fails(() => kv.incr("text"), "INVALID");
  },

  async "take removes a key, and returns what getWithMetadata would have returned"(api) {
    const kv = await fresh(api);
    const settings = { metadata: { a: [1] }, expirationTtl: 1000 };
    for (const type of [undefined, null, "text", "json", "arrayBuffer", { type: "json" }, {}]) {
      await kv.put("a", "[1]", settings);
      const entry = await kv.getWithMetadata("a", type ?? undefined);
      const taken = await (type === null ? kv.sync.take("a") : kv.take("a", type));
      equal(taken, entry);
      equal([taken.version, taken.expiration], [entry.version, entry.expiration]);
      equal(await kv.has("a"), false);
      const missing = await kv.take("a", type ?? undefined);
      equal([missing, missing.version, missing.expiration], [MISSING, null, null]);
    }
    const large = new Uint8Array(300_000).map((_, index) => index * 7);
    await kv.put("large", large);
    equal(await drained((await kv.take("large", "stream")).value), large);
    await kv.put("short", "1", { expirationTtl: 1 });
    await sleep(2100);
    equal(await kv.take("short"), MISSING);
    equal(await kv.count(), 0);
  },

  async "a take that fails leaves the key"(api) {
    const kv = await fresh(api);
    await kv.put("a", "not JSON", { metadata: "m" });
    await fails(() => kv.take("a", "json"), "SyntaxError", 'the value of "a" is not JSON');
    await fails(() => kv.take("a", "jsn"), "TypeError");
    await fails(() => kv.take(["a"]), "TypeError", "the key must be a string");
    const { value, metadata } = await kv.take("a");
    equal([value, metadata], ["not JSON", "m"]);
  },

  async "put returns the version of the entry"(api) {
    const kv = await fresh(api);
    const version = async () => (await kv.getWithMetadata("a")).version;
    const first = await kv.put("a", "1");
    equal(first, await version());
    const second = kv.sync.put("a", bytes(1), { metadata: "m" });
    equal(second, await version());
    ok(/^[\w-]{16}$/.test(second) && second !== first, second);
    equal(kv.atomic().check("a", first).put("a", "2").commit().ok, false);
    equal(kv.atomic().check("a", second).put("a", "2").commit().ok, true);
  },

  async "delete removes, and answers whether a live entry was removed"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1");
    await kv.put("empty", "");
    await kv.put("large", new Uint8Array(300_000));
    await kv.put("short", "1", { expirationTtl: 1 });
    const keys = ["a", "empty", "large", "short", "none"];
    const has = () => Promise.all(keys.map((key) => kv.has(key)));
    equal(await has(), [true, true, true, true, false]);
    equal([kv.sync.has("a"), kv.sync.has("none")], [true, false]);
    equal([await kv.delete("a"), await kv.delete("a"), kv.sync.delete("empty")], [true, false, true]);
    await sleep(2100);
    equal(await has(), [false, false, true, false, false]);
    equal([await kv.delete("short"), await kv.delete("large"), await kv.get("large")], [false, true, null]);
    await fails(() => kv.has(""), "TypeError", "Key name cannot be empty.");
  },

  async "deleteBulk removes many keys at once, or one"(api) {
    const kv = await fresh(api);
    const keys = Array.from({ length: 10_000 }, (_, index) => `k${index}`);
    for (const key of keys) kv.sync.put(key, key);
    equal(await kv.deleteBulk(["k0", "none", "k1", "k1"]), undefined);
    equal(await kv.deleteBulk("k2"), undefined);
    equal(kv.sync.deleteBulk([]), undefined);
    equal(await kv.count(), 9997);
    equal([...(await kv.get(["k0", "k1", "k2", "k3"])).values()], [null, null, null, "k3"]);
    for (const wrong of [["k3", ""], ["k3", undefined], undefined, ""]) {
      await fails(() => kv.deleteBulk(wrong), "TypeError");
    }
    await fails(() => kv.deleteBulk([...keys, "one more"]), "LIMIT", "10001 keys");
    equal(await kv.count(), 9997);
    await kv.deleteBulk(keys);
    equal(await kv.count(), 0);
  },

  async "answers equal those of Workers, and what is more is hidden"(api) {
    const kv = await fresh(api);
    const expiration = soon();
    await kv.put("a", "1", { metadata: { m: 1 }, expiration });
    await kv.put("b", "2");
    const [one, many] = [await kv.getWithMetadata("a"), await kv.getWithMetadata(["a", "b", "none"])];
    const { keys } = await kv.list();
    for (const [answer, wanted] of [
      [one, { value: "1", metadata: { m: 1 }, cacheStatus: null }],
      [await kv.getWithMetadata("none"), { value: null, metadata: null, cacheStatus: null }],
      [many.get("a"), { value: "1", metadata: { m: 1 } }],
      [many.get("b"), { value: "2", metadata: null }],
      [keys[0], { name: "a", expiration, metadata: { m: 1 } }],
      [keys[1], { name: "b" }],
    ]) {
      equal(answer, wanted);
      equal([Object.keys(answer), JSON.stringify(answer)], [Object.keys(wanted), JSON.stringify(wanted)]);
      ok(Object.getPrototypeOf(answer) === Object.prototype, "it is a plain object");
    }
    equal(many.get("none"), null);
    equal([one.expiration, many.get("a").expiration, many.get("b").expiration], [expiration, expiration, null]);
    equal(many.get("a").cacheStatus, null);
    const { version } = one;
    ok(/^[\w-]{16}$/.test(version) && many.get("a").version === version && keys[0].version === version);
    one.version = "of one's own";
    equal(one.version, "of one's own");
  },

  async "many keys at once, in their order"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1", { metadata: "m" });
    await kv.put("b", "2");
    equal(
      await kv.get(["b", "x", "a", "b"]),
      new Map([
        ["b", "2"],
        ["x", null],
        ["a", "1"],
      ]),
    );
    equal(
      await kv.get(["b", "x"], "json"),
      new Map([
        ["b", 2],
        ["x", null],
      ]),
    );
    equal(await kv.get(["b"], { type: "arrayBuffer", cacheTtl: 30 }), new Map([["b", bytes(0x32).buffer]]));
    equal(await kv.get([]), new Map());
    const whole = await kv.getWithMetadata(["x", "a"]);
    equal(whole.get("x"), null);
    equal(whole.get("a").metadata, "m");
    equal(whole.get("a").value, "1");
    const many = Array.from({ length: 10_000 }, (_, index) => `k${index}ü`);
    for (const key of many) kv.sync.put(key, key);
    equal([...(await kv.get(many)).values()], many);
    await fails(() => kv.get([...many, "one more"]), "LIMIT", "10001 keys");
    await fails(() => kv.get(["a"], "stream"), "TypeError", "stream");
    await fails(() => kv.get(["a", ""]), "TypeError", "Key name cannot be empty.");
    await fails(() => kv.get(["a", undefined]), "TypeError", "undefined");
  },

  async "lists are pages in byte order, either way"(api) {
    const kv = await fresh(api);
    const names = ["a", "b:1", "b:2", "b:3", "c", "ü", "\u{ffff}", "😀"];
    for (const name of names) await kv.put(name, name);
    const namesOf = async (options) => (await kv.list(options)).keys.map(({ name }) => name);
    equal(await namesOf(), names);
    equal(await namesOf({ reverse: true }), [...names].reverse());
    equal(await namesOf({ prefix: "b:" }), ["b:1", "b:2", "b:3"]);
    equal(await namesOf({ start: "b:2", stop: "ü" }), ["b:2", "b:3", "c"]);
    equal(await namesOf({ prefix: null, cursor: null, start: null, stop: null, limit: undefined }), names);
    const first = await kv.list({ limit: 3 });
    equal([first.list_complete, first.cacheStatus, typeof first.cursor], [false, null, "string"]);
    const second = await kv.list({ limit: 100, cursor: first.cursor });
    equal([second.list_complete, second.cacheStatus, "cursor" in second], [true, null, false]);
    equal(
      [...first.keys, ...second.keys].map(({ name }) => name),
      names,
    );
    equal(Object.keys(first.keys[0]), ["name"]);
    await fails(() => kv.list({ cursor: "wrong" }), "INVALID", "cursor");
    await fails(() => kv.list({ cursor: first.cursor, reverse: true }), "INVALID", "direction");
    await fails(() => kv.list({ limit: 10_001 }), "LIMIT", "10000");
  },

  async "lists have values where they are asked for"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1", { metadata: { m: 1 }, expirationTtl: 500 });
    const valueFor = async (values) => (await kv.list({ values })).keys[0].value;
    equal([await valueFor(true), await valueFor("text"), await valueFor("json")], ["1", "1", 1]);
    equal(await valueFor("arrayBuffer"), bytes(0x31).buffer);
    equal(await valueFor(false), undefined);
    const [key] = (await kv.list({ values: true })).keys;
    equal(Object.keys(key).sort(), ["expiration", "metadata", "name", "value"]);
  },

  async "each goes through all pages, as they are wanted"(api) {
    const kv = await fresh(api);
    for (let index = 0; index < 2500; index++) kv.sync.put(`k${String(index).padStart(4, "0")}`, String(index));
    const names = [];
    for await (const { name } of kv.each()) names.push(name);
    equal([names.length, names[0], names.at(-1)], [2500, "k0000", "k2499"]);
    equal(
      [...kv.sync.each({ prefix: "k24", reverse: true, values: "json" })].map(({ value }) => value).slice(0, 3),
      [2499, 2498, 2497],
    );
    const options = { prefix: "k0" };
    const iterator = kv.sync.each(options);
    options.prefix = "k1";
    equal(iterator.next().value.name, "k0000");
    kv.sync.deletePrefix("k0");
    equal([...iterator].length, 3, "the rest of its first page");
    await fails(() => kv.each({ limit: 1 }), "TypeError", "limit");
    await fails(() => kv.sync.each({ cursor: "x" }), "TypeError", "cursor");
  },

  async "count, deletePrefix and clear"(api) {
    const kv = await fresh(api);
    for (const name of ["a:1", "a:2", "b:1"]) await kv.put(name, "x");
    equal([await kv.count(), await kv.count({ prefix: "a:" }), await kv.count({ prefix: null })], [3, 2, 3]);
    equal(await kv.deletePrefix("a:"), 2);
    await fails(() => kv.deletePrefix(""), "INVALID");
    await fails(() => kv.deletePrefix(undefined), "TypeError");
    equal(await kv.clear(), 1);
    equal(await kv.count(), 0);
  },

  async "a batch is made all together, or not at all"(api) {
    const kv = await fresh(api);
    const other = kv.store.namespace("other");
    const done = kv
      .atomic()
      .check("a", null)
      .put("a", "1", { metadata: 1 })
      .incr("n", 5)
      .namespace(other)
      .put("b", bytes(2))
      .commit();
    equal([done.ok, done.version], [true, (await kv.getWithMetadata("a")).version]);
    equal([await kv.get("n"), await other.get("b")], ["5", "\x02"]);
    equal(kv.atomic().check("a", null).put("a", "2").commit(), { ok: false });
    equal(kv.atomic().check("a", done.version).delete("a").namespace("test").delete("n").commit().ok, true);
    equal(await kv.count(), 0);
    equal(kv.store.atomic().namespace(kv.sync).put("c", "3").commit().ok, true);
    const value = bytes(1);
    const batch = kv.atomic().put("copied", value);
    value[0] = 9;
    batch.commit();
    equal(await kv.get("copied", "arrayBuffer"), bytes(1).buffer);
    await fails(() => batch.commit(), "INVALID", "committed");
    await fails(() => batch.put("a", "1"), "INVALID", "committed");
    await fails(() => kv.store.atomic().put("a", "1"), "INVALID", "namespace()");
    await fails(() => kv.atomic().check("a"), "TypeError", "version");
    await fails(() => kv.atomic().check("a", ""), "INVALID", "null");
    await fails(() => kv.atomic().check("a", "nonsense"), "INVALID", "version");
    await fails(() => kv.atomic().put("a", streamOf()), "TypeError", "promise");
    await kv.put("text", "x");
    const failing = kv.atomic().put("d", "4").incr("text");
    await fails(() => failing.commit(), "INVALID");
    equal(await kv.get("d"), null);
    await kv.put("text", "1");
    equal([failing.commit().ok, await kv.get("text"), await kv.get("d")], [true, "2", "4"]);
    const stranger = await fresh(api);
    await fails(() => kv.atomic().namespace(stranger), "INVALID", "another store");
  },

  async "namespaces are apart, and the same object for the same name"(api) {
    const kv = await fresh(api);
    const other = kv.store.namespace("ü");
    await kv.put("a", "1");
    await other.put("b", "1");
    equal([await other.get("a"), kv.store.namespaces()], [null, ["test", "ü"]]);
    ok(kv.store.namespace("test") === kv && kv.sync.store === kv.store && kv.sync === kv.sync);
    equal([kv.name, kv.sync.name], ["test", "test"]);
    equal(
      kv.store.stats().namespaces,
      new Map([
        ["test", { live: 1, expired: 0 }],
        ["ü", { live: 1, expired: 0 }],
      ]),
    );
    ok(kv.store.stats().memory >= 1_000_000);
    await fails(() => kv.store.namespace(""), "INVALID", "empty");
    await fails(() => kv.store.namespace(5), "TypeError", "number");
    await fails(() => kv.store.namespace("n".repeat(5000)), "LIMIT");
    equal(kv.store.namespace("\ud800").name, "\ufffd");
    ok(kv.store.namespace("\ud800") === kv.store.namespace("\ufffd"));
  },

  async "stores are apart"(api) {
    const [one, other] = [await fresh(api), await fresh(api)];
    await one.put("a", "1");
    equal(await other.get("a"), null);
  },

  async "a closed store refuses every use"(api) {
    const kv = await fresh(api);
    const { sync, store } = kv;
    const batch = kv.atomic().put("a", "1");
    const iterator = sync.each();
    const iterating = kv.each();
    await kv.put("a", "1");
    const closing = store.close();
    equal(store.closed, true);
    await closing;
    await store.close();
    const uses = [
      () => kv.get("a"),
      () => kv.get(["a"]),
      () => kv.getWithMetadata("a"),
      () => kv.put("a", "1"),
      () => kv.add("a", "1"),
      () => kv.put("a", streamOf()),
      () => kv.has("a"),
      () => kv.take("a"),
      () => kv.delete("a"),
      () => kv.deleteBulk([]),
      () => kv.touch("a"),
      () => kv.incr("a"),
      () => kv.list(),
      () => kv.each(),
      () => kv.count(),
      () => kv.deletePrefix("a"),
      () => kv.clear(),
      () => kv.export(),
      () => kv.import("[]"),
      () => kv.import(streamOf()),
      () => kv.atomic(),
      () => batch.commit(),
      () => batch.put("b", "1"),
      () => iterator.next(),
      () => iterating.next(),
      () => sync.get("a"),
      () => sync.put("a", "1"),
      () => store.namespace("test"),
      () => store.namespaces(),
      () => store.atomic(),
      () => store.stats(),
      () => store.sweep(),
      () => store.flush(),
    ];
    for (const use of uses) await fails(use, "INVALID", "the store is closed");
    const again = await fresh(api);
    again.store[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
    equal(again.store.closed, true);
  },

  async "what is no store, namespace or batch cannot be made"({
    Store,
    Namespace,
    SyncNamespace,
    Atomic,
    LuatKVError,
  }) {
    for (const made of [Store, Namespace, SyncNamespace, Atomic]) {
      await fails(() => new made(), "TypeError", /comes from|is the sync of/);
    }
    const error = new LuatKVError("LIMIT", "too long");
    equal([String(error), error instanceof Error], ["LuatKVError: too long", true]);
  },
};
