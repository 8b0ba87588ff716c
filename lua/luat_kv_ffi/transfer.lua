--- Exports and imports, by path or through a file that is open in Lua.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local fail = require("luat_kv_ffi.fail")
local text = require("luat_kv_ffi.text")

local constants, problem = call.constants, call.problem

-- To C, a file of Lua's is a FILE *.
pcall(ffi.cdef, "int fileno(void *);")
pcall(ffi.cdef, "int fflush(void *);")
pcall(ffi.cdef, "long lseek(int, long, int);")

local FORMATS = {
  words = { "json", "jsonl" },
  json = constants.LUAT_KV_FORMAT_JSON, jsonl = constants.LUAT_KV_FORMAT_JSON_LINES,
}
local EXPORT, IMPORT = { names = { "format" } }, { names = { "replace" } }

function EXPORT.format(option, into)
  into.format = option:word(FORMATS)
end

function IMPORT.replace(option, into)
  into.replace = option:boolean()
end

--- Whether argument 2 is a file, and not a path.
local function is_file(place)
  if type(place) == "string" then return false end
  local kind = io.type(place)
  if kind == "closed file" then fail.argument(2, "the file is closed") end
  if not kind then fail.argument(2, "path or file expected, got " .. type(place)) end
  return true
end

local function format_of_path(path)
  local ending = path:match("[^/]%.([^./]*)$")
  ending = ending and ending:lower()
  return (ending == "jsonl" or ending == "ndjson") and FORMATS.jsonl or FORMATS.json
end

local function failed(doing)
  return function(status)
    local code, message = fail.taken(status)
    fail.failed(code, doing .. message)
  end
end
local export_failed, import_failed = failed("exporting: "), failed("importing: ")

--- Updates the file's own position, after C has moved that of its descriptor. A pipe has no position.
local function stand_where_it_is(file, fd)
  local place = ffi.C.lseek(fd, 0, 1)
  if place >= 0 then file:seek("set", tonumber(place)) end
end

--- Returns a file whose descriptor has the position of the file. Some input of a file that cannot be moved there (a
-- pipe) may be buffered already: the rest of it is copied.
local function readable(file)
  if file:seek("cur") then
    ffi.C.fflush(file)
    return file
  end
  local copy, why = io.tmpfile()
  if not copy then fail.failed("IO", "importing: " .. tostring(why)) end
  while true do
    local part = file:read(64 * 1024)
    if not part then break end
    if not copy:write(part) then fail.failed("IO", "importing: the temporary file cannot be written") end
  end
  if not copy:seek("set") then fail.failed("IO", "importing: the temporary file cannot be written") end
  return copy
end

return function(Namespace, this, ptr)
  function Namespace.export(self, place, options)
    this(self)
    local format = args.options(options, 3, EXPORT, {}).format
    local count = ffi.new("uint64_t[1]")
    if is_file(place) then
      local flushed, why = place:flush()
      if not flushed then fail.failed("IO", "exporting: " .. tostring(why)) end
      local fd = ffi.C.fileno(place)
      local status = C.luat_kv_export_fd(ptr(self), fd, format or FORMATS.json, count, problem)
      if status < 0 then export_failed(status) end
      stand_where_it_is(place, fd)
      return tonumber(count[0])
    end
    if place:find("\0", 1, true) then
      fail.invalid(("exporting to %s: the path has a NUL in it"):format(text.one_line(place)))
    end
    local status = C.luat_kv_export(ptr(self), place, format or format_of_path(place), count, problem)
    if status < 0 then fail.raise(status) end
    return tonumber(count[0])
  end

  function Namespace.import(self, place, options)
    this(self)
    local replace = args.options(options, 3, IMPORT, {}).replace
    local flags = replace and constants.LUAT_KV_IMPORT_REPLACE or 0
    local counts = ffi.new("uint64_t[2]")
    if is_file(place) then
      local from = readable(place)
      local fd = ffi.C.fileno(from)
      local status = C.luat_kv_import_fd(ptr(self), fd, flags, counts, counts + 1, problem)
      if from ~= place then from:close() end
      if status < 0 then import_failed(status) end
      if from == place then stand_where_it_is(place, fd) end
      return tonumber(counts[0]), tonumber(counts[1])
    end
    if place:find("\0", 1, true) then
      fail.invalid(("importing %s: the path has a NUL in it"):format(text.one_line(place)))
    end
    local status = C.luat_kv_import(ptr(self), place, flags, counts, counts + 1, problem)
    if status < 0 then fail.raise(status) end
    return tonumber(counts[0]), tonumber(counts[1])
  end
end
