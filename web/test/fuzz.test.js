// Random calls: none may trap, and the store must stay consistent. The seed is printed; FUZZ_SEED=… repeats a run.

import test from "node:test";
import { coreOf } from "../src/store.js";
import { Store, LuatKVError, equal, ok } from "./support.js";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 5);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
console.log(`# FUZZ_SEED=${seed}`);

/** mulberry32 */
let state = seed;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let word = Math.imul(state ^ (state >>> 15), 1 | state);
  word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
  return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
}
const below = (count) => Math.floor(random() * count);
const pick = (list) => list[below(list.length)];

async function forSeconds(run) {
  const end = performance.now() + SECONDS * 1000;
  let rounds = 0;
  for (; performance.now() < end; rounds++) {
    for (let turn = 0; turn < 50; turn++) run();
    await null;
  }
  ok(rounds > 0);
}

// ---- The raw functions, with valid pointers and otherwise random arguments

const ROOM = 32_768;
const INT64 = [0n, 1n, -1n, 60n, 2n ** 31n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 1_800_000_000n, 99_999_999_999n];
const INT32 = [0, 1, 2, 3, 4, 31, 32, 48, 100, 1000, 10_000, 0x7fffffff, 0x80000000, 0xffffffff];

class Raw {
  constructor(core) {
    this.engine = core.engine;
    this.call = core.engine.call;
    // Writes to one of these must not change the pointers in another.
    this.room = this.engine.alloc(ROOM);
    this.tables = this.engine.alloc(ROOM);
    this.outs = this.engine.alloc(ROOM);
    this.error = this.engine.alloc(8);
    this.handles = { store: [core.pointer], ns: [], entry: [0], page: [0], batch: [], stats: [0], error: [0] };
    this.records = [];
  }

  get view() {
    return this.engine.fresh().view;
  }

  /** An address in one of these that has `length` bytes. */
  place(size, room = this.outs) {
    return room + 8 * below((ROOM - size) / 8);
  }

  /** Random bytes: their address and their length. */
  bytes() {
    if (random() < 0.05) return [0, 0];
    const text = pick([
      "a",
      "b",
      "key:1",
      "key:",
      "ü",
      "42",
      "{}",
      "null",
      '{"a":[1]}',
      "\0",
      "-1",
      "9".repeat(20),
      "[".repeat(300),
    ]);
    const given =
      random() < 0.7
        ? Buffer.from(text)
        : Buffer.from(Array.from({ length: below(random() < 0.1 ? 6000 : 40) }, () => below(256)));
    const at = this.place(given.length + 8, this.room);
    this.engine.fresh().bytes.set(given, at);
    return [at, given.length];
  }

  setBytes(at) {
    const [data, length] = this.bytes();
    this.view.setUint32(at, data, true);
    this.view.setUint32(at + 4, length, true);
  }

  /** A struct of random words, whose luat_kv_bytes are valid. */
  struct(size, numbers, views) {
    if (random() < 0.2) return 0;
    const at = this.place(64, this.tables);
    for (let word = 0; word < size; word += 4) this.view.setUint32(at + word, random() < 0.7 ? 0 : pick(INT32), true);
    this.view.setUint32(at, random() < 0.95 ? size : below(size + 8), true);
    for (const field of numbers) this.view.setBigInt64(at + field, random() < 0.5 ? 0n : pick(INT64), true);
    for (const field of views) this.setBytes(at + field);
    return at;
  }

  putOptions = () => this.struct(32, [8, 16], [24]);
  incrOptions = () => this.struct(32, [8, 16, 24], []);
  listOptions = () => this.struct(48, [], [16, 24, 32, 40]);
  handle = (kind) => (random() < 0.02 ? 0 : pick(this.handles[kind].length > 0 ? this.handles[kind] : [0]));
  out = () => (random() < 0.05 ? 0 : this.place(8));

  /** Calls a function that returns a handle, and stores the handle. */
  make(kind, name, ...values) {
    const out = this.place(8);
    this.fails(name, ...values, out);
    const made = this.view.getUint32(out, true);
    if (made !== 0) this.handles[kind].push(made);
    if (this.handles[kind].length > 20) this.drop(kind);
  }

  drop(kind) {
    const free = {
      ns: "namespace_free",
      entry: "entry_free",
      page: "page_free",
      batch: "batch_free",
      stats: "stats_free",
      error: "error_free",
    };
    const handles = this.handles[kind];
    this.call[free[kind]](handles.splice(below(handles.length), 1)[0] ?? 0);
  }

  fails(name, ...values) {
    this.view.setUint32(this.error, 0, true);
    const status = this.call[name](...values, this.error);
    const made = this.view.getUint32(this.error, true);
    equal([name, made !== 0], [name, status < 0]);
    if (made !== 0) {
      equal(this.call.error_status(made), status);
      ok(this.engine.cString(this.call.error_message(made)).length > 0);
      this.call.error_free(made);
    }
    return status;
  }

  record(all) {
    const out = this.place(8);
    this.view.setUint32(out, 0, true);
    this.view.setUint32(out + 4, 0, true);
    if (this.fails("wasm_changes", this.handle("store"), all, out) !== 0) return;
    const [data, length] = [this.view.getUint32(out, true), this.view.getUint32(out + 4, true)];
    if (length > 0 && length < ROOM / 2) this.records.push(new Uint8Array(this.engine.copy(data, length)));
    if (this.records.length > 30) this.records.splice(below(30), 1);
    this.engine.free(data, length);
  }

  load() {
    let bytes =
      this.records.length > 0 && random() < 0.9
        ? pick(this.records).slice()
        : Uint8Array.from({ length: below(100) }, () => below(256));
    if (random() < 0.3 && this.records.length > 0) bytes = Uint8Array.from([...bytes, ...pick(this.records)]);
    for (let damage = below(3); damage > 0; damage--) bytes[below(bytes.length)] ^= 1 << below(8);
    if (random() < 0.2) bytes = bytes.subarray(0, below(bytes.length + 1));
    const at = this.engine.alloc(bytes.length);
    this.engine.fresh().bytes.set(bytes, at);
    this.fails("wasm_load", this.handle("store"), at, random() < 0.02 ? below(bytes.length + 1) : bytes.length);
    this.engine.free(at, bytes.length);
  }

  keys() {
    const count = below(20);
    const at = this.place(8 * 20, this.tables);
    for (let index = 0; index < count; index++) this.setBytes(at + 8 * index);
    return [at, count];
  }
}

/** For each function of the module, a function that calls it with random arguments. */
const CALLS = {
  abi_version: (raw) => raw.call.abi_version(),
  version: (raw) => raw.call.version(),
  status_str: (raw) => raw.engine.cString(raw.call.status_str(pick(INT32) | 0)),
  error_status: (raw) => raw.call.error_status(0),
  error_message: (raw) => raw.engine.cString(raw.call.error_message(raw.handle("error"))),
  error_free: (raw) => raw.call.error_free(0),
  ...Object.fromEntries(
    ["open", "put", "list", "incr"].map((name) => [
      `${name}_options_init`,
      (raw) => raw.call[`${name}_options_init`](raw.place(64), below(60)),
    ]),
  ),
  open_memory: (raw) => {
    const out = raw.place(8);
    raw.view.setUint32(out, 0, true);
    raw.fails("open_memory", raw.struct(24, [], []), out);
    raw.call.close(raw.view.getUint32(out, true));
  },
  close: (raw) => raw.call.close(0),
  sweep: (raw) => raw.fails("sweep", raw.handle("store"), pick(INT64), raw.out()),
  compact: (raw) => raw.fails("compact", raw.handle("store")),
  checkpoint: (raw) => raw.fails("checkpoint", raw.handle("store"), raw.out()),
  store_path: (raw) => raw.engine.cString(raw.call.store_path(raw.handle("store"))),
  namespaces: (raw) => raw.make("page", "namespaces", raw.handle("store")),
  namespace_open: (raw) => raw.make("ns", "namespace_open", raw.handle("store"), ...raw.bytes()),
  namespace_free: (raw) => raw.handles.ns.length > 5 && raw.drop("ns"),
  stats_read: (raw) => raw.make("stats", "stats_read", raw.handle("store")),
  stats_path: (raw) => raw.call.stats_path(raw.handle("stats")),
  stats_file_size: (raw) => raw.call.stats_file_size(raw.handle("stats")),
  stats_len: (raw) => raw.call.stats_len(raw.handle("stats")),
  stats_name: (raw) => raw.call.stats_name(raw.handle("stats"), pick(INT32), raw.out()),
  stats_live: (raw) => raw.call.stats_live(raw.handle("stats"), pick(INT32)),
  stats_expired: (raw) => raw.call.stats_expired(raw.handle("stats"), pick(INT32)),
  stats_free: (raw) => raw.drop("stats"),
  get: (raw) => {
    const size = below(200);
    raw.fails("get", raw.handle("ns"), ...raw.bytes(), raw.place(size), size, raw.out());
  },
  get_entry: (raw) => raw.make("entry", "get_entry", raw.handle("ns"), ...raw.bytes()),
  get_many: (raw) => raw.make("page", "get_many", raw.handle("ns"), ...raw.keys()),
  put: (raw) => raw.fails("put", raw.handle("ns"), ...raw.bytes(), ...raw.bytes(), raw.putOptions()),
  add: (raw) => raw.fails("add", raw.handle("ns"), ...raw.bytes(), ...raw.bytes(), raw.putOptions()),
  ...Object.fromEntries(
    ["put_versioned", "add_versioned"].map((name) => [
      name,
      (raw) => {
        const version = random() < 0.1 ? 0 : raw.place(24);
        raw.fails(name, raw.handle("ns"), ...raw.bytes(), ...raw.bytes(), raw.putOptions(), version);
      },
    ]),
  ),
  has: (raw) => raw.fails("has", raw.handle("ns"), ...raw.bytes()),
  touch: (raw) => raw.fails("touch", raw.handle("ns"), ...raw.bytes(), pick(INT64), pick(INT64)),
  incr: (raw) => raw.fails("incr", raw.handle("ns"), ...raw.bytes(), pick(INT64), raw.incrOptions(), raw.out()),
  delete: (raw) => raw.fails("delete", raw.handle("ns"), ...raw.bytes()),
  remove: (raw) => raw.fails("remove", raw.handle("ns"), ...raw.bytes()),
  take: (raw) => raw.make("entry", "take", raw.handle("ns"), ...raw.bytes()),
  list: (raw) => raw.make("page", "list", raw.handle("ns"), raw.listOptions()),
  count: (raw) => raw.fails("count", raw.handle("ns"), ...raw.bytes(), raw.out()),
  delete_prefix: (raw) => random() < 0.3 && raw.fails("delete_prefix", raw.handle("ns"), ...raw.bytes(), raw.out()),
  clear: (raw) => random() < 0.05 && raw.fails("clear", raw.handle("ns"), raw.out()),
  ...Object.fromEntries(
    ["key", "value", "metadata", "version"].map((name) => [
      `entry_${name}`,
      (raw) => raw.call[`entry_${name}`](raw.handle("entry"), raw.out()),
    ]),
  ),
  entry_expiration: (raw) => raw.call.entry_expiration(raw.handle("entry")),
  entry_free: (raw) => raw.drop("entry"),
  page_len: (raw) => raw.call.page_len(raw.handle("page")),
  page_at: (raw) => raw.call.entry_key(raw.call.page_at(raw.handle("page"), pick(INT32)), raw.out()),
  page_cursor: (raw) => raw.call.page_cursor(raw.handle("page"), raw.out()),
  page_free: (raw) => raw.drop("page"),
  batch_open: (raw) => raw.make("batch", "batch_open", raw.handle("store")),
  batch_check: (raw) => raw.fails("batch_check", raw.handle("batch"), raw.handle("ns"), ...raw.bytes(), ...raw.bytes()),
  batch_put: (raw) =>
    raw.fails("batch_put", raw.handle("batch"), raw.handle("ns"), ...raw.bytes(), ...raw.bytes(), raw.putOptions()),
  batch_delete: (raw) => raw.fails("batch_delete", raw.handle("batch"), raw.handle("ns"), ...raw.bytes()),
  batch_incr: (raw) =>
    raw.fails("batch_incr", raw.handle("batch"), raw.handle("ns"), ...raw.bytes(), pick(INT64), raw.incrOptions()),
  batch_commit: (raw) => raw.fails("batch_commit", raw.handle("batch")),
  batch_version: (raw) => raw.call.batch_version(raw.handle("batch"), raw.out()),
  batch_free: (raw) => raw.drop("batch"),
  wasm_alloc: (raw) => {
    const size = random() < 0.9 ? below(5000) : pick(INT32);
    raw.call.wasm_free(raw.call.wasm_alloc(size) >>> 0, size);
  },
  wasm_free: (raw) => raw.call.wasm_free(0, pick(INT32)),
  wasm_changed: (raw) => raw.call.wasm_changed(raw.handle("store")),
  wasm_changes: (raw) => raw.record(below(2)),
  wasm_load: (raw) => raw.load(),
  wasm_read: (raw) => {
    const size = below(200);
    const out = random() < 0.05 ? 0 : raw.place(40);
    raw.fails("wasm_read", raw.handle("ns"), ...raw.bytes(), below(2), raw.place(size), size, out);
  },
  wasm_replace: (raw) => {
    const row = random() < 0.9 ? below(50) : pick(INT32);
    const version = random() < 0.05 ? 0 : raw.place(16);
    raw.fails("wasm_replace", raw.handle("store"), row, ...raw.bytes(), version);
  },
};

/** The host's random numbers and time also come from the seed, so that a failure can be repeated. */
function hostFrom(t) {
  let now = 1_700_000_000_000;
  t.mock.method(Date, "now", () => (now += below(100)));
  t.mock.method(crypto, "getRandomValues", (array) => array.map(() => BigInt(below(2 ** 32)) * BigInt(below(2 ** 31))));
}

test("every function of the module takes anything, and nothing traps", async (t) => {
  hostFrom(t);
  const core = coreOf(await Store.open({ maxMemory: 8 * 2 ** 20 }));
  const raw = new Raw(core);
  const functions = Object.keys(core.engine.raw).filter((name) => name.startsWith("luat_kv_"));
  equal(functions.map((name) => name.slice(8)).sort(), Object.keys(CALLS).sort());
  const names = Object.keys(CALLS);
  const seen = [];
  try {
    await forSeconds(() => {
      const name = pick(names);
      seen.push(name);
      if (seen.length > 30) seen.shift();
      CALLS[name](raw);
    });
  } catch (error) {
    throw new Error(`after ${seen.join(" ")}: ${error.stack}`, { cause: error });
  }
  equal(core.engine.death, null);
});

// ---- The package, against a Map

const anything = () =>
  pick([
    undefined,
    null,
    0,
    1,
    -1,
    1.5,
    NaN,
    2 ** 53,
    1n,
    "",
    "a",
    "\ud800",
    "x".repeat(below(6000)),
    true,
    {},
    [],
    ["a", "b"],
    Symbol("a"),
    new Uint8Array(below(100)),
    new ArrayBuffer(3),
    new Map(),
    () => 1,
    new Date(),
    { type: "json" },
    { metadata: { a: 1 } },
    { expirationTtl: below(5) },
    { limit: below(5), prefix: "a" },
    { values: true, reverse: true },
    { format: "jsonl" },
    { replace: true },
  ]);

test("the package takes anything, and nothing but errors that are known comes of it", async () => {
  const kv = (await Store.open({ maxMemory: 16 * 2 ** 20 })).namespace("fuzz");
  const methods = [
    "get",
    "getWithMetadata",
    "put",
    "add",
    "has",
    "delete",
    "take",
    "deleteBulk",
    "touch",
    "incr",
    "list",
    "each",
    "count",
    "deletePrefix",
    "export",
    "import",
  ];
  await forSeconds(() => {
    const name = pick(methods);
    const values = Array.from({ length: below(4) }, () =>
      name === "import" && random() < 0.5 ? damaged() : anything(),
    );
    try {
      const answer = kv.sync[name](...values);
      if (name === "each") [...answer];
    } catch (error) {
      const isKnown =
        error instanceof LuatKVError
          ? error.code !== "PANIC" && error.code !== "INTERNAL"
          : error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
      if (!isKnown || /Cannot read|is not a function|undefined \(/.test(error.message))
        throw new Error(`${name}(${values.map(String)}): ${error.stack}`, { cause: error });
    }
    if (kv.sync.count() > 500) kv.sync.clear();
  });
  await kv.store.close();
});

function damaged() {
  const text =
    '[{"key":"a","value":"\\u0041b","expiration":99999999999,"metadata":{"a":[1,"}"]}},' +
    '{"key":"b","value":"AQ==","base64":true}]';
  const at = below(text.length);
  return text.slice(0, at) + pick(["", '"', "{", "}", "\\", "0", ",", "[", "]"]) + text.slice(at + below(3));
}

test("a store holds what a Map does", async () => {
  const kv = (await Store.open({ maxMemory: 64 * 2 ** 20 })).namespace("model").sync;
  const model = new Map();
  const keyOf = () => pick(["a", "b", "ü", "😀", "k"]) + below(40);
  const value = () => pick(["", "v", "ü", "😀"]).repeat(below(random() < 0.02 ? 40_000 : 60)) + below(10);
  await forSeconds(() => {
    const key = keyOf();
    switch (below(8)) {
      case 0:
      case 1: {
        const entry = { value: value(), metadata: random() < 0.3 ? { m: value().slice(0, 50) } : null };
        kv.put(key, entry.value, { metadata: entry.metadata });
        model.set(key, entry);
        break;
      }
      case 2: {
        const isTaken = random() < 0.3;
        const { value, metadata } = isTaken ? kv.take(key) : kv.getWithMetadata(key);
        equal({ value, metadata }, model.get(key) ?? { value: null, metadata: null });
        if (isTaken) model.delete(key);
        break;
      }
      case 3:
        equal([kv.has(key), kv.delete(key)], [model.has(key), model.delete(key)]);
        break;
      case 4: {
        const text = value();
        equal(kv.add(key, text) !== null, !model.has(key));
        if (!model.has(key)) model.set(key, { value: text, metadata: null });
        break;
      }
      case 5: {
        const keys = Array.from({ length: below(10) }, keyOf);
        equal(kv.get(keys), new Map(keys.map((key) => [key, model.get(key)?.value ?? null])));
        break;
      }
      case 6: {
        const prefix = pick(["a", "b", "ü", "😀1", ""]);
        const reverse = random() < 0.5;
        const wanted = [...model.keys()]
          .filter((key) => key.startsWith(prefix))
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        if (reverse) wanted.reverse();
        equal(
          [...kv.each({ prefix, reverse })].map(({ name }) => name),
          wanted,
        );
        equal(kv.count({ prefix }), wanted.length);
        break;
      }
      default: {
        const other = keyOf();
        const version = kv.getWithMetadata(key).version;
        const isGood = random() < 0.7;
        const { ok } = kv
          .atomic()
          .check(key, isGood ? version : "AAAAAAAAAAAAAAAA")
          .put(other, "batch")
          .delete(key)
          .commit();
        equal(ok, isGood);
        if (isGood) {
          model.set(other, { value: "batch", metadata: null });
          model.delete(key);
        }
      }
    }
  });
  equal([...kv.each({ values: true })].length, model.size);
  await kv.store.close();
});
