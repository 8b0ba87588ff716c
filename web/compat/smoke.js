// The basic use of a store and of Lua, for runtimes with few features. Each test gets the package's exports, and
// `wasm`: the modules, if they have to be passed.

import { equal, fails, sleep, streamOf } from "../test/suites/check.js";

const open = ({ Store, wasm }, options) => Store.open(wasm ? { wasm: wasm.store, ...options } : options);
const create = ({ Lua, wasm }, options) => Lua.create(wasm ? { wasm: wasm.lua, ...options } : options);

/** Reads a stream. A Response would need more features of the runtime than the package does. */
async function textOf(stream) {
  const reader = stream.getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += new TextDecoder().decode(value);
  }
}

export default {
  async "a store is opened, used and closed"(api) {
    const store = await open(api, { limits: "cloudflare" });
    const kv = store.namespace("test");
    equal(store.namespace("test") === kv, true, "the same namespace");
    await kv.put("user:1", JSON.stringify({ name: "Ada" }), { metadata: { from: "here" }, expirationTtl: 60 });
    await kv.put("user:2", new TextEncoder().encode("bytes"));
    equal(await kv.get("user:1", "json"), { name: "Ada" });
    equal(new Uint8Array(await kv.get("user:2", "arrayBuffer")), new TextEncoder().encode("bytes"));
    const { metadata, expiration } = await kv.getWithMetadata("user:1");
    equal([metadata, expiration > Date.now() / 1000], [{ from: "here" }, true]);
    const { keys, list_complete } = await kv.list({ prefix: "user:" });
    equal([keys.map(({ name }) => name), list_complete], [["user:1", "user:2"], true]);
    const names = [];
    for await (const { name } of kv.each()) names.push(name);
    equal(names, ["user:1", "user:2"]);
    await kv.delete("user:2");
    equal([await kv.get("user:2"), await kv.count()], [null, 1]);
    await store.close();
    await fails(() => kv.get("user:1"), "INVALID", "the store is closed");
  },

  async "an entry is gone when its time has come"(api) {
    const store = await open(api);
    const kv = store.namespace("test");
    await kv.put("lock", "1", { expirationTtl: 1 });
    equal(await kv.get("lock"), "1");
    while ((await kv.get("lock")) !== null) await sleep(50);
    await store.close();
  },

  async "a batch is made whole, or not at all"(api) {
    const store = await open(api);
    const kv = store.namespace("test");
    const first = kv.atomic().check("a", null).put("a", "1").incr("n", 2).commit();
    equal([first.ok, await kv.get("a"), await kv.get("n")], [true, "1", "2"]);
    equal(kv.atomic().check("a", null).put("a", "2").commit().ok, false);
    equal(kv.atomic().check("a", first.version).delete("a").commit().ok, true);
    equal(await kv.get("a"), null);
    await store.close();
  },

  async "values are streams"(api) {
    const store = await open(api);
    const kv = store.namespace("test");
    await kv.put("a", streamOf(new TextEncoder().encode("stre"), new TextEncoder().encode("amed")));
    equal(await textOf(await kv.get("a", "stream")), "streamed");
    await store.close();
  },

  async "an export is imported"(api) {
    const store = await open(api);
    const kv = store.namespace("test");
    await kv.put("a", "1", { metadata: [1] });
    equal(await store.namespace("copy").import(await kv.export()), { stored: 1, skipped: 0 });
    equal((await store.namespace("copy").getWithMetadata("a")).metadata, [1]);
    await store.close();
  },

  async "Lua runs on the same store"(api) {
    const store = await open(api);
    const lines = [];
    const lua = await create(api, { kv: store, print: (line) => lines.push(line) });
    const answer = await lua.run(`
      local kv = require("luat_kv").namespace("test")
      kv:put("a", { n = 1 })
      print(kv:get("a", "json").n, pcall(error, "raised"))
      return kv:incr("n", 41), #io.open("/dev/urandom"):read(8), os.time() > 0
    `);
    equal([lines, answer], [["1\tfalse\traised"], [41, 8, true]]);
    equal(await store.namespace("test").get("a", "json"), { n: 1 });
    await fails(() => lua.run("error('no')"), "LuaError", "no");
    await store.namespace("test").put("b", "1");
    lua.close();
    await store.close();
  },

  async "Lua that does not end is stopped"(api) {
    const lua = await create(api, { print() {} });
    await fails(() => lua.run("while true do end", { timeout: 100 }), "LuaError", "it ran for 100 ms");
    equal(await lua.run("return 1"), [1]);
    lua.close();
  },
};
