--- Expirations: what is accepted, and what is returned. For what happens after the time is over, see expired.lua.
local lu = require("luaunit")
local support = require("support")
local refuses = support.refuses

local Expiry = {}

local function expiration(kv, key)
  local _, meta = kv:getWithMetadata(key)
  return meta.expiration
end

function Expiry:test_an_expiration_is_told_as_it_was_given()
  local tomorrow = os.time() + 86400
  self.kv:put("key", "value", { expiration = tomorrow })
  lu.assertEquals(self.kv:get("key"), "value")
  support.same_number(expiration(self.kv, "key"), tomorrow)
  support.same_number(self.kv:list().keys[1].expiration, tomorrow)
end

function Expiry:test_a_time_to_live_counts_from_now()
  local before = os.time()
  self.kv:put("key", "value", { expirationTtl = 3600 })
  support.is_end(expiration(self.kv, "key"), 3600, before)
  lu.assertEquals(self.kv:get("key"), "value")
end

function Expiry:test_a_time_to_live_is_never_cut_short()
  local kv, longer = self.kv, {}
  local puts = {
    put = function(options) kv:put("k", "value", options) end,
    add = function(options) kv:add("k", "value", options) end,
    incr = function(options) kv:incr("k", 1, options) end,
    touch = function(options) kv:put("k", "value") kv:touch("k", options) end,
    batch = function(options) kv:atomic():put("k", "value", options):commit() end,
    ["a batch's incr"] = function(options) kv:atomic():incr("k", 1, options):commit() end,
  }
  for what, put in pairs(puts) do
    longer[what] = false
    -- The clock hardly ever stands on a full second, where nothing is rounded; twice in a row it does not.
    for _ = 1, 2 do
      kv:delete("k")
      put({ expirationTtl = 10 })
      longer[what] = longer[what] or expiration(kv, "k") > os.time() + 10
    end
    lu.assertTrue(longer[what], what .. ": the end is not rounded up")
  end
end

function Expiry:test_milliseconds_are_refused_with_a_hint()
  local last = 253402300799 -- the end of the year 9999
  self.kv:put("key", "value", { expiration = last })
  lu.assertEquals(expiration(self.kv, "key"), last)
  for _, time in ipairs({ last + 1, os.time() * 1000, 2 ^ 53 }) do
    for what, put in pairs({
      put = function(kv) kv:put("k", "value", { expiration = time }) end,
      add = function(kv) kv:add("new", "value", { expiration = time }) end,
      incr = function(kv) kv:incr("new", 1, { expiration = time }) end,
      touch = function(kv) kv:touch("k", { expiration = time }) end,
      batch = function(kv) kv:atomic():put("k", "value", { expiration = time }):commit() end,
    }) do
      refuses(self.kv, put, "INVALID", "expiration", "9999", "milliseconds")
    end
  end
  refuses(self.kv, function(kv) kv:put("k", "value", { expirationTtl = last }) end, "INVALID", "9999")
end

function Expiry:test_a_whole_float_is_taken()
  local tomorrow = os.time() + 86400
  self.kv:put("key", "value", { expiration = tomorrow + 0.0 })
  support.same_number(expiration(self.kv, "key"), tomorrow)
  self.kv:put("key", "value", { expirationTtl = 60.0 })
  lu.assertTrue(expiration(self.kv, "key") < tomorrow)
end

function Expiry:test_a_time_to_live_wins_over_an_expiration()
  local tomorrow = os.time() + 86400
  self.kv:put("key", "value", { expiration = tomorrow, expirationTtl = 60 })
  lu.assertTrue(expiration(self.kv, "key") < tomorrow - 3600)
end

function Expiry:test_an_entry_without_expiration_has_none()
  self.kv:put("key", "value")
  lu.assertNil(expiration(self.kv, "key"))
  lu.assertNil(self.kv:list().keys[1].expiration)
end

function Expiry:test_put_without_options_clears_what_was_there()
  self.kv:put("key", "value", { expirationTtl = 60, metadata = "m" })
  self.kv:put("key", "value")
  local _, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(support.unversioned(meta), {})
  lu.assertEquals(support.unversioned(self.kv:list().keys), { { name = "key" } })
end

function Expiry:test_put_replaces_the_expiration()
  local tomorrow = os.time() + 86400
  self.kv:put("key", "value", { expirationTtl = 60 })
  self.kv:put("key", "value", { expiration = tomorrow })
  lu.assertEquals(expiration(self.kv, "key"), tomorrow)
  self.kv:put("key", "value", { metadata = "m" })
  lu.assertNil(expiration(self.kv, "key"))
end

function Expiry:test_a_bad_time_to_live_is_an_error()
  for _, ttl in ipairs({ 0, -1, -3600 }) do
    local why = "the lifetime is " .. ttl .. " seconds; it is at least 1"
    refuses(self.kv, function(kv) kv:put("k", "value", { expirationTtl = ttl }) end, "INVALID", why)
    refuses(self.kv, function(kv) kv:put("new", "value", { expirationTtl = ttl }) end, "INVALID", why)
  end
  for _, ttl in ipairs({ 1.5, 0.999, 0 / 0, math.huge, -math.huge, 1e300, 2 ^ 63 }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { expirationTtl = ttl }) end, "expirationTtl")
    refuses(self.kv, function(kv) kv:put("new", "value", { expirationTtl = ttl }) end, "expirationTtl")
  end
end

function Expiry:test_a_bad_expiration_is_an_error()
  local now = os.time()
  for _, time in ipairs({ 0, 1, -1, now, now - 1, now + 60.5, 0 / 0, math.huge, -math.huge, 1e300, 2 ^ 63 }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { expiration = time }) end, "expiration")
    refuses(self.kv, function(kv) kv:put("new", "value", { expiration = time }) end, "expiration")
  end
end

function Expiry:test_a_time_that_is_no_number_is_an_error()
  for _, time in pairs({ "60", "", true, false, {}, print }) do
    for _, option in ipairs({ "expiration", "expirationTtl" }) do
      refuses(self.kv, function(kv) kv:put("k", "value", { [option] = time }) end,
        "bad argument #3 to 'put'", option, "number expected", type(time))
    end
  end
end

return Expiry
