--- incr, add and touch: changes that depend on the present value, and that no other write can interrupt.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses = support.refuses

local Counters = {}

local function expiration(kv, key)
  local _, meta = kv:getWithMetadata(key)
  return meta and meta.expiration
end

-- incr

function Counters:test_a_missing_key_begins_at_0_or_where_it_is_told()
  lu.assertEquals(self.kv:incr("n"), 1)
  lu.assertEquals(self.kv:incr("n"), 2)
  lu.assertEquals(self.kv:incr("n", 10), 12)
  lu.assertEquals(self.kv:incr("n", -20, { initial = 1000 }), -8)
  lu.assertEquals(self.kv:incr("from", 5, { initial = 100 }), 105)
  lu.assertEquals(self.kv:incr("zero", 0), 0)
  lu.assertEquals(self.kv:get("n"), "-8")
end

function Counters:test_the_sum_is_an_integer()
  support.same_number(self.kv:incr("n"), 1)
  support.same_number(self.kv:get("n", "json"), 1)
  support.same_number(self.kv:incr("n", 2.0), 3)
end

function Counters:test_a_number_that_was_put_counts()
  self.kv:put("n", 41)
  lu.assertEquals(self.kv:incr("n"), 42)
  self.kv:put("n", "-7")
  lu.assertEquals(self.kv:incr("n"), -6)
end

function Counters:test_the_whole_range_of_64_bits_is_exact()
  self.kv:put("max", "9223372036854775806")
  self.kv:incr("max")
  lu.assertEquals(self.kv:get("max"), "9223372036854775807")
  self.kv:put("min", "-9223372036854775807")
  self.kv:incr("min", -1)
  lu.assertEquals(self.kv:get("min"), "-9223372036854775808")
  self.kv:put("odd", "9007199254740993") -- 2^53 + 1
  self.kv:incr("odd", 2)
  lu.assertEquals(self.kv:get("odd"), "9007199254740995")
  if support.has_integers then
    lu.assertEquals(self.kv:incr("max", 0), math.maxinteger)
    lu.assertEquals(self.kv:incr("min", 0), math.mininteger)
    lu.assertEquals(self.kv:incr("far", math.mininteger, { initial = math.maxinteger }), -1)
  end
end

function Counters:test_overflow_is_an_error()
  self.kv:put("max", "9223372036854775807")
  self.kv:put("min", "-9223372036854775808")
  refuses(self.kv, function(kv) kv:incr("max") end, "INVALID", "64 bits", '"max"')
  refuses(self.kv, function(kv) kv:incr("min", -1) end, "INVALID", "64 bits")
end

function Counters:test_a_value_that_is_no_number_is_an_error()
  for _, value in ipairs({ "", "five", "1.0", "1e3", " 1", "1 ", "+1", "007", "-0", "0x10", "--1", "9223372036854775808", "\0", "{}" }) do
    self.kv:put("n", value)
    refuses(self.kv, function(kv) kv:incr("n") end, "INVALID", '"n"', "no whole number")
    lu.assertEquals(self.kv:get("n"), value)
  end
end

function Counters:test_the_time_to_live_is_set_when_the_key_is_created()
  local before = os.time()
  self.kv:incr("n", 1, { expirationTtl = 100 })
  local told = expiration(self.kv, "n")
  support.is_end(told, 100, before)
  self.kv:incr("n", 1, { expirationTtl = 5000 })
  lu.assertEquals(expiration(self.kv, "n"), told)
  self.kv:incr("m", 1, { expiration = told })
  lu.assertEquals(expiration(self.kv, "m"), told)
  self.kv:put("forever", 1)
  self.kv:incr("forever", 1, { expirationTtl = 100 })
  lu.assertNil(expiration(self.kv, "forever"))
end

function Counters:test_metadata_stays()
  self.kv:put("n", 1, { metadata = { unit = "apples" } })
  self.kv:incr("n")
  local value, meta = self.kv:getWithMetadata("n")
  lu.assertEquals(value, "2")
  lu.assertEquals(meta.metadata, { unit = "apples" })
end

function Counters:test_an_expired_counter_begins_again()
  self.kv:put("n", 100, { expirationTtl = 1, metadata = "old" })
  support.wait_for_end(self.kv, "n")
  lu.assertEquals(self.kv:incr("n"), 1)
  local _, meta = self.kv:getWithMetadata("n")
  lu.assertEquals(support.unversioned(meta), {})
end

function Counters:test_bad_arguments_of_incr()
  for _, by in pairs({ 1.5, 0 / 0, math.huge, "1", true, {} }) do
    refuses(self.kv, function(kv) kv:incr("n", by) end, "bad argument #2 to 'incr'")
  end
  refuses(self.kv, function(kv) kv:incr("n", 1, { ttl = 5 }) end, "bad argument #3 to 'incr'", "expirationTtl")
  refuses(self.kv, function(kv) kv:incr("n", 1, { metadata = 5 }) end, "unknown option 'metadata'")
  refuses(self.kv, function(kv) kv:incr("n", 1, { initial = 1.5 }) end, "option 'initial'", "whole number")
  refuses(self.kv, function(kv) kv:incr("n", 1, { expirationTtl = 0 }) end, "INVALID", "the lifetime is 0 seconds")
  refuses(self.kv, function(kv) kv:incr("") end, "INVALID", "empty")
  refuses(self.kv, function(kv) kv:incr(5) end, "bad argument #1 to 'incr'")
end

-- add

function Counters:test_add_stores_only_where_nothing_is()
  lu.assertIsTrue(self.kv:add("key", { first = true }, { metadata = 1, expirationTtl = 60 }))
  lu.assertIsFalse(self.kv:add("key", "second"))
  local value, meta = self.kv:getWithMetadata("key", "json")
  lu.assertEquals(value, { first = true })
  lu.assertEquals(meta.metadata, 1)
  self.kv:delete("key")
  lu.assertIsTrue(self.kv:add("key", "third"))
end

function Counters:test_what_has_expired_is_not_there_for_add_and_touch()
  self.kv:put("key", "1", { expirationTtl = 1, metadata = "old" })
  support.wait_for_end(self.kv, "key")
  lu.assertIsFalse(self.kv:touch("key", { expirationTtl = 60 }))
  lu.assertNil(self.kv:get("key"))
  lu.assertIsTrue(self.kv:add("key", "2"))
  local value, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(value, "2")
  lu.assertEquals(support.unversioned(meta), {})
end

function Counters:test_bad_arguments_of_add()
  refuses(self.kv, function(kv) kv:add("k", nil) end, "bad argument #2 to 'add'")
  refuses(self.kv, function(kv) kv:add("new", "v", { ttl = 1 }) end, "bad argument #3 to 'add'")
  refuses(self.kv, function(kv) kv:add("k", "v", { expirationTtl = -1 }) end, "INVALID", "the lifetime is -1 seconds")
  refuses(self.kv, function(kv) kv:add("", "v") end, "INVALID", "empty")
end

-- touch

function Counters:test_touch_changes_the_expiration_alone()
  local soon, later = os.time() + 1000, os.time() + 2000
  self.kv:put("key", "value\0", { metadata = KV.array(), expiration = soon })
  lu.assertIsTrue(self.kv:touch("key", { expiration = later }))
  lu.assertEquals(expiration(self.kv, "key"), later)
  lu.assertIsTrue(self.kv:touch("key", { expiration = later, expirationTtl = 10 }), "the time to live wins")
  lu.assertTrue(expiration(self.kv, "key") < soon)
  lu.assertIsTrue(self.kv:touch("key"), "without options it lives for ever")
  local value, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(value, "value\0")
  lu.assertEquals(support.unversioned(meta), { metadata = {} })
  lu.assertIsFalse(self.kv:touch("missing", { expirationTtl = 10 }))
  lu.assertNil(self.kv:get("missing"))
end

function Counters:test_bad_arguments_of_touch()
  refuses(self.kv, function(kv) kv:touch("k", {}) end, "bad argument #2 to 'touch'", "expirationTtl")
  refuses(self.kv, function(kv) kv:touch("k", 60) end, "bad argument #2 to 'touch'", "table expected")
  refuses(self.kv, function(kv) kv:touch("k", { ttl = 60 }) end, "did you mean 'expirationTtl'")
  refuses(self.kv, function(kv) kv:touch("k", { metadata = 1 }) end, "unknown option 'metadata'")
  refuses(self.kv, function(kv) kv:touch("k", { expiration = os.time() - 1 }) end, "INVALID", "expiration")
  refuses(self.kv, function(kv) kv:touch("", { expirationTtl = 1 }) end, "INVALID", "empty")
end

return Counters
