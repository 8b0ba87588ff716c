--- luat_kv for LuaJIT over the C library: the same functions, methods, options and errors as the C module `luat_kv`, for
-- hosts that cannot load a C module. See docs/luajit-ffi.md.
--
-- This is the door; what is behind it lies in the folder luat_kv_ffi, beside this file:
--   library, cdef         finds libluat_kv; what its header declares
--   call, fail, handle    how C is called; errors; userdata that hold C's objects
--   args, text            arguments and options; text in messages
--   json, encode, decode  JSON
--   store, namespace, fast, listing, transfer, batch, entry   the methods

if not pcall(require, "ffi") then
  error("luat_kv_ffi is for LuaJIT; on other Luas use the C module luat_kv", 0)
end

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local decode = require("luat_kv_ffi.decode")
local encode = require("luat_kv_ffi.encode")
local fail = require("luat_kv_ffi.fail")
local json = require("luat_kv_ffi.json")
local namespaces = require("luat_kv_ffi.namespace")
local stores = require("luat_kv_ffi.store")
local begin_batch = require("luat_kv_ffi.batch")

namespaces.complete(begin_batch)
stores.complete(namespaces.new, begin_batch)

local KV = {
  _VERSION = "luat_kv " .. ffi.string(C.luat_kv_version()),
  null = json.null,
  open = stores.open,
  namespace = stores.project_namespace(namespaces.new),
  json = {},
}

function KV.json.encode(...)
  if select("#", ...) == 0 then fail.argument(1, "value expected") end
  local encoded = encode((...), stores.JSON_LIMIT, "the JSON text")
  return encoded
end

function KV.json.decode(text)
  if type(text) ~= "string" then
    fail.argument(1, "string expected, got " .. type(text))
  end
  local value, why = decode(text)
  if why then fail.invalid("not JSON: " .. why) end
  return value
end

function KV.array(list)
  if list == nil then
    return setmetatable({}, json.ARRAY)
  elseif type(list) ~= "table" then
    fail.argument(1, "table expected, got " .. type(list))
  end
  local metatable = debug.getmetatable(list)
  if metatable == nil then
    return setmetatable(list, json.ARRAY)
  elseif metatable ~= json.ARRAY then
    fail.argument(1, "the table has another metatable")
  end
  return list
end

function KV.install(...)
  local env = ...
  if type(env) ~= "table" then
    fail.argument(1, "table expected, got " .. (select("#", ...) == 0 and "no value" or type(env)))
  end
  env.KV = KV
  if env.json == nil then env.json = KV.json end
  return env
end

fail.public(KV)
fail.public(KV.json)

return KV
