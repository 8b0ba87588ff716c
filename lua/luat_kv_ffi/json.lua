--- What reading and writing JSON share, and `KV.json`, `KV.null` and `KV.array`.

local M = {}

--- The maximum depth of arrays and objects, for reading and for writing.
M.MAX_DEPTH = 128

--- The metatable that marks arrays: the same one as the C module's, if that is loaded in the same state.
local registry = debug.getregistry()
M.ARRAY = registry["luat_kv.array"] or {}
-- If Lua code could change it, that would change every array of the state.
M.ARRAY.__metatable = "luat_kv.array"
registry["luat_kv.array"] = M.ARRAY

--- The light userdata NULL, which represents JSON's null. Lua code cannot create one; string.buffer (in LuaJIT since
-- 2021) and lua-cjson can. Without either, this is a userdata of the module's own.
local function null()
  local found, buffer = pcall(require, "string.buffer")
  if found then
    local decoded, value = pcall(buffer.decode, "\3")
    if decoded and type(value) == "userdata" then return value end
  end
  local cjson
  found, cjson = pcall(require, "cjson")
  return found and type(cjson) == "table" and cjson.null or newproxy()
end
M.null = null()

--- The settings of an instance of the module (see luat_kv_ffi.lua), with their defaults:
--   null   the value that represents JSON's null, besides the light userdata NULL
--   open   whether the caller may open any file
M.SETTINGS = { null = M.null, open = true }

return M
