--- A rate limiter: lua5.4 lua/examples/rate_limiter.lua
-- Each client has a counter, which starts again with each window. All processes of a site share the counters.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local kv = host.server.KV.namespace("limits")

local LIMIT, WINDOW = 5, 60

--- Whether this client may continue. The time to live is set when the counter is created, so the window ends by itself.
local function allow(client)
  local hits = kv:incr("hits:" .. client, 1, { expirationTtl = WINDOW })
  return hits <= LIMIT, math.max(LIMIT - hits, 0)
end

for request = 1, 7 do
  local allowed, left = allow("192.0.2.1")
  print(("request %d: %s, %d left"):format(request, allowed and "200 OK" or "429 Too Many Requests", left))
end
