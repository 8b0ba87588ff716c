--- JSON that goes through a store. Tests that need no store are in ../json.lua.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails, refuses, same_number = support.fails, support.refuses, support.same_number

local Documents = {}

local function round_trip(self, value)
  self.kv:put("document", value)
  return self.kv:get("document", "json")
end

--- The text of a document that was read and written again.
local function rewritten(self, text)
  self.kv:put("document", text)
  self.kv:put("document", self.kv:get("document", "json"))
  return self.kv:get("document")
end

-- Values

function Documents:test_a_nested_document_comes_back()
  local post = {
    slug = "hello", draft = false, tags = { "a", "b" }, author = { name = "Alice", karma = 1.5 }, empty = {},
    rows = { { 1, 2 }, { 3, { deep = { "x" } } } },
  }
  lu.assertEquals(round_trip(self, post), post)
end

function Documents:test_an_array_stays_an_array_and_an_object_an_object()
  for _, text in ipairs({ "[]", "{}", "[[]]", "[{}]", '{"a":[]}', '{"a":{}}', "[[],{},[[]]]" }) do
    lu.assertEquals(rewritten(self, text), text)
  end
end

function Documents:test_an_empty_table_is_an_object_unless_marked()
  self.kv:put("key", {})
  lu.assertEquals(self.kv:get("key"), "{}")
  self.kv:put("key", KV.array())
  lu.assertEquals(self.kv:get("key"), "[]")
  self.kv:put("key", { list = KV.array({}) })
  lu.assertEquals(self.kv:get("key"), '{"list":[]}')
end

function Documents:test_null_inside_a_document_is_KV_null()
  self.kv:put("document", '{"a":null}')
  lu.assertIs(self.kv:get("document", "json").a, KV.null)
  lu.assertEquals(rewritten(self, '{"a":null}'), '{"a":null}')
  self.kv:put("document", { a = KV.null })
  lu.assertEquals(self.kv:get("document"), '{"a":null}')
end

function Documents:test_a_null_of_the_hosts_own_can_be_named()
  local null = setmetatable({}, { __tostring = function() return "null" end })
  for _, mine in ipairs({ null, io and io.stdout or {} }) do
    local module = KV.new({ null = mine })
    local kv = module.open({ memory = true }):namespace("n")
    lu.assertIs(module.null, mine)
    kv:put("document", { a = mine, b = { mine, KV.null, 3 } }, { metadata = { mine } })
    lu.assertStrContains(kv:get("document"), '"b":[null,null,3]')
    local document = kv:get("document", "json")
    lu.assertIs(document.a, mine)
    lu.assertIs(document.b[2], mine)
    local _, meta = kv:getWithMetadata("document")
    lu.assertIs(meta.metadata[1], mine)
    kv:put("null", "null")
    lu.assertIs(kv:get({ "null" }, "json").null, mine)
    lu.assertIs(kv:list({ prefix = "null", values = "json" }).keys[1].value, mine)
    lu.assertNil(kv:get("null", "json"))
    lu.assertNil((kv:getWithMetadata("null", "json")))
    lu.assertTrue(kv:atomic():put("batch", { mine }):commit())
    lu.assertEquals(kv:get("batch"), "[null]")
    lu.assertIs(module.json.decode("[null]")[1], mine)
    lu.assertNil(module.json.decode("null"))
    lu.assertEquals(module.json.encode({ mine, KV.null }), "[null,null]")
    -- Another part of the same state has its own.
    lu.assertIs(KV.json.decode("[null]")[1], KV.null)
    lu.assertIs(KV.new().null, KV.null)
    lu.assertIs(module.new().null, mine)
  end
  fails(function() KV.json.encode({ io and io.stdout or print }) end, "INVALID")
  for _, wrong in pairs({ 1, "null", false, print }) do
    fails(function() KV.new({ null = wrong }) end, "bad argument #1 to 'new'", "'null'", type(wrong))
  end
end

function Documents:test_a_null_alone_is_no_value()
  for _, mine in ipairs({ KV.null, {}, setmetatable({}, { __pairs = error }), KV.array(), io and io.stdout or {} }) do
    local module = KV.new({ null = mine })
    local kv = module.open({ memory = true }):namespace("n")
    for _, null in ipairs({ mine, KV.null }) do
      for method, call in pairs({
        put = function() kv:put("k", null) end,
        add = function() kv:add("k", null) end,
        ["put "] = function() kv:atomic():put("k", null) end,
      }) do
        fails(call, ("bad argument #2 to '%s' (string, table, number or boolean expected, got null)"):format(method:match("%w+")))
      end
      fails(function() kv:put("k", "v", { metadata = null }) end, "INVALID", "metadata is null")
      lu.assertNil(kv:get("k"))
    end
    kv:put("k", { mine })
    lu.assertEquals(kv:get("k"), "[null]")
  end
end

function Documents:test_an_array_with_null_keeps_its_length()
  self.kv:put("document", "[1,null,3]")
  local list = self.kv:get("document", "json")
  lu.assertEquals(#list, 3)
  lu.assertEquals(list, { 1, KV.null, 3 })
  lu.assertEquals(rewritten(self, "[1,null,3]"), "[1,null,3]")
  lu.assertEquals(rewritten(self, "[null,null]"), "[null,null]")
end

function Documents:test_a_document_that_is_only_null_is_nil()
  self.kv:put("document", "null", { metadata = "kept" })
  lu.assertNil(self.kv:get("document", "json"))
  lu.assertEquals(self.kv:get("document"), "null")
  local value, meta = self.kv:getWithMetadata("document", "json")
  lu.assertNil(value)
  lu.assertEquals(meta.metadata, "kept")
end

function Documents:test_strings_come_back()
  local strings = {
    "", "plain", 'say "hi"', "back\\slash", "a/b", "\b\f\n\r\t", "\0", "a\0b", "\1\31\127", "é", "日本語", "😀",
    "\226\128\168\226\128\169", -- U+2028 and U+2029, which JavaScript takes for line ends
    "\239\191\191\244\143\191\191", ("long "):rep(20000),
  }
  lu.assertEquals(round_trip(self, strings), strings)
  local keyed = {}
  for i, text in ipairs(strings) do
    keyed[text] = i
  end
  lu.assertEquals(round_trip(self, keyed), keyed)
end

-- Numbers

if support.has_integers then
  function Documents:test_integers_stay_integers()
    local past_floats = math.tointeger(2 ^ 53) + 1
    for _, n in ipairs({ 0, 1, -1, past_floats, -past_floats, math.maxinteger, math.mininteger }) do
      same_number(round_trip(self, { n })[1], n)
      same_number(round_trip(self, n), n)
    end
  end

  function Documents:test_a_float_stays_a_float_where_it_is_whole()
    for _, n in ipairs({ 1.0, -1.0, 0.0, 100.0, 1e15, 1e16, 2.0 ^ 53, 2.0 ^ 63, -2.0 ^ 63, 1e100 }) do
      same_number(round_trip(self, { n })[1], n)
      same_number(round_trip(self, n), n)
    end
  end

  function Documents:test_any_float_comes_back_bit_for_bit()
    math.randomseed(20)
    local floats = {}
    while #floats < 5000 do
      local bytes = ""
      for _ = 1, 8 do
        bytes = bytes .. string.char(math.random(0, 255))
      end
      local float = string.unpack("<d", bytes)
      if float - float == 0 then -- neither NaN nor an infinity
        floats[#floats + 1] = float
      end
    end
    for i, float in ipairs(round_trip(self, floats)) do
      same_number(float, floats[i])
    end
  end
end

function Documents:test_floats_come_back_bit_for_bit()
  local floats = {
    support.minus_zero, 0.1, -0.1, 1 / 3, 0.5, 1e-7, 5e-324, 2.2250738585072014e-308, 2.2250738585072011e-308,
    1.7976931348623157e308, 123456789.125, 9007199254740993.5, 1e21, 1e22, 1e23,
  }
  for _ = 1, 1000 do
    floats[#floats + 1] = (math.random() - 0.5) * 10 ^ math.random(-300, 300)
  end
  for i, float in ipairs(round_trip(self, floats)) do
    same_number(float, floats[i])
  end
  same_number(round_trip(self, support.minus_zero), support.minus_zero)
end

function Documents:test_names_of_numbers_that_are_no_keys_are_names_like_others()
  for _, n in ipairs({ 0, 1, -3, 2 ^ 53 }) do
    local name = ("%.1f"):format(n)
    local value = { [n] = "number", [name] = "text", other = "x" }
    lu.assertEquals(round_trip(self, value), { [("%d"):format(n)] = "number", [name] = "text", other = "x" })
  end
  lu.assertEquals(round_trip(self, { [0] = "a", ["-0.0"] = "b" }), { ["0"] = "a", ["-0.0"] = "b" })
  lu.assertEquals(round_trip(self, { [support.minus_zero] = "a", x = 1 }), { ["0"] = "a", x = 1 })
end

-- Size

function Documents:test_a_big_document_comes_back()
  local big = { rows = {}, by_name = {} }
  for i = 1, 20000 do
    big.rows[i] = { id = i, name = "row " .. i, tags = { "a", "b" } }
    big.by_name["row " .. i] = i
  end
  local back = round_trip(self, big)
  lu.assertEquals(#back.rows, 20000)
  for i = 1, 20000, 371 do
    lu.assertEquals(back.rows[i], big.rows[i])
    lu.assertEquals(back.by_name["row " .. i], i)
  end
end

function Documents:test_a_depth_of_128_is_taken()
  local value = support.nested(128)
  lu.assertEquals(round_trip(self, value), value)
  self.kv:put("key", "value", { metadata = value })
  local _, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(meta.metadata, value)
end

-- Errors: nothing is stored, and the process lives

local function cycle()
  local value = { inner = { list = {} } }
  value.inner.list[1] = value
  return value
end

local function deep(depth)
  local value = {}
  for _ = 2, depth do
    value = { next = value }
  end
  return value
end

local refused = {
  ["NaN"] = { 0 / 0 },
  ["an infinity"] = { math.huge },
  ["the other infinity"] = { a = { -math.huge } },
  ["a string that is not UTF-8"] = { "caf\233" },
  ["a surrogate in a string"] = { "\237\160\128" },
  ["a key that is not UTF-8"] = { ["\255"] = 1 },
  ["a function"] = { print },
  ["a function in an object"] = { callback = print },
  ["a file"] = { a = { io.stdout } },
  ["a thread"] = { a = support.thread },
  ["a depth of 129"] = deep(129),
  ["arrays 129 deep"] = support.nested(129),
  ["a depth of 100,000"] = deep(100000),
  ["a cycle"] = cycle(),
  ["more holes than in lua-cjson"] = { [11] = "x" },
  ["10^10 holes"] = { [1] = 1, [1e10] = 1 },
  ["2^53 holes"] = { [2 ^ 53] = 1 },
  ["a number and its text as keys"] = { "one", ["1"] = "uno" },
  ["the same in an object"] = { a = { [5] = 1, ["5"] = 2, b = 3 } },
  ["a fraction and its text as keys"] = { [1.5] = 1, ["1.5"] = 2 },
  ["a huge number and its text as keys"] = { [1e300] = 1, [KV.json.encode(1e300)] = 2 },
  ["-0.0 and the text of 0"] = { [support.minus_zero] = 1, ["0"] = 2 },
  ["a boolean as key"] = { [true] = 1 },
  ["a table as key"] = { [{}] = 1 },
  ["a marked table with other keys"] = KV.array({ a = 1 }),
}

for name, value in pairs(refused) do
  local rule = ("_%s_is_an_error"):format((name:gsub("%W+", "_")))
  Documents["test_as_value" .. rule] = function(self)
    refuses(self.kv, function(kv) kv:put("k", value) end, "INVALID")
    refuses(self.kv, function(kv) kv:put("new", value) end, "INVALID")
  end
  Documents["test_as_metadata" .. rule] = function(self)
    refuses(self.kv, function(kv) kv:put("k", "value", { metadata = value }) end, "INVALID")
    refuses(self.kv, function(kv) kv:put("new", "value", { metadata = value }) end, "INVALID")
  end
end

function Documents:test_text_that_is_too_deep_is_an_error()
  for _, depth in ipairs({ 129, 100000 }) do
    local text = ("["):rep(depth) .. ("]"):rep(depth)
    self.kv:put("deep", text)
    refuses(self.kv, function(kv) kv:get("deep", "json") end, "INVALID")
    self.kv:put("deep", ("["):rep(depth))
    refuses(self.kv, function(kv) kv:get("deep", "json") end, "INVALID")
    self.kv:put("deep", ('{"a":'):rep(depth) .. "1" .. ("}"):rep(depth))
    refuses(self.kv, function(kv) kv:get("deep", "json") end, "INVALID")
    self.kv:delete("deep")
  end
end

return Documents
