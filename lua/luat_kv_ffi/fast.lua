--- Short versions of the most frequent methods, written to be compiled. Unusual cases use the full version in
-- namespace.lua.
--
-- These functions share nothing with a call that they interrupt (see call.lua): each takes the scratch, if it is there,
-- and returns it. A scratch that is left behind by an error is collected. A store that a finalizer closes meanwhile is
-- freed later (handle.lua), and the handle is used after the call of C, so that it lives until then.

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local constants = require("luat_kv_ffi.cdef").constants
local encode = require("luat_kv_ffi.encode")
local entry = require("luat_kv_ffi.entry")
local fail = require("luat_kv_ffi.fail")
local text = require("luat_kv_ffi.text")

local type, ffi_string = type, ffi.string
local OK, NOT_FOUND, TOO_SMALL = constants.LUAT_KV_OK, constants.LUAT_KV_NOT_FOUND, constants.LUAT_KV_TOO_SMALL
local VERSION_LEN = constants.LUAT_KV_VERSION_SIZE - 1

local idle

--- The low half of a size_t is enough for a length, and is read as a number. The whole would be boxed.
local LOW = ffi.abi("be") and ffi.sizeof("size_t") / 4 - 1 or 0

local function new_scratch()
  local length = ffi.new("size_t[1]")
  return {
    problem = ffi.new("luat_kv_error *[1]"), entry = ffi.new("luat_kv_entry *[1]"),
    length = length, low_length = ffi.cast("uint32_t *", length) + LOW,
    buffer = ffi.new("uint8_t[?]", 4096), capacity = 4096,
    version = ffi.new("char[?]", constants.LUAT_KV_VERSION_SIZE),
  }
end

local function take()
  local scratch = idle
  idle = nil
  return scratch or new_scratch()
end

--- The buffer grows up to this size; longer values are read from C's own memory.
local KEPT = 1024 * 1024

local function grow(scratch)
  local wanted = scratch.low_length[0]
  if wanted <= KEPT then
    local capacity = scratch.capacity
    repeat capacity = capacity * 2 until capacity >= wanted
    scratch.buffer, scratch.capacity = ffi.new("uint8_t[?]", capacity), capacity
  end
end

--- Raises the error of a call with this scratch.
local function raise(status, scratch, key)
  local cell = scratch.problem
  idle = scratch
  fail.raise(status, key, cell)
end

return function(Namespace, spaces)
  local long_get, long_get_with_metadata, long_has = Namespace.get, Namespace.getWithMetadata, Namespace.has
  local long_put, long_delete = Namespace.put, Namespace.delete

  function Namespace.get(self, key, kind)
    local space = spaces[self]
    if space and space.ptr and type(key) == "string" and (kind == nil or kind == "json") then
      local s = take()
      local status = C.luat_kv_get(space.ptr, key, #key, s.buffer, s.capacity, s.length, s.problem)
      if status == OK then
        local value = ffi_string(s.buffer, s.low_length[0])
        idle = s
        if kind then
          value = entry.document(value, key, space.settings.null)
        end
        return value
      elseif status == NOT_FOUND then
        idle = s
        return nil
      elseif status == TOO_SMALL then
        grow(s)
        idle = s
      else
        raise(status, s, key)
      end
    end
    return (long_get(self, key, kind))
  end

  function Namespace.getWithMetadata(self, key, kind)
    local space = spaces[self]
    if space and space.ptr and type(key) == "string" and (kind == nil or kind == "json") then
      local s = take()
      local status = C.luat_kv_get_entry(space.ptr, key, #key, s.entry, s.problem)
      if status == OK then
        local found = ffi.gc(s.entry[0], C.luat_kv_entry_free)
        idle = s
        local about = entry.read(found, ffi.new("size_t[1]"), true)
        C.luat_kv_entry_free(ffi.gc(found, nil))
        local value
        value, about = entry.results(about, kind, space.settings.null)
        return value, about
      elseif status == NOT_FOUND then
        idle = s
        return nil, nil
      else
        raise(status, s, key)
      end
    end
    local value, about = long_get_with_metadata(self, key, kind)
    return value, about
  end

  function Namespace.put(self, key, value, options)
    local space = spaces[self]
    if space and space.ptr and options == nil and type(key) == "string" then
      local bytes = value
      -- An error about the key takes precedence over one about the table.
      if type(value) == "table" and text.is_utf8(key) and not rawequal(value, space.settings.null) then
        bytes = encode(value, space.store.limits.value, "the value", space.settings.null)
      end
      -- (The store may be closed by now.)
      if type(bytes) == "string" and space.ptr then
        local s = take()
        local status = C.luat_kv_put_versioned(space.ptr, key, #key, bytes, #bytes, nil, s.version, s.problem)
        if status == OK then
          local version = ffi_string(s.version, VERSION_LEN)
          idle = s
          return version
        end
        raise(status, s, key)
      end
    end
    return (long_put(self, key, value, options))
  end

  function Namespace.has(self, key)
    local space = spaces[self]
    if space and space.ptr and type(key) == "string" then
      local s = take()
      local status = C.luat_kv_has(space.ptr, key, #key, s.problem)
      if status == OK or status == NOT_FOUND then
        idle = s
        return status == OK
      end
      raise(status, s, key)
    end
    return (long_has(self, key))
  end

  function Namespace.delete(self, key)
    local space = spaces[self]
    if space and space.ptr and type(key) == "string" then
      local s = take()
      local status = C.luat_kv_remove(space.ptr, key, #key, s.problem)
      if status == OK or status == NOT_FOUND then
        idle = s
        return status == OK
      end
      raise(status, s, key)
    end
    return (long_delete(self, key))
  end
end
