--- Metadata: any JSON value except null.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses = support.refuses

local Metadata = {}

local function round_trip(kv, metadata)
  kv:put("key", "value", { metadata = metadata })
  local value, meta = kv:getWithMetadata("key")
  lu.assertEquals(value, "value")
  lu.assertEquals(support.unversioned(kv:list().keys), { { name = "key", metadata = meta.metadata } })
  return meta.metadata
end

function Metadata:test_any_json_value_is_metadata()
  for _, metadata in ipairs({
    { author = "alice", created = 1700000000 }, { nested = { list = { 1, 2, { x = true } } } }, { "a", "b" }, {},
    "text", "", "a\0b", "😀", 0, -1, 1.5, true, false,
  }) do
    lu.assertEquals(round_trip(self.kv, metadata), metadata)
  end
end

function Metadata:test_numbers_in_metadata_keep_their_kind()
  for _, number in ipairs({ 5, 5.0, support.minus_zero, 0.1, math.maxinteger or 2 ^ 53 }) do
    support.same_number(round_trip(self.kv, number), number)
    support.same_number(round_trip(self.kv, { n = number }).n, number)
  end
end

function Metadata:test_arrays_and_null_inside_keep_their_kind()
  lu.assertEquals(KV.json.encode(round_trip(self.kv, KV.array())), "[]")
  lu.assertEquals(KV.json.encode(round_trip(self.kv, {})), "{}")
  lu.assertEquals(KV.json.encode(round_trip(self.kv, { KV.null, 2 })), "[null,2]")
end

function Metadata:test_absent_metadata_is_nil()
  self.kv:put("key", "value")
  local value, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(value, "value")
  lu.assertEquals(support.unversioned(meta), {})
  self.kv:put("key", "value", { metadata = nil })
  lu.assertEquals(support.unversioned(self.kv:list().keys), { { name = "key" } })
end

function Metadata:test_of_a_missing_key_is_two_nils()
  lu.assertEquals(select("#", self.kv:getWithMetadata("missing")), 2)
  local value, meta = self.kv:getWithMetadata("missing")
  lu.assertNil(value)
  lu.assertNil(meta)
end

function Metadata:test_metadata_and_expiration_come_together()
  local tomorrow = os.time() + 86400
  self.kv:put("key", '{"a":1}', { metadata = { n = 1 }, expiration = tomorrow })
  local value, meta = self.kv:getWithMetadata("key", "json")
  lu.assertEquals(value, { a = 1 })
  lu.assertEquals(support.unversioned(meta), { metadata = { n = 1 }, expiration = tomorrow })
  lu.assertEquals(support.unversioned(self.kv:list().keys), { { name = "key", metadata = { n = 1 }, expiration = tomorrow } })
end

function Metadata:test_put_replaces_the_metadata()
  lu.assertEquals(round_trip(self.kv, { a = 1, b = 2 }), { a = 1, b = 2 })
  lu.assertEquals(round_trip(self.kv, { c = 3 }), { c = 3 })
  lu.assertNil(round_trip(self.kv, nil))
end

function Metadata:test_null_is_an_error()
  refuses(self.kv, function(kv) kv:put("k", "value", { metadata = KV.null }) end, "metadata")
  refuses(self.kv, function(kv) kv:put("new", "value", { metadata = KV.null }) end, "metadata")
end

function Metadata:test_what_json_does_not_have_is_an_error()
  for _, metadata in pairs({ print, io.stdout, support.thread, 0 / 0, math.huge, "caf\233" }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { metadata = metadata }) end)
    refuses(self.kv, function(kv) kv:put("new", "value", { metadata = metadata }) end)
  end
end

return Metadata
