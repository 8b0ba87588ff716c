-- Times the Lua module beside the least that could do the same work. `make bench` runs it.
--
--   lua5.4 bench/bench.lua FOLDER      FOLDER exists, is empty, and lies on a disk
--
-- Prints "operation, luat_kv or baseline or ratio, value, unit" with tabs between them. Only the ratios say something:
-- machines differ, and one machine differs from second to second. So ours and the baseline take turns, and the ratio is
-- the median of the rounds' own ratios.

local KV = require("luat_kv")
local baseline = require("baseline")
local cjson = require("cjson")

local folder = assert(arg[1], "usage: lua5.4 bench/bench.lua FOLDER")
local ROUNDS = 15
local KEYS = 20000
local HOT = 2000
local LISTED, PAGE = 500000, 1000

-- 13-byte keys, in random order but the same ones in each run.
math.randomseed(20000, 0)
local keys = {}
for i = 1, KEYS do keys[i] = ("key:%09d"):format(i) end
for i = KEYS, 2, -1 do
  local j = math.random(i)
  keys[i], keys[j] = keys[j], keys[i]
end
local value = ("0123456789"):rep(10)

-- SQLite writes nothing where a row is put again as it is: so each round puts another value.
local round_value, round_count = value, 0
local function new_value()
  round_count = round_count + 1
  round_value = ("%010d"):format(round_count):rep(10)
end

local document = {
  id = 1234567, slug = "a-post-about-nothing", title = "A post about nothing", published = true, score = 4.75,
  tags = { "lua", "sqlite", "kv", "embedded" },
  author = { name = "Ada Lovelace", email = "ada@example.com", roles = { "admin", "editor" } },
  body = ("Words that mean little, \"quoted\" now and then.\n"):rep(5),
  counts = { views = 10234, likes = 87, shares = 12 },
  created_at = 1767225600, updated_at = 1767312000,
}
local json = cjson.encode(document)
local function new_document() document.id = document.id + 1 end

-- The stores, filled with the same keys.
local function bench_namespace(options) return KV.open(options):namespace("bench") end
local ours = bench_namespace { path = folder .. "/ours.db" }
local memory = bench_namespace { memory = true }
local theirs = baseline.open(folder .. "/theirs.db")
local Plain = {}
Plain.__index = Plain
function Plain:get(key) return self.rows[key] end
function Plain:put(key, new) self.rows[key] = new end
local plain = setmetatable({ rows = {} }, Plain)
for _, key in ipairs(keys) do
  ours:put(key, value)
  memory:put(key, value)
  theirs:put(key, value)
  plain:put(key, value)
end

local with_metadata = bench_namespace { path = folder .. "/metadata.db" }
for _, key in ipairs(keys) do with_metadata:put(key, value, { metadata = { author = "ada", version = 3 } }) end

local documents = bench_namespace { path = folder .. "/documents.db" }
for i = 1, PAGE do documents:put(keys[i], json) end

-- 500 000 keys in pages of 1000 a prefix: our store lays the file out, and the baseline fills it in one statement.
local listed_path = folder .. "/listed.db"
KV.open({ path = listed_path }):close()
local filler = baseline.open(listed_path)
filler:exec(([[
  INSERT INTO kv (namespace, key, value)
  WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d)
  SELECT 'bench', printf('p%%03d:%%08d', i / %d, i), randomblob(100) FROM n]]):format(LISTED, PAGE))
filler:close()
local listed = bench_namespace { path = listed_path }

-- A faster wrong answer is no answer.
local first = keys[1]
assert(ours:get(first) == value and theirs:get(first) == value and memory:get(first) == value)
assert(with_metadata:getWithMetadata(first) == value)
assert(documents:get(first, "json").author.name == cjson.decode(documents:get(first)).author.name)
local page = listed:list { prefix = "p123:", limit = PAGE }
assert(#page.keys == PAGE and page.keys[PAGE].name == "p123:00123999")

-- Each row: n times the same work by `ours` and, where there is something to compare with, by `theirs`.
local function each_key(n, work)
  return function() for i = 1, n do work(keys[i]) end end
end
local function get(store)
  return function() for i = 1, KEYS do store:get(keys[i]) end end
end
-- A few of the keys, again and again.
local function hot(store)
  return function() for i = 1, KEYS do store:get(keys[i % HOT + 1]) end end
end
local function put(store)
  return function()
    new_value()
    for i = 1, KEYS do store:put(keys[i], round_value) end
  end
end

-- Batches write over keys that are there, in both stores.
local BATCH = 1000
local function batch_put()
  new_value()
  for first = 1, KEYS - BATCH + 1, BATCH do
    local batch = ours:atomic()
    for i = first, first + BATCH - 1 do batch:put(keys[i], round_value) end
    assert(batch:commit())
  end
end
local function transaction_put()
  new_value()
  for first = 1, KEYS - BATCH + 1, BATCH do
    theirs:exec("BEGIN IMMEDIATE")
    for i = first, first + BATCH - 1 do theirs:put(keys[i], round_value) end
    theirs:exec("COMMIT")
  end
end

-- New keys, in both stores into the very same table, with its index of expirations: a round each, in order.
local function same_table(name)
  local path = folder .. "/" .. name
  KV.open({ path = path }):close()
  return path
end
local grown, raw = bench_namespace { path = same_table("grown.db") }, baseline.open(same_table("raw.db"))
local function new_keys(put)
  new_value()
  for i = 1, BATCH do put(("%06d:%06d"):format(round_count, i)) end
end
local function batch_of_new()
  local batch = grown:atomic()
  new_keys(function(key) batch:put(key, value) end)
  assert(batch:commit())
end
local function transaction_of_new()
  raw:exec("BEGIN IMMEDIATE")
  new_keys(function(key) raw:put(key, value) end)
  raw:exec("COMMIT")
end

local BULK = 100
local bulks = {}
for i = 1, KEYS // BULK do bulks[i] = table.move(keys, (i - 1) * BULK + 1, i * BULK, 1, {}) end
local function bulk_get()
  for _, bulk in ipairs(bulks) do ours:get(bulk) end
end
local function get_one_by_one()
  for _, bulk in ipairs(bulks) do
    local found = {}
    for _, key in ipairs(bulk) do found[key] = theirs:get(key) end
  end
end

local counters, counted = bench_namespace { path = folder .. "/counters.db" }, baseline.open(folder .. "/counted.db")
for i = 1, PAGE do
  counters:put(keys[i], 1)
  counted:put(keys[i], "1")
end
local function count_by_hand()
  for i = 1, PAGE do
    counted:exec("BEGIN IMMEDIATE")
    counted:put(keys[i], tostring(math.tointeger(counted:get(keys[i])) + 1))
    counted:exec("COMMIT")
  end
end

local rows = {
  { ("get of %d keys"):format(KEYS), n = KEYS, ours = get(ours), theirs = get(theirs) },
  { "put", n = KEYS, ours = put(ours), theirs = put(theirs) },
  { ("get %d bytes as JSON (cjson.decode of a get)"):format(#json), n = PAGE,
    ours = each_key(PAGE, function(key) return documents:get(key, "json") end),
    theirs = each_key(PAGE, function(key) return cjson.decode(documents:get(key)) end) },
  { ("put a table as %d bytes (a put of cjson.encode)"):format(#json), n = PAGE,
    ours = function() new_document() for i = 1, PAGE do documents:put(keys[i], document) end end,
    theirs = function() new_document() for i = 1, PAGE do documents:put(keys[i], cjson.encode(document)) end end },
  { ("list %d names of %d keys by prefix"):format(PAGE, LISTED), n = 100,
    ours = function()
      for i = 1, 100 do listed:list { prefix = ("p%03d:"):format(i * 211 % (LISTED // PAGE)), limit = PAGE } end
    end },
  { "a put in a batch of 1000 (in one transaction)", n = KEYS, ours = batch_put, theirs = transaction_put },
  { "a new key in a batch of 1000 (into the same table)", n = BATCH, ours = batch_of_new, theirs = transaction_of_new },
  { "a get in a bulk of 100 (100 gets)", n = KEYS, ours = bulk_get, theirs = get_one_by_one },
  { "incr (BEGIN, get, put, COMMIT)", n = PAGE,
    ours = each_key(PAGE, function(key) counters:incr(key) end), theirs = count_by_hand },
  { "a value in a list of 1000 (1000 gets)", n = 20 * PAGE,
    ours = function() for _ = 1, 20 do ours:list { values = true, limit = PAGE } end end,
    theirs = function() for _ = 1, 20 do for i = 1, PAGE do theirs:get(keys[i]) end end end },
  { "getWithMetadata", n = KEYS, ours = each_key(KEYS, function(key) return with_metadata:getWithMetadata(key) end) },
  { ("get of %d keys"):format(HOT), n = KEYS, ours = hot(ours), theirs = hot(theirs) },
  { "get, in memory (a Lua table)", n = KEYS, ours = hot(memory), theirs = hot(plain) },
  { "put, in memory (a Lua table)", n = KEYS, ours = put(memory), theirs = put(plain) },
}

local function time(work, n)
  collectgarbage()
  local start = baseline.now()
  work()
  return (baseline.now() - start) / n
end

local function median(times)
  table.sort(times)
  return times[#times // 2 + 1]
end

-- Medians of the rounds: ours, and where there is a baseline, its and the ratio.
local function measure(row)
  local ours_ns, theirs_ns, ratios = {}, {}, {}
  for round = 1, ROUNDS do
    ours_ns[round] = time(row.ours, row.n)
    if row.theirs then
      theirs_ns[round] = time(row.theirs, row.n)
      ratios[round] = ours_ns[round] / theirs_ns[round]
    end
  end
  if not row.theirs then return median(ours_ns) end
  return median(ours_ns), median(theirs_ns), median(ratios)
end

print(("version\tLua\t%s"):format(_VERSION:match("%d.*")))
local line = "%s\t%s\t%.3f\t%s"
for _, row in ipairs(rows) do
  local a, b, ratio = measure(row)
  print(line:format(row[1], "luat_kv", a / 1000, "µs"))
  if b then
    print(line:format(row[1], "baseline", b / 1000, "µs"))
    print(line:format(row[1], "ratio", ratio, ""))
  end
end
