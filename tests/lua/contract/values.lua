--- Values: what put accepts, and what the types of get return.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses = support.refuses

local Values = {}

local every_byte = {}
for byte = 0, 255 do
  every_byte[byte + 1] = string.char(byte)
end
every_byte = table.concat(every_byte)

-- Bytes

function Values:test_a_value_is_bytes_of_any_content()
  for _, value in ipairs({ every_byte, "\0", "a\0b\0", "\255\254", "\r\n", "é😀", (" "):rep(5000) }) do
    self.kv:put("key", value)
    lu.assertEquals(self.kv:get("key"), value)
    lu.assertEquals(self.kv:get("key", "text"), value)
    lu.assertEquals(self.kv:get("key", "arrayBuffer"), value)
  end
end

function Values:test_a_value_may_have_any_length()
  for _, length in ipairs({ 1, 63, 64, 65, 255, 256, 1023, 4096, 65535, 65536, 1000003 }) do
    local value = every_byte:rep(math.floor(length / 256) + 1):sub(1, length)
    self.kv:put("key", value)
    lu.assertTrue(self.kv:get("key") == value)
  end
end

function Values:test_an_empty_value_is_a_value()
  self.kv:put("empty", "")
  lu.assertEquals(self.kv:get("empty"), "")
  lu.assertEquals(self.kv:get("empty", "arrayBuffer"), "")
  lu.assertEquals(self.kv:getWithMetadata("empty"), "")
  lu.assertEquals(#self.kv:list().keys, 1)
end

function Values:test_a_string_that_looks_like_something_else_stays_a_string()
  for _, value in ipairs({ "5", "5.0", "true", "null", "{}", "nil", " ", "x'00'" }) do
    self.kv:put("key", value)
    lu.assertEquals(self.kv:get("key"), value)
  end
end

function Values:test_put_replaces_the_value()
  self.kv:put("key", "a long first value")
  self.kv:put("key", "2")
  lu.assertEquals(self.kv:get("key"), "2")
end

-- Lua's types

function Values:test_a_table_is_stored_as_json()
  self.kv:put("key", { setting = "on" })
  lu.assertEquals(self.kv:get("key"), '{"setting":"on"}')
  lu.assertEquals(self.kv:get("key", "json"), { setting = "on" })
  self.kv:put("key", { "a", "b" })
  lu.assertEquals(self.kv:get("key"), '["a","b"]')
end

function Values:test_a_table_with_pairs_is_stored_as_they_present_it()
  for _, value in ipairs({ { { "x" } }, { list = { "x" } } }) do
    local name, inner = next(value)
    local presented = { [name] = setmetatable({}, { __pairs = function() return next, inner, nil end }) }
    self.kv:put("k", presented)
    lu.assertEquals(self.kv:get("k", "json"), value)
    self.kv:put("k", presented, {})
    lu.assertEquals(self.kv:get("k", "json"), value)
  end
end

function Values:test_a_number_or_boolean_is_stored_as_its_json()
  for _, value in ipairs({ 42, -1, 0.5, 1e300, true, false }) do
    self.kv:put("key", value)
    lu.assertEquals(self.kv:get("key"), KV.json.encode(value))
    lu.assertEquals(self.kv:get("key", "json"), value)
  end
  self.kv:put("key", 42)
  lu.assertEquals(self.kv:get("key"), "42")
  self.kv:put("key", true)
  lu.assertEquals(self.kv:get("key"), "true")
end

function Values:test_a_value_that_cannot_be_stored_is_an_error()
  for _, value in pairs({ print, io.stdout, support.thread }) do
    refuses(self.kv, function(kv) kv:put("k", value) end, "bad argument #2 to 'put'", type(value))
    refuses(self.kv, function(kv) kv:put("new", value) end, "bad argument #2 to 'put'", type(value))
  end
end

function Values:test_no_value_is_an_error()
  refuses(self.kv, function(kv) kv:put("k", nil) end, "bad argument #2 to 'put'", "got nil")
  refuses(self.kv, function(kv) kv:put("k", nil, { metadata = "m" }) end, "bad argument #2 to 'put'", "got nil")
  refuses(self.kv, function(kv) kv:put("k") end, "bad argument #2 to 'put'", "got n")
end

function Values:test_a_number_that_json_does_not_have_is_an_error()
  for _, value in ipairs({ 0 / 0, math.huge, -math.huge }) do
    refuses(self.kv, function(kv) kv:put("k", value) end, "INVALID")
  end
end

-- The types of get

function Values:test_json_parses()
  self.kv:put("key", ' {"a": [1, "two", {"b": false}]}\n')
  lu.assertEquals(self.kv:get("key", "json"), { a = { 1, "two", { b = false } } })
  self.kv:put("key", '"text"')
  lu.assertEquals(self.kv:get("key", "json"), "text")
  self.kv:put("key", "5")
  lu.assertEquals(self.kv:get("key", "json"), 5)
end

function Values:test_the_type_may_stand_in_a_table()
  self.kv:put("key", "[1]")
  lu.assertEquals(self.kv:get("key", { type = "json" }), { 1 })
  lu.assertEquals(self.kv:get("key", { type = "text" }), "[1]")
  lu.assertEquals(self.kv:get("key", { type = "arrayBuffer" }), "[1]")
  lu.assertEquals(self.kv:get("key", {}), "[1]")
  lu.assertEquals(self.kv:get("key", nil), "[1]")
  lu.assertEquals((self.kv:getWithMetadata("key", { type = "json" })), { 1 })
end

function Values:test_getWithMetadata_takes_the_same_types()
  self.kv:put("key", "[1]")
  lu.assertEquals((self.kv:getWithMetadata("key")), "[1]")
  lu.assertEquals((self.kv:getWithMetadata("key", "text")), "[1]")
  lu.assertEquals((self.kv:getWithMetadata("key", "arrayBuffer")), "[1]")
  lu.assertEquals((self.kv:getWithMetadata("key", "json")), { 1 })
end

function Values:test_a_value_that_is_not_json_is_an_error_that_says_where()
  for _, text in ipairs({ "Alice", "", "{", "[1,]", '{"a":1', "[1] 2", "\255", "nul" }) do
    self.kv:put("text", text)
    local message = refuses(self.kv, function(kv) kv:get("text", "json") end, "INVALID")
    lu.assertStrContains(message, "INVALID: .*%d", true)
    refuses(self.kv, function(kv) kv:getWithMetadata("text", "json") end, "INVALID")
    lu.assertEquals(self.kv:get("text"), text)
  end
end

function Values:test_an_unknown_type_is_an_error()
  for _, key in ipairs({ "k", "missing" }) do
    for _, unknown in pairs({ "stream", "JSON", "", 1, true, print }) do
      refuses(self.kv, function(kv) kv:get(key, unknown) end, "bad argument #2 to 'get'")
      refuses(self.kv, function(kv) kv:getWithMetadata(key, unknown) end, "bad argument #2 to 'getWithMetadata'")
      refuses(self.kv, function(kv) kv:get(key, { type = unknown }) end, "bad argument #2 to 'get'")
    end
  end
end

-- Values that are read again (Lua strings that were returned may be returned again)

function Values:test_a_value_that_is_read_again_is_what_was_put_last()
  for _, length in ipairs({ 0, 1, 7, 8, 9, 31, 32, 33, 40, 41, 64, 100, 511, 512, 513, 1024, 5000 }) do
    local value = every_byte:rep(20):sub(1, length)
    local changed = { value .. "x", value:sub(2), value:reverse(), (value:gsub("^.", "y")), (value:gsub(".$", "z")) }
    for _, next_value in ipairs(changed) do
      for _, now in ipairs({ value, next_value, value }) do
        self.kv:put("key", now)
        for _ = 1, 5 do
          lu.assertTrue(self.kv:get("key") == now)
        end
      end
    end
  end
  self.kv:delete("key")
  lu.assertNil(self.kv:get("key"))
  self.kv:put("key", "back")
  lu.assertEquals(self.kv:get("key"), "back")
end

function Values:test_the_same_key_of_another_namespace_is_another_key()
  local other = self.store:namespace("other")
  self.kv:put("key", "this one")
  other:put("key", "that one")
  for _ = 1, 5 do
    lu.assertEquals(self.kv:get("key"), "this one")
    lu.assertEquals(other:get("key"), "that one")
  end
  other:delete("key")
  lu.assertNil(other:get("key"))
  lu.assertEquals(self.kv:get("key"), "this one")
end

function Values:test_thousands_of_keys_are_read_again_and_take_little_memory()
  local COUNT, value = 10000, ("v"):rep(400)
  local batch = self.store:atomic():namespace("test")
  for i = 1, COUNT do
    batch:put(("key%d"):format(i), value .. i)
  end
  lu.assertTrue(batch:commit() ~= nil)
  local kv = self.store:namespace("test")
  collectgarbage()
  collectgarbage()
  local before = collectgarbage("count")
  for _ = 1, 4 do
    for i = 1, COUNT do
      if kv:get(("key%d"):format(i)) ~= value .. i then
        lu.fail(("key%d has another value"):format(i))
      end
    end
  end
  collectgarbage()
  collectgarbage()
  lu.assertTrue(collectgarbage("count") - before < 4000)
end

-- Missing keys

function Values:test_a_missing_key_is_one_nil()
  for _, kind in ipairs({ "text", "json", "arrayBuffer" }) do
    lu.assertEquals(select("#", self.kv:get("missing", kind)), 1)
    lu.assertNil((self.kv:get("missing", kind)))
  end
end

function Values:test_delete_removes_an_entry()
  self.kv:put("key", "value", { metadata = "m", expirationTtl = 60 })
  self.kv:delete("key")
  lu.assertNil(self.kv:get("key"))
  lu.assertEquals(self.kv:list().keys, {})
  self.kv:put("key", "new")
  local _, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(support.unversioned(meta), {})
end

function Values:test_deleting_a_missing_key_is_no_error()
  self.kv:delete("missing")
  self.kv:delete("missing")
end

return Values
