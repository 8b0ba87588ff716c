-- What bench/lua-instructions counts: lua5.4 bench/instructions.lua OPERATION STORE COUNT FILE runs an operation so many
-- times on a store with 2 000 keys of 13 bytes and values of 100 bytes. The store is in memory, or at FILE on disk.

local KV = require("luat_kv")

local KEYS = 2000
local operation, place, count, file = table.unpack(arg)
local store = KV.open(place == "memory" and { memory = true } or { path = file })
local kv = store:namespace("bench")

local keys, missing = {}, {}
for i = 1, KEYS do keys[i], missing[i] = ("key:%09d"):format(i), ("no :%09d"):format(i) end
local values = {}
for i = 1, KEYS do values[i] = ("%010d"):format(i) .. ("0123456789"):rep(9) end

-- 567 bytes as JSON.
local document = {
  id = 1234567, title = "A post about nothing", tags = { "lua", "sqlite", "kv", "embedded" },
  author = { name = "Ada Lovelace", email = "ada@example.com" }, views = 10234,
  body = ("Words that mean little, \"quoted\" now and then.\n"):rep(6) .. ("and some more"):rep(7) .. "and even",
}

local batch = store:atomic():namespace("bench")
for i = 1, KEYS do batch:put(keys[i], operation == "json" and document or values[i]) end
assert(batch:commit())

local run = {
  get = function(n) for i = 1, n do kv:get(keys[i % KEYS + 1]) end end,
  missing = function(n) for i = 1, n do kv:get(missing[i % KEYS + 1]) end end,
  json = function(n) for _ = 1, n do kv:get(keys[1], "json") end end,
  put = function(n) for i = 1, n do kv:put(keys[i % KEYS + 1], values[i % KEYS + 1]) end end,
  list = function(n) for _ = 1, n do kv:list { limit = 1000 } end end,
}
run[operation](tonumber(count))
