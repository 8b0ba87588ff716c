// The measurements, for Node and for pages: nanoseconds per operation, as the median of several rounds. Each round
// measures every subject in turn, so that a machine whose speed drifts affects all of them. It puts values that differ
// from those of the round before, and then gets them.

import { Lua, Store } from "../src/index.js";
import { createStorage } from "unstorage";
import memoryDriver from "unstorage/drivers/memory";

const KEYS = 10_000;
const ROUNDS = 31;
/** Values of 100 characters. */
const VALUES = Array.from({ length: ROUNDS }, (_, round) => String(round).padStart(4, "0").repeat(25));
let value = VALUES[0];

/** Keys of 100 characters each, in an irregular order. */
const keys = Array.from({ length: KEYS }, (_, index) => `user:${String((index * 7919) % KEYS).padStart(95, "0")}`);

/** A Map that does the work of a store: entries may expire, have metadata, and are copies. */
class MapStore {
  #rows = new Map();

  get(key) {
    const row = this.#rows.get(key);
    if (row === undefined || (row.end !== null && row.end <= Math.floor(Date.now() / 1000))) return null;
    return row.value;
  }

  put(key, value, options) {
    const end = options?.expirationTtl ? Math.floor(Date.now() / 1000) + options.expirationTtl : null;
    const metadata = options?.metadata === undefined ? null : JSON.stringify(options.metadata);
    this.#rows.set(key, { value, end, metadata });
  }
}

function timed(run) {
  const begin = performance.now();
  run();
  return ((performance.now() - begin) * 1e6) / KEYS;
}

async function timedAsync(run) {
  const begin = performance.now();
  await run();
  return ((performance.now() - begin) * 1e6) / KEYS;
}

function sync(store) {
  return {
    put: () => timed(() => keys.forEach((key) => store.put(key, value))),
    get: () => timed(() => keys.forEach((key) => check(store.get(key)))),
  };
}

function promised(put, get) {
  return {
    put: () => timedAsync(async () => {
      for (const key of keys) await put(key, value);
    }),
    get: () => timedAsync(async () => {
      for (const key of keys) check(await get(key));
    }),
  };
}

function check(got) {
  if (got !== value) throw new Error(`this is not what was put: ${got}`);
}

/** The same in Lua, whose strings need not be passed to JavaScript. The second one is a table of Lua. */
async function inLua() {
  const lua = await Lua.create();
  await lua.run(`
    local keys, rows = {}, {}
    for i = 0, ${KEYS - 1} do keys[i + 1] = ("user:%095d"):format(i * 7919 % ${KEYS}) end
    local kv = KV.namespace("bench")
    function timed(what, value)
      local begin = os.clock()
      if what == "put" then
        for i = 1, #keys do kv:put(keys[i], value) end
      elseif what == "get" then
        for i = 1, #keys do if kv:get(keys[i]) ~= value then error("this is not what was put") end end
      elseif what == "table put" then
        for i = 1, #keys do rows[keys[i]] = value end
      else
        for i = 1, #keys do if rows[keys[i]] ~= value then error("this is not what was put") end end
      end
      return (os.clock() - begin) * 1e9 / #keys
    end`);
  const call = (what) => () => lua.runSync(`return timed("${what}", "${value}")`)[0];
  const [store, table] = ["", "table "].map((of) => ({ put: call(`${of}put`), get: call(`${of}get`) }));
  return { store, table, close: () => lua.close() };
}

/** Returns the rounds' times: { subject: { put: [], get: [] } }. */
export async function measure() {
  const store = await Store.open();
  const kv = store.namespace("bench");
  const uncached = await Store.open({ cacheSize: 0 });
  const storage = createStorage({ driver: memoryDriver() });
  const lua = await inLua();
  const map = new MapStore();
  const subjects = {
    "luat-kv, sync": sync(kv.sync),
    "luat-kv, sync, no cache": sync(uncached.namespace("bench").sync),
    "a Map with the same work": sync(map),
    "luat-kv": promised((key, value) => kv.put(key, value), (key) => kv.get(key)),
    "a Map behind promises": promised(async (key, value) => map.put(key, value), async (key) => map.get(key)),
    "unstorage, memory": promised((key, value) => storage.setItem(key, value), (key) => storage.getItem(key)),
    "luat_kv in Lua": lua.store,
    "a table in Lua": lua.table,
  };
  const rounds = Object.fromEntries(Object.keys(subjects).map((name) => [name, { put: [], get: [] }]));
  for (value of VALUES) {
    for (const [name, { put, get }] of Object.entries(subjects)) {
      rounds[name].put.push(await put());
      rounds[name].get.push(await get());
    }
  }
  lua.close();
  await store.close();
  await uncached.close();
  return rounds;
}
