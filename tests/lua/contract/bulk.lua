--- Many keys in one call.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses = support.refuses

local Bulk = {}

function Bulk:test_values_come_by_their_keys()
  self.kv:put("a", "1")
  self.kv:put("b", "\0\255")
  self.kv:put("empty", "")
  self.kv:put("rest", "not asked for")
  lu.assertEquals(self.kv:get({ "b", "a", "missing", "empty" }), { a = "1", b = "\0\255", empty = "" })
  lu.assertEquals(self.kv:get({ "a" }, "text"), { a = "1" })
  lu.assertEquals(self.kv:get({ "a" }, "arrayBuffer"), { a = "1" })
  lu.assertEquals(self.kv:get({ "missing" }), {})
end

function Bulk:test_documents_come_by_their_keys()
  self.kv:put("a", { title = "One", tags = KV.array() })
  self.kv:put("b", 42)
  self.kv:put("null", "null")
  local found = self.kv:get({ "a", "b", "null", "missing" }, { type = "json" })
  lu.assertEquals(found, { a = { title = "One", tags = {} }, b = 42, null = KV.null })
  lu.assertEquals(KV.json.encode(found.a.tags), "[]")
end

function Bulk:test_a_stored_null_is_told_from_a_missing_key()
  self.kv:put("null", "null", { metadata = 1 })
  lu.assertEquals(self.kv:get({ "null", "missing" }, "json"), { null = KV.null })
  local found = self.kv:getWithMetadata({ "null", "missing" }, "json")
  lu.assertEquals(support.unversioned(found.null), { value = KV.null, metadata = 1 })
  lu.assertNil(found.missing)
  lu.assertEquals(self.kv:get({ "null" }), { null = "null" })
end

function Bulk:test_a_key_is_a_key_also_where_it_looks_like_a_number()
  self.kv:put("1", "one")
  self.kv:put("2", "two")
  local found = self.kv:get({ "2", "1" })
  lu.assertEquals(found, { ["1"] = "one", ["2"] = "two" })
  lu.assertNil(found[1])
end

function Bulk:test_a_key_asked_for_twice_appears_once()
  self.kv:put("a", "1")
  lu.assertEquals(self.kv:get({ "a", "a", "a" }), { a = "1" })
end

function Bulk:test_metadata_comes_with_it()
  local tomorrow = os.time() + 86400
  self.kv:put("a", "1", { metadata = { n = 1 }, expiration = tomorrow })
  self.kv:put("b", { x = true })
  local found = self.kv:getWithMetadata({ "a", "b", "missing" })
  local _, meta = self.kv:getWithMetadata("a")
  lu.assertEquals(found.a, { value = "1", metadata = { n = 1 }, expiration = tomorrow, version = meta.version })
  lu.assertEquals(support.unversioned(found.b), { value = '{"x":true}' })
  lu.assertNil(found.missing)
  lu.assertEquals(self.kv:getWithMetadata({ "b" }, "json").b.value, { x = true })
end

function Bulk:test_one_value_that_is_not_json_fails_the_call_and_is_named()
  self.kv:put("good", "{}")
  self.kv:put("bad", "{")
  for _, method in ipairs({ "get", "getWithMetadata" }) do
    refuses(self.kv, function(kv) kv[method](kv, { "good", "bad" }, "json") end, "INVALID", '"bad"', "not JSON")
  end
end

function Bulk:test_ten_thousand_keys_and_no_more()
  local keys = {}
  for i = 1, 10000 do keys[i] = "key" .. i end
  self.kv:put("key10000", "last")
  lu.assertEquals(self.kv:get(keys), { key10000 = "last" })
  keys[10001] = "one more"
  refuses(self.kv, function(kv) kv:get(keys) end, "LIMIT", "10001", "10000")
end

function Bulk:test_cloudflares_limits()
  local kv = self.open({ limits = "cloudflare" }):namespace("n")
  local keys = {}
  for i = 1, 100 do keys[i] = "key" .. i end
  lu.assertEquals(kv:get(keys), {})
  keys[101] = "one more"
  refuses(kv, function() kv:get(keys) end, "LIMIT", "101", "100")
  refuses(kv, function() kv:get({ "a" }, "arrayBuffer") end, "bad argument #2 to 'get'", "arrayBuffer")
  lu.assertNil(kv:get("a", "arrayBuffer"))
end

function Bulk:test_what_is_no_array_of_keys_is_an_error()
  refuses(self.kv, function(kv) kv:get({}) end, "INVALID", "no keys")
  refuses(self.kv, function(kv) kv:get({ "a", 1 }) end, "bad argument #1 to 'get'", "an array of keys expected")
  refuses(self.kv, function(kv) kv:get({ a = "b" }) end, "bad argument #1 to 'get'", "an array of keys expected")
  refuses(self.kv, function(kv) kv:getWithMetadata({ { "a" } }) end, "bad argument #1 to 'getWithMetadata'")
  refuses(self.kv, function(kv) kv:get({ "a", "" }) end, "INVALID", "empty")
  refuses(self.kv, function(kv) kv:get({ "\255" }) end, "INVALID", "UTF-8")
  refuses(self.kv, function(kv) kv:get({ ("k"):rep(4097) }) end, "LIMIT", "4097")
  refuses(self.kv, function(kv) kv:get({ "a" }, "yaml") end, "bad argument #2 to 'get'", "unknown type 'yaml'")
end

return Bulk
