--- Finds libluat_kv, declares its functions to LuaJIT, and returns them as a namespace of C functions.

local ffi = require("ffi")
local header = require("luat_kv_ffi.cdef")

--- The names for the system's loader, unless LUAT_KV_LIBRARY names a file.
local names = ffi.os == "Linux" and { "libluat_kv.so.0", "luat_kv" } or { "luat_kv" }

local function refuse(message, ...)
  error(("luat_kv_ffi: " .. message):format(...), 0)
end

local function load()
  local path = os.getenv("LUAT_KV_LIBRARY")
  local tried = {}
  for _, name in ipairs(path and path ~= "" and { path } or names) do
    local found, library = pcall(ffi.load, name)
    if found then
      return library, name
    end
    tried[#tried + 1] = "\n  " .. name .. ": " .. library
  end
  refuse("found no libluat_kv. Install it (in a clone of luat_kv: make lib && sudo make install), or set LUAT_KV_LIBRARY"
    .. " to its path. Tried:%s", table.concat(tried))
end

local function has(library, name)
  return (pcall(function() return library[name] end))
end

-- A struct can be declared only once in a Lua state, but this file may be loaded twice.
if not pcall(ffi.typeof, "luat_kv_open_options") then
  ffi.cdef(header.declarations)
end

local library, path = load()
if not has(library, "luat_kv_abi_version") then
  refuse("%s is not libluat_kv: it has no luat_kv_abi_version()", path)
end
local abi, needed = library.luat_kv_abi_version(), header.constants.LUAT_KV_ABI_VERSION
if abi ~= needed then
  refuse("%s has ABI %d, and this module needs %d: install the two from one release", path, abi, needed)
end
for _, name in ipairs(header.functions) do
  if not has(library, name) then
    refuse("%s (version %s) is too old for this module: it has no %s()", path, ffi.string(library.luat_kv_version()), name)
  end
end

return library
