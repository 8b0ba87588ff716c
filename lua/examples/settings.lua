--- Settings that every process has in memory: lua5.4 lua/examples/settings.lua
-- A read costs no read of the store, and yet sees what any process has changed.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local KV = host.server.KV

--- Returns a function that returns the present value of a setting.
local function open(kv)
  -- The first changes are the settings that are there.
  local watch, settings = kv:watch({ existing = true, values = true, timeout = 0 }), {}
  return function(name)
    for change in watch do
      settings[change.name] = change.value -- nil after a delete
    end
    return settings[name]
  end
end

local kv = KV.namespace("settings")
kv:put("theme", "dark")
kv:delete("limit")
local setting = open(kv)
print(("theme: %s, limit: %s"):format(setting("theme"), tostring(setting("limit"))))

-- Another process would do the same.
kv:atomic():put("theme", "light"):put("limit", 20):commit()
print(("theme: %s, limit: %s"):format(setting("theme"), tostring(setting("limit"))))
