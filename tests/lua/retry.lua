--- KV.retry: what a host with an event loop does while another process writes.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

local Retry = {}

--- A namespace whose store does not wait for others, and the path of its file.
local function impatient()
  local path = support.path()
  local kv = KV.open({ path = path, busy_timeout = 0 }):namespace("n")
  kv:put("k", "before")
  return kv, path
end

function Retry:test_it_waits_in_the_hosts_way_until_the_store_is_free()
  local kv, path = impatient()
  local unlock = support.lock(path)
  local waits = {}
  local function sleep(seconds)
    waits[#waits + 1] = seconds
    if #waits == 3 then unlock() end
  end
  lu.assertEquals(KV.retry(function() return kv:incr("hits", 2) end, { sleep = sleep }), 2)
  lu.assertEquals(waits, { 0.001, 0.002, 0.004 })
  lu.assertEquals(kv:get("hits"), "2") -- once
end

function Retry:test_sleep_may_yield()
  local kv, path = impatient()
  local unlock = support.lock(path)
  local request = coroutine.create(function()
    return KV.retry(function() return kv:add("k", "mine"), "two" end, { sleep = coroutine.yield })
  end)
  local _, seconds = coroutine.resume(request)
  lu.assertEquals(seconds, 0.001)
  lu.assertEquals(kv:get("k"), "before") -- the loop serves others
  unlock()
  local done, added, second = coroutine.resume(request)
  lu.assertEquals({ done, added, second }, { true, false, "two" })
  lu.assertEquals(coroutine.status(request), "dead")
end

function Retry:test_all_results_are_returned_in_their_places()
  local kv = impatient()
  local options = { sleep = error }
  lu.assertEquals(select("#", KV.retry(function() end, options)), 0)
  lu.assertEquals({ KV.retry(function() return 1, false, "c" end, options) }, { 1, false, "c" })
  lu.assertEquals(select("#", KV.retry(function() return kv:get("missing"), nil end, options)), 2)
end

function Retry:test_when_the_waits_are_over_the_error_is_the_last_calls()
  local kv, path = impatient()
  local unlock = support.lock(path)
  for _, timeout in ipairs({ 0, 0.001, 0.25 }) do
    local calls, waited, longest = 0, 0, 0
    local message = fails(function()
      KV.retry(function()
        calls = calls + 1
        kv:put("k", "value")
      end, { timeout = timeout, sleep = function(seconds)
        waited, longest = waited + seconds, math.max(longest, seconds)
      end })
    end, "BUSY")
    lu.assertStrContains(message, "retry.lua:")
    lu.assertAlmostEquals(waited, timeout, 1e-9)
    lu.assertTrue(longest <= 0.1 and calls >= (timeout == 0 and 1 or 2))
  end
  unlock()
  lu.assertEquals(kv:get("k"), "before")
end

function Retry:test_by_default_the_waits_take_five_seconds()
  local waited = 0
  fails(function()
    KV.retry(function() error("luat_kv: BUSY: always") end, { sleep = function(seconds) waited = waited + seconds end })
  end, "BUSY")
  lu.assertAlmostEquals(waited, 5, 1e-9)
end

function Retry:test_another_error_is_raised_at_once_and_unchanged()
  local kv = impatient()
  local function sleep() lu.fail("it waited") end
  fails(function() KV.retry(function() kv:put("", "no name") end, { sleep = sleep }) end, "INVALID")
  for _, wrong in ipairs({ { "a table" }, "BUSY", "luat_kv: IO: BUSY", false }) do
    local ok, raised = pcall(KV.retry, function() error(wrong, 0) end, { sleep = sleep })
    lu.assertEquals({ ok, raised }, { false, wrong })
  end
end

function Retry:test_an_error_of_sleep_is_raised_unchanged()
  local kv, path = impatient()
  local unlock = support.lock(path)
  local reason = { "the request was aborted" }
  local ok, raised = pcall(KV.retry, function() kv:put("k", "value") end, { sleep = function() error(reason) end })
  lu.assertEquals(ok, false)
  lu.assertIs(raised, reason)
  unlock()
end

function Retry:test_its_arguments_are_checked()
  local function sleep() end
  local function nothing() end
  for _, wrong in pairs({ 1, "fn", {}, true }) do
    fails(function() KV.retry(wrong, { sleep = sleep }) end,
      "bad argument #1 to 'retry' (function expected, got " .. type(wrong))
  end
  fails(function() KV.retry() end, "bad argument #1 to 'retry' (function expected, got nil")
  fails(function() KV.retry(nothing) end, "bad argument #2 to 'retry' (table expected, got nil")
  fails(function() KV.retry(nothing, sleep) end, "bad argument #2 to 'retry' (table expected, got function")
  fails(function() KV.retry(nothing, {}) end, "#2 to 'retry' (option 'sleep': function expected, got nil")
  fails(function() KV.retry(nothing, { sleep = 5 }) end, "#2 to 'retry' (option 'sleep': function expected, got number")
  for _, name in ipairs({ "seconds", 1, true }) do
    fails(function() KV.retry(nothing, { sleep = sleep, [name] = 1 }) end,
      "#2 to 'retry' (unknown option '" .. tostring(name) .. "' (there are: sleep, timeout)")
  end
  fails(function() KV.retry(nothing, { sleep = sleep, timeout = "5" }) end, "option 'timeout': number expected, got string")
  for _, wrong in ipairs({ -1, -math.huge, 0 / 0 }) do
    fails(function() KV.retry(nothing, { sleep = sleep, timeout = wrong }) end,
      "bad argument #2 to 'retry' (option 'timeout': it must not be negative")
  end
end

function Retry:test_code_that_is_not_trusted_waits_only_if_its_host_lets_it()
  lu.assertNil(KV.new({ open = false }).retry)
  lu.assertIsFunction(KV.new().retry)
  lu.assertIsFunction(KV.install({}).KV.retry)
end

return { TestRetry = Retry }
