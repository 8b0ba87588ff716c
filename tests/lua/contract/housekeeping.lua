--- The statistics of a store, and the maintenance of its file.
local lu = require("luaunit")
local support = require("support")
local fails = support.fails

local Housekeeping = {}

function Housekeeping:setUp()
  self.store = self.open()
end

function Housekeeping:teardown()
  self.store:close()
end

function Housekeeping:test_namespaces_are_those_that_have_keys()
  lu.assertEquals(self.store:namespaces(), {})
  for _, name in ipairs({ "b", "a\0", "ä", "a", "gone" }) do
    self.store:namespace(name):put("key", "value")
    self.store:namespace(name):put("other", "value")
  end
  self.store:namespace("gone"):clear()
  self.store:namespace("ends"):put("key", "value", { expirationTtl = 1 })
  lu.assertEquals(self.store:namespaces(), { "a", "a\0", "b", "ends", "ä" })
  support.wait_for_end(self.store:namespace("ends"), "key")
  lu.assertEquals(self.store:namespaces(), { "a", "a\0", "b", "ä" })
end

function Housekeeping:test_stats_count_what_is_there()
  lu.assertEquals(self.store:stats().namespaces, {})
  self.store:namespace("a"):put("key", "value")
  self.store:namespace("b"):put("key", "value", { expirationTtl = 1 })
  support.wait_for_end(self.store:namespace("b"), "key")
  local stats = self.store:stats()
  lu.assertEquals(stats.namespaces, { a = { live = 1, expired = 0 }, b = { live = 0, expired = 1 } })
  lu.assertStrContains(tostring(self.store), stats.path)
  if stats.path == "memory" then
    lu.assertEquals(stats.file_size, 0)
  else
    lu.assertTrue(stats.file_size >= 4096)
  end
  self.store:sweep()
  lu.assertEquals(self.store:stats().namespaces, { a = { live = 1, expired = 0 } })
end

function Housekeeping:test_compact_gives_room_back()
  local kv = self.store:namespace("n")
  for i = 1, 20 do kv:put("key" .. i, ("x"):rep(100000)) end
  kv:put("kept", "value")
  self.store:checkpoint()
  local before = self.store:stats().file_size
  kv:deletePrefix("key")
  self.store:compact()
  local stats = self.store:stats()
  -- A server does it by itself, later.
  lu.assertTrue(stats.path == "memory" or self.server or stats.file_size < before / 10, stats.file_size)
  lu.assertEquals(kv:get("kept"), "value")
  lu.assertEquals(kv:count(), 1)
end

function Housekeeping:test_checkpoint_tells_that_all_got_there()
  self.store:namespace("n"):put("key", "value")
  lu.assertIsTrue(self.store:checkpoint())
  lu.assertEquals(self.store:namespace("n"):get("key"), "value")
end

function Housekeeping:test_a_closed_store_does_nothing_of_this()
  local path = support.folder() .. "/copy.db"
  self.store:close()
  for _, method in ipairs({ "namespaces", "stats", "sweep", "compact", "checkpoint" }) do
    fails(function() self.store[method](self.store) end, "INVALID", "closed")
  end
  fails(function() self.store:backup(path) end, "INVALID", "closed")
  lu.assertFalse(support.exists(path))
end

function Housekeeping:test_bad_arguments()
  fails(function() self.store:backup() end, "bad argument #1 to 'backup'")
  fails(function() self.store:backup({}) end, "bad argument #1 to 'backup'")
  fails(function() self.store:sweep(-1) end, "bad argument #1 to 'sweep'")
  fails(function() self.store:sweep("1") end, "bad argument #1 to 'sweep'")
end

return Housekeeping
