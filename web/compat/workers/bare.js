// The smoke test in a Worker with an early compatibility date, without optional features.

import { strip } from "../bare.js";
import smoke from "../smoke.js";
import { runSuites } from "../tap.js";
import store from "luat-kv/luat_kv.wasm";
import lua from "luat-kv/luat_kv_lua.wasm";

export default {
  async test() {
    strip("crypto"); // every Worker has it
    const api = await import("luat-kv");
    const failures = await runSuites([smoke], { ...api, wasm: { store, lua } }, console.log);
    if (failures > 0) throw new Error(`${failures} tests failed`);
  },
};
