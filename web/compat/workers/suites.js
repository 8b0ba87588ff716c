// The suites in a Worker, to which the modules have to be passed.

import * as api from "luat-kv";
import store from "luat-kv/luat_kv.wasm";
import lua from "luat-kv/luat_kv_lua.wasm";
import suites from "../suites.js";
import { runSuites } from "../tap.js";

/** Wraps a class's function, so that its options contain a module by default. */
function say(of, name, wasm) {
  const create = of[name];
  const isPlain = (options) => options === undefined || Object.getPrototypeOf(Object(options)) === Object.prototype;
  of[name] = (options) => create.call(of, isPlain(options) ? { wasm, ...options } : options);
}

export default {
  async test() {
    say(api.Store, "open", store);
    say(api.Lua, "create", lua);
    const failures = await runSuites(suites, api, console.log);
    if (failures > 0) throw new Error(`${failures} tests failed`);
  },
};
