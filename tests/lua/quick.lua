--- The contract, on a machine that has only a stock Lua: from the repository root,
--   LUA_CPATH="target/lua/5.4/?.so;;" lua5.4 tests/lua/quick.lua
-- run.lua runs more, and reports failures better, but needs luaunit. Here the part of luaunit that the contract uses is
-- defined in a few lines. Prints TAP.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local lu = setmetatable({}, {
  __index = function(_, name) error("tests/lua/quick.lua has to define luaunit's " .. name, 2) end,
})
local SKIP = {}

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

function lu.fail(message)
  error(message, 0)
end

local function check(holds, format, ...)
  if not holds then
    local values = { ... }
    for i = 1, select("#", ...) do
      values[i] = show(values[i])
    end
    lu.fail(format:format(table.unpack(values)))
  end
end

function lu.skipIf(condition, reason)
  if condition then error({ SKIP, reason }, 0) end
end

function lu.assertEquals(actual, expected)
  check(same(actual, expected), "%s is not %s", actual, expected)
end

function lu.assertNotEquals(actual, unexpected)
  check(not same(actual, unexpected), "%s is what it was not to be", actual)
end

function lu.assertItemsEquals(actual, expected)
  local rest = { table.unpack(expected) }
  for _, item in ipairs(actual) do
    local at
    for i, other in ipairs(rest) do
      at = at or same(item, other) and i
    end
    check(at, "%s was not expected", item)
    table.remove(rest, at)
  end
  check(#rest == 0, "%s is missing", rest[1])
end

function lu.assertIs(actual, expected)
  check(rawequal(actual, expected), "%s is not the same as %s", actual, expected)
end

function lu.assertNil(value) check(value == nil, "%s is not nil", value) end
function lu.assertTrue(value) check(value == true, "%s is not true", value) end
function lu.assertFalse(value) check(value == false, "%s is not false", value) end
function lu.assertIsString(value) check(type(value) == "string", "%s is not a string", value) end
lu.assertIsTrue, lu.assertIsFalse = lu.assertTrue, lu.assertFalse

function lu.assertStrContains(text, part, is_pattern)
  check(text:find(part, 1, not is_pattern), "%s does not contain %s", text, part)
end

function lu.assertNotStrContains(text, part)
  check(not text:find(part, 1, true), "%s contains %s", text, part)
end

function lu.assertStrMatches(text, pattern)
  check(text:find("^" .. pattern .. "$"), "%s does not match %s", text, pattern)
end

package.preload.luaunit = function() return lu end

-- Running ------------------------------------------------------------------------------------------

local number, failures = 0, 0

local function explain(problem)
  return type(problem) == "table" and problem or debug.traceback(problem, 2)
end

local function run(class, name)
  local ok, problem = xpcall(function()
    class:setUp()
    class[name](class)
  end, explain)
  local ended, problem_at_end = xpcall(class.teardown or function() end, explain, class)
  return ok and ended, problem or problem_at_end
end

local function report(name, ok, problem)
  number = number + 1
  if type(problem) == "table" and problem[1] == SKIP then
    print(("ok %d - %s # SKIP %s"):format(number, name, problem[2]))
  elseif ok then
    print(("ok %d - %s"):format(number, name))
  else
    failures = failures + 1
    print(("not ok %d - %s"):format(number, name))
    print("# " .. tostring(problem):gsub("\n", "\n# "))
  end
end

local function sorted(keys_of, prefix)
  local names = {}
  for name in pairs(keys_of) do
    if name:find("^" .. prefix) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local classes = require("contract")
for _, class_name in ipairs(sorted(classes, "Test")) do
  local class = classes[class_name]
  for _, name in ipairs(sorted(class, "test")) do
    report(class_name .. "." .. name, run(class, name))
  end
  class:teardownClass()
end
require("support").cleanup()
print("1.." .. number)
os.exit(failures == 0 and number > 0)
