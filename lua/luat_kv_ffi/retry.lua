--- `KV.retry(fn, options)`: calls a function again while the store is busy, and waits in the host's way. Both modules for
-- Lua use this file. It needs only Lua's basic functions, and no other file.

local error, next, pcall, tostring, type = error, next, pcall, tostring, type
local find, min = string.find, math.min

--- The first and the longest wait, in seconds: as in the package for Go.
local FIRST_WAIT, LONGEST_WAIT = 0.001, 0.1

--- How long all waits take together, unless `timeout` says otherwise: as long as a store's own busy timeout.
local TIMEOUT = 5

--- What is wrong with the arguments, as Lua would say it, or nil.
local function problem(fn, options)
  if type(fn) ~= "function" then
    return "#1 to 'retry' (function expected, got " .. type(fn) .. ")"
  elseif type(options) ~= "table" then
    return "#2 to 'retry' (table expected, got " .. type(options) .. ")"
  end
  for name in next, options do
    if name ~= "sleep" and name ~= "timeout" then
      return "#2 to 'retry' (unknown option '" .. tostring(name) .. "' (there are: sleep, timeout))"
    end
  end
  local sleep, timeout = options.sleep, options.timeout
  if type(sleep) ~= "function" then
    return "#2 to 'retry' (option 'sleep': function expected, got " .. type(sleep) .. ")"
  elseif timeout ~= nil and type(timeout) ~= "number" then
    return "#2 to 'retry' (option 'timeout': number expected, got " .. type(timeout) .. ")"
  elseif timeout and not (timeout >= 0) then -- NaN neither
    return "#2 to 'retry' (option 'timeout': it must not be negative, got " .. timeout .. ")"
  end
end
local jit = rawget(_G, "jit") -- a host such as Prosody warns of globals that are not there
if jit then jit.off(problem) end -- compiled code may skip keys: see args.lua

--- Takes the results of a call, and calls again if it found the store busy. The waits are added up, so that no clock is
-- needed: Lua's own counts whole seconds. `sleep` is called outside of `pcall`, so that it may yield in Lua 5.1 too.
local function results(fn, sleep, wait, left, ok, ...)
  if ok then return ... end
  local message = ...
  if left <= 0 or type(message) ~= "string" or not find(message, "luat_kv: BUSY: ", 1, true) then
    error(message, 0)
  end
  sleep(min(wait, left))
  return results(fn, sleep, min(wait * 2, LONGEST_WAIT), left - wait, pcall(fn))
end

return function(fn, options)
  local wrong = problem(fn, options)
  if wrong then error("bad argument " .. wrong, 2) end
  return results(fn, options.sleep, FIRST_WAIT, options.timeout or TIMEOUT, pcall(fn))
end
