--- Errors: plain strings with the position of the caller of a function of the module.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local text = require("luat_kv_ffi.text")

local getinfo = debug.getinfo

local M = {}

--- The functions that users call. An error has the position of the innermost one's caller, however deep it is raised.
-- (So none of them may end in a tail call to a function that can fail.)
local public = setmetatable({}, { __mode = "k" })

--- Marks a table's functions, or a function, as public.
function M.public(functions)
  if type(functions) == "function" then
    public[functions] = true
  else
    for _, each in pairs(functions) do
      if type(each) == "function" then public[each] = true end
    end
  end
  return functions
end

--- The stack level of the innermost public function, as seen from the caller of this function.
local function level()
  local found = 2
  while true do
    local info = getinfo(found, "f")
    if not info then return 1 end
    if public[info.func] then return found - 1 end
    found = found + 1
  end
end

--- The number of calls of public functions in progress: more than one if a finalizer makes one.
function M.depth()
  local depth, at = 0, 2
  while true do
    local info = getinfo(at, "f")
    if not info then return depth end
    if public[info.func] then depth = depth + 1 end
    at = at + 1
  end
end

--- A failed operation: `luat_kv: CODE: message`.
function M.failed(code, message)
  error(("luat_kv: %s: %s"):format(code, message), level() + 1)
end

function M.invalid(message)
  error("luat_kv: INVALID: " .. message, level() + 1)
end

function M.closed()
  error("luat_kv: INVALID: the store is closed", level() + 1)
end

--- Misuse, in Lua's own words. For a method, `index` counts its object.
function M.argument(index, message)
  local at = level()
  local info = getinfo(at, "n")
  local name = info.name or "?"
  message = text.one_line(message)
  if info.namewhat == "method" then
    index = index - 1
    if index == 0 then error(("calling '%s' on bad self (%s)"):format(name, message), at + 1) end
  end
  error(("bad argument #%d to '%s' (%s)"):format(index, name, message), at + 1)
end

--- C's error objects are returned in this cell. All calls share it: it is read right after a call, before any code can
-- run that makes another.
M.cell = ffi.new("luat_kv_error *[1]")

--- Takes the error of the call that just failed from that cell or another: its code and its message.
function M.taken(status, cell)
  cell = cell or M.cell
  local problem = cell[0]
  cell[0] = nil
  local code = ffi.string(C.luat_kv_status_str(status))
  local message = ffi.string(C.luat_kv_error_message(problem))
  C.luat_kv_error_free(problem)
  return code, message
end

--- A failed operation on a key. A key that is not UTF-8 is shown, which C does not do.
function M.failed_with_key(code, message, key)
  if key and code == "INVALID" and not text.is_utf8(key) then
    message = "the key is not UTF-8: " .. text.quoted(key)
  end
  M.failed(code, message)
end

--- Raises the error of the call that just failed.
function M.raise(status, key, cell)
  local code, message = M.taken(status, cell)
  M.failed_with_key(code, message, key)
end

return M
