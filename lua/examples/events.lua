--- Server-sent events of what changes: lua5.4 lua/examples/events.lua PORT       (needs luasocket)
-- A page shows them by `new EventSource("/")`; curl -N http://127.0.0.1:PORT/ prints them. One thread serves all: it
-- waits for requests and for the watch at the same time.
local socket = require("socket")
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local kv, json = host.server.KV.namespace("posts"), host.server.json

local server = assert(socket.bind("127.0.0.1", tonumber(arg[1]) or 0))
print(("http://127.0.0.1:%d/"):format(select(2, server:getsockname())))
io.stdout:flush()

local watch = kv:watch({ values = true })
-- What socket.select() waits for is a table with the descriptor.
local changes = { getfd = function() return watch:fd() end, dirty = function() return false end }
local waiting, listeners = { server, changes }, {}

local HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"

--- Sends some text to those that listen, and forgets who has gone.
local function send(text)
  for listener in pairs(listeners) do
    if not listener:send(text) then
      listener:close()
      listeners[listener] = nil
    end
  end
end

while true do
  local ready = socket.select(waiting)
  if ready[server] then
    local listener = server:accept()
    if listener then
      listener:settimeout(1)
      local line = listener:receive("*l")
      while line and line ~= "" do line = listener:receive("*l") end
      listener:send(HEAD)
      listeners[listener] = true
    end
  end
  if ready[changes] then
    for _, change in ipairs(watch:next(0) or {}) do
      send(("event: %s\ndata: %s\n\n"):format(change.type, json.encode({ key = change.name, value = change.value })))
    end
  end
end
