--- KV.json, KV.null and KV.array: JSON without a store.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails, same_number = support.fails, support.same_number
local encode, decode = KV.json.encode, KV.json.decode

local JSON = {}

-- Encode

function JSON:test_encode_writes_compact_json()
  lu.assertEquals(encode(true), "true")
  lu.assertEquals(encode(false), "false")
  lu.assertEquals(encode(42), "42")
  lu.assertEquals(encode(-0.5), "-0.5")
  lu.assertEquals(encode("text"), '"text"')
  lu.assertEquals(encode({}), "{}")
  lu.assertEquals(encode({ 1, "a", { b = { true } } }), '[1,"a",{"b":[true]}]')
end

function JSON:test_nil_and_null_are_null()
  lu.assertEquals(encode(nil), "null")
  lu.assertEquals(encode(KV.null), "null")
  lu.assertEquals(encode({ KV.null, { a = KV.null } }), '[null,{"a":null}]')
end

function JSON:test_strings_are_escaped()
  lu.assertEquals(encode('"\\'), [["\"\\"]])
  lu.assertEquals(encode("é😀"), '"é😀"')
  for byte = 0, 31 do
    local text = encode("a" .. string.char(byte) .. "b")
    lu.assertNil(text:find("%c"))
    lu.assertEquals(decode(text), "a" .. string.char(byte) .. "b")
  end
end

function JSON:test_holes_become_null_as_in_lua_cjson()
  lu.assertEquals(encode({ nil, nil, 3 }), "[null,null,3]")
  lu.assertEquals(encode({ [10] = "x" }), "[null,null,null,null,null,null,null,null,null,\"x\"]")
  fails(function() encode({ [11] = "x" }) end, "INVALID")
  local half = {}
  for i = 1, 50 do
    half[2 * i] = i
  end
  lu.assertEquals(#decode(encode(half)), 100) -- every second one, at any length
  half[103] = 51
  fails(function() encode(half) end, "INVALID")
end

function JSON:test_integer_keys_of_an_object_become_text()
  lu.assertEquals(decode(encode({ [0] = "zero", "one" })), { ["0"] = "zero", ["1"] = "one" })
  lu.assertEquals(decode(encode({ [-1] = "a" })), { ["-1"] = "a" })
  lu.assertEquals(decode(encode({ "one", name = "b" })), { ["1"] = "one", name = "b" })
  lu.assertEquals(decode(encode({ [1000000] = "a", name = "b" })), { ["1000000"] = "a", name = "b" })
end

-- Metamethods

local function asked() error("asked") end

--- A table whose contents are all behind metamethods.
local function proxy(contents, by)
  return setmetatable({}, {
    __index = by ~= "pairs" and contents or nil,
    __pairs = by ~= "len" and function() return next, contents, nil end or nil,
    __len = by ~= "pairs" and function() return #contents end or nil,
  })
end

function JSON:test_a_table_with_pairs_is_read_by_them()
  lu.assertEquals(decode(encode(proxy({ a = 1, b = { c = true } }))), { a = 1, b = { c = true } })
  lu.assertEquals(encode(proxy({ "x", "y" }, "pairs")), '["x","y"]')
  lu.assertEquals(encode({ list = { proxy({ proxy({ a = KV.null }) }) } }), '{"list":[[{"a":null}]]}')
  lu.assertEquals(encode(setmetatable({ own = 1 }, { __pairs = function() return next, { other = 2 }, nil end })), '{"other":2}')
  lu.assertEquals(encode(proxy({}, "pairs")), "{}")
end

function JSON:test_a_list_with_len_is_read_by_it()
  lu.assertEquals(encode(proxy({ "x", { 2 }, proxy({}, "len") }, "len")), '["x",[2],[]]')
  lu.assertEquals(encode(setmetatable({ "own", "more" }, { __len = function() return 1 end })), '["own"]')
  lu.assertEquals(encode(setmetatable({}, { __len = function() return 3 end, __index = { "a", nil, "c" } })), '["a",null,"c"]')
  -- It counts something else where there are fields.
  lu.assertEquals(encode(setmetatable({ a = 1 }, { __len = asked, __index = asked })), '{"a":1}')
  for _, len in pairs({ -1, 0.5, "1", 1e18 }) do
    fails(function() encode(setmetatable({}, { __len = function() return len end })) end, "INVALID")
  end
end

function JSON:test_a_table_whose_data_cannot_be_listed_is_an_error_and_not_an_empty_object()
  for _, index in pairs({ function() return 1 end, { a = 1 }, proxy({ a = 1 }) }) do
    fails(function() encode(setmetatable({}, { __index = index })) end, "INVALID", "__index", "__pairs")
    fails(function() encode({ { setmetatable({}, { __index = index }) } }) end, "INVALID", "__index")
    lu.assertEquals(encode(setmetatable({ own = 1 }, { __index = index })), '{"own":1}')
  end
end

function JSON:test_an_instance_of_a_class_is_its_own_fields()
  local Account = { limit = 5, total = function() end }
  Account.__index = Account
  lu.assertEquals(encode(setmetatable({ balance = 7 }, Account)), '{"balance":7}')
  lu.assertEquals(encode({ setmetatable({}, Account) }), "[{}]")
  lu.assertEquals(encode(setmetatable({}, { __index = { total = print }, __tostring = asked, __call = asked })), "{}")
end

function JSON:test_metamethods_may_fail_and_call_the_module()
  local store = KV.open({ memory = true })
  local kv = store:namespace("n")
  local thrown = {}
  local function value(act)
    return { 1, setmetatable({}, { __pairs = function() act() return next, { a = 1 }, nil end }) }
  end
  local ok, why = pcall(kv.put, kv, "k", value(function() error(thrown) end))
  lu.assertFalse(ok)
  lu.assertIs(why, thrown)
  fails(function() kv:put("k", "v", { metadata = value(function() error("mine") end) }) end, "mine")
  lu.assertNil(kv:get("k"))
  kv:put("k", value(function() kv:put("inner", value(function() kv:get("k") collectgarbage() end)) end),
    { metadata = value(function() for _ in kv:each() do end end), expirationTtl = 100 })
  lu.assertEquals(kv:get("k"), '[1,{"a":1}]')
  lu.assertEquals(kv:get("inner"), '[1,{"a":1}]')
  local _, meta = kv:getWithMetadata("k")
  lu.assertEquals(meta.metadata, { 1, { a = 1 } })
  lu.assertNotNil(meta.expiration)
  lu.assertTrue(kv:atomic():put("batch", value(function() end)):commit())
  lu.assertEquals(kv:get("batch"), '[1,{"a":1}]')
  local thread = coroutine.wrap(function() kv:put("y", value(function() coroutine.yield(1) end)) return 2 end)
  local resumed, answer = pcall(thread) -- whether a yield can pass is the Lua's own
  lu.assertTrue(not resumed or answer == 1 or answer == 2)
  fails(function() kv:put("closed", value(function() store:close() end)) end, "INVALID", "closed")
end

--- That no way to write JSON takes a table with this metatable, and that each says why, at the caller's position.
local function refuses_metatable(metatable, ...)
  local kv = KV.open({ memory = true }):namespace("n")
  for place, write in ipairs({
    function() encode(setmetatable({}, metatable)) end,
    function() kv:put("k", { a = { setmetatable({}, metatable) } }) end,
    function() kv:put("k", "v", { metadata = setmetatable({}, metatable) }) end,
    function() kv:atomic():put("k", setmetatable({}, metatable)) end,
  }) do
    local message = fails(write, "INVALID", ...)
    lu.assertStrContains(message, "json.lua:", place)
    lu.assertNil(kv:get("k"))
  end
end

function JSON:test_pairs_that_are_of_no_use_are_an_error()
  for _, wrong in ipairs({ 3, "next", true, {}, io.stdout }) do
    refuses_metatable({ __pairs = wrong }, "the __pairs of a table is ", "must be a function")
    refuses_metatable({ __pairs = function() return wrong end }, "the __pairs of a table returned ", "return next, fields")
  end
  refuses_metatable({ __pairs = false }, "the __pairs of a table is a boolean")
  refuses_metatable({ __pairs = function() end }, "the __pairs of a table returned nil")
  refuses_metatable({ __pairs = function() return next end }, "the __pairs of a table returned next without")
  refuses_metatable({ __pairs = function() return next, 5 end }, "the __pairs of a table returned next without")
  refuses_metatable({ __pairs = function() return next, { a = 1 }, "b" end }, "the __pairs of a table returned next without")
  refuses_metatable({ __pairs = function() return function() return 0 / 0, 1 end end }, "gave NaN as a key")
end

function JSON:test_a_len_or_index_of_no_use_is_an_error()
  for _, wrong in ipairs({ 3, "x", true, {}, io.stdout }) do
    refuses_metatable({ __len = wrong }, "the __len of a table is ", "must be a function")
  end
  for _, wrong in ipairs({ -1, 0.5, "3", {}, false, print, 0 / 0, math.huge, -math.huge }) do
    refuses_metatable({ __len = function() return wrong end }, "the __len of a table returned ", "whole number from 0 up")
  end
  refuses_metatable({ __len = function() end }, "the __len of a table returned nil")
  local function item() return 1 end
  for _, huge in ipairs({ 2 ^ 28 + 1, 2 ^ 53, 1e18, 1e300 }) do
    refuses_metatable({ __len = function() return huge end, __index = item }, "more items than a value has room for")
  end
  local function one() return 1 end
  for _, wrong in ipairs({ 3, true, support.thread }) do
    refuses_metatable({ __len = one, __index = wrong }, "the __index of a table is ", "a function or a table")
    refuses_metatable({ __len = one, __index = setmetatable({}, { __index = wrong }) }, "the __index of a table is ")
  end
  local loop = {}
  setmetatable(loop, { __index = loop })
  refuses_metatable({ __len = one, __index = loop }, "the __index of a table leads to more than 100 others")
end

function JSON:test_what_can_be_called_is_a_metamethod()
  local called = setmetatable({}, { __call = function() return next, { a = 1 } end })
  lu.assertEquals(encode(setmetatable({}, { __pairs = called })), '{"a":1}')
  local step = setmetatable({}, { __call = function(_, _, key) if not key then return "b", 2 end end })
  lu.assertEquals(encode(setmetatable({}, { __pairs = function() return step end })), '{"b":2}')
  local two = setmetatable({}, { __call = function() return 2 end })
  lu.assertEquals(encode(setmetatable({}, { __len = two, __index = setmetatable({ "x" }, { __index = { "y", "z" } }) })),
    '["x","z"]')
end

function JSON:test_metamethods_may_change_what_is_being_read()
  local fields = {}
  for i = 1, 10 do
    fields["k" .. i] = setmetatable({}, { __pairs = function()
      for j = 1, 100 do fields["new" .. i .. "." .. j] = j end
      for j = 1, 10 do fields["k" .. j] = nil end
      return next, { own = i }
    end })
  end
  local expected = {}
  for i = 1, 10 do expected["k" .. i] = { own = i } end
  lu.assertEquals(decode(encode(proxy(fields, "pairs"))), expected)
end

function JSON:test_metamethods_cannot_go_on_without_end()
  local cycle = {}
  setmetatable(cycle, { __pairs = function() return next, { again = cycle }, nil end })
  fails(function() encode(cycle) end, "INVALID", "nested deeper than 128")
  local function deeper() return setmetatable({}, { __pairs = function() return next, { deeper() }, nil end }) end
  fails(function() encode(deeper()) end, "INVALID", "nested deeper than 128")
  local shared = proxy({ 1 })
  for _ = 1, 100 do shared = { shared, shared } end
  fails(function() KV.open({ memory = true, limits = "cloudflare" }):namespace("n"):put("k", shared) end, "LIMIT")
end

function JSON:test_a_table_used_twice_is_no_cycle()
  local shared = { "ha" }
  lu.assertEquals(encode({ shared, shared }), '[["ha"],["ha"]]')
end

function JSON:test_encode_refuses_what_json_does_not_have()
  for _, value in pairs({ print, io.stdout, support.thread }) do
    fails(function() encode(value) end)
    fails(function() encode({ value }) end, "INVALID", type(value))
  end
  for _, value in pairs({ 0 / 0, math.huge, -math.huge, "\255" }) do
    fails(function() encode(value) end, "INVALID")
    fails(function() encode({ a = { value } }) end, "INVALID")
  end
  fails(function() encode() end, "bad argument #1 to 'encode'")
end

-- A table whose JSON has no end: few tables, each with the next in it ten times.
local laughter = [[
  local function laugh(depth)
    local value = ("ha"):rep(500)
    for _ = 1, depth do
      local list = {}
      for i = 1, 10 do list[i] = value end
      value = list
    end
    return value
  end
  local kv = KV.open({ memory = true, limits = ... }):namespace("jokes")
  print(pcall(function() kv:put("joke", laugh(100)) end))
  print(pcall(function() kv:put("joke", "j", { metadata = laugh(100) }) end))
  print(pcall(function() KV.json.encode(laugh(100)) end))
  print(kv:get("joke"))
]]

function JSON:test_a_table_that_unfolds_without_end_is_an_error()
  for _, limits in ipairs({ "default", "cloudflare" }) do
    local command = "ulimit -v 6000000; " .. support.interpreter() .. " %s %s"
    local refused = "false\t[^\n]+:%d+: luat_kv: LIMIT: [^\n]+\n"
    lu.assertStrMatches(support.must(command, support.script(laughter), limits), refused:rep(3) .. "nil")
  end
end

-- Decode

function JSON:test_decode_reads_json()
  lu.assertEquals(decode(' { "a" : [ 1 , -2.5e3 , "x" , true , false , { } ] } \r\n\t'),
    { a = { 1, -2500, "x", true, false, {} } })
  lu.assertEquals(decode('"text"'), "text")
  lu.assertEquals(decode("1"), 1)
  lu.assertEquals(decode("false"), false)
end

function JSON:test_a_document_that_is_only_null_is_one_nil()
  lu.assertEquals(select("#", decode("null")), 1)
  lu.assertNil((decode(" null ")))
end

function JSON:test_escapes_are_read()
  lu.assertEquals(decode([["\"\\\/\b\f\n\r\t"]]), '"\\/\b\f\n\r\t')
  lu.assertEquals(decode([["\u0000\u0041\u00e9\u2028"]]), "\0Aé\226\128\168")
  lu.assertEquals(decode([["\ud83d\ude00\uD83D\uDE00"]]), "😀😀")
  lu.assertEquals(decode([[{"a\u0000b":1}]]), { ["a\0b"] = 1 })
end

function JSON:test_numbers_are_read()
  for text, number in pairs({ ["0"] = 0, ["-1"] = -1, ["0.1"] = 0.1, ["1E+2"] = 100.0, ["1e-2"] = 0.01 }) do
    same_number(decode(text), number)
  end
  same_number(decode("-0.0"), support.minus_zero)
  same_number(decode("1e0"), 1.0)
  same_number(decode("9223372036854775807"), math.maxinteger or 2 ^ 63)
  same_number(decode("-9223372036854775808"), math.mininteger or -2 ^ 63)
  same_number(decode("9223372036854775808"), 2.0 ^ 63) -- past the integers
  same_number(decode("0.1000000000000000055511151231257827021181583404541015625"), 0.1)
end

function JSON:test_decode_refuses_what_is_not_json_and_says_where()
  for _, text in ipairs({
    "", " ", "{", "[", "]", "[1,]", "[,1]", "[1 2]", '{"a":1,}', '{"a"}', "{a:1}", "{1:1}", "'a'", '"a', '"\\x"',
    '"\\u12"', '"a\nb"', '"a\0b"', "01", "1.", ".5", "+1", "1e", "--1", "0x10", "NaN", "Infinity", "nul", "True",
    "1 2", "[] []", "/* */ 1", "[1]\0", '"\255"', '"\192\175"', '"\237\160\128"', '"\\ud800"', '"\\udc00"',
    '"\\ud800\\u0041"', "\255",
  }) do
    local message = fails(function() decode(text) end, "INVALID")
    lu.assertStrContains(message, "INVALID: .*%d", true)
  end
end

function JSON:test_decode_takes_strings_only()
  for _, wrong in pairs({ 5, true, {}, print }) do
    fails(function() decode(wrong) end, "bad argument #1 to 'decode' (string expected, got " .. type(wrong))
  end
  fails(function() decode() end, "bad argument #1 to 'decode'")
  fails(function() decode(nil) end, "bad argument #1 to 'decode'")
end

-- Depth

function JSON:test_128_levels_are_taken_and_129_are_an_error()
  local text = ("["):rep(128) .. ("]"):rep(128)
  lu.assertEquals(encode(decode(text)), text)
  lu.assertEquals(decode(encode(support.nested(128))), support.nested(128))
  fails(function() encode(support.nested(129)) end, "INVALID", "128")
  fails(function() decode("[" .. text .. "]") end, "INVALID")
  fails(function() decode(('{"a":'):rep(128) .. "[]" .. ("}"):rep(128)) end, "INVALID")
end

function JSON:test_a_depth_of_100_000_is_an_error()
  fails(function() decode(("["):rep(100000)) end, "INVALID")
  fails(function() decode(('{"a":'):rep(100000)) end, "INVALID")
  fails(function() encode(support.nested(100000)) end, "INVALID")
end

function JSON:test_depth_is_no_matter_in_a_coroutine()
  local text = ("["):rep(128) .. ("]"):rep(128)
  local thread = coroutine.wrap(function() return encode(decode(text)) end)
  lu.assertEquals(thread(), text)
end

-- KV.null

function JSON:test_null_is_a_light_userdata()
  lu.assertEquals(type(KV.null), "userdata")
  lu.assertIs(decode("[null]")[1], KV.null)
end

if _VERSION >= "Lua 5.4" then
  function JSON:test_null_is_the_null_pointer()
    lu.assertEquals(("%p"):format(KV.null), "(null)")
  end
end

if _VERSION < "Lua 5.5" then -- for which Debian has no lua-cjson
  function JSON:test_null_is_that_of_lua_cjson()
    local cjson = require("cjson")
    lu.assertEquals(KV.null, cjson.null)
    lu.assertEquals(cjson.encode(decode("[true,null]")), "[true,null]")
    lu.assertEquals(encode(cjson.decode("[true,null]")), "[true,null]")
  end
end

-- KV.array

function JSON:test_array_marks_a_table_and_returns_it()
  local list = {}
  lu.assertIs(KV.array(list), list)
  lu.assertEquals(encode(list), "[]")
  list[1] = "a"
  lu.assertEquals(encode(list), '["a"]')
  lu.assertIs(KV.array(list), list)
end

function JSON:test_array_without_argument_is_a_new_one()
  lu.assertEquals(encode(KV.array()), "[]")
  lu.assertFalse(rawequal(KV.array(), KV.array()))
  lu.assertEquals(encode({ KV.array(), {} }), "[[],{}]")
end

function JSON:test_an_empty_array_that_was_read_stays_an_array()
  lu.assertEquals(encode(decode("[]")), "[]")
  lu.assertEquals(encode(decode('{"a":[],"b":{}}').a), "[]")
  local list = decode("[]")
  table.insert(list, "x")
  lu.assertEquals(encode(list), '["x"]')
end

function JSON:test_array_takes_plain_tables_only()
  fails(function() KV.array(setmetatable({}, {})) end, "bad argument #1 to 'array'", "metatable")
  for _, wrong in pairs({ 1, "a", true, print }) do
    fails(function() KV.array(wrong) end, "bad argument #1 to 'array'", "table expected, got " .. type(wrong))
  end
end

function JSON:test_the_mark_of_arrays_is_not_for_scripts_to_change()
  for _, list in ipairs({ KV.array(), decode("[1]"), decode('{"a":[]}').a, KV.open({ memory = true }):namespaces() }) do
    lu.assertEquals(getmetatable(list), "luat_kv.array")
    fails(function() getmetatable(list).__index = { injected = true } end)
    lu.assertFalse(pcall(setmetatable, list, {}))
    lu.assertNil(list.injected)
  end
  local list = decode("[]")
  list.own = nil
  lu.assertEquals(encode(list), "[]")
end

function JSON:test_a_marked_table_with_other_keys_is_an_error()
  for _, list in ipairs({ { a = 1 }, { "x", a = 1 }, { [0] = 1 }, { [-1] = 1 }, { [1.5] = 1 }, { [11] = 1 } }) do
    fails(function() encode(KV.array(list)) end, "INVALID")
  end
  lu.assertEquals(encode(KV.array({ 1, nil, 3 })), "[1,null,3]")
end

return { TestJSON = JSON }
