--- luat_kv for LuaJIT over the C library: the same functions, methods, options and errors as the C module `luat_kv`, for
-- hosts that cannot load a C module. See docs/luajit-ffi.md.
--
-- This file is the entry point. The rest is in the folder luat_kv_ffi, beside this file:
--   library, cdef         finds libluat_kv; what its header declares
--   call, fail, handle    how C is called; errors; userdata that hold C's objects
--   args, text            arguments and options; text in messages
--   json, encode, decode  JSON
--   store, namespace, fast, listing, watch, transfer, batch, entry   the methods
--   retry                 KV.retry

if not pcall(require, "ffi") then
  error("luat_kv_ffi is for LuaJIT; on other Luas use the C module luat_kv", 0)
end

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local decode = require("luat_kv_ffi.decode")
local encode = require("luat_kv_ffi.encode")
local fail = require("luat_kv_ffi.fail")
local json = require("luat_kv_ffi.json")
local namespaces = require("luat_kv_ffi.namespace")
local retry = require("luat_kv_ffi.retry")
local stores = require("luat_kv_ffi.store")
local begin_batch = require("luat_kv_ffi.batch")

namespaces.complete(begin_batch)
stores.complete(namespaces.new, begin_batch)

local project_namespace = stores.project_namespace(namespaces.new)

local SETTINGS = { names = { "open", "null" } }

function SETTINGS.open(option, into)
  into.open = option:boolean()
end

function SETTINGS.null(option, into)
  local kind = type(option.value)
  if kind ~= "userdata" and kind ~= "table" then
    option:wrong("userdata or table expected, got " .. kind)
  end
  into.null = option.value
end

local new_module

--- Creates a module table. It shares nothing that Lua code could change with any other.
function new_module(settings)
  local KV = { _VERSION = "luat_kv " .. ffi.string(C.luat_kv_version()), null = settings.null, json = {} }

  function KV.json.encode(...)
    if select("#", ...) == 0 then fail.argument(1, "value expected") end
    local encoded = encode((...), stores.JSON_LIMIT, "the JSON text", settings.null)
    return encoded
  end

  function KV.json.decode(text)
    if type(text) ~= "string" then
      fail.argument(1, "string expected, got " .. type(text))
    end
    local value, why = decode(text, settings.null)
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

  function KV.namespace(name)
    return (project_namespace(name, settings))
  end

  if settings.open then
    function KV.open(options, more)
      return (stores.open(settings, options, more))
    end

    function KV.new(options)
      return (new_module(args.options(options, 1, SETTINGS, { null = settings.null, open = true })))
    end

    function KV.install(...)
      local env, options = ...
      if type(env) ~= "table" then
        fail.argument(1, "table expected, got " .. (select("#", ...) == 0 and "no value" or type(env)))
      end
      local module = new_module(args.options(options, 2, SETTINGS, { null = settings.null, open = true }))
      if env.json == nil then env.json = module.json end
      env.KV = module
      return env
    end
  end

  fail.public(KV)
  fail.public(KV.json)
  -- Not one of those: it raises the errors of the function that it calls, with their own position.
  if settings.open then KV.retry = retry end
  return KV
end

return new_module(json.SETTINGS)
