-- Watch the table: these keys leave it by themselves
local kv = KV.namespace("tokens")

-- Expires in some seconds from now
kv:put("short", "gone in 5 seconds", { expirationTtl = 5 })
kv:put("session:abc", "data", { expirationTtl = 3600 })

-- Expires at a Unix timestamp
kv:put("token:xyz", "secret", {
  expiration = os.time() + 86400, -- tomorrow
})

local _, meta = kv:getWithMetadata("session:abc")
print("session:abc expires at " .. os.date("!%H:%M:%S", meta.expiration) .. " UTC")

-- Another expiration for the same value, or none
kv:touch("session:abc", { expirationTtl = 60 })
kv:put("for-ever", "stays", { expirationTtl = 60 })
kv:touch("for-ever")
print(select(2, kv:getWithMetadata("for-ever")).expiration) -- nil
