--- Exports and imports, by path and through files that are open in Lua.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local refuses, fails = support.refuses, support.fails

local Transfer = {}

local count = 0

--- Another namespace, empty.
local function another(self)
  count = count + 1
  return self.store:namespace("import " .. count .. tostring(self.kv))
end

local function fill(kv)
  kv:put("text", "Grüße, \"Welt\"\n\0", { metadata = { author = "alice", tags = KV.array(), n = 1.0 } })
  kv:put("bytes", "\0\1\254\255", { expiration = 4102444800 })
  kv:put("empty", "")
  kv:put("json", { title = "One" }, { metadata = false })
  kv:put("Ä\0\\\"", "a key that needs escapes")
  kv:put("{\"key\":1}", "]")
end

local function contents(kv)
  local all = {}
  for name, key in kv:each({ values = true }) do
    all[name] = { key.value, key.expiration, KV.json.encode(key.metadata) }
  end
  return all
end

local function file(name, text)
  return support.write(support.path(name), text)
end

-- Round trips

function Transfer:test_a_round_trip_is_exact()
  fill(self.kv)
  for _, name in ipairs({ "all.json", "all.jsonl", "all.ndjson" }) do
    local path = support.folder() .. "/" .. name
    lu.assertEquals(self.kv:export(path), 6)
    local kv = another(self)
    lu.assertEquals({ kv:import(path) }, { 6, 0 })
    lu.assertEquals(contents(kv), contents(self.kv))
  end
end

function Transfer:test_files_of_luas_go_both_ways()
  fill(self.kv)
  for _, format in ipairs({ "json", "jsonl" }) do
    local path = support.folder() .. "/file"
    local out = assert(io.open(path, "w"))
    out:write("\n")
    lu.assertEquals(self.kv:export(out, { format = format }), 6)
    out:write("\n")
    out:close()
    local kv = another(self)
    local back = assert(io.open(path))
    lu.assertEquals({ kv:import(back) }, { 6, 0 })
    back:close()
    lu.assertEquals(contents(kv), contents(self.kv))
    fails(function() kv:import(back) end, "bad argument #1 to 'import'", "closed")
    fails(function() kv:export(back) end, "bad argument #1 to 'export'", "closed")
  end
end

function Transfer:test_an_export_is_json_that_others_read()
  self.kv:put("a", "1", { metadata = { x = 1 }, expiration = 4102444800 })
  self.kv:put("b", "\255")
  local folder = support.folder()
  self.kv:export(folder .. "/all.json")
  lu.assertEquals(KV.json.decode(support.read(folder .. "/all.json")), {
    { key = "a", value = "1", metadata = { x = 1 }, expiration = 4102444800 },
    { key = "b", value = "/w==", base64 = true },
  })
  self.kv:export(folder .. "/all.jsonl")
  local lines = {}
  for line in io.lines(folder .. "/all.jsonl") do table.insert(lines, KV.json.decode(line).key) end
  lu.assertEquals(lines, { "a", "b" })
end

function Transfer:test_an_empty_namespace()
  local folder = support.folder()
  for _, name in ipairs({ "/none.json", "/none.jsonl" }) do
    lu.assertEquals(self.kv:export(folder .. name), 0)
  end
  lu.assertEquals({ another(self):import(folder .. "/none.json") }, { 0, 0 })
  -- No lines are an empty file, which could be anything.
  lu.assertEquals(support.read(folder .. "/none.jsonl"), "")
  refuses(self.kv, function(kv) kv:import(folder .. "/none.jsonl") end, "INVALID", "empty")
  lu.assertEquals(KV.json.decode(support.read(folder .. "/none.json")), {})
end

function Transfer:test_an_export_replaces_a_file_when_it_is_whole()
  local path = file("all.json", "old")
  self.kv:put("a", "1")
  self.kv:export(path)
  lu.assertStrContains(support.read(path), '"a"')
  fails(function() self.kv:export(support.path("nowhere.json")) end, "IO", "nowhere.json")
end

-- Wrangler's form

function Transfer:test_a_bulk_file_of_wranglers()
  local path = file("bulk.json", [=[ [
    {"key": "plain", "value": "text"},
    {"key": "binary", "value": "AP8=", "base64": true},
    {"key": "limited", "value": "", "expiration_ttl": 1000, "metadata": {"a": [1, null]}},
    {"value": "in any order", "expiration": 4102444800, "base64": false, "metadata": null, "key": "until"}
  ] ]=])
  local before = os.time()
  lu.assertEquals({ self.kv:import(path) }, { 4, 0 })
  lu.assertEquals(self.kv:get({ "plain", "binary", "until" }),
    { plain = "text", binary = "\0\255", ["until"] = "in any order" })
  local _, limited = self.kv:getWithMetadata("limited")
  support.is_end(limited.expiration, 1000, before)
  lu.assertEquals(KV.json.encode(limited.metadata), '{"a":[1,null]}')
end

function Transfer:test_what_stands_before_the_first_entry()
  local entry = '{"key":"a","value":"1"}'
  local mark, space = "\239\187\191", (" \t\r\n"):rep(10000)
  for i, text in ipairs({ mark .. entry, mark .. "[" .. entry .. "]", space .. "[" .. entry .. "]", space .. entry,
    mark .. space .. "[" .. entry .. "]" }) do
    lu.assertEquals({ another(self):import(file("all.json", text)) }, { 1, 0 }, i)
  end
  local broken = file("broken.json", "\n\n\n[\n{}]")
  refuses(self.kv, function(kv) kv:import(broken) end, "INVALID", "line 5")
  for _, text in ipairs({ "", " \r\n\t", mark, mark .. "\n" }) do
    local blank = file("blank.json", text)
    refuses(self.kv, function(kv) kv:import(blank) end, "INVALID", "empty")
  end
  lu.assertEquals({ self.kv:import(file("none.json", " [ ] ")) }, { 0, 0 })
  for _, text in ipairs({ mark:sub(1, 2), "\239", mark .. mark .. entry }) do
    refuses(self.kv, function(kv) kv:import(file("broken.json", text .. "x")) end, "INVALID", "line 1")
  end
end

function Transfer:test_what_is_there_stays_unless_it_is_to_be_replaced()
  local path = file("all.jsonl", '{"key":"a","value":"new"}\n{"key":"b","value":"new"}')
  self.kv:put("a", "old", { metadata = 1 })
  lu.assertEquals({ self.kv:import(path) }, { 1, 1 })
  lu.assertEquals(self.kv:get({ "a", "b" }), { a = "old", b = "new" })
  lu.assertEquals({ self.kv:import(path, { replace = true }) }, { 2, 0 })
  local value, meta = self.kv:getWithMetadata("a")
  lu.assertEquals(value, "new")
  lu.assertNil(meta.metadata)
end

function Transfer:test_what_has_expired_is_left_out()
  local path = file("all.jsonl", '{"key":"a","value":"1","expiration":1000000000}\n{"key":"b","value":"2"}')
  lu.assertEquals({ self.kv:import(path, { replace = true }) }, { 1, 1 })
  lu.assertEquals(self.kv:get({ "a", "b" }), { b = "2" })
end

function Transfer:test_what_has_expired_removes_its_key_where_it_replaces()
  local path = file("all.jsonl", '{"key":"a","value":"1","expiration":1000000000}\n{"key":"b","value":"2"}')
  self.kv:put("a", "old")
  lu.assertEquals({ self.kv:import(path) }, { 1, 1 })
  lu.assertEquals(self.kv:get("a"), "old")
  lu.assertEquals({ self.kv:import(path, { replace = true }) }, { 1, 1 })
  lu.assertNil(self.kv:get("a"))
end

function Transfer:test_what_wrangler_takes_is_taken()
  local path = file("bulk.json", [=[[
    {"key": "more", "ttl": 5, "value": "text", "tags": [{"a": "]}"}, -1.5e3, null, true]},
    {"key": "wrapped", "value": "AAEC\n  AwQF\r\nBg==\n", "base64": true},
    {"key": "float", "value": "", "expiration_ttl": 3600.0},
    {"key": "until", "value": "", "expiration": 4.102444800e9}
  ]]=])
  local before = os.time()
  lu.assertEquals({ self.kv:import(path) }, { 4, 0 })
  lu.assertEquals(self.kv:get({ "more", "wrapped" }), { more = "text", wrapped = "\0\1\2\3\4\5\6" })
  local _, float = self.kv:getWithMetadata("float")
  support.is_end(float.expiration, 3600, before)
  local _, ends = self.kv:getWithMetadata("until")
  lu.assertEquals(ends.expiration, 4102444800)
end

-- Errors

function Transfer:test_a_broken_line_is_named_and_nothing_is_imported()
  local good = '{"key":"good","value":"1"}\n'
  for broken, why in pairs({
    ["{"] = "ends here", ["nonsense"] = "expected", ['{"key":"b"}'] = "missing field `value`",
    ['{"key":"b","value":1}'] = "`value` must be a string", ['{"key":"b","value":"1","ttl":5,}'] = "expected",
    ['{"key":"","value":"1"}'] = "empty", ['{"key":"b","value":"!","base64":true}'] = "base64",
    ['{"key":"b","value":"1","expiration":"soon"}'] = "whole number",
    ['{"key":"b","value":"1","expiration":3600.5}'] = "whole number",
    ['{"key":"b","value":"1","expiration":4000000000000}'] = "milliseconds",
    ['{"key":"b","value":"1","expiration_ttl":0}'] = "the lifetime is 0 seconds",
    ['{"key":"b","key":"c","value":"1"}'] = "duplicate", ['["b"]'] = "object",
    ['{"key":"' .. ("k"):rep(4097) .. '","value":"1"}'] = "4096",
    ['{"key":"b","value":"1","metadata":' .. ("["):rep(129) .. ("]"):rep(129) .. "}"] = "nested deeper",
    ['{"key":"b","value":"1","metadata":"' .. ("m"):rep(65536) .. '"}'] = "65536",
    ['{"key":"b","value":"\255"}'] = "",
  }) do
    local path = file("broken.jsonl", good .. good .. broken)
    refuses(self.kv, function(kv) kv:import(path) end, "broken.jsonl", "line 3", why)
    lu.assertNil(self.kv:get("good"))
  end
end

function Transfer:test_an_error_tells_its_own_line()
  for line, entry in pairs({ [4] = '"key": "a",\n "value": 5', [3] = '"key": 5,\n "value": ""',
    [5] = '"key": "a",\n "value": "",\n "expiration": 1.5', }) do
    local path = file("broken.json", "[\n {\n" .. entry .. "\n}\n]\n")
    refuses(self.kv, function(kv) kv:import(path) end, "INVALID", "line " .. line)
  end
end

function Transfer:test_a_broken_array_is_told_and_nothing_is_imported()
  for _, text in ipairs({
    '[{"key":"good","value":"1"}', '[{"key":"good","value":"1"},', '[{"key":"good","value":"1"},]',
    '[{"key":"good","value":"1"}] x', '[{"key":"good","value":"1"} {"key":"good","value":"1"}]', "[1]",
    '[["good","1"]]',
  }) do
    local path = file("broken.json", text)
    refuses(self.kv, function(kv) kv:import(path) end, "INVALID", "line 1")
    lu.assertNil(self.kv:get("good"))
  end
end

function Transfer:test_what_cannot_be_written_is_named_and_not_the_store()
  self.kv:put("large", ("x"):rep(100000))
  local message = fails(function() self.kv:export("/dev/full") end, "IO", "/dev/full")
  lu.assertNotStrContains(message, self.store:stats().path)
end

function Transfer:test_a_database_is_no_export()
  local path = support.write(support.path(), "SQLite format 3\0" .. ("\0"):rep(4080))
  refuses(self.kv, function(kv) kv:import(path) end, "INVALID", "a SQLite database, not an export")
end

function Transfer:test_bad_arguments()
  refuses(self.kv, function(kv) kv:export(5) end, "bad argument #1 to 'export'", "path or file expected")
  refuses(self.kv, function(kv) kv:import({}) end, "bad argument #1 to 'import'", "path or file expected")
  refuses(self.kv, function(kv) kv:import(self.store) end, "bad argument #1 to 'import'", "path or file expected")
  refuses(self.kv, function(kv) kv:export("x", { format = "csv" }) end, "bad argument #2 to 'export'", "'csv'")
  refuses(self.kv, function(kv) kv:import("x", { overwrite = true }) end, "unknown option 'overwrite'")
  refuses(self.kv, function(kv) kv:import(support.path("missing.json")) end, "IO", "missing.json")
  refuses(self.kv, function(kv) kv:import(support.folder()) end, "IO")
  fails(function() self.kv:export(support.folder()) end, "IO")
end

return Transfer
