--- Atomic batches, as chains of calls.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local fail = require("luat_kv_ffi.fail")
local namespaces = require("luat_kv_ffi.namespace")
local handles = require("luat_kv_ffi.handle")
local stores = require("luat_kv_ffi.store")

local problem, spaces = call.problem, namespaces.spaces
local OK = call.constants.LUAT_KV_OK

local Batch = {}

local new_batch, batches, this = handles.kind("luat_kv.batch", Batch, function(batch) return stores.label(batch.store) end)

local cell = ffi.new("luat_kv_batch *[1]")

--- `kv:atomic()`, which starts in the namespace with that handle, and `store:atomic()`.
local function begin(owner, settings, namespace, extra)
  -- It could be a function, which would never be called.
  if extra ~= nil then
    fail.argument(2, "no argument expected; a batch is a chain, as in atomic():put(key, value):commit()")
  end
  local store = stores.stores[owner]
  local batch = { ptr = false, free = C.luat_kv_batch_free, store = store, owner = owner, settings = settings,
    namespace = namespace, committed = false }
  local handle = new_batch(batch)
  -- A batch of a closed store reports that when it is used.
  if store.ptr then
    store.users[batch] = true
    local status = C.luat_kv_batch_open(store.ptr or fail.closed(), cell, problem)
    if status < 0 then fail.raise(status) end
    handles.hold(batch, cell)
  end
  return handle
end

--- The C object of a batch.
local function ptr(self)
  local batch = batches[self]
  if batch.ptr then return batch.ptr end
  if batch.committed then fail.invalid("the batch was committed; begin another") end
  fail.closed()
end

--- The contents of the namespace for the next step. The batch keeps its handle.
local function space_of(self)
  return spaces[batches[self].namespace or false] or fail.invalid("the batch has no namespace yet: call namespace(name) first")
end

local function space_ptr(self)
  return space_of(self).ptr or fail.closed()
end

function Batch.namespace(self, name)
  local batch = this(self)
  args.text(name, 2, "namespace")
  local namespace = namespaces.new(batch.owner or fail.closed(), name, batch.settings)
  batch.namespace = namespace
  return self
end

function Batch.check(self, ...)
  if select("#", ...) < 2 then
    fail.argument(3, "a version expected, or nil for a key that must be missing")
  end
  local key, version = ...
  this(self)
  args.text(key, 2, "key")
  if type(version) == "table" then
    fail.argument(3, "a version or nil expected, got table; a version is its field 'version'")
  elseif version ~= nil and type(version) ~= "string" then
    fail.argument(3, "a version or nil expected, got " .. type(version))
  elseif version then
    args.utf8(version, "version")
    -- To C, an empty version means none.
    if version == "" then fail.invalid('"" is no version of an entry') end
  end
  space_of(self)
  local status = C.luat_kv_batch_check(ptr(self), space_ptr(self), key, #key, version, version and #version or 0, problem)
  if status < 0 then fail.raise(status, key) end
  return self
end

function Batch.put(self, key, value, options)
  local batch = this(self)
  space_of(self)
  local bytes, given = namespaces.to_store(batch.store.limits, batch.settings.null, key, value, options)
  local status = C.luat_kv_batch_put(ptr(self), space_ptr(self), key, #key, bytes, #bytes,
    call.put_options(given), problem)
  if status < 0 then call.raise_time(status, key, given) end
  return self
end

function Batch.delete(self, key)
  this(self)
  space_of(self)
  args.text(key, 2, "key")
  local status = C.luat_kv_batch_delete(ptr(self), space_ptr(self), key, #key, problem)
  if status < 0 then fail.raise(status, key) end
  return self
end

function Batch.incr(self, key, by, options)
  this(self)
  space_of(self)
  args.text(key, 2, "key")
  local more, given = namespaces.increment(by, options)
  local status = C.luat_kv_batch_incr(ptr(self), space_ptr(self), key, #key, more,
    call.incr_options(given), problem)
  if status < 0 then call.raise_time(status, key, given) end
  return self
end

function Batch.commit(self)
  local batch, size = this(self), call.size()
  local status = C.luat_kv_batch_commit(ptr(self), problem)
  if status < 0 then fail.raise(status) end
  batch.committed = true
  if status ~= OK then return false end
  local version = C.luat_kv_batch_version(batch.ptr, size)
  version = ffi.string(version, size[0])
  return true, version
end

fail.public(Batch)

return begin
