--- Limits: exceeding one is an error that names the limit and the length.
local lu = require("luaunit")
local support = require("support")
local fails, refuses = support.fails, support.refuses

local Limits = {}

local function ascii(length)
  return ("x"):rep(length)
end

--- The namespace of a store with Cloudflare's limits, and the store.
local function strict(self)
  local store = self.open({ limits = "cloudflare" })
  return store:namespace("strict"), store
end

--- Asserts that a key of `most` bytes goes in, and that no call takes one of a byte more.
local function bounds_keys(kv, most)
  local longest, too_long = ascii(most), ascii(most + 1)
  kv:put(longest, "value")
  lu.assertEquals(kv:get(longest), "value")
  lu.assertEquals(kv:list({ prefix = longest }).keys[1].name, longest)
  kv:delete(longest)
  lu.assertNil(kv:get(longest))
  local limit, length = tostring(most), tostring(most + 1)
  refuses(kv, function() kv:put(too_long, "value") end, "LIMIT", limit, length)
  refuses(kv, function() kv:get(too_long) end, "LIMIT", limit, length)
  refuses(kv, function() kv:getWithMetadata(too_long) end, "LIMIT", limit, length)
  refuses(kv, function() kv:delete(too_long) end, "LIMIT", limit, length)
  refuses(kv, function() kv:list({ prefix = too_long }) end, "LIMIT", "prefix", limit, length)
end

local function bounds_namespaces(store, most)
  store:namespace(ascii(most)):put("key", "value")
  lu.assertEquals(store:namespace(ascii(most)):get("key"), "value")
  fails(function() store:namespace(ascii(most + 1)) end, "LIMIT", tostring(most), tostring(most + 1))
end

local function bounds_metadata(kv, most)
  local longest = ascii(most - 2) -- the quotes count: it is the length of the JSON
  kv:put("key", "value", { metadata = longest })
  local _, meta = kv:getWithMetadata("key")
  lu.assertTrue(meta.metadata == longest)
  refuses(kv, function() kv:put("k", "value", { metadata = longest .. "x" }) end,
    "LIMIT", "metadata", tostring(most), tostring(most + 1))
end

local function bounds_pages(kv, most)
  lu.assertEquals(kv:list({ limit = most }).keys, {})
  refuses(kv, function() kv:list({ limit = most + 1 }) end, "LIMIT", "limit", tostring(most), tostring(most + 1))
end

-- The default limits

local function not_on_a_server(self)
  if self.server then
    lu.skip("a key on a server shares a limit with its namespace: tests/lua/postgres.lua")
  end
end

function Limits:test_a_key_and_a_prefix_have_at_most_4_KiB()
  not_on_a_server(self)
  bounds_keys(self.kv, 4096)
end

function Limits:test_a_length_is_in_bytes_not_characters()
  not_on_a_server(self)
  self.kv:put(("é"):rep(2048), "value")
  refuses(self.kv, function(kv) kv:put(("é"):rep(2049), "value") end, "LIMIT", "4096", "4098")
end

function Limits:test_a_namespace_name_has_at_most_4_KiB()
  not_on_a_server(self)
  bounds_namespaces(self.store, 4096)
end

function Limits:test_metadata_has_at_most_64_KiB()
  bounds_metadata(self.kv, 65536)
end

function Limits:test_a_page_has_at_most_10_000_keys()
  bounds_pages(self.kv, 10000)
end

function Limits:test_a_time_to_live_of_one_second_is_taken()
  self.kv:put("key", "value", { expirationTtl = 1 })
end

function Limits:test_a_value_of_more_than_512_MiB_is_an_error()
  local ok, value = pcall(function() return ascii(1048576):rep(512) .. "x" end)
  lu.skipIf(not ok, "this Lua cannot hold a string of 512 MiB")
  refuses(self.kv, function(kv) kv:put("k", value) end, "LIMIT", "536870912", "536870913")
  value = nil
  collectgarbage()
end

function Limits:test_a_value_over_the_limits_of_cloudflare_is_no_matter_here()
  local value = ascii(26214401)
  self.kv:put("key", value)
  lu.assertTrue(self.kv:get("key") == value)
  self.kv:delete("key")
end

-- The limits of Cloudflare

function Limits:test_on_cloudflare_a_key_and_a_prefix_have_at_most_512_bytes()
  bounds_keys(strict(self), 512)
end

function Limits:test_on_cloudflare_a_namespace_name_has_at_most_512_bytes()
  local _, store = strict(self)
  bounds_namespaces(store, 512)
end

function Limits:test_on_cloudflare_a_key_is_not_a_dot_or_two()
  local kv = strict(self)
  for _, key in ipairs({ ".", ".." }) do
    refuses(kv, function() kv:put(key, "value") end, "luat_kv: ")
  end
  kv:put("...", "value")
  lu.assertEquals(kv:get("..."), "value")
end

function Limits:test_on_cloudflare_a_value_has_at_most_25_MiB()
  local kv = strict(self)
  local longest = ascii(26214400)
  kv:put("key", longest)
  lu.assertTrue(kv:get("key") == longest)
  kv:delete("key")
  refuses(kv, function() kv:put("k", longest .. "x") end, "LIMIT", "26214400", "26214401")
  refuses(kv, function() kv:put("k", { longest }) end, "LIMIT", "26214400")
end

function Limits:test_on_cloudflare_metadata_has_at_most_1024_bytes()
  bounds_metadata(strict(self), 1024)
end

function Limits:test_on_cloudflare_an_entry_lives_at_least_a_minute()
  local kv = strict(self)
  kv:put("key", "value", { expirationTtl = 60 })
  refuses(kv, function() kv:put("k", "value", { expirationTtl = 59 }) end, "LIMIT", "the lifetime is 59 seconds", "60")
end

function Limits:test_on_cloudflare_an_expiration_is_at_least_a_minute_ahead()
  local kv = strict(self)
  kv:put("key", "value", { expiration = os.time() + 62 })
  refuses(kv, function() kv:put("k", "value", { expiration = os.time() + 50 }) end, "LIMIT", "expiration", "60")
  kv:put("key", "value", { expiration = 2147483647 })
  refuses(kv, function() kv:put("k", "value", { expiration = 2147483648 }) end, "LIMIT", "expiration", "2147483647")
  refuses(kv, function() kv:put("k", "value", { expirationTtl = 2147483647 }) end, "LIMIT", "2147483647")
end

function Limits:test_on_cloudflare_a_page_has_at_most_1000_keys()
  bounds_pages(strict(self), 1000)
end

return Limits
