// luat-kv/lua: all of luat-kv, for a page that uses Lua. Bundlers see here that it needs luat_kv_lua.wasm.

import { setLuaAddress } from "./lua/address.js";

setLuaAddress(() => new URL("../luat_kv_lua.wasm", import.meta.url));

export * from "./index.js";
