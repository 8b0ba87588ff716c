-- Times luat_kv_ffi beside the C module, in one process of LuaJIT, and prints a table.
--
--   LUA_CPATH="target/lua/jit/?.so;;" LUA_PATH="lua/?.lua;;" LUAT_KV_LIBRARY=target/lib/libluat_kv.so \
--       luajit bench/ffi.lua FOLDER      FOLDER exists, and lies on a disk
--
-- Only the ratios say something: both take turns, and a ratio is the median of the rounds' own.

local ffi = require("ffi")
local modules = { c = require("luat_kv"), ffi = require("luat_kv_ffi") }
local folder = assert(arg[1], "usage: luajit bench/ffi.lua FOLDER")
local ROUNDS = 15

ffi.cdef("typedef struct { long sec, nsec; } luat_kv_bench_time; int clock_gettime(int, luat_kv_bench_time *);")
local time = ffi.new("luat_kv_bench_time")
local function now()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.sec) * 1e9 + tonumber(time.nsec)
end

local KEYS = 10000
local keys = {}
for i = 1, KEYS do keys[i] = ("key:%09d"):format(i * 7919 % KEYS) end
local value = ("0123456789"):rep(10)
local document = {
  id = 1234567, slug = "a-post-about-nothing", title = "A post about nothing", published = true, score = 4.75,
  tags = { "lua", "sqlite", "kv", "embedded" },
  author = { name = "Ada Lovelace", email = "ada@example.com", roles = { "admin", "editor" } },
  body = ("Words that mean little, \"quoted\" now and then.\n"):rep(5),
  counts = { views = 10234, likes = 87, shares = 12 },
  created_at = 1767225600, updated_at = 1767312000,
}

local spaces = {}
for name, KV in pairs(modules) do
  for kind, options in pairs({ disk = { path = folder .. "/" .. name .. ".db" }, memory = { memory = true } }) do
    local kv = KV.open(options):namespace("bench")
    local batch = kv:atomic()
    for i = 1, KEYS do batch:put(keys[i], value) end
    for i = 1, 1000 do batch:put("document:" .. keys[i], document) end
    batch:commit()
    spaces[name .. kind] = kv
  end
end
local text = modules.c.json.encode(document)

local round = 0
local function each(n, work)
  return n, function(KV, kv)
    round = round + 1
    for i = 1, n do work(kv, keys[i], KV) end
  end
end

local rows = {
  { "get 100 bytes, cached", "memory", each(KEYS, function(kv, key) return kv:get(key) end) },
  { "get 100 bytes, one key", "disk", each(KEYS, function(kv) return kv:get("key:000000001") end) },
  { "get 100 bytes", "disk", each(KEYS, function(kv, key) return kv:get(key) end) },
  { "put 100 bytes", "memory", each(KEYS, function(kv, key) kv:put(key, value) end) },
  { "put 100 bytes", "disk", each(2000, function(kv, key) kv:put(key, value .. round) end) },
  { "getWithMetadata", "disk", each(KEYS, function(kv, key) return kv:getWithMetadata(key) end) },
  { ("get %d bytes as JSON"):format(#text), "disk",
    each(1000, function(kv, key) return kv:get("document:" .. key, "json") end) },
  { ("put a table as %d bytes"):format(#text), "memory", each(1000, function(kv, key) kv:put("d" .. key, document) end) },
  { "JSON.encode", "memory", each(2000, function(_, _, KV) return KV.json.encode(document) end) },
  { "JSON.decode", "memory", each(2000, function(_, _, KV) return KV.json.decode(text) end) },
  { "list 1000", "disk", each(20, function(kv) return kv:list({ limit = 1000 }) end) },
}

local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

print(("%-28s %-7s %10s %10s %8s"):format("", "", "C, ns", "ffi, ns", "C / ffi"))
for _, row in ipairs(rows) do
  local title, kind, n, work = row[1], row[2], row[3], row[4]
  local took, ratios = { c = {}, ffi = {} }, {}
  for i = 1, ROUNDS + 3 do
    for name, KV in pairs(modules) do
      collectgarbage()
      local start = now()
      work(KV, spaces[name .. kind])
      took[name][i] = (now() - start) / n
    end
    ratios[i] = took.c[i] / took.ffi[i]
  end
  -- The first rounds are the compiler's.
  for _ = 1, 3 do
    table.remove(ratios, 1)
    table.remove(took.c, 1)
    table.remove(took.ffi, 1)
  end
  print(("%-28s %-7s %10.0f %10.0f %8.2f"):format(title, kind, median(took.c), median(took.ffi), median(ratios)))
end
