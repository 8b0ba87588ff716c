import * as api from "../src/index.js";
import store from "../luat_kv.wasm";
import lua from "../luat_kv_lua.wasm";
import smoke from "./smoke.js";
import { runSuites } from "./tap.js";

let print = console.log;
export default {
  async test() {
    console.log("types", typeof FinalizationRegistry, typeof WeakRef, typeof MessageChannel, typeof setImmediate, typeof performance, typeof structuredClone, typeof navigator, typeof process, import.meta.url);
    await runSuites([smoke], { ...api, wasm: { store, lua } }, (l) => console.log(l));
  },
};
