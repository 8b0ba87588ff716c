--- Calls to C: where results are put, and how they are taken.
--
-- A finalizer may run in the midst of a call, and call this module. In interpreted code that happens where Lua allocates:
-- so what all calls share (the cells below, the options of a put) is filled, used and read with no allocation in
-- between. None of these allocates: storing a number or a string in a field of C's, calling a C function that returns a
-- status, and reading a cell before it has read.
--
-- In compiled code it may happen anywhere, since whatever leaves it may run the collector; and there a variable dies with
-- its last use. So the files that call C are not compiled, but for what is called most (fast.lua) and for the reading of
-- entries (entry.lua), which share nothing.
jit.off(true, true)

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local constants = require("luat_kv_ffi.cdef").constants
local fail = require("luat_kv_ffi.fail")

local M = { constants = constants }

M.problem = fail.cell
M.page = ffi.new("luat_kv_page *[1]")
M.entry = ffi.new("luat_kv_entry *[1]")
--- A length, of the caller's own.
M.size = ffi.typeof("size_t[1]")

local put_options = ffi.new("luat_kv_put_options")
C.luat_kv_put_options_init(put_options, ffi.sizeof(put_options))
local metadata = put_options.metadata

--- Options for a put, good for the very next call.
function M.put_options(options)
  put_options.expiration = options.expiration or 0
  put_options.expiration_ttl = options.ttl or 0
  local json = options.metadata
  metadata.data, metadata.len = json, json and #json or 0
  return put_options
end

--- The same for an increment.
local incr_options = ffi.new("luat_kv_incr_options")
C.luat_kv_incr_options_init(incr_options, ffi.sizeof(incr_options))

function M.incr_options(options)
  incr_options.initial = options.initial or 0
  incr_options.expiration = options.expiration or 0
  incr_options.expiration_ttl = options.ttl or 0
  return incr_options
end

--- A time of 0 is none to C, and an error to Lua users: C gets -1 for it, which is an error of the same kind, and this
-- puts the 0 back into its message.
function M.raise_time(status, key, options)
  local code, message = fail.taken(status)
  if options.no_ttl then message = message:gsub("^expirationTtl is %-1;", "expirationTtl is 0;") end
  if options.no_expiration then message = message:gsub("^expiration %-1 is", "expiration 0 is") end
  fail.failed_with_key(code, message, key)
end

local function time(name)
  return function(option, into)
    local seconds = option:whole()
    if seconds == 0 then
      into["no_" .. name], seconds = true, -1
    end
    into[name] = seconds
  end
end

--- The readers of the options `expiration` and `expirationTtl`.
M.expiration, M.ttl = time("expiration"), time("ttl")

return M
