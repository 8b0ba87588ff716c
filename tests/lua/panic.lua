--- A bug in the library, provoked: it is raised as PANIC, has changed nothing, and the store remains usable. Runs with
-- a module that has the feature debug-hooks, and LUAT_KV_DEBUG_PANIC_KEY=boom. Prints TAP.
local KV = require("luat_kv")

local path = os.tmpname()
os.remove(path)
local stores = { memory = KV.open({ memory = true }), disk = KV.open({ path = path }) }

local number = 0
local function check(name, holds, why)
  number = number + 1
  print(("%sok %d - %s%s"):format(holds and "" or "not ", number, name, holds and "" or " # " .. tostring(why)))
end

for name, store in pairs(stores) do
  local kv = store:namespace("n")
  kv:put("other", "before")
  local calls = {
    put = function() kv:put("boom", "value") end,
    get = function() kv:get("boom") end,
    getWithMetadata = function() kv:getWithMetadata("boom", "json") end,
    has = function() kv:has("boom") end,
    take = function() kv:take("boom", "json") end,
    incr = function() kv:incr("boom") end,
    commit = function() kv:atomic():put("other", "after"):put("boom", "value"):commit() end,
  }
  for call, fn in pairs(calls) do
    local ok, message = pcall(fn)
    check(name .. ": " .. call, not ok and message:find("luat_kv: PANIC: ", 1, true) and message:find("^[^:]+:%d+: ")
      and kv:get("other") == "before" and kv:count() == 1, message)
  end
  kv:put("other", "after")
  check(name .. ": it works on", kv:get("other") == "after")
  store:close()
end

for _, suffix in ipairs({ "", "-wal", "-shm" }) do os.remove(path .. suffix) end
print("1.." .. number)
