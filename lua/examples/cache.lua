--- Caching of API responses: lua5.4 lua/examples/cache.lua
-- Run it again within 5 minutes, and the first request is a HIT as well: the cache outlives the process.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local api = host.route("api/posts/+server.lua")

local fetch, fetched = host.server.fetch_posts_from_db, 0
host.server.fetch_posts_from_db = function()
  fetched = fetched + 1
  return fetch()
end

for request = 1, 3 do
  local response = api.GET({})
  print(("request %d: status %d, X-Cache %-4s, %d posts"):format(
    request, response.status, response.headers["X-Cache"], #response.body))
end
print(("The database was asked %d time%s."):format(fetched, fetched == 1 and "" or "s"))
