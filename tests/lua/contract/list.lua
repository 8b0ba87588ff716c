--- list: pages of keys in byte order, with a prefix, from a cursor on.
local lu = require("luaunit")
local support = require("support")
local refuses = support.refuses

local List = {}

local function fill(kv, names)
  for _, name in ipairs(names) do
    kv:put(name, "value")
  end
end

local function numbered(count)
  local names = {}
  for i = 1, count do
    names[i] = ("key%04d"):format(i)
  end
  return names
end

local function names(page)
  local found = {}
  for i, key in ipairs(page.keys) do
    found[i] = key.name
  end
  return found
end

--- Every name, page by page. `between`, where given, is called after each page with its number.
local function walk(kv, options, between)
  local found, pages = {}, 0
  repeat
    local page = kv:list(options)
    for _, name in ipairs(names(page)) do
      table.insert(found, name)
    end
    lu.assertEquals(page.cursor == nil, page.list_complete)
    options.cursor = page.cursor
    pages = pages + 1
    if between then
      between(pages)
    end
  until page.list_complete
  return found, pages
end

-- What a page holds

function List:test_an_empty_namespace()
  lu.assertEquals(self.kv:list(), { keys = {}, list_complete = true })
  lu.assertEquals(self.kv:list({}), { keys = {}, list_complete = true })
  lu.assertEquals(self.kv:list(nil), { keys = {}, list_complete = true })
end

function List:test_a_field_that_is_not_set_is_absent()
  self.kv:put("a", "value")
  self.kv:put("b", "value", { metadata = false })
  lu.assertEquals(support.unversioned(self.kv:list()), {
    keys = { { name = "a" }, { name = "b", metadata = false } },
    list_complete = true,
  })
end

function List:test_keys_come_in_byte_order()
  local sorted = {
    "\0", "\0\0", " ", "!", "0", "10", "9", "A", "Z", "_", "a", "a\0", "a\0b", "a ", "aa", "ab", "b", "\127",
    "é", "\237\159\191", "\238\128\128", "\239\191\189", "\240\144\128\128", "\244\143\191\191",
  }
  for i = #sorted, 1, -1 do
    self.kv:put(sorted[i], "value")
  end
  lu.assertEquals(names(self.kv:list()), sorted)
  lu.assertEquals(walk(self.kv, { limit = 1 }), sorted)
end

function List:test_lists_do_not_reach_into_other_namespaces()
  fill(self.store:namespace("list a"), { "1", "2" })
  fill(self.store:namespace("list b"), { "3" })
  lu.assertEquals(names(self.store:namespace("list a"):list()), { "1", "2" })
end

-- Prefixes

--- Asserts which of the names a prefix finds.
local function finds(kv, prefix, expected)
  lu.assertEquals(names(kv:list({ prefix = prefix })), expected)
  lu.assertEquals(walk(kv, { prefix = prefix, limit = 1 }), expected)
end

function List:test_a_prefix_is_literal()
  fill(self.kv, { "%", "%a", "_", "_a", "\\", "\\a", "\\%", "*", "[a]", "a%b", "a", "aXb", "a_b", "a\\b", "A" })
  finds(self.kv, "%", { "%", "%a" })
  finds(self.kv, "_", { "_", "_a" })
  finds(self.kv, "\\", { "\\", "\\%", "\\a" })
  finds(self.kv, "\\%", { "\\%" })
  finds(self.kv, "*", { "*" })
  finds(self.kv, "[a]", { "[a]" })
  finds(self.kv, "a_", { "a_b" })
  finds(self.kv, "a%", { "a%b" })
  finds(self.kv, "A", { "A" })
  finds(self.kv, "aa", {})
end

function List:test_an_empty_prefix_finds_all()
  fill(self.kv, { "a", "b" })
  finds(self.kv, "", { "a", "b" })
end

function List:test_a_prefix_finds_the_key_that_equals_it()
  fill(self.kv, { "post", "post:", "post:1", "post;", "posts" })
  finds(self.kv, "post:", { "post:", "post:1" })
  finds(self.kv, "post:1", { "post:1" })
end

function List:test_a_prefix_with_a_nul()
  fill(self.kv, { "a", "a\0", "a\0b", "a\1", "b" })
  finds(self.kv, "a\0", { "a\0", "a\0b" })
  finds(self.kv, "\0", {})
end

function List:test_a_prefix_at_the_end_of_a_range_of_characters()
  local last, before_surrogates, after_surrogates = "\244\143\191\191", "\237\159\191", "\238\128\128"
  fill(self.kv, {
    "a" .. before_surrogates, "a" .. before_surrogates .. "x", "a" .. before_surrogates .. last,
    "a" .. after_surrogates, "a" .. last, "a" .. last .. "x", "a" .. last .. last, "b", last, last .. last,
  })
  finds(self.kv, "a" .. before_surrogates,
    { "a" .. before_surrogates, "a" .. before_surrogates .. "x", "a" .. before_surrogates .. last })
  finds(self.kv, "a" .. last, { "a" .. last, "a" .. last .. "x", "a" .. last .. last })
  finds(self.kv, last, { last, last .. last })
  finds(self.kv, last .. last .. last, {})
end

function List:test_a_prefix_ending_in_127_or_the_last_of_two_bytes()
  fill(self.kv, { "a\127", "a\127x", "a\194\128", "a\223\191", "a\223\191x", "a\224\160\128" })
  finds(self.kv, "a\127", { "a\127", "a\127x" })
  finds(self.kv, "a\223\191", { "a\223\191", "a\223\191x" })
end

-- Pages

function List:test_the_default_limit_is_1000()
  fill(self.kv, numbered(1001))
  local page = self.kv:list()
  lu.assertEquals(#page.keys, 1000)
  lu.assertFalse(page.list_complete)
  lu.assertIsString(page.cursor)
  lu.assertEquals(names(self.kv:list({ cursor = page.cursor })), { "key1001" })
end

function List:test_the_pages_together_are_every_key_once()
  local all = numbered(30)
  fill(self.kv, all)
  for _, limit in ipairs({ 1, 2, 7, 10, 29, 30, 31, 10000 }) do
    local found, pages = walk(self.kv, { limit = limit })
    lu.assertEquals(found, all)
    lu.assertEquals(pages, math.ceil(30 / limit)) -- no empty page at the end
  end
end

function List:test_a_page_that_just_holds_the_rest_is_complete()
  fill(self.kv, numbered(4))
  local page = self.kv:list({ limit = 2 })
  lu.assertFalse(page.list_complete)
  page = self.kv:list({ limit = 2, cursor = page.cursor })
  lu.assertTrue(page.list_complete)
  lu.assertNil(page.cursor)
end

function List:test_a_prefix_is_paged_like_the_whole()
  fill(self.kv, { "a", "p1", "p2", "p3", "q" })
  local found, pages = walk(self.kv, { prefix = "p", limit = 2 })
  lu.assertEquals(found, { "p1", "p2", "p3" })
  lu.assertEquals(pages, 2)
end

function List:test_the_limit_may_differ_from_page_to_page()
  local all = numbered(30)
  fill(self.kv, all)
  local options = { limit = 1 }
  lu.assertEquals(walk(self.kv, options, function(page) options.limit = page * 3 end), all)
end

function List:test_a_key_inserted_later_is_seen_where_it_sorts_after_the_cursor()
  fill(self.kv, { "b", "d", "f" })
  local page = self.kv:list({ limit = 2 })
  fill(self.kv, { "a", "c", "d\0", "e", "g" })
  lu.assertEquals(names(self.kv:list({ cursor = page.cursor })), { "d\0", "e", "f", "g" })
end

function List:test_a_deleted_key_changes_nothing_about_a_cursor()
  fill(self.kv, { "a", "b", "c", "d" })
  local page = self.kv:list({ limit = 2 })
  self.kv:delete("a")
  self.kv:delete("b") -- where the cursor stands
  self.kv:delete("c")
  lu.assertEquals(names(self.kv:list({ cursor = page.cursor })), { "d" })
  self.kv:delete("d")
  lu.assertEquals(self.kv:list({ cursor = page.cursor }), { keys = {}, list_complete = true })
end

function List:test_a_walk_that_deletes_what_it_has_seen_sees_all()
  local all = numbered(20)
  fill(self.kv, all)
  local deleted = 0
  lu.assertEquals(walk(self.kv, { limit = 3 }, function(page)
    for i = deleted + 1, math.min(3 * page, 20) do
      self.kv:delete(all[i])
    end
    deleted = 3 * page
  end), all)
  lu.assertEquals(self.kv:list().keys, {})
end

function List:test_a_cursor_is_good_for_more_than_one_call()
  fill(self.kv, numbered(4))
  local cursor = self.kv:list({ limit = 1 }).cursor
  local first = self.kv:list({ limit = 1, cursor = cursor })
  lu.assertEquals(self.kv:list({ limit = 1, cursor = cursor }), first)
end

function List:test_a_cursor_goes_with_its_own_prefix_only()
  fill(self.kv, { "a", "p1", "p2", "p3", "q" })
  local cursor = self.kv:list({ prefix = "p", limit = 1 }).cursor
  lu.assertEquals(names(self.kv:list({ prefix = "p", limit = 5, cursor = cursor })), { "p2", "p3" })
  for _, prefix in ipairs({ "", "q", "p1", "pp" }) do
    refuses(self.kv, function(kv) kv:list({ prefix = prefix, cursor = cursor }) end, "INVALID", "another prefix")
  end
end

function List:test_a_cursor_holds_any_key()
  local longest = ("\244\143\191\191"):rep(self.server and 640 or 1024)
  local strange = { "\0", "\0\0", "\\", "a\0b", "é", "😀", "\244\143\191\191", longest }
  fill(self.kv, strange)
  lu.assertEquals(walk(self.kv, { limit = 1 }), strange)
end

-- Errors

function List:test_a_limit_that_is_no_whole_number_from_1_is_an_error()
  for _, limit in pairs({ 0, -1, 1.5, 0.5, 0 / 0, math.huge, -math.huge, "10", true, {} }) do
    refuses(self.kv, function(kv) kv:list({ limit = limit }) end, "limit")
  end
end

function List:test_a_whole_float_is_a_limit()
  fill(self.kv, numbered(3))
  lu.assertEquals(#self.kv:list({ limit = 2.0 }).keys, 2)
end

function List:test_a_limit_over_the_greatest_is_an_error()
  refuses(self.kv, function(kv) kv:list({ limit = 10001 }) end, "LIMIT", "10000", "10001")
  refuses(self.kv, function(kv) kv:list({ limit = 2 ^ 40 }) end, "limit")
  refuses(self.kv, function(kv) kv:list({ limit = 1e300 }) end, "limit")
end

function List:test_a_malformed_cursor_is_an_error()
  fill(self.kv, numbered(4))
  for _, cursor in ipairs({ "garbage", "key0001", "0", " ", "\0", "\255\254", "====", ("A"):rep(100000) }) do
    refuses(self.kv, function(kv) kv:list({ cursor = cursor }) end, "INVALID", "cursor")
  end
end

function List:test_a_cursor_that_was_cut_or_changed_is_an_error()
  fill(self.kv, numbered(4))
  local cursor = self.kv:list({ limit = 2 }).cursor
  for i = 1, #cursor - 1 do
    support.fails(function() self.kv:list({ cursor = cursor:sub(1, i) }) end, "INVALID", "cursor")
    support.fails(function() self.kv:list({ cursor = cursor:sub(i + 1) }) end, "INVALID", "cursor")
  end
  for i = 1, #cursor do
    for _, other in ipairs({ "A", "B", "a", "0", "-", " ", "\0" }) do
      if cursor:sub(i, i) ~= other then
        local changed = cursor:sub(1, i - 1) .. other .. cursor:sub(i + 1)
        support.fails(function() self.kv:list({ cursor = changed }) end, "INVALID", "cursor")
      end
    end
  end
  for _, changed in ipairs({ cursor .. "A", cursor .. "=", cursor .. "\n", " " .. cursor, cursor .. cursor }) do
    refuses(self.kv, function(kv) kv:list({ cursor = changed }) end, "INVALID", "cursor")
  end
  lu.assertEquals(#self.kv:list({ cursor = cursor }).keys > 0, true)
end

return List
