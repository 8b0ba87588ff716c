--- Presence and removal: has, delete, take, and the version that put and add return.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails, refuses, unversioned = support.fails, support.refuses, support.unversioned

local Presence = {}

local function version(kv, key)
  local _, meta = kv:getWithMetadata(key)
  return meta and meta.version
end

-- has

function Presence:test_has_looks_for_live_keys()
  lu.assertIsFalse(self.kv:has("key"))
  self.kv:put("key", "value")
  self.kv:put("empty", "")
  self.kv:put("null", "null")
  lu.assertIsTrue(self.kv:has("key"))
  lu.assertIsTrue(self.kv:has("empty"))
  lu.assertIsTrue(self.kv:has("null"))
  lu.assertIsFalse(self.kv:has("key\0"))
  lu.assertIsFalse(self.kv:has("ke"))
  lu.assertIsFalse(self.store:namespace("another"):has("key"))
  self.kv:delete("key")
  lu.assertIsFalse(self.kv:has("key"))
end

-- delete

function Presence:test_delete_returns_whether_it_removed_the_key()
  self.kv:put("key", "value")
  self.kv:put("stays", "value")
  lu.assertIsTrue(self.kv:delete("key"))
  lu.assertIsFalse(self.kv:has("key"))
  lu.assertIsFalse(self.kv:delete("key"))
  lu.assertIsFalse(self.kv:delete("missing"))
  lu.assertEquals(select("#", self.kv:delete("missing")), 1)
  lu.assertEquals(self.kv:get("stays"), "value")
end

-- take

function Presence:test_take_returns_the_value_and_removes_the_key()
  self.kv:put("key", "v\0alue", { metadata = { a = { 1 } }, expiration = os.time() + 1000 })
  local _, before = self.kv:getWithMetadata("key")
  local value, meta = self.kv:take("key")
  lu.assertEquals(value, "v\0alue")
  lu.assertEquals(meta, before)
  lu.assertIsFalse(self.kv:has("key"))
  lu.assertEquals({ self.kv:take("key") }, {})
  lu.assertEquals(select("#", self.kv:take("key")), 2)
end

function Presence:test_take_leaves_out_what_was_not_set()
  self.kv:put("key", "")
  local value, meta = self.kv:take("key")
  lu.assertEquals(value, "")
  lu.assertEquals(unversioned(meta), {})
end

function Presence:test_take_reads_a_value_as_get_does()
  self.kv:put("json", { 1, { k = "v" } })
  lu.assertEquals((self.kv:take("json", "json")), { 1, { k = "v" } })
  self.kv:put("json", "null")
  local value, meta = self.kv:take("json", "json")
  lu.assertNil(value)
  lu.assertIsString(meta.version)
  for _, kind in ipairs({ false, "text", "arrayBuffer", { type = "text" } }) do
    self.kv:put("text", "[1]")
    lu.assertEquals((self.kv:take("text", kind or nil)), "[1]")
  end
  self.kv:put("text", "[1]")
  lu.assertEquals((self.kv:take("text", { type = "json" })), { 1 })
end

function Presence:test_a_take_that_fails_leaves_the_key()
  self.kv:put("text", "not JSON", { metadata = "m" })
  refuses(self.kv, function(kv) kv:take("text", "json") end, "INVALID", "not JSON", '"text"')
  refuses(self.kv, function(kv) kv:take("text", "jsn") end, "bad argument #2 to 'take'")
  refuses(self.kv, function(kv) kv:take("text", { typ = "json" }) end, "bad argument #2 to 'take'")
  lu.assertEquals((self.kv:take("text")), "not JSON")
end

function Presence:test_each_key_is_taken_once()
  local names, taken = {}, {}
  for i = 1, 50 do
    self.kv:put("job:" .. i, tostring(i))
  end
  for name in self.kv:each({ prefix = "job:" }) do
    names[#names + 1] = name
  end
  for round = 1, 2 do
    for _, name in ipairs(names) do
      local value = self.kv:take(name)
      lu.assertEquals(value ~= nil, round == 1)
      if value then taken[#taken + 1] = value end
    end
  end
  lu.assertEquals(#taken, 50)
  lu.assertEquals(self.kv:count(), 0)
end

--- Garbage whose finalizer is this function.
local function finalized_by(finalizer)
  local proxy = newproxy and newproxy(true)
  if proxy then getmetatable(proxy).__gc = finalizer else setmetatable({}, { __gc = finalizer }) end
end

--- The collector, and so the finalizer, runs somewhere in the midst of most of these takes.
function Presence:test_a_take_removes_only_what_it_returns()
  local kv, old = self.kv, {}
  for i = 1, 2000 do
    old[i] = { i }
  end
  for _ = 1, 20 do
    kv:put("key", old)
    local has_run = false
    finalized_by(function()
      has_run = true
      kv:put("key", { "new" })
    end)
    local value = kv:take("key", "json")
    collectgarbage()
    collectgarbage()
    lu.assertTrue(has_run)
    if #value == 1 then
      lu.assertEquals(value, { "new" })
      lu.assertIsFalse(kv:has("key"))
    else
      lu.assertEquals(#value, 2000)
      lu.assertEquals(kv:get("key", "json"), { "new" })
    end
  end
end

-- Versions

function Presence:test_put_returns_the_version_of_what_it_stored()
  local first = self.kv:put("key", "value")
  lu.assertEquals(#first, 16)
  lu.assertEquals(first, version(self.kv, "key"))
  local second = self.kv:put("key", { 1 }, { metadata = "m" })
  lu.assertEquals(second, version(self.kv, "key"))
  lu.assertNotEquals(first, second)
  lu.assertEquals(select("#", self.kv:put("key", "value")), 1)
end

function Presence:test_add_returns_true_and_a_version_or_false()
  local added, first = self.kv:add("key", "1")
  lu.assertIsTrue(added)
  lu.assertEquals(first, version(self.kv, "key"))
  lu.assertEquals({ self.kv:add("key", "2") }, { false })
  added, first = self.kv:add("other", { 1 }, { expirationTtl = 100, metadata = "m" })
  lu.assertIsTrue(added)
  lu.assertEquals(first, version(self.kv, "other"))
end

function Presence:test_a_batch_checks_the_version_that_a_put_returned()
  local first = self.kv:put("key", "1")
  lu.assertIsTrue((self.kv:atomic():check("key", first):put("key", "2"):commit()))
  lu.assertIsFalse((self.kv:atomic():check("key", first):put("key", "3"):commit()))
  lu.assertEquals(self.kv:get("key"), "2")
end

-- Misuse

--- Calls with their names, which errors of Lua's style tell.
local methods = {
  has = function(kv, key) local _ = kv:has(key) end,
  take = function(kv, key) local _ = kv:take(key) end,
  delete = function(kv, key) local _ = kv:delete(key) end,
}

function Presence:test_keys_are_checked_as_everywhere()
  for name, method in pairs(methods) do
    refuses(self.kv, function(kv) method(kv, "") end, "INVALID")
    refuses(self.kv, function(kv) method(kv, "\255") end, "INVALID", "UTF-8")
    refuses(self.kv, function(kv) method(kv, ("k"):rep(5000)) end, "LIMIT")
    refuses(self.kv, function(kv) method(kv, nil) end, ("bad argument #1 to '%s'"):format(name), "got nil")
    refuses(self.kv, function(kv) method(kv, { "key" }) end, ("bad argument #1 to '%s'"):format(name), "got table")
    for _, wrong in pairs({ "key", 1, {}, print, KV.null, self.store }) do
      fails(function() local _ = self.kv[name](wrong, "key") end, "luat_kv.namespace expected")
    end
  end
end

function Presence:test_a_closed_store_refuses_them()
  local store = self.open()
  local kv = store:namespace("closed")
  kv:put("key", "value")
  store:close()
  for _, method in pairs(methods) do
    fails(function() method(kv, "key") end, "INVALID", "closed")
  end
end

return Presence
