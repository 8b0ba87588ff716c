--- The methods of a namespace for single keys, and bulk reads.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local encode = require("luat_kv_ffi.encode")
local entry = require("luat_kv_ffi.entry")
local fail = require("luat_kv_ffi.fail")
local handles = require("luat_kv_ffi.handle")
local NULL = require("luat_kv_ffi.json").null
local stores = require("luat_kv_ffi.store")

local constants, problem = call.constants, call.problem
local OK, NOT_FOUND = constants.LUAT_KV_OK, constants.LUAT_KV_NOT_FOUND

local M = {}

local Namespace = {}

--- The methods without those that reach files, for untrusted code.
local WithoutFiles = {}

local new_handle, spaces, this, ptr = handles.kind("luat_kv.namespace", Namespace, function(space)
  return ("%s in %s"):format(space.name, stores.label(space.store))
end)

--- A namespace of the store whose handle is `owner`, and its contents. The settings are those of the module that
-- creates it.
function M.new(owner, name, settings)
  local space = {
    ptr = false, free = C.luat_kv_namespace_free, store = stores.stores[owner], owner = owner, name = name, settings = settings,
  }
  local handle = new_handle(space, not settings.open and WithoutFiles or nil)
  stores.open_namespace(space)
  return handle, space
end

-- Reading ----------------------------------------------------------------------------------------

--- Returns a value's bytes; nil if there is none.
local function read(self, key)
  local status = C.luat_kv_get_entry(ptr(self), key, #key, call.entry, problem)
  if status < 0 then fail.raise(status, key) end
  if status == NOT_FOUND then return nil end
  local found = ffi.gc(call.entry[0], C.luat_kv_entry_free)
  local value = entry.value(found)
  C.luat_kv_entry_free(ffi.gc(found, nil))
  return value
end

local TYPE = { names = { "type" } }
local BULK_TYPE = { names = { "type" } }

function TYPE.type(option, into)
  into.type = option:word(entry.TYPES)
end

function BULK_TYPE.type(option, into)
  into.type = option:word(entry.CLOUDFLARES_BULK_TYPES)
end

--- Reads the type argument: a word, or Cloudflare's `{ type = "json" }`.
local function wanted(kind, types, option)
  if kind == nil then
    return "text"
  elseif type(kind) == "string" then
    local meaning, unknown = args.word(kind, types)
    if unknown then fail.argument(3, "unknown type " .. unknown) end
    return meaning
  elseif type(kind) == "table" then
    return args.options(kind, 3, option, {}).type or "text"
  end
  fail.argument(3, "string expected, got " .. type(kind))
end

--- Returns the strings of an array, in any order. `wrong` raises the error for another table.
local function keys_of(list, wrong)
  -- More than any limit allows, so the rest need not be read.
  local ENOUGH = 100000
  local keys = {}
  for place, key in next, list do
    if #keys == ENOUGH then break end
    if type(place) ~= "number" or not args.is_whole(place) then
      wrong("an array of keys expected")
    elseif type(key) ~= "string" then
      wrong(("an array of keys expected, got a %s in it"):format(type(key)))
    end
    args.utf8(key, "key")
    keys[#keys + 1] = key
  end
  return keys
end

--- Returns a table from each existing key to its value or, with `about`, to a table.
local function get_many(self, list, kind, about)
  local types, option = entry.TYPES, TYPE
  local space = spaces[self]
  if space.store.limits.cloudflare then
    types, option = entry.CLOUDFLARES_BULK_TYPES, BULK_TYPE
  end
  kind = wanted(kind, types, option)
  local keys = keys_of(list, function(message) fail.argument(2, message) end)
  local views = ffi.new("luat_kv_bytes[?]", math.max(#keys, 1))
  for i = 1, #keys do
    local view = views[i - 1]
    view.data, view.len = keys[i], #keys[i]
  end
  local status = C.luat_kv_get_many(ptr(self), views, #keys, call.page, problem)
  if status < 0 then fail.raise(status) end
  local page = entry.page(call.page[0], true)
  local found = {}
  for i = 1, #page do
    local one = page[i]
    local key = one.name
    if not about then one.metadata = nil end
    entry.documents(one, kind, space.settings.null)
    one.name = nil
    found[key] = about and one or one.value
  end
  return found
end

function Namespace.get(self, key, kind)
  local space = this(self)
  if type(key) == "table" then
    return (get_many(self, key, kind, false))
  end
  args.text(key, 2, "key")
  kind = wanted(kind, entry.TYPES, TYPE)
  local value = read(self, key)
  if value ~= nil and kind == "json" then
    return (entry.document(value, key, space.settings.null))
  end
  return value
end

--- Returns what is known about an entry, including its value; nil if there is none.
local function read_entry(self, key)
  local status = C.luat_kv_get_entry(ptr(self), key, #key, call.entry, problem)
  if status < 0 then fail.raise(status, key) end
  if status == NOT_FOUND then return nil end
  local found = ffi.gc(call.entry[0], C.luat_kv_entry_free)
  local about = entry.read(found, call.size(), true)
  C.luat_kv_entry_free(ffi.gc(found, nil))
  return about
end

function Namespace.getWithMetadata(self, key, kind)
  local space = this(self)
  if type(key) == "table" then
    return (get_many(self, key, kind, true))
  end
  args.text(key, 2, "key")
  kind = wanted(kind, entry.TYPES, TYPE)
  local about = read_entry(self, key)
  if not about then return nil, nil end
  local value
  value, about = entry.results(about, kind, space.settings.null)
  return value, about
end

function Namespace.has(self, key)
  this(self)
  args.text(key, 2, "key")
  local status = C.luat_kv_has(ptr(self), key, #key, problem)
  if status < 0 then fail.raise(status, key) end
  return status == OK
end

-- Writing ----------------------------------------------------------------------------------------

local PUT = { names = { "expiration", "expirationTtl", "metadata" }, expiration = call.expiration, expirationTtl = call.ttl }

function PUT.metadata(option, into)
  into.metadata = encode(option.value, into.limits.metadata, "the metadata", into.null)
end

--- Reads the bytes of the value and the options to store.
function M.to_store(limits, null, key, value, options)
  args.text(key, 2, "key")
  local kind = type(value)
  if rawequal(value, null) or rawequal(value, NULL) then kind = "null" end
  if kind == "table" or kind == "number" or kind == "boolean" then
    value = encode(value, limits.value, "the value", null)
  elseif kind ~= "string" then
    fail.argument(3, "string, table, number or boolean expected, got " .. kind)
  end
  return value, args.options(options, 4, PUT, { limits = limits, null = null })
end

--- C writes the version of a stored entry here. `ffi.string` reads it right after the call.
local version = ffi.new("char[?]", constants.LUAT_KV_VERSION_SIZE)

function Namespace.put(self, key, value, options)
  local space = this(self)
  local bytes, given = M.to_store(space.store.limits, space.settings.null, key, value, options)
  local status = C.luat_kv_put_versioned(ptr(self), key, #key, bytes, #bytes, call.put_options(given), version, problem)
  if status < 0 then call.raise_time(status, key, given) end
  return (ffi.string(version))
end

function Namespace.add(self, key, value, options)
  local space = this(self)
  local bytes, given = M.to_store(space.store.limits, space.settings.null, key, value, options)
  local status = C.luat_kv_add_versioned(ptr(self), key, #key, bytes, #bytes, call.put_options(given), version, problem)
  if status < 0 then call.raise_time(status, key, given) end
  if status ~= OK then return false end
  return true, ffi.string(version)
end

local TOUCH = { names = { "expiration", "expirationTtl" }, expiration = call.expiration, expirationTtl = call.ttl }

function Namespace.touch(self, key, options)
  this(self)
  args.text(key, 2, "key")
  local given = args.options(options, 3, TOUCH, {})
  if options ~= nil and not (given.expiration or given.ttl) then
    fail.argument(3, "one of the options 'expiration' and 'expirationTtl' expected")
  end
  local status = C.luat_kv_touch(ptr(self), key, #key, given.expiration or 0, given.ttl or 0, problem)
  if status < 0 then call.raise_time(status, key, given) end
  return status == OK
end

local INCR = {
  names = { "initial", "expiration", "expirationTtl" }, expiration = call.expiration, expirationTtl = call.ttl,
}

function INCR.initial(option, into)
  into.initial = option:whole()
end

--- Reads the amount and the options of an increment.
function M.increment(by, options)
  return args.optional_whole(by, 3) or 1, args.options(options, 4, INCR, {})
end

local sum = ffi.new("int64_t[1]")

function Namespace.incr(self, key, by, options)
  this(self)
  args.text(key, 2, "key")
  local more, given = M.increment(by, options)
  local status = C.luat_kv_incr(ptr(self), key, #key, more, call.incr_options(given), sum, problem)
  if status < 0 then call.raise_time(status, key, given) end
  return tonumber(sum[0])
end

function Namespace.delete(self, key)
  this(self)
  args.text(key, 2, "key")
  local status = C.luat_kv_remove(ptr(self), key, #key, problem)
  if status < 0 then fail.raise(status, key) end
  return status == OK
end

local batch_cell = ffi.new("luat_kv_batch *[1]")

--- Removes a key if its entry still has this version, and returns whether it did.
local function delete_version(self, key, expected)
  local status = C.luat_kv_batch_open(this(self).store.ptr or fail.closed(), batch_cell, problem)
  if status < 0 then fail.raise(status) end
  local batch = ffi.gc(batch_cell[0], C.luat_kv_batch_free)
  status = C.luat_kv_batch_check(batch, ptr(self), key, #key, expected, #expected, problem)
  if status < 0 then fail.raise(status, key) end
  status = C.luat_kv_batch_delete(batch, ptr(self), key, #key, problem)
  if status < 0 then fail.raise(status, key) end
  status = C.luat_kv_batch_commit(batch, problem)
  if status < 0 then fail.raise(status) end
  C.luat_kv_batch_free(ffi.gc(batch, nil))
  return status == OK
end

--- The entry is removed last, when nothing can fail any more. `luat_kv_take` would lose a value that is not JSON, or
-- for which Lua has no memory.
function Namespace.take(self, key, kind)
  local space = this(self)
  args.text(key, 2, "key")
  kind = wanted(kind, entry.TYPES, TYPE)
  local value, about
  repeat
    about = read_entry(self, key)
    if not about then return nil, nil end
    value, about = entry.results(about, kind, space.settings.null)
  until delete_version(self, key, about.version)
  return value, about
end

M.spaces = spaces

-- The rest of the methods ------------------------------------------------------------------------

local range = require("luat_kv_ffi.listing")(Namespace, this, ptr)
require("luat_kv_ffi.watch")(Namespace, this, ptr, range, keys_of)
require("luat_kv_ffi.transfer")(Namespace, this, ptr)
require("luat_kv_ffi.fast")(Namespace, spaces)

--- Adds the methods that create other handles.
function M.complete(begin_batch)
  function Namespace.atomic(self, extra)
    local space = this(self)
    return (begin_batch(space.owner or fail.closed(), space.settings, self, extra))
  end
  for method, body in pairs(Namespace) do
    if method ~= "export" and method ~= "import" then WithoutFiles[method] = body end
  end
  fail.public(Namespace)
end

return M
