--- More about ranges: directions, bounds, values, loops, counts, and the removal of many keys.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses, fails = support.refuses, support.fails

local Ranges = {}

local function fill(kv, ...)
  for _, name in ipairs({ ... }) do
    kv:put(name, "value of " .. name)
  end
end

local function names(page)
  local found = {}
  for i, key in ipairs(page.keys) do
    found[i] = key.name
  end
  return found
end

--- Every name, in pages of two.
local function pages(kv, options)
  local found = {}
  options.limit = 2
  repeat
    local page = kv:list(options)
    for _, name in ipairs(names(page)) do table.insert(found, name) end
    options.cursor = page.cursor
  until page.list_complete
  return found
end

-- Directions and bounds

function Ranges:test_reverse_goes_from_the_last_to_the_first()
  fill(self.kv, "a", "b", "p1", "p2", "p3", "q", "\239\191\189", "\240\144\128\128")
  lu.assertEquals(names(self.kv:list({ reverse = true, limit = 3 })), { "\240\144\128\128", "\239\191\189", "q" })
  lu.assertEquals(pages(self.kv, { reverse = true, prefix = "p" }), { "p3", "p2", "p1" })
  lu.assertEquals(pages(self.kv, { reverse = false }), names(self.kv:list()))
  local backwards, all = pages(self.kv, { reverse = true }), names(self.kv:list())
  for i = 1, #all do lu.assertEquals(backwards[#all + 1 - i], all[i]) end
end

function Ranges:test_start_is_in_and_stop_is_out()
  fill(self.kv, "a", "b", "c", "d", "e")
  lu.assertEquals(names(self.kv:list({ start = "b", stop = "d" })), { "b", "c" })
  lu.assertEquals(names(self.kv:list({ start = "bb" })), { "c", "d", "e" })
  lu.assertEquals(names(self.kv:list({ stop = "b\0" })), { "a", "b" })
  lu.assertEquals(names(self.kv:list({ start = "d", stop = "b" })), {})
  lu.assertEquals(names(self.kv:list({ start = "c", stop = "c" })), {})
  lu.assertEquals(names(self.kv:list({ reverse = true, start = "b", stop = "d" })), { "c", "b" })
  lu.assertEquals(pages(self.kv, { start = "b", reverse = true }), { "e", "d", "c", "b" })
  lu.assertEquals(pages(self.kv, { stop = "e" }), { "a", "b", "c", "d" })
end

function Ranges:test_an_empty_stop_is_an_error_and_an_empty_cursor_too()
  for _, start in ipairs({ "", "a" }) do
    refuses(self.kv, function(kv) kv:list({ start = start, stop = "" }) end, "option 'stop'", "empty")
    refuses(self.kv, function(kv) kv:each({ start = start, stop = "" }) end, "option 'stop'", "empty")
  end
  refuses(self.kv, function(kv) kv:list({ cursor = "" }) end, "INVALID", "cursor")
end

function Ranges:test_bounds_and_prefix_hold_together()
  fill(self.kv, "a", "p1", "p2", "p3", "q")
  lu.assertEquals(names(self.kv:list({ prefix = "p", start = "a" })), { "p1", "p2", "p3" })
  lu.assertEquals(names(self.kv:list({ prefix = "p", start = "p2", stop = "z" })), { "p2", "p3" })
  lu.assertEquals(names(self.kv:list({ prefix = "p", stop = "p2" })), { "p1" })
  lu.assertEquals(names(self.kv:list({ prefix = "p", start = "q" })), {})
end

function Ranges:test_a_cursor_of_the_other_direction_is_an_error()
  fill(self.kv, "a", "b", "c")
  local forwards, backwards = self.kv:list({ limit = 1 }).cursor, self.kv:list({ limit = 1, reverse = true }).cursor
  refuses(self.kv, function(kv) kv:list({ cursor = forwards, reverse = true }) end, "INVALID", "direction")
  refuses(self.kv, function(kv) kv:list({ cursor = backwards }) end, "INVALID", "direction")
end

function Ranges:test_keys_may_come_and_go_on_the_way_back()
  fill(self.kv, "a", "b", "c", "d")
  local page = self.kv:list({ limit = 2, reverse = true })
  lu.assertEquals(names(page), { "d", "c" })
  self.kv:delete("c")
  fill(self.kv, "bb", "e")
  lu.assertEquals(names(self.kv:list({ reverse = true, cursor = page.cursor })), { "bb", "b", "a" })
end

-- Values

function Ranges:test_values_come_with_their_keys()
  self.kv:put("a", "\0\255", { metadata = { n = 1 } })
  self.kv:put("b", "")
  for _, values in ipairs({ true, "text", "arrayBuffer" }) do
    lu.assertEquals(support.unversioned(self.kv:list({ values = values }).keys),
      { { name = "a", value = "\0\255", metadata = { n = 1 } }, { name = "b", value = "" } })
  end
  lu.assertNil(self.kv:list({ values = false }).keys[1].value)
end

function Ranges:test_documents_come_with_their_keys()
  self.kv:put("a", { title = "One", tags = KV.array() }, { metadata = { "m" } })
  self.kv:put("b", 5)
  self.kv:put("c", "null")
  local keys = self.kv:list({ values = "json" }).keys
  lu.assertEquals(keys[1].value, { title = "One", tags = {} })
  lu.assertEquals(keys[1].metadata, { "m" })
  lu.assertEquals(keys[2].value, 5)
  lu.assertIs(keys[3].value, KV.null)
  local walked = {}
  for name, key in self.kv:each({ values = "json" }) do walked[name] = key.value end
  lu.assertEquals(walked, { a = { title = "One", tags = {} }, b = 5, c = KV.null })
  self.kv:put("d", "{")
  refuses(self.kv, function(kv) kv:list({ values = "json" }) end, "INVALID", '"d"', "not JSON")
end

function Ranges:test_a_page_of_large_values_ends_early()
  local large = ("x"):rep(1024 * 1024)
  for i = 1, 40 do self.kv:put(("key%02d"):format(i), large) end
  local page = self.kv:list({ values = true })
  lu.assertTrue(#page.keys < 40 and #page.keys >= 16)
  lu.assertIsFalse(page.list_complete)
  local found = 0
  for _, key in self.kv:each({ values = true }) do
    found = found + 1
    lu.assertEquals(#key.value, #large)
  end
  lu.assertEquals(found, 40)
  lu.assertEquals(#self.kv:list().keys, 40, "without values it does not")
end

function Ranges:test_bad_options()
  refuses(self.kv, function(kv) kv:list({ reverse = "yes" }) end, "option 'reverse'", "boolean expected")
  refuses(self.kv, function(kv) kv:list({ values = "yaml" }) end, "option 'values'", "unknown value 'yaml'")
  refuses(self.kv, function(kv) kv:list({ values = 1 }) end, "option 'values'")
  refuses(self.kv, function(kv) kv:list({ start = 5 }) end, "option 'start'", "string expected")
  refuses(self.kv, function(kv) kv:list({ stop = "\255" }) end, "INVALID", "UTF-8")
  refuses(self.kv, function(kv) kv:list({ start = ("k"):rep(4097) }) end, "LIMIT", "start", "4097")
  refuses(self.kv, function(kv) kv:list({ ["end"] = "x" }) end, "unknown option 'end'")
end

-- each

function Ranges:test_each_walks_all_pages()
  local expected = {}
  local batch = self.kv:atomic()
  for i = 1, 2500 do
    expected[i] = ("key%04d"):format(i)
    batch:put(expected[i], i)
  end
  batch:commit()
  local found = {}
  for name, key in self.kv:each() do
    lu.assertEquals(key.name, name)
    support.is_version(key.version)
    table.insert(found, name)
  end
  lu.assertEquals(found, expected)
  local sum, last = 0, nil
  for name, key in self.kv:each({ prefix = "key", reverse = true, values = "json", stop = "key0101" }) do
    sum, last = sum + key.value, name
  end
  lu.assertEquals({ sum, last }, { 5050, "key0001" })
end

function Ranges:test_each_over_nothing_and_out_of_the_middle()
  for _ in self.kv:each() do lu.fail("there is nothing") end
  fill(self.kv, "a", "b", "c")
  for round = 1, 100 do
    for name in self.kv:each({ values = true }) do
      if name == "b" then break end
    end
  end
  pcall(function()
    for _ in self.kv:each() do error("out of the loop") end
  end)
  lu.assertEquals(self.kv:count(), 3)
end

function Ranges:test_keys_may_be_deleted_in_a_loop()
  fill(self.kv, "a", "b", "c", "d")
  for name in self.kv:each() do self.kv:delete(name) end
  lu.assertEquals(self.kv:count(), 0)
end

function Ranges:test_what_expires_during_a_loop_is_left_out()
  fill(self.kv, "a", "z")
  self.kv:put("b", "value", { expirationTtl = 1 })
  local found = {}
  for name in self.kv:each() do
    if name == "a" then support.wait_for_end(self.kv, "b") end
    table.insert(found, name)
  end
  lu.assertEquals(found, { "a", "z" })
end

function Ranges:test_loops_within_loops_and_in_coroutines()
  fill(self.kv, "a", "b", "c")
  local pairs_found = 0
  for _ in self.kv:each() do
    for _ in self.kv:each({ reverse = true }) do pairs_found = pairs_found + 1 end
  end
  lu.assertEquals(pairs_found, 9)
  local walk = coroutine.wrap(function()
    for name in self.kv:each() do coroutine.yield(name) end
  end)
  lu.assertEquals({ walk(), walk(), walk() }, { "a", "b", "c" })
end

--- What a walk has not read yet is seen as it is by then: here, whether it has read the key in that place.
local function has_read(kv, place, steps)
  local walked, last = 0, nil
  for name in kv:each() do
    walked, last = walked + 1, name
    if walked == steps then kv:delete(("key%04d"):format(place)) end
    if name == ("key%04d"):format(place) then return true end
  end
  lu.assertEquals(last, "key3000")
  return false
end

function Ranges:test_a_walk_reads_little_at_first_and_more_as_it_goes()
  local batch = self.kv:atomic()
  for i = 1, 3000 do batch:put(("key%04d"):format(i), "value") end
  batch:commit()
  lu.assertFalse(has_read(self.kv, 17, 1))
  lu.assertTrue(has_read(self.kv, 16, 1))
  lu.assertFalse(has_read(self.kv, 500, 100))
  lu.assertTrue(has_read(self.kv, 2000, 1500))
  lu.assertFalse(has_read(self.kv, 2999, 1500))
end

function Ranges:test_bad_options_of_each_are_told_at_once()
  refuses(self.kv, function(kv) kv:each({ limit = 5 }) end, "bad argument #1 to 'each'", "unknown option 'limit'")
  refuses(self.kv, function(kv) kv:each({ prefix = ("k"):rep(4097) }) end, "LIMIT", "prefix")
  local store = self.open()
  local kv = store:namespace("n")
  kv:put("a", "1")
  kv:put("b", "2")
  local step, state = kv:each()
  step(state)
  store:close()
  fails(function() step(state) end, "INVALID", "closed")
  fails(function() kv:each() end, "INVALID", "closed")
end

-- count, deletePrefix, clear

function Ranges:test_count()
  lu.assertEquals(self.kv:count(), 0)
  fill(self.kv, "a", "p1", "p2", "q")
  self.kv:put("p3", "value", { expirationTtl = 1 })
  lu.assertEquals(self.kv:count(), 5)
  lu.assertEquals(self.kv:count({ prefix = "p" }), 3)
  lu.assertEquals(self.kv:count({ prefix = "" }), 5)
  support.wait_for_end(self.kv, "p3")
  lu.assertEquals(self.kv:count({ prefix = "p" }), 2)
  refuses(self.kv, function(kv) kv:count({ limit = 5 }) end, "unknown option 'limit'")
  refuses(self.kv, function(kv) kv:count("p") end, "bad argument #1 to 'count'", "table expected")
end

function Ranges:test_delete_prefix_deletes_what_begins_so_and_counts_what_lived()
  fill(self.kv, "a", "p", "p1", "p2", "p%", "q")
  self.kv:put("p3", "value", { expirationTtl = 1 })
  support.wait_for_end(self.kv, "p3")
  lu.assertEquals(self.kv:deletePrefix("p"), 4)
  lu.assertEquals(names(self.kv:list()), { "a", "q" })
  lu.assertEquals(self.kv:deletePrefix("p"), 0)
  lu.assertEquals(self.kv:deletePrefix("%"), 0)
end

function Ranges:test_delete_prefix_takes_many_steps_where_there_is_much()
  local batch = self.kv:atomic()
  for i = 1, 3500 do batch:put("many:" .. i, "x") end
  batch:put("other", "x"):commit()
  lu.assertEquals(self.kv:deletePrefix("many:"), 3500)
  lu.assertEquals(names(self.kv:list()), { "other" })
end

function Ranges:test_an_empty_prefix_is_an_error_for_it()
  refuses(self.kv, function(kv) kv:deletePrefix("") end, "bad argument #1 to 'deletePrefix'", "clear()")
  refuses(self.kv, function(kv) kv:deletePrefix() end, "bad argument #1 to 'deletePrefix'")
  refuses(self.kv, function(kv) kv:deletePrefix({ prefix = "p" }) end, "bad argument #1 to 'deletePrefix'")
end

function Ranges:test_clear_empties_one_namespace()
  local other = self.store:namespace("other of " .. tostring(self.kv))
  fill(self.kv, "a", "b")
  fill(other, "a")
  lu.assertEquals(self.kv:clear(), 2)
  lu.assertEquals(self.kv:count(), 0)
  lu.assertEquals(other:count(), 1)
end

return Ranges
