--- Calls to C: where results are stored, and how they are read.
--
-- A finalizer may run during a call, and call this module. In interpreted code that happens only where Lua allocates.
-- So the data that all calls share (the cells below, the options of a put) is filled, used and read without an
-- allocation in between. None of these allocates: storing a number or a string in a field of a C struct, calling a C
-- function that returns a status, and reading a cell again after a first read.
--
-- In compiled code a finalizer may run anywhere, since each exit from it may run the collector, and a variable ends
-- with its last use. So the files that call C are not compiled, except for the most frequent calls (fast.lua) and the
-- reading of entries (entry.lua), which share nothing.
jit.off(true, true)

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local constants = require("luat_kv_ffi.cdef").constants
local fail = require("luat_kv_ffi.fail")

local M = { constants = constants }

M.problem = fail.cell
M.page = ffi.new("luat_kv_page *[1]")
M.entry = ffi.new("luat_kv_entry *[1]")
--- A length, owned by the caller.
M.size = ffi.typeof("size_t[1]")

local put_options = ffi.new("luat_kv_put_options")
C.luat_kv_put_options_init(put_options, ffi.sizeof(put_options))
local metadata = put_options.metadata

--- Options for a put, valid for the next call only.
function M.put_options(options)
  put_options.expiration = options.expiration or 0
  put_options.expiration_ttl = options.ttl or 0
  local json = options.metadata
  metadata.data, metadata.len = json, json and #json or 0
  return put_options
end

--- Options for an increment, valid for the next call only.
local incr_options = ffi.new("luat_kv_incr_options")
C.luat_kv_incr_options_init(incr_options, ffi.sizeof(incr_options))

function M.incr_options(options)
  incr_options.initial = options.initial or 0
  incr_options.expiration = options.expiration or 0
  incr_options.expiration_ttl = options.ttl or 0
  return incr_options
end

--- To C, a time of 0 means none, but Lua users get an error. So C gets -1, which is an error of the same kind, and this
-- puts the 0 back into its message.
function M.raise_time(status, key, options)
  local code, message = fail.taken(status)
  if options.no_ttl then message = message:gsub("^the lifetime is %-1 ", "the lifetime is 0 ") end
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
