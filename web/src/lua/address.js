// Where luat_kv_lua.wasm lies. Vite ships what it sees in a `new URL()`, also where tree shaking takes the code away that
// has it, and a page without Lua is not to ship so much: so this one is kept from it, and ../with-lua.js has another.

let address = () => new URL(/* @vite-ignore */ "../../luat_kv_lua.wasm", import.meta.url);

/** Not every bundle knows: it may throw. */
export const luaAddress = () => address();

export function setLuaAddress(known) {
  address = known;
}
