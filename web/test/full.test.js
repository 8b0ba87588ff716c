// Stores whose memory is exhausted: each call succeeds or is NOMEM, and deleting frees memory.

import test from "node:test";
import { coreOf } from "../src/store.js";
import { Lua, Store, equal, ok } from "./support.js";

const MIB = 1024 * 1024;

/** The result of a call: "OK" or the code of its error. */
function outcome(run) {
  try {
    run();
    return "OK";
  } catch (error) {
    return error.code ?? String(error);
  }
}

/** A store, with or without tracked changes, in either module, that has no memory for another key. */
async function fullStore({ keyLength = 10, value = "", maxMemory = 2 * MIB, tracks = false, withLua = false } = {}) {
  const store = await Store.open({ maxMemory });
  if (withLua) (await Lua.create({ kv: store })).close(); // it stays there
  const core = coreOf(store);
  if (tracks) core.changes(false);
  const kv = store.namespace("full").sync;
  const key = (index) => String(index).padEnd(keyLength, "x");
  let count = 0;
  while (outcome(() => kv.put(key(count), value)) === "OK") count++;
  return { store, core, kv, key, count };
}

/** Takes all changes, as a flush does. */
function flush(core, write = () => {}) {
  for (let record; (record = core.changes(false)).length > 0; ) write(record);
}

test("however little memory is left, many keys and long metadata are NOMEM or done", async () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => `m${index}`);
  const metadata = `${"a".repeat(40_000)}\n${"a".repeat(20_000)}`; // which is joined when it is read
  for (const withLua of [false, true]) {
    const maxMemory = (withLua ? 4 : 3) * MIB;
    const { kv, key, count, store } = await fullStore({ value: "v".repeat(1000), maxMemory, withLua });
    const seen = new Set();
    for (let index = 0; index < count; index += 4) {
      for (let more = 0; more < 4; more++) kv.delete(key(index + more));
      seen.add(outcome(() => kv.get(keys)));
      seen.add(outcome(() => kv.put("metadata", "", { metadata })));
      kv.delete("metadata");
    }
    equal([...seen].sort(), ["NOMEM", "OK"]);
    await store.close();
  }
});

test("pages of any length are NOMEM or done in a full store", async () => {
  for (const keyLength of [300, 2000, 4096]) {
    const { kv, count, store } = await fullStore({ keyLength, maxMemory: 3 * MIB });
    const seen = new Set();
    for (let limit = 1; limit <= count; limit++) seen.add(outcome(() => kv.list({ limit, values: true })));
    equal([...seen].sort(), ["NOMEM", "OK"]);
    await store.close();
  }
});

test("what fails for want of memory leaves no less of it, however often", async () => {
  for (const tracks of [false, true]) {
    for (const options of [undefined, { expirationTtl: 100 }]) {
      const { store, core, kv, key, count } = await fullStore({ maxMemory: 4 * MIB, tracks });
      if (tracks) flush(core);
      while (outcome(() => kv.put(`z${Math.random()}`, "")) === "OK");
      for (let index = 0; index < 5000; index++) {
        const place = key(Math.floor(Math.random() * count));
        outcome(() => kv.put(`${place}/${index}`, "v".repeat(index % 50), options));
      }
      equal(kv.get(key(1)), "");
      equal(outcome(() => kv.delete(key(1))), "OK");
      if (tracks) flush(core);
      ok(kv.clear() >= count - 1);
      if (tracks) flush(core);
      equal(outcome(() => kv.put("a", "b", options)), "OK");
      await store.close();
    }
  }
});

test("a batch of deletions that does not fit is taken back, and leaves room to go on", async () => {
  for (const rows of [10_000, 13_000, 16_000, 20_000]) {
    const store = await Store.open({ maxMemory: 8 * MIB });
    const core = coreOf(store);
    const kv = store.namespace("n".repeat(200)).sync;
    const batch = kv.atomic();
    for (let index = 0; index < rows; index++) {
      kv.put(`k${index}`, "v");
      batch.delete(`k${index}`);
    }
    core.changes(false);
    const answer = outcome(() => batch.commit());
    ok(answer === "OK" || answer === "NOMEM", answer);
    equal(kv.count(), answer === "OK" ? 0 : rows);
    flush(core);
    equal(kv.clear(), answer === "OK" ? 0 : rows);
    await store.close();
  }
});

test("a full store can be cleared, whatever its keys, and flushed", async () => {
  for (const keyLength of [10, 100, 1000, 2000, 4096]) {
    for (const tracks of [false, true]) {
      const { store, core, kv, key, count } = await fullStore({ keyLength, tracks });
      if (tracks) flush(core);
      for (let index = 0; index < count; index += 2) kv.delete(key(index));
      equal(kv.clear(), Math.floor(count / 2));
      if (tracks) flush(core);
      equal(outcome(() => kv.put("a", "b")), "OK");
      await store.close();
    }
  }
});

test("what a full store tells of its changes makes the same store again", async () => {
  const { store, core, kv } = await fullStore({ keyLength: 100, value: "v".repeat(50), tracks: true });
  const other = await Store.open();
  for (;;) {
    const record = core.changes(false);
    if (record.length === 0) break;
    coreOf(other).load(record);
  }
  equal(other.namespace("full").sync.export(), exportOf(kv));
  await store.close();
  await other.close();
});

test("what a full store tells of its changes can be loaded into as much memory", async () => {
  const options = { maxMemory: 8 * MIB };
  for (const length of [0, 100, 5000, 25_000, 28_000, 30_500, 35_000, 60_000]) {
    const [store, other] = [await Store.open(options), await Store.open(options)];
    const kv = store.namespace("full").sync;
    const flushed = () => flush(coreOf(store), (record) => coreOf(other).load(record));
    flushed();
    let count = 0;
    while (outcome(() => kv.put(`key ${count}`, "v".repeat(length))) === "OK") count++;
    flushed();
    equal(other.namespace("full").sync.count(), count, `values of ${length}`);
    await store.close();
    await other.close();
  }
});

test("a table of many keys is NOMEM in a full store", async (t) => {
  const lua = await Lua.create({ maxMemory: 8 * MIB });
  t.after(() => lua.close());
  lua.runSync(`kv, names = KV.namespace("full"), {}
    for i = 1, 50000 do names[i] = "k" end
    function get() return pcall(kv.get, kv, names) end`);
  const kv = lua.kv.namespace("full").sync;
  let count = 0;
  for (const length of [10_000, 0]) while (outcome(() => kv.put(`key ${count}`, "v".repeat(length))) === "OK") count++;
  kv.delete("key 1");
  equal(lua.runSync("return get()"), [false, "luat_kv: NOMEM: out of memory"]);
});

/** An export key by key, for which there is enough memory. */
function exportOf(kv) {
  const parts = [];
  for (let cursor = null; ; ) {
    const page = kv.list({ limit: 10, cursor });
    for (const { name } of page.keys) parts.push(JSON.stringify({ key: name, value: kv.get(name) }));
    if (page.list_complete) return `[\n${parts.join(",\n")}\n]\n`;
    cursor = page.cursor;
  }
}
