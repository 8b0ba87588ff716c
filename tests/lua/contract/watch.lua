--- Watches: what they report, how they wait, and what they refuse. (tests/lua/watch.lua has more, about processes.)
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses, fails = support.refuses, support.fails

local Watch = {}

--- The changes without the versions of puts, which always differ.
local function plain(changes)
  for _, change in ipairs(changes) do
    if change.type == "put" then support.is_version(change.version) end
    change.version = nil
  end
  return changes
end

--- What a watch reports without waiting: `+key` for a put, `-key` for a removal, `!key` for an expiry.
local function now(watch)
  local told = {}
  for i, change in ipairs(watch:next(0) or {}) do
    local sign = change.type == "put" and "+" or change.expired and "!" or change.type == "delete" and "-"
    told[i] = sign .. change.name
  end
  return table.concat(told, " ")
end

-- Changes

function Watch:test_each_write_is_reported_once_with_what_the_key_holds()
  self.kv:put("before", "1")
  local watch = self.kv:watch()
  lu.assertNil(watch:next(0))
  local version = self.kv:put("key", "value", { metadata = { a = 1 }, expirationTtl = 60 })
  local _, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(watch:next(0), {
    { name = "key", type = "put", version = version, metadata = { a = 1 }, expiration = meta.expiration },
  })
  lu.assertNil(watch:next(0))
  self.kv:put("key", "value") -- the same value is a change, too
  lu.assertEquals(plain(watch:next(0)), { { name = "key", type = "put" } })
  self.kv:incr("count", 5)
  self.kv:delete("before")
  self.kv:delete("missing")
  lu.assertEquals(now(watch), "-before +count")
  self.kv:clear()
  lu.assertEquals(watch:next(0), { { name = "count", type = "delete" }, { name = "key", type = "delete" } })
end

function Watch:test_changes_between_two_calls_become_one_and_come_in_byte_order()
  local watch = self.kv:watch({ values = true })
  for i = 1, 100 do self.kv:put("\240\144\128\128", i) end
  self.kv:put("\239\191\189", "")
  self.kv:put("short", "")
  self.kv:delete("short")
  lu.assertEquals(plain(watch:next(0)), {
    { name = "\239\191\189", type = "put", value = "" }, { name = "\240\144\128\128", type = "put", value = "100" },
  })
end

function Watch:test_what_is_not_watched_is_not_reported()
  local by_keys = self.kv:watch({ keys = { "b", "missing", "a", "b" } })
  local by_prefix = self.kv:watch({ prefix = "user:" })
  for _, key in ipairs({ "a", "aa", "b", "user", "user:1", "user:2", "user;" }) do self.kv:put(key, key) end
  self.store:namespace("another namespace"):put("user:3", "")
  lu.assertEquals({ now(by_keys), now(by_prefix) }, { "+a +b", "+user:1 +user:2" })
  self.kv:delete("user:1")
  self.kv:put("missing", "")
  lu.assertEquals({ now(by_keys), now(by_prefix) }, { "+missing", "-user:1" })
end

function Watch:test_it_begins_with_what_is_there_on_request()
  self.kv:put("a", 1)
  self.kv:put("b", 2, { metadata = { "m" } })
  local watch, each = self.kv:watch({ existing = true, values = true }), self.kv:watch({ existing = true, timeout = 0 })
  local others = { self.kv:watch({ existing = true, keys = { "b", "missing" } }), self.kv:watch({ existing = false }) }
  self.kv:delete("a")
  self.kv:put("c", 3)
  lu.assertEquals(plain(watch:next(0)), {
    { name = "b", type = "put", value = "2", metadata = { "m" } }, { name = "c", type = "put", value = "3" },
  })
  lu.assertNil(watch:next(0))
  local names = {}
  for change in each do names[#names + 1] = change.name end
  lu.assertEquals(names, { "b", "c" })
  lu.assertEquals({ now(others[1]), now(others[2]) }, { "+b", "-a +c" })
  self.kv:delete("c")
  for _, any in ipairs({ watch, each, others[2] }) do lu.assertEquals(now(any), "-c") end
  lu.assertEquals(now(others[1]), "")
end

function Watch:test_it_begins_with_what_comes_first_if_nothing_is_there()
  local watch = self.kv:watch({ existing = true })
  lu.assertNil(watch:next(0))
  self.kv:put("a", 1)
  lu.assertEquals(now(watch), "+a")
end

function Watch:test_an_expiry_is_told_from_a_removal()
  self.kv:put("gone", "value", { expirationTtl = 1 })
  self.kv:put("deleted", "value", { expirationTtl = 1000 })
  local watch, after_sweep = self.kv:watch({ values = true }), self.kv:watch()
  support.wait_for_end(self.kv, "gone")
  self.store:sweep()
  lu.assertEquals(now(after_sweep), "!gone")
  self.kv:delete("deleted")
  lu.assertEquals(watch:next(0), {
    { name = "deleted", type = "delete" }, { name = "gone", type = "delete", expired = true },
  })
end

function Watch:test_what_one_batch_has_changed_comes_together()
  local watch = self.kv:watch()
  self.kv:atomic():put("a", 1):put("b", 2):incr("c"):commit()
  local changes = watch:next(0)
  lu.assertEquals(#changes, 3)
  lu.assertEquals(changes[1].version, changes[3].version)
end

-- Values

function Watch:test_values_come_as_text_or_as_documents()
  local text, json = self.kv:watch({ values = true }), self.kv:watch({ values = true, type = "json" })
  local others = {
    self.kv:watch({ values = "json" }), self.kv:watch({ values = true, type = "arrayBuffer" }),
    self.kv:watch({ values = false }),
  }
  self.kv:put("a", { title = "One" }, { metadata = { "m" } })
  self.kv:put("b", "null")
  lu.assertEquals(plain(text:next(0)), {
    { name = "a", type = "put", value = '{"title":"One"}', metadata = { "m" } },
    { name = "b", type = "put", value = "null" },
  })
  for _, watch in ipairs({ json, others[1] }) do
    lu.assertEquals(plain(watch:next(0)), {
      { name = "a", type = "put", value = { title = "One" }, metadata = { "m" } },
      { name = "b", type = "put", value = KV.null },
    })
  end
  lu.assertEquals(others[2]:next(0)[2].value, "null")
  lu.assertNil(others[3]:next(0)[2].value)
end

function Watch:test_a_value_that_is_no_document_is_an_error_and_nothing_is_lost()
  local watch = self.kv:watch({ values = true, type = "json" })
  self.kv:put("a", { 1 })
  self.kv:put("b", "{")
  for _ = 1, 2 do
    fails(function() watch:next(0) end, "INVALID", 'the value of "b" is not JSON')
    fails(function() watch() end, "INVALID", 'the value of "b" is not JSON')
  end
  self.kv:put("b", { 2 })
  self.kv:put("c", { 3 })
  local values = {}
  for i, change in ipairs(watch:next(0)) do values[i] = change.name .. change.value[1] end
  lu.assertEquals(values, { "a1", "b2", "c3" })
  lu.assertNil(watch:next(0))
end

function Watch:test_large_values_come_in_parts()
  local watch = self.kv:watch({ values = true })
  local large = ("x"):rep(1024 * 1024)
  for i = 1, 40 do self.kv:put(("key%02d"):format(i), large) end
  local first = watch:next(0)
  lu.assertTrue(#first >= 16 and #first < 40)
  local names, found = {}, nil
  for _, change in ipairs(first) do names[change.name] = true end
  repeat
    found = watch:next(0)
    for _, change in ipairs(found or {}) do
      lu.assertNil(names[change.name])
      names[change.name] = true
      lu.assertEquals(#change.value, #large)
    end
  until not found
  for i = 1, 40 do lu.assertTrue(names[("key%02d"):format(i)]) end
end

-- Loops

function Watch:test_a_loop_yields_one_change_at_a_time_until_there_is_none_for_a_while()
  local watch = self.kv:watch({ timeout = 0, values = "text" })
  for change in watch do lu.fail(change.name) end
  self.kv:atomic():put("a", 1):put("b", 2):put("c", 3):commit()
  local names = {}
  for change in watch do
    names[#names + 1] = change.name .. change.value
    if change.name == "b" then self.kv:put("d", 4) end
  end
  lu.assertEquals(names, { "a1", "b2", "c3", "d4" })
  self.kv:put("e", 5)
  for change in watch do names[#names + 1] = change.name end
  lu.assertEquals(names[5], "e")
  lu.assertNil(names[6])
end

function Watch:test_next_returns_what_a_loop_has_left()
  local watch = self.kv:watch()
  self.kv:atomic():put("a", 1):put("b", 2):put("c", 3):commit()
  for change in watch do
    lu.assertEquals(change.name, "a")
    break
  end
  self.kv:put("d", 4)
  lu.assertEquals(now(watch), "+b +c")
  lu.assertEquals(now(watch), "+d")
  lu.assertEquals(now(watch), "")
end

function Watch:test_a_loop_over_a_watch_of_its_own()
  self.kv:put("a", 1)
  for _ = 1, 50 do
    for change in self.kv:watch({ prefix = "k", timeout = 0 }) do lu.fail(change.name) end
  end
  lu.assertEquals(select("#", self.kv:watch()), 4)
end

function Watch:test_coroutines_may_ask_in_turn()
  local told = {}
  local function follow(prefix)
    return coroutine.wrap(function()
      local watch = self.kv:watch({ prefix = prefix })
      while true do
        for _, change in ipairs(watch:next(0) or {}) do told[#told + 1] = change.name end
        coroutine.yield()
      end
    end)
  end
  local one, other = follow("a"), follow("b")
  one() other()
  self.kv:put("b1", 1) other() one()
  self.kv:put("a1", 1) other() one()
  lu.assertEquals(told, { "b1", "a1" })
end

-- Tokens

--- What a watch that goes on from a token reports.
local function since(kv, token)
  local watch = kv:watch({ since = token })
  local told = now(watch)
  watch:close()
  return told
end

function Watch:test_a_watch_goes_on_from_a_token()
  for _, key in ipairs({ "a", "b", "c" }) do self.kv:put(key, 1) end
  local watch = self.kv:watch()
  local first = watch:token()
  lu.assertEquals({ type(first), since(self.kv, first) }, { "string", "" })
  self.kv:delete("a")
  self.kv:put("b", 2)
  self.kv:put("d", 1)
  lu.assertEquals(watch:token(), first)
  lu.assertEquals({ since(self.kv, first), now(watch) }, { "-a +b +d", "-a +b +d" })
  local second = watch:token()
  self.kv:delete("c")
  lu.assertEquals({ since(self.kv, first), since(self.kv, second) }, { "-a +b -c +d", "-c" })
  local again = self.kv:watch({ since = second, values = true })
  lu.assertEquals(again:token(), second)
  self.kv:put("c", 3)
  lu.assertEquals(plain(again:next(0)), { { name = "c", type = "put", value = "3" } })
end

function Watch:test_a_token_is_exact_in_the_midst_of_a_loop()
  local watch = self.kv:watch({ timeout = 0 })
  self.kv:atomic():put("a", 1):put("b", 2):put("c", 3):put("d", 4):commit()
  local told = { since(self.kv, watch:token()) }
  for change in watch do
    told[#told + 1] = change.name .. ": " .. since(self.kv, watch:token())
    if change.name == "b" then
      self.kv:delete("a")
      told[#told + 1] = since(self.kv, watch:token())
      break
    end
  end
  lu.assertEquals(told, { "+a +b +c +d", "a: +b +c +d", "b: +c +d", "-a +c +d" })
  lu.assertEquals({ now(watch), since(self.kv, watch:token()) }, { "+c +d", "-a" })
  lu.assertEquals({ now(watch), since(self.kv, watch:token()) }, { "-a", "" })
end

function Watch:test_a_token_begins_with_what_was_to_be_told_first()
  self.kv:put("a", 1)
  self.kv:put("b", 1)
  local watch = self.kv:watch({ existing = true })
  lu.assertEquals(since(self.kv, watch:token()), "+a +b")
  lu.assertEquals(watch().name, "a")
  lu.assertEquals(since(self.kv, watch:token()), "+b")
end

function Watch:test_a_token_serves_a_watch_of_other_keys()
  for _, key in ipairs({ "a:1", "a:2", "b:1" }) do self.kv:put(key, 1) end
  local token = self.kv:watch({ prefix = "a:" }):token()
  self.kv:delete("a:2")
  lu.assertEquals(since(self.kv, token), "-a:2 +b:1")
  lu.assertEquals(now(self.kv:watch({ since = token, prefix = "b" })), "+b:1")
  lu.assertEquals(now(self.kv:watch({ since = token, keys = { "a:1", "a:2" } })), "-a:2")
end

function Watch:test_a_token_knows_nothing_of_what_could_not_be_returned()
  self.kv:put("d", { "before" })
  local watch = self.kv:watch({ values = "json", timeout = 0 })
  for _, key in ipairs({ "a", "b", "d" }) do self.kv:put(key, { key }) end
  self.kv:put("b", "{")
  for _ = 1, 2 do
    for _, use in ipairs({ function() watch() end, function() watch:next(0) end }) do
      fails(use, "INVALID", 'the value of "b" is not JSON')
      lu.assertEquals(since(self.kv, watch:token()), "+a +b +d")
    end
  end
  self.kv:put("b", { "b" })
  self.kv:put("c", { "c" })
  self.kv:delete("d")
  self.kv:put("e", { "e" })
  local left = { a = "+b +c -d +e", b = "+c -d +e", c = "-d +e", d = "+e", e = "" }
  for change in watch do
    lu.assertEquals(since(self.kv, watch:token()), left[change.name])
  end
end

function Watch:test_what_a_token_is_refused_for()
  local function refused(options, ...)
    refuses(self.kv, function(kv) kv:watch(options) end, ...)
  end
  local watch = self.kv:watch()
  local token = watch:token()
  refused({ since = 5 }, "option 'since'", "string expected, got number")
  refused({ since = false }, "option 'since'", "string expected, got boolean")
  refused({ since = { token } }, "option 'since'", "string expected, got table")
  refused({ since = "\255" }, "INVALID", "the token is not UTF-8")
  refused({ since = "x" }, "INVALID", "the token is malformed")
  refused({ since = token .. "A" }, "INVALID", "the token is malformed")
  refused({ since = token:sub(2) }, "INVALID", "the token is malformed")
  refused({ sinse = token }, "unknown option 'sinse' (did you mean 'since'?)")
  refused({ since = token, existing = true }, "INVALID", "a watch begins either with what exists or since a token")
  local other = self.store:namespace("another namespace")
  fails(function() other:watch({ since = token }) end, "INVALID", "the token comes from the namespace")
  self.kv:put("a", 1)
  lu.assertEquals(now(self.kv:watch({ since = "", existing = true, keys = { "a" } })), "+a")
  lu.assertEquals(since(self.kv, ""), "")
  fails(function() watch.token() end, "bad argument #1 to 'token'", "luat_kv.watch expected, got n")
  fails(function() watch.token(self.kv) end, "luat_kv.watch expected, got userdata")
end

-- Time

function Watch:test_the_time_without_a_change()
  local watch = self.kv:watch()
  lu.assertNil(watch:next(0.001))
  lu.assertEquals(select("#", watch:next(0)), 1)
  self.kv:put("a", 1)
  for _, forever in ipairs({ 60, math.huge, 1e300 }) do
    lu.assertEquals(#watch:next(forever), 1)
    self.kv:put("a", 1)
  end
  lu.assertEquals(#watch:next(), 1)
end

-- What is refused

function Watch:test_bad_options()
  local function refused(options, ...)
    refuses(self.kv, function(kv) kv:watch(options) end, ...)
  end
  refused({ prefx = "a" }, "bad argument #1 to 'watch'", "unknown option 'prefx' (did you mean 'prefix'?)")
  refused("a", "bad argument #1 to 'watch'", "table expected, got string: did you mean { prefix = … }?")
  refused({ prefix = 5 }, "option 'prefix'", "string expected, got number")
  refused({ prefix = "\255" }, "INVALID", "the prefix is not UTF-8")
  refused({ prefix = ("k"):rep(5000) }, "LIMIT", "prefix")
  refused({ keys = "a" }, "option 'keys'", "table expected, got string")
  refused({ keys = {} }, "option 'keys'", "it is empty; leave it out to watch the whole namespace")
  refused({ keys = { "a", 5 } }, "option 'keys'", "an array of keys expected, got a number in it")
  refused({ keys = { a = "b" } }, "option 'keys'", "an array of keys expected")
  refused({ keys = { "a", "" } }, "INVALID", "the key is empty")
  refused({ keys = { "\255" } }, "INVALID", "the key is not UTF-8")
  refused({ keys = { "a" }, prefix = "b" }, "INVALID", "a watch has either keys or a prefix")
  refused({ existing = 1 }, "option 'existing'", "boolean expected, got number")
  refused({ existing = "true" }, "option 'existing'", "boolean expected, got string")
  refused({ values = "yaml" }, "option 'values'", "unknown value 'yaml'")
  refused({ values = 1 }, "option 'values'")
  refused({ type = "json" }, "option 'type'", "only with values = true")
  refused({ type = "json", values = false }, "option 'type'", "only with values = true")
  refused({ type = "json", values = "text" }, "option 'type'", "only with values = true")
  refused({ type = "jsn", values = true }, "option 'type'", "unknown value 'jsn' (did you mean 'json'?)")
  refused({ timeout = "1" }, "option 'timeout'", "number expected, got string")
  refused({ timeout = -1 }, "option 'timeout'", "seconds from 0 up expected, got -1.0")
  refused({ timeout = 0 / 0 }, "option 'timeout'", "seconds from 0 up expected, got NaN")
  local many = {}
  for i = 1, 1001 do many[i] = "k" .. i end
  refused({ keys = many }, "LIMIT", "1001 keys were to be watched; the limit is 1000")
  many[1001] = nil
  local watch = self.kv:watch({ keys = many })
  self.kv:put("k500", "")
  lu.assertEquals(now(watch), "+k500")
end

function Watch:test_bad_times()
  local watch = self.kv:watch()
  self.kv:put("a", 1)
  fails(function() watch:next("1") end, "bad argument #1 to 'next'", "number expected, got string")
  fails(function() watch:next(-0.5) end, "bad argument #1 to 'next'", "seconds from 0 up expected, got -0.5")
  fails(function() watch:next(0 / 0) end, "bad argument #1 to 'next'", "seconds from 0 up expected, got NaN")
  fails(function() watch:next({ timeout = 1 }) end, "bad argument #1 to 'next'", "number expected, got table")
  fails(function() watch.next(0) end, "bad argument #1 to 'next'", "luat_kv.watch expected, got number; a method")
  fails(function() watch.next(self.kv, 0) end, "luat_kv.watch expected, got userdata")
  lu.assertEquals(now(watch), "+a")
end

-- Ends

function Watch:test_a_closed_watch()
  local watch = self.kv:watch({ timeout = 0 })
  lu.assertStrContains(tostring(watch), "luat_kv.watch (test ")
  self.kv:put("a", 1)
  self.kv:put("b", 1)
  lu.assertEquals(watch().name, "a")
  lu.assertEquals(select("#", watch:close()), 0)
  watch:close()
  lu.assertEquals(tostring(watch), "luat_kv.watch (closed)")
  for _, use in ipairs({
    function() watch:next(0) end, function() watch() end, function() watch:fd() end, function() watch:token() end,
  }) do
    fails(use, "INVALID", "the watch is closed")
  end
end

function Watch:test_a_closed_store()
  local store = self.open()
  local kv = store:namespace("n")
  local watch, other = kv:watch(), kv:watch()
  kv:put("a", 1)
  kv:put("b", 1)
  lu.assertEquals(watch().name, "a")
  local token, first = watch:token(), other:token()
  store:close()
  lu.assertEquals({ watch:token(), other:token() }, { token, first })
  for _, use in ipairs({
    function() watch:next(0) end, function() watch() end, function() other:next() end, function() other:fd() end,
    function() kv:watch() end,
  }) do
    fails(use, "INVALID", "the store is closed")
  end
  watch:close()
  for _, use in ipairs({ function() watch:next(0) end, function() watch:token() end }) do
    fails(use, "INVALID", "the watch is closed")
  end
end

function Watch:test_a_watch_keeps_its_store_open()
  local kv = self.open():namespace("n")
  local watch = kv:watch({ values = true })
  kv:put("a", 1)
  kv = nil
  for _ = 1, 3 do collectgarbage() end
  lu.assertEquals(watch:next(0)[1].value, "1")
end

if _VERSION >= "Lua 5.4" then
  function Watch:test_a_watch_may_be_a_variable_to_be_closed()
    local watch
    load([[
      local kv, keep = ...
      local watch <close> = kv:watch()
      keep(watch)
    ]])(self.kv, function(one) watch = one end)
    fails(function() watch:next(0) end, "INVALID", "the watch is closed")
  end
end

return Watch
