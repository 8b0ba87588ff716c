// Opening in a Worker's global scope, or with bytes, is an error that says what to do.

import { Store, Lua } from "luat-kv";
import store from "luat-kv/luat_kv.wasm";
import lua from "luat-kv/luat_kv_lua.wasm";
import bytes from "luat_kv.bytes";
import { equal, fails } from "../../test/suites/check.js";
import { runSuites } from "../tap.js";

const early = [Store.open({ wasm: store }), Lua.create({ wasm: lua })];
const settled = Promise.allSettled(early);

const tests = {
  async "a store is not opened in the global scope, but in a handler afterwards"() {
    for (const { reason } of await settled) {
      const words = /no random numbers here: a Worker opens its store in a handler, not in its global scope/;
      await fails(() => Promise.reject(reason), "INVALID", words);
    }
    const kv = (await Store.open({ wasm: store })).namespace("test");
    equal(await kv.incr("n", 41), 41);
  },

  async "bytes are not compiled"() {
    await fails(() => Store.open({ wasm: bytes }), "INVALID", "luat_kv.wasm may not be compiled here");
  },

  async "where the module lies is not known"() {
    await fails(() => Store.open(), ["INVALID", "IO"], "wasm");
  },
};

export default {
  async test() {
    const failures = await runSuites([tests], {}, console.log);
    if (failures > 0) throw new Error(`${failures} tests failed`);
  },
};
