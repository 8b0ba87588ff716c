--- Versions, and batches that are made together or not at all.
local lu = require("luaunit")
local support = require("support")
local refuses, fails = support.refuses, support.fails

local Atomic = {}

local function version(kv, key)
  local _, meta = kv:getWithMetadata(key)
  return meta and meta.version
end

-- Versions

function Atomic:test_every_write_has_a_version_of_its_own()
  local seen = {}
  for round = 1, 50 do
    self.kv:put("key", "the same value")
    local now = version(self.kv, "key")
    support.is_version(now)
    lu.assertNil(seen[now])
    seen[now] = true
    lu.assertEquals(version(self.kv, "key"), now, "reading changes nothing")
    lu.assertEquals(self.kv:list().keys[1].version, now)
    if round % 5 == 0 then self.kv:delete("key") end
  end
end

function Atomic:test_touch_add_and_incr_give_versions_too()
  lu.assertTrue(self.kv:add("key", 1))
  local added = version(self.kv, "key")
  self.kv:touch("key", { expirationTtl = 60 })
  local touched = version(self.kv, "key")
  self.kv:incr("key")
  local counted = version(self.kv, "key")
  lu.assertTrue(added ~= touched and touched ~= counted and counted ~= added)
end

-- Batches

function Atomic:test_steps_are_made_together_and_in_order()
  self.kv:put("old", "1")
  local done, committed = self.kv:atomic()
    :put("a", "first"):put("a", { second = true }, { metadata = "m", expirationTtl = 60 })
    :put("b", "gone at once"):delete("b"):delete("old"):incr("n"):incr("n", 5):incr("m", 2, { initial = 10 })
    :commit()
  lu.assertIsTrue(done)
  support.is_version(committed)
  local value, meta = self.kv:getWithMetadata("a", "json")
  lu.assertEquals(value, { second = true })
  lu.assertEquals(meta.metadata, "m")
  lu.assertEquals(meta.version, committed)
  lu.assertEquals(version(self.kv, "n"), committed)
  lu.assertEquals(self.kv:get({ "b", "old", "n", "m" }), { n = "6", m = "12" })
end

function Atomic:test_a_check_that_holds_lets_it_pass()
  self.kv:put("key", "1")
  lu.assertIsTrue((self.kv:atomic():check("key", version(self.kv, "key")):put("key", "2"):commit()))
  lu.assertEquals(self.kv:get("key"), "2")
end

function Atomic:test_a_check_that_does_not_hold_changes_nothing()
  self.kv:put("key", "1")
  local stale = version(self.kv, "key")
  self.kv:put("key", "1")
  local now = version(self.kv, "key")
  local results = { self.kv:atomic():put("other", "x"):incr("n"):check("key", stale):put("key", "2"):commit() }
  lu.assertEquals(results, { false })
  lu.assertEquals(self.kv:get({ "key", "other", "n" }), { key = "1" })
  lu.assertEquals(version(self.kv, "key"), now)
end

function Atomic:test_a_version_from_before_a_delete_is_stale()
  self.kv:put("key", "1")
  local stale = version(self.kv, "key")
  self.kv:delete("key")
  lu.assertIsFalse((self.kv:atomic():check("key", stale):commit()))
  self.kv:put("key", "1")
  lu.assertIsFalse((self.kv:atomic():check("key", stale):commit()))
end

function Atomic:test_nil_checks_that_a_key_is_missing()
  lu.assertIsTrue((self.kv:atomic():check("key", nil):put("key", "1"):commit()))
  lu.assertIsFalse((self.kv:atomic():check("key", nil):put("key", "2"):commit()))
  lu.assertEquals(self.kv:get("key"), "1")
end

function Atomic:test_an_expired_entry_is_missing()
  self.kv:put("key", "1", { expirationTtl = 1 })
  local old = version(self.kv, "key")
  support.wait_for_end(self.kv, "key")
  lu.assertIsFalse((self.kv:atomic():check("key", old):commit()))
  lu.assertIsTrue((self.kv:atomic():check("key", nil):put("key", "2"):commit()))
end

function Atomic:test_checks_see_the_steps_before_them()
  lu.assertIsFalse((self.kv:atomic():put("key", "1"):check("key", nil):commit()))
  lu.assertIsTrue((self.kv:atomic():put("key", "1"):delete("key"):check("key", nil):commit()))
  lu.assertNil(self.kv:get("key"))
end

function Atomic:test_a_batch_spans_namespaces()
  local one, two = self.store:namespace("one " .. tostring(self.kv)), self.store:namespace("two " .. tostring(self.kv))
  local first, second = "one " .. tostring(self.kv), "two " .. tostring(self.kv)
  one:put("key", "1")
  lu.assertIsTrue((one:atomic():check("key", version(one, "key")):delete("key"):namespace(second):put("key", "1")
    :commit()))
  lu.assertNil(one:get("key"))
  lu.assertEquals(two:get("key"), "1")
  lu.assertIsTrue((self.store:atomic():namespace(first):put("a", "1"):namespace(second):put("a", "2"):commit()))
  lu.assertEquals({ one:get("a"), two:get("a") }, { "1", "2" })
end

function Atomic:test_a_commit_gives_the_version_for_the_next_check()
  local _, first = self.kv:atomic():put("key", "1"):commit()
  local done, second = self.kv:atomic():check("key", first):put("key", "2"):commit()
  lu.assertIsTrue(done)
  lu.assertIsFalse((self.kv:atomic():check("key", first):commit()))
  lu.assertIsTrue((self.kv:atomic():check("key", second):commit()))
end

function Atomic:test_an_empty_batch_is_done()
  lu.assertIsTrue((self.kv:atomic():commit()))
end

function Atomic:test_thousands_of_steps()
  local batch = self.kv:atomic()
  for i = 1, 5000 do batch:put(("key%04d"):format(i), i) end
  lu.assertIsTrue((batch:commit()))
  lu.assertEquals(self.kv:count(), 5000)
end

function Atomic:test_nothing_is_seen_before_the_commit()
  local batch = self.kv:atomic():put("key", "1")
  lu.assertNil(self.kv:get("key"))
  batch:commit()
  lu.assertEquals(self.kv:get("key"), "1")
end

-- Errors

function Atomic:test_a_batch_is_committed_once()
  local batch = self.kv:atomic():put("key", "1")
  batch:commit()
  fails(function() batch:commit() end, "INVALID", "committed")
  fails(function() batch:put("other", "1") end, "INVALID", "committed")
  local conflict = self.kv:atomic():check("key", nil)
  lu.assertIsFalse((conflict:commit()))
  fails(function() conflict:commit() end, "INVALID", "committed")
end

function Atomic:test_a_step_that_is_wrong_is_told_and_left_out()
  local batch = self.kv:atomic():put("a", "1")
  refuses(self.kv, function() batch:put("", "x") end, "INVALID", "empty")
  refuses(self.kv, function() batch:put("b", print) end, "bad argument #2 to 'put'")
  refuses(self.kv, function() batch:put("b", "x", { ttl = 1 }) end, "bad argument #3 to 'put'", "expirationTtl")
  refuses(self.kv, function() batch:put("b", "x", { expirationTtl = 0 }) end, "INVALID", "the lifetime is 0 seconds")
  refuses(self.kv, function() batch:incr("b", 1.5) end, "bad argument #2 to 'incr'", "whole number")
  refuses(self.kv, function() batch:delete("\255") end, "INVALID", "UTF-8")
  refuses(self.kv, function() batch:namespace("") end, "INVALID", "empty")
  lu.assertIsTrue((batch:commit()))
  lu.assertEquals(self.kv:get({ "a", "b" }), { a = "1" })
end

function Atomic:test_what_is_no_version_is_an_error()
  refuses(self.kv, function(kv) kv:atomic():check("k") end, "bad argument #2 to 'check'")
  for _, version in ipairs({ "", "x", ("A"):rep(15), ("A"):rep(17), ("A"):rep(15) .. "!", "\255" }) do
    refuses(self.kv, function(kv) kv:atomic():check("k", version) end, "INVALID")
  end
  refuses(self.kv, function(kv) kv:atomic():check("k", 5) end, "bad argument #2 to 'check'", "version or nil")
  refuses(self.kv, function(kv) kv:atomic():check("k", false) end, "bad argument #2 to 'check'")
end

function Atomic:test_what_cannot_be_counted_changes_nothing()
  self.kv:put("text", "five")
  local batch = self.kv:atomic():put("a", "1"):incr("text")
  refuses(self.kv, function() batch:commit() end, "INVALID", '"text"')
  lu.assertNil(self.kv:get("a"))
  self.kv:put("text", 5)
  lu.assertIsTrue((batch:commit()), "after an error it can be tried again")
  lu.assertEquals(self.kv:get({ "a", "text" }), { a = "1", text = "6" })
end

function Atomic:test_a_batch_without_a_namespace_says_so()
  local batch = self.store:atomic()
  fails(function() batch:put("key", "1") end, "INVALID", "namespace")
  lu.assertIsTrue((batch:namespace("given"):put("key", "1"):commit()))
end

function Atomic:test_a_batch_takes_no_function()
  fails(function() self.kv:atomic(function() end) end, "bad argument #1 to 'atomic'", "chain")
  fails(function() self.store:atomic({}) end, "bad argument #1 to 'atomic'", "chain")
  self.kv:put("k", "v")
  local _, meta = self.kv:getWithMetadata("k")
  fails(function() self.kv:atomic():check("k", meta) end, "bad argument #2 to 'check'", "field 'version'")
end

function Atomic:test_a_batch_of_a_closed_store_is_an_error()
  local store = self.open()
  local batch = store:namespace("n"):atomic():put("key", "1")
  store:close()
  fails(function() batch:commit() end, "INVALID", "closed")
  fails(function() batch:put("key", "2") end, "INVALID", "closed")
  lu.assertStrContains(tostring(batch), "luat_kv.batch")
end

return Atomic
