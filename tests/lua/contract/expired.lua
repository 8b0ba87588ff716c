--- Expired entries: at `now >= expiration` an entry is gone for every operation at once.
local lu = require("luaunit")
local support = require("support")

local Expired = {}

--- One entry that lives on stands between 40 that expire together, so one wait serves all the tests.
local function fill(kv, expiration)
  for i = 1, 20 do
    kv:put(("a%02d"):format(i), "old", { expiration = expiration, metadata = { old = true } })
    kv:put(("z%02d"):format(i), "old", { expiration = expiration, metadata = { old = true } })
  end
  kv:put("m", "live", { expirationTtl = 3600 })
end

-- Each test has a store of its own, since every write may sweep away what another test looks for.
local uses = { "Seen", "Written", "Listed", "Deleted", "Dwindled", "Swept" }
local stores = {}

--- The namespaces for all tests on all back ends: filled at first use, and then waited for, once.
local function expired(self, use)
  if not stores[self.open] then
    local over = os.time() + (self.server and 60 or 2) -- the clock is moved, but filling a server takes its time
    for _, open in ipairs(self.backends) do
      stores[open] = {}
      for _, name in ipairs(uses) do
        stores[open][name] = open()
        fill(stores[open][name]:namespace("old"), over)
      end
    end
    support.wait_until(over)
  end
  return stores[self.open][use]:namespace("old"), stores[self.open][use]
end

function Expired:test_an_expired_entry_is_as_if_it_were_missing()
  local kv = expired(self, "Seen")
  lu.assertNil(kv:get("a01"))
  lu.assertNil(kv:get("a01", "json"))
  lu.assertNil(kv:get("z20", "arrayBuffer"))
  lu.assertEquals({ kv:getWithMetadata("a01") }, {})
  lu.assertEquals(select("#", kv:getWithMetadata("a01")), 2)
  lu.assertIsFalse(kv:has("a01"))
  lu.assertEquals(kv:get("m"), "live")
  support.fails(function() kv:get("a01", "stream") end, "bad argument #2 to 'get'")
end

function Expired:test_expired_entries_are_not_listed()
  local page = expired(self, "Seen"):list()
  lu.assertEquals(#page.keys, 1)
  lu.assertEquals(page.keys[1].name, "m")
  lu.assertTrue(page.list_complete)
end

function Expired:test_expired_entries_never_hide_live_ones()
  local kv = expired(self, "Listed")
  local page = kv:list({ limit = 1 })
  lu.assertEquals(page.keys[1].name, "m")
  lu.assertTrue(page.list_complete) -- since nothing that follows is alive
  lu.assertNil(page.cursor)
  lu.assertEquals(kv:list({ prefix = "a" }), { keys = {}, list_complete = true })
  lu.assertEquals(kv:list({ prefix = "z", limit = 1 }), { keys = {}, list_complete = true })

  kv:put("zz", "live")
  page = kv:list({ limit = 1 })
  lu.assertFalse(page.list_complete)
  page = kv:list({ limit = 1, cursor = page.cursor })
  lu.assertEquals(support.unversioned(page.keys), { { name = "zz" } })
  lu.assertTrue(page.list_complete)
end

function Expired:test_a_put_over_an_expired_entry_inherits_nothing()
  local kv = expired(self, "Written")
  kv:put("a20", "new")
  local value, meta = kv:getWithMetadata("a20")
  lu.assertEquals(value, "new")
  lu.assertEquals(support.unversioned(meta), {})
end

function Expired:test_deleting_an_expired_entry_is_no_error()
  local kv = expired(self, "Deleted")
  lu.assertIsFalse(kv:delete("a20"))
  lu.assertNil(kv:get("a20"))
  lu.assertEquals({ kv:take("z20") }, {})
  lu.assertEquals(kv:get("m"), "live")
end

function Expired:test_each_write_removes_some_of_what_is_expired()
  local kv, store = expired(self, "Dwindled")
  for i = 1, 10 do
    kv:put("live" .. i, "value")
  end
  lu.assertTrue(store:sweep() < 40)
  lu.assertEquals(#kv:list().keys, 11)
end

function Expired:test_sweep_removes_all_that_is_expired_and_tells_how_much()
  local kv, store = expired(self, "Swept")
  lu.assertEquals(store:sweep(3), 3)
  lu.assertEquals(store:sweep(), 37)
  lu.assertEquals(store:sweep(), 0)
  lu.assertEquals(kv:get("m"), "live")
end

function Expired:test_sweep_of_a_store_where_nothing_is_expired_removes_nothing()
  self.kv:put("key", "value", { expirationTtl = 3600 })
  lu.assertEquals(self.store:sweep(), 0)
  lu.assertEquals(self.kv:get("key"), "value")
end

function Expired:test_a_bad_number_of_entries_to_sweep_is_an_error()
  for _, max in pairs({ -1, 1.5, 0 / 0, "ten", true, {} }) do
    support.refuses(self.kv, function() self.store:sweep(max) end)
  end
end

return Expired
