--- Errors: plain strings with the caller's position, and a store that remains usable.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails, refuses = support.fails, support.refuses

local Errors = {}

local function here()
  return debug.getinfo(2, "l").currentline
end

function Errors:test_an_error_has_the_file_and_line_of_the_call()
  local line
  local message = fails(function() line = here() self.kv:get(nil) end)
  lu.assertStrMatches(message, ".*errors%.lua:" .. line .. ": bad argument #1 to 'get' .*")

  message = fails(function() line = here() self.kv:get("") end)
  lu.assertStrMatches(message, ".*errors%.lua:" .. line .. ": luat_kv: INVALID: .*")

  self.kv:put("text", "not JSON")
  message = fails(function() line = here() self.kv:get("text", "json") end)
  lu.assertStrMatches(message, ".*errors%.lua:" .. line .. ": luat_kv: INVALID: .*")
end

function Errors:test_an_error_can_be_matched_as_text()
  local ok, err = pcall(function() self.kv:put("", "value") end)
  lu.assertFalse(ok)
  lu.assertEquals(err:match("luat_kv: (%u+): "), "INVALID")
end

function Errors:test_an_error_crosses_a_coroutine()
  local thread = coroutine.create(function()
    coroutine.yield(self.kv:get("missing"))
    self.kv:put("", "value")
  end)
  lu.assertTrue(coroutine.resume(thread))
  local ok, err = coroutine.resume(thread)
  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".*errors%.lua:%d+: luat_kv: INVALID: .*")
  refuses(self.kv, function(kv) kv:get("") end, "INVALID")
end

function Errors:test_a_method_without_its_object_is_an_error()
  local kv, store = self.kv, self.store
  for _, wrong in pairs({ "key", 1, true, {}, print, io.stdout, KV.null, store }) do
    fails(function() local _ = kv.get(wrong, "key") end, "get")
    fails(function() kv.put(wrong, "key", "value") end, "put")
    fails(function() kv.delete(wrong, "key") end, "delete")
    fails(function() kv.list(wrong) end, "list")
    fails(function() kv.getWithMetadata(wrong, "key") end, "getWithMetadata")
  end
  for _, wrong in pairs({ "name", 1, true, {}, print, io.stdout, KV.null, kv }) do
    fails(function() store.namespace(wrong, "name") end, "namespace")
    fails(function() store.sweep(wrong) end, "sweep")
    fails(function() store.close(wrong) end, "close")
  end
  fails(function() kv.get() end, "get")
  fails(function() store.close() end, "close")
  refuses(kv, function() kv.put("k", "value") end, "put")
end

function Errors:test_a_barrage_of_errors_leaves_the_store_usable()
  self.kv:put("key", "value")
  for _ = 1, 1000 do
    pcall(self.kv.put, self.kv, "", "value")
    pcall(self.kv.put, self.kv, "key", { print })
    pcall(self.kv.put, self.kv, "key", "new", { metadata = { 0 / 0 } })
    pcall(self.kv.get, self.kv, "key", "json")
    pcall(self.kv.list, self.kv, { cursor = "garbage" })
  end
  lu.assertEquals(self.kv:get("key"), "value")
  lu.assertEquals(#self.kv:list().keys, 1)
end

function Errors:test_a_closed_store_refuses_everything_but_a_second_close()
  local store = self.open()
  local kv = store:namespace("closed")
  kv:put("key", "value")
  store:close()
  store:close()
  fails(function() store:namespace("other") end, "INVALID", "closed")
  fails(function() store:sweep() end, "INVALID", "closed")
  fails(function() kv:get("key") end, "INVALID", "closed")
  fails(function() kv:getWithMetadata("key") end, "INVALID", "closed")
  fails(function() kv:put("key", "value") end, "INVALID", "closed")
  fails(function() kv:delete("key") end, "INVALID", "closed")
  fails(function() kv:list() end, "INVALID", "closed")
  store:close()
  lu.assertIsString(tostring(store))
  lu.assertIsString(tostring(kv))
end

function Errors:test_closing_one_store_leaves_another_open()
  local one, other = self.open(), self.open()
  other:namespace("n"):put("key", "value")
  one:close()
  lu.assertEquals(other:namespace("n"):get("key"), "value")
  other:close()
end

return Errors
