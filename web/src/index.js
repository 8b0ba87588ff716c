export { Store } from "./store.js";
export { Namespace } from "./async.js";
export { SyncNamespace } from "./namespace.js";
export { Atomic } from "./atomic.js";
export { Watch } from "./watch.js";
export { LuatKVError } from "./error.js";
export { Lua, LuaError } from "./lua.js";
export const version = "0.1.0";
