--- Session storage: lua5.4 lua/examples/session.lua
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local session = host.require("session")

local id = session.create("user-42")
print("Alice logs in.   Her session is " .. id .. ", good for 24 hours.")

local data = session.get(id)
local since = os.date("%H:%M:%S", data.created)
print("A request comes. It is from " .. data.user_id .. ", logged in since " .. since .. ".")

local guess = host.server.generate_id()
print("A guessed id     finds " .. tostring(session.get(guess)) .. ".")

session.destroy(id)
print("Alice logs out.  Her session is " .. tostring(session.get(id)) .. ".")
