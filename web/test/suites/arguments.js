// Valid and invalid arguments. Invalid ones are errors, and have no other effect.

import { bytes, equal, fails, ok } from "./check.js";

const fresh = async ({ Store }, options) => (await Store.open(options)).namespace("test");

export default {
  async "keys: numbers are their text, and what is no key is a TypeError"(api) {
    const kv = await fresh(api);
    await kv.put(12, "number");
    await kv.put(true, "boolean");
    await kv.put(5n, "bigint");
    equal([await kv.get("12"), await kv.get("true"), await kv.get("5")], ["number", "boolean", "bigint"]);
    for (const key of [undefined, null, {}, new String("a"), Symbol("a"), () => "a", bytes(1)]) {
      for (const method of ["get", "getWithMetadata", "has", "delete", "take", "touch", "incr"]) {
        await fails(() => kv[method](key), "TypeError", "the key must be a string");
      }
      await fails(() => kv.put(key, "1"), "TypeError", "the key must be a string");
      await fails(() => kv.atomic().delete(key), "TypeError", "the key must be a string");
    }
    equal((await kv.list({ prefix: 1 })).keys.map(({ name }) => name), ["12"]);
    equal([await kv.count({ prefix: 1 }), await kv.count({ prefix: true })], [1, 1]);
    await fails(() => kv.get(""), "TypeError", "Key name cannot be empty.");
    await fails(() => kv.put("", "1"), "TypeError", "Key name cannot be empty.");
    await fails(() => kv.delete(""), "TypeError", "Key name cannot be empty.");
    await kv.put(".", "a dot");
    equal(await kv.get("."), "a dot");
  },

  async "half of a surrogate pair becomes U+FFFD on the way in, everywhere"(api) {
    for (const half of ["\ud800", "a\udc00", "\udc00\ud800", "x".repeat(100) + "\ud83d", "y".repeat(90_000) + "\ud83d"]) {
      const kv = await fresh(api);
      const whole = new TextDecoder().decode(new TextEncoder().encode(half));
      await kv.put("text", half);
      kv.atomic().put("atomic", half).commit();
      equal([await kv.get("text"), await kv.get("atomic")], [whole, whole]);
      if (half.length > 4096) continue;
      const metadata = { [half]: [half, "\\ud800", "\u{1f600}"] };
      await kv.put(half, "key", { metadata });
      equal([await kv.get(half), await kv.get(whole), await kv.incr(`n${half}`)], ["key", "key", 1]);
      equal(await kv.get([half]), new Map([[whole, "key"]]));
      equal((await kv.getWithMetadata(half)).metadata, { [whole]: [whole, "\\ud800", "\u{1f600}"] });
      equal((await kv.list({ prefix: half })).keys.map(({ name }) => name), [whole]);
      equal(kv.atomic().check(whole, null).put("no", "").commit().ok, false);
      const text = await kv.export();
      ok(!/[^\\]\\ud/.test(text), "no escape of half a pair is stored");
      await kv.delete(half);
      equal(await kv.get(whole), null);
      await kv.import(text);
      equal(await kv.get(whole), "key");
    }
  },

  async "only own properties of options that are enumerable count"(api) {
    const kv = await fresh(api);
    const planted = { expirationTtl: 7, metadata: "not mine", limit: 1, initial: 100, type: "json", format: "jsonl" };
    Object.assign(Object.prototype, planted);
    try {
      for (const options of [{}, undefined, null, { metadata: null }, Object.create({ expirationTtl: 5 })]) {
        await kv.put("a", "text", options);
        const { expiration, metadata } = await kv.getWithMetadata("a", {});
        equal([expiration, metadata], [null, null]);
      }
      equal(await kv.touch("a"), true);
      equal(await kv.incr("n", 1, {}), 1);
      equal((await kv.list({})).keys.length, 2);
      equal((await kv.list()).list_complete, true);
      ok((await kv.export({})).startsWith("["));
    } finally {
      for (const name of Object.keys(planted)) delete Object.prototype[name];
    }
    await kv.put("a", "1", Object.defineProperty({}, "metadata", { value: "hidden" }));
    equal((await kv.getWithMetadata("a")).metadata, null);
  },

  async "a stop that is empty is refused, and an empty cursor is none, as in Workers"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1");
    await fails(() => kv.list({ stop: "" }), "INVALID", "stop is empty: leave it out where there is none");
    await fails(async () => kv.each({ stop: "" }).next(), "INVALID", "stop is empty");
    for (const cursor of ["", null, undefined]) {
      equal((await kv.list({ prefix: "", start: "", cursor })).keys.length, 1);
    }
  },

  async "values: in Workers' own words"(api) {
    const kv = await fresh(api);
    for (const value of [undefined, null, {}, [], Symbol("a"), () => 1, new Date(), new Map()]) {
      const words = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.";
      await fails(() => kv.put("a", value), "TypeError", words);
    }
    for (const value of [5, 1.5, true, 10n]) {
      await kv.put("a", value);
      equal(await kv.get("a"), String(value));
    }
    await fails(() => kv.sync.put("b", new Response("a").body), "TypeError", "promise");
  },

  async "types: in Workers' own words"(api) {
    const kv = await fresh(api);
    const words = 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".';
    for (const type of ["buffer", "TEXT", "", 5, true, Symbol("text"), { type: "x" }, { type: null }]) {
      await fails(() => kv.get("a", type), "TypeError", words);
      await fails(() => kv.getWithMetadata(["a"], type), "TypeError", words);
    }
    await fails(() => kv.get("a", []), "TypeError");
    await fails(() => kv.get("a", { typ: "text" }), "TypeError", 'did you mean "type"?');
    await fails(() => kv.get("a", { cacheTtl: 1n }), "TypeError");
    equal(await kv.get("a", null), null);
  },

  async "an unknown option is an error that suggests the near one"(api) {
    const kv = await fresh(api);
    await fails(
      () => kv.put("a", "1", { expiration_ttl: 60 }),
      "TypeError",
      'unknown option "expiration_ttl": did you mean "expirationTtl"?',
    );
    await fails(() => kv.put("a", "1", { expirationTTL: 60 }), "TypeError", 'did you mean "expirationTtl"?');
    await fails(() => kv.put("a", "1", { metdata: 60 }), "TypeError", 'did you mean "metadata"?');
    for (const ttl of ["ttl", "TTL", "expires", "exp", "expirationTtlSeconds", "expiration_ttl"]) {
      await fails(() => kv.put("a", "1", { [ttl]: 60 }), "TypeError", 'did you mean "expiration');
      await fails(() => kv.touch("a", { [ttl]: 60 }), "TypeError", 'did you mean "expiration');
    }
    await fails(() => kv.put("a", "1", { expiration: 2 ** 37, expiration_ttl: 60 }), "TypeError", '"expirationTtl"');
    await fails(() => kv.list({ Prefix: "a" }), "TypeError", 'did you mean "prefix"?');
    await fails(() => kv.count({ prefixes: 1 }), "TypeError", 'did you mean "prefix"?');
    await fails(() => kv.export({ form: "json" }), "TypeError", 'did you mean "format"?');
    await fails(() => kv.import("[]", { Replace: true }), "TypeError", 'did you mean "replace"?');
    await fails(() => api.Store.open({ max_memory: 1 }), "TypeError", 'did you mean "maxMemory"?');
    for (const options of [5, "text", [], new Map(), new Set(), new Date(), Promise.resolve()]) {
      await fails(() => kv.put("a", "1", options), "TypeError", "options must be");
    }
    equal(await kv.count(), 0);
  },

  async "an option of another method is refused where it would not do what it says"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1");
    for (const name of ["limit", "cursor"]) {
      await fails(() => kv.each({ [name]: 1 }), "TypeError", `there is no option "${name}" here: each() goes through`);
    }
    for (const name of ["start", "stop", "limit"]) await fails(() => kv.count({ [name]: "a" }), "TypeError", name);
    await fails(() => kv.touch("a", { metadata: 1 }), "TypeError", "the metadata stays as it is");
    await fails(() => kv.incr("a", 1, { metadata: 1 }), "TypeError", "a counter has no metadata");
    for (const name of ["limits", "persist", "name"]) {
      await fails(() => api.Lua.create({ [name]: "default" }), "TypeError", "give that as kv");
    }
    equal(await kv.touch("a", { metadata: undefined }), true);
  },

  async "an unknown option is ignored where the one that it looks like is given, or where it looks like none"(api) {
    const kv = await fresh(api);
    for (const other of [{ ttl: 60 }, { ttl: 5, expires: 1 }, { colour: 1 }]) {
      const options = { ...other, expirationTtl: 60 };
      await kv.put("a", "1", options);
      const left = (await kv.getWithMetadata("a")).expiration - Date.now() / 1000;
      ok(left > 58 && left <= 61, String(left));
    }
    // unstorage's driver passes this for { ttl: 0 }.
    for (const options of [{ expirationTtl: undefined, ttl: 0 }, { ttl: undefined }, { colour: 60, kind: "x" }]) {
      await kv.put("a", "1", options);
      equal((await kv.getWithMetadata("a")).expiration, null);
    }
    equal(await kv.get("a", { type: "json", kind: "text", signal: null }), 1);
    equal((await kv.list({ include: ["metadata"], delimiter: "/" })).keys.length, 1);
    await kv.put("a", "1", { metadata: 5, expirationTtl: 60 });
    await kv.put("b", "2", await kv.getWithMetadata("a"));
    const { metadata, expiration } = await kv.getWithMetadata("b");
    equal([metadata, expiration], [5, null]);
  },

  async "where Workers has nothing like it, every unknown option is an error"(api) {
    const kv = await fresh(api);
    const { Store, Lua } = api;
    await fails(() => Store.open({ colour: 1 }), "TypeError", 'unknown option "colour": there are limits, persist');
    await fails(() => Store.open({ storage: "opfs" }), "TypeError", 'did you mean "persist"?');
    await fails(() => Store.open({ persist: "indexedDB" }), "TypeError", 'did you mean "indexeddb"?');
    for (const options of [{ name: "drafts" }, { recover: true }, { wait: 0 }])
      await fails(() => Store.open(options), "TypeError", "is for a store that is kept: give persist too");
    (await Store.open({ persist: false, name: "drafts" })).close();
    await fails(() => Lua.create(kv.store), "TypeError", "a store is given as { kv: store }");
    await fails(() => Lua.create({ store: kv.store }), "TypeError", 'did you mean "kv"?');
    await fails(() => kv.import("[]", { overwrite: true }), "TypeError", 'did you mean "replace"?');
    await fails(() => kv.import([{ key: "a", value: "b" }]), "TypeError", "import() takes the text of an export");
    await fails(() => kv.deletePrefix(""), "INVALID", "clear() removes all keys");
  },

  async "what other libraries call an option is known"(api) {
    const kv = await fresh(api);
    for (const name of ["ttl", "ex", "EX", "maxAge", "lifetime", "expiresIn", "ttlSeconds"])
      await fails(() => kv.put("a", "1", { [name]: 60 }), "TypeError", 'did you mean "expirationTtl"?');
    for (const name of ["as", "format", "json"])
      await fails(() => kv.get("a", { [name]: "json" }), "TypeError", 'did you mean "type"?');
    for (const [name, meant] of [["max", "limit"], ["pageSize", "limit"], ["from", "start"], ["end", "stop"]])
      await fails(() => kv.list({ [name]: "1" }), "TypeError", `did you mean "${meant}"?`);
  },

  async "numbers of Workers' options are read as WebIDL does"(api) {
    const kv = await fresh(api);
    const lifetimeOf = async (options) => {
      await kv.put("a", "1", options);
      return (await kv.getWithMetadata("a")).expiration - Date.now() / 1000;
    };
    for (const expirationTtl of ["60", 60.9, "60.9", " 60 ", [60], "0x3c", { valueOf: () => 60 }]) {
      const left = await lifetimeOf({ expirationTtl });
      ok(left > 58 && left <= 61, `${expirationTtl}: ${left}`);
    }
    for (const expiration of [Date.now() / 1000 + 3600, `${Date.now() / 1000 + 3600}`]) {
      const left = await lifetimeOf({ expiration });
      ok(left > 3590 && left <= 3600, `${expiration}: ${left}`);
    }
    ok((await lifetimeOf({ expirationTtl: 60, expiration: -1 })) > 58, "the one from now on wins");
    equal(await kv.touch("a", { expirationTtl: "60" }), true);
    equal(await kv.incr("n", 1, { expirationTtl: "60" }), 1);
    for (const key of ["b", "c"]) await kv.put(key, "1");
    for (const limit of ["1", 1.9, true, [1]]) equal((await kv.list({ limit })).keys.length, 1, String(limit));
    for (const limit of [0, -1, null, NaN, Infinity, -0.5, "", "x", {}, undefined]) {
      equal((await kv.list({ limit })).keys.length, 4, String(limit));
    }
    for (const cacheTtl of ["60", 60.9, null, {}]) equal(await kv.get("b", { cacheTtl }), "1");
    for (const value of [60n, Symbol("60")]) {
      for (const name of ["expiration", "expirationTtl"]) {
        await fails(() => kv.put("b", "2", { [name]: value }), "TypeError");
      }
      await fails(() => kv.list({ limit: value }), "TypeError");
      await fails(() => kv.get("b", { cacheTtl: value }), "TypeError");
    }
    equal(await kv.get("b"), "1");
  },

  async "numbers must be in their range"(api) {
    const kv = await fresh(api);
    for (const name of ["expiration", "expirationTtl"]) {
      for (const value of [0, -1, 0.9, NaN, Infinity, 2 ** 53, null, "", "x", "60 s", true, {}, [1, 2], () => 60]) {
        await fails(() => kv.put("a", "1", { [name]: value }), "RangeError", name);
        await fails(() => kv.touch("a", { [name]: value }), "RangeError", name);
      }
    }
    equal(await kv.get("a"), null);
    await fails(() => kv.put("a", "1", { expiration: 1 }), "INVALID", "not in the future");
    await kv.put("a", "1", { expiration: 253_402_300_799 });
    equal((await kv.getWithMetadata("a")).expiration, 253_402_300_799);
    for (const limit of [10_001, 2 ** 32, 2 ** 53]) await fails(() => kv.list({ limit }), "LIMIT", "limit");
    for (const by of [1.5, NaN, 2 ** 53, 2n ** 63n]) await fails(() => kv.incr("n", by), "RangeError");
    for (const by of ["1", null, {}]) await fails(() => kv.incr("n", by), "TypeError", "by");
    await fails(() => kv.store.sweep(-1), "RangeError", "max");
    await fails(() => kv.list({ reverse: 1 }), "TypeError", "reverse");
    await fails(() => kv.list({ prefix: {} }), "TypeError", "prefix must be a string, not an object");
    await fails(() => kv.list({ start: 1 }), "TypeError", "start");
    await fails(() => kv.list({ values: "stream" }), "TypeError", "values");
    await fails(() => kv.list({ cursor: 5 }), "TypeError", "cursor");
    await fails(() => kv.export({ format: "csv" }), "TypeError", "json, jsonl");
  },

  async "metadata is what JSON can say"(api) {
    const kv = await fresh(api);
    const cycle = {};
    cycle.cycle = cycle;
    for (const metadata of [cycle, 1n, () => 1, Symbol("a"), { toJSON: () => undefined }]) {
      await fails(() => kv.put("a", "1", { metadata }), "TypeError");
    }
    let deep = [];
    for (let depth = 0; depth < 200; depth++) deep = [deep];
    await fails(() => kv.put("a", "1", { metadata: deep }), "INVALID");
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    // The JSON of some engines supports this depth.
    await fails(() => kv.put("a", "1", { metadata: deep }), ["INVALID", "LIMIT"], /deep|200402 bytes/);
    await kv.put("a", "1", { metadata: { date: new Date(0), none: undefined } });
    equal((await kv.getWithMetadata("a")).metadata, { date: "1970-01-01T00:00:00.000Z" });
    for (const none of [null, undefined, NaN, { toJSON: () => null }]) {
      await kv.put("a", "1", { metadata: none });
      equal((await kv.getWithMetadata("a")).metadata, null);
    }
  },

  async "lengths that somebody gave an array are not believed"(api) {
    const kv = await fresh(api);
    class Long extends Uint8Array {
      get length() {
        return 1e9;
      }
      get byteLength() {
        return -5;
      }
      get buffer() {
        return new ArrayBuffer(1);
      }
      slice() {
        throw new Error("slice was called");
      }
    }
    await kv.put("a", new Long([1, 2, 3]));
    equal(await kv.get("a", "arrayBuffer"), bytes(1, 2, 3).buffer);
    const owning = bytes(4, 5);
    Object.defineProperty(owning, "byteLength", { value: 77 });
    await kv.put("a", owning);
    equal(await kv.get("a", "arrayBuffer"), bytes(4, 5).buffer);
    kv.atomic()
      .put("a", new Long([1, 2]))
      .commit();
    equal(await kv.get("a", "arrayBuffer"), bytes(1, 2).buffer);
    await fails(() => kv.put("b", Object.create(Uint8Array.prototype)), "TypeError", "KV put() accepts");
    await fails(() => kv.put("b", new Proxy(bytes(1), {})), "TypeError", "KV put() accepts");
    await fails(() => kv.put("b", Object.create(ArrayBuffer.prototype)), "TypeError", "KV put() accepts");
  },

  async "memory that was transferred, that shrank, or that is shared"(api) {
    const kv = await fresh(api);
    const view = bytes(1, 2, 3);
    structuredClone(view.buffer, { transfer: [view.buffer] });
    await fails(() => kv.put("a", view), "TypeError");
    await fails(() => kv.put("a", view.buffer), "TypeError");
    if (ArrayBuffer.prototype.resize) {
      const buffer = new ArrayBuffer(8, { maxByteLength: 16 });
      const [tracking, fixed] = [new Uint8Array(buffer, 4), new Uint8Array(buffer, 4, 4)];
      buffer.resize(6);
      await kv.put("a", tracking);
      equal((await kv.get("a", "arrayBuffer")).byteLength, 2);
      await fails(() => kv.put("a", fixed), "TypeError"); // it is out of bounds
      equal((await kv.get("a", "arrayBuffer")).byteLength, 2);
    }
    if (globalThis.SharedArrayBuffer) {
      const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
      for (const given of [shared, shared.buffer]) {
        await kv.put("a", given);
        equal(await kv.get("a", "arrayBuffer"), bytes(7, 7, 7, 7).buffer);
      }
    }
  },

  async "options are read once, and code of theirs may do anything"(api) {
    const kv = await fresh(api);
    let reads = 0;
    const once = {
      get expirationTtl() {
        return [100, "wrong"][reads++];
      },
    };
    await kv.put("a", "1", once);
    equal(reads, 1);
    const proxy = new Proxy({ metadata: "m" }, {});
    await kv.put("b", "1", proxy);
    equal((await kv.getWithMetadata("b")).metadata, "m");
    await fails(
      () =>
        kv.put("a", "2", {
          get metadata() {
            throw new RangeError("mine");
          },
        }),
      "RangeError",
      "mine",
    );
    // A call within a call: the inner one must not overwrite the inputs of the outer one.
    await kv.put("outer", "outer", {
      metadata: {
        toJSON() {
          kv.sync.put("inner", "inner".repeat(50), { metadata: "inner" });
          return "outer";
        },
      },
    });
    equal(
      await kv.get(["outer", "inner"]),
      new Map([
        ["outer", "outer"],
        ["inner", "inner".repeat(50)],
      ]),
    );
    equal((await kv.getWithMetadata("outer")).metadata, "outer");
    const taken = bytes(1, 2, 3);
    const taking = {
      get metadata() {
        if (taken.length > 0) structuredClone(taken.buffer, { transfer: [taken.buffer] });
        return 1;
      },
    };
    await fails(() => kv.put("taken", taken, taking), "TypeError");
    await fails(() => kv.atomic().put("taken", taken, taking), "TypeError");
    const closing = await fresh(api);
    await fails(
      () =>
        closing.put("a", "1", {
          get metadata() {
            closing.store.close();
            return 1;
          },
        }),
      "INVALID",
      "the store is closed",
    );
  },

  async "arrays of keys are read once, and whatever they claim"(api) {
    const kv = await fresh(api);
    await kv.put("a", "1");
    const huge = [];
    huge.length = 2 ** 32 - 1;
    await fails(() => kv.get(huge), "LIMIT", "4294967295 keys");
    await fails(() => kv.get(new Array(3)), "TypeError", "undefined");
    const getter = ["a"];
    let reads = 0;
    Object.defineProperty(getter, 0, { get: () => (reads++ === 0 ? "a" : 5) });
    equal([...(await kv.get(getter))], [["a", "1"]]);
    const proxy = new Proxy(["a", "b"], {});
    equal(
      [...(await kv.get(proxy))],
      [
        ["a", "1"],
        ["b", null],
      ],
    );
    ok(reads === 1);
  },

  async "opening: what is said wrong is told"({ Store }) {
    await fails(() => Store.open({ limits: "cloud" }), "TypeError", "limits must be one of default, cloudflare");
    await fails(() => Store.open({ persist: "disk" }), "TypeError", "persist must be one of indexeddb, opfs");
    await fails(() => Store.open({ persist: true }), "TypeError", "persist");
    await fails(() => Store.open({ onError: 5 }), "TypeError", "onError");
    await fails(() => Store.open({ persist: "indexeddb", name: 5 }), "TypeError", "name");
    await fails(() => Store.open({ persist: "indexeddb", name: "" }), "INVALID", "name");
    for (const maxMemory of [0, 2 ** 21 - 1, 2 ** 32 + 1, 1.5])
      await fails(() => Store.open({ maxMemory }), "RangeError", "maxMemory");
    await fails(() => Store.open({ maxMemory: "1" }), "TypeError", "maxMemory");
    for (const cacheSize of [-1, 1.5, NaN, Infinity, 2 ** 30 + 1])
      await fails(() => Store.open({ cacheSize }), "RangeError", "cacheSize must be a whole number from 0 to 1073741824");
    await fails(() => Store.open({ cacheSize: 2 ** 21 + 1, maxMemory: 2 ** 21 }), "RangeError", "from 0 to 2097152");
    for (const cacheSize of ["1", true, null, 1n])
      await fails(() => Store.open({ cacheSize }), "TypeError", "cacheSize must be a number");
    await fails(() => Store.open({ cache_size: 1 }), "TypeError", 'did you mean "cacheSize"?');
    await fails(() => Store.open("x"), "TypeError", "options");
    for (const maxMemory of [2 ** 21, 2 ** 32]) {
      const store = await Store.open({ maxMemory, cacheSize: maxMemory, persist: null, limits: undefined });
      await store.close();
    }
  },
};
