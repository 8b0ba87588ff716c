--- contract.md, Expiry: what is taken, and what is told. What happens once the time is over: expired.lua.
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
  local after = os.time()
  local told = expiration(self.kv, "key")
  lu.assertTrue(before + 3600 <= told and told <= after + 3600)
  lu.assertEquals(self.kv:get("key"), "value")
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
  for _, ttl in ipairs({ 0, -1, -3600, 1.5, 0.999, 0 / 0, math.huge, -math.huge, 1e300, 2 ^ 63 }) do
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

function Expiry:test_the_longest_time_to_live_is_taken_or_refused_but_never_wraps()
  for _, ttl in ipairs({ 2 ^ 53, math.maxinteger or 2 ^ 62 }) do
    self.kv:put("key", "before")
    local taken = pcall(self.kv.put, self.kv, "key", "after", { expirationTtl = ttl })
    lu.assertEquals(self.kv:get("key"), taken and "after" or "before")
  end
end

return Expiry
