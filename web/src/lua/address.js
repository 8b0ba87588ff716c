// The address of luat_kv_lua.wasm. Vite ships each file that it finds in a `new URL()`, even if tree shaking removes
// that code, and a page without Lua should not ship this large file. So this URL is hidden from Vite, and
// ../with-lua.js has a visible one.

let address = () => new URL(/* @vite-ignore */ "../../luat_kv_lua.wasm", import.meta.url);

/** Throws in a bundle that does not know the address. */
export const luaAddress = () => address();

export function setLuaAddress(known) {
  address = known;
}
