--- A job that one process at a time may do: lua5.4 lua/examples/job_lock.lua
-- The lock expires if its holder dies, and only its holder releases it.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local kv = host.server.KV.namespace("locks")

--- Does the job unless another process is doing it. Returns whether it did.
local function exclusively(name, seconds, job)
  local key, me = "lock:" .. name, host.server.generate_id()
  if not kv:add(key, me, { expirationTtl = seconds }) then
    return false
  end
  local ok, err = pcall(job)
  -- If the job took too long, the lock may belong to another process by now. Then it stays.
  local holder, lock = kv:getWithMetadata(key)
  if holder == me then
    kv:atomic():check(key, lock.version):delete(key):commit()
  end
  if not ok then
    error(err, 0)
  end
  return true
end

local function report(who)
  return function()
    print(who .. " makes the report")
    print("bob is let in:  " .. tostring(exclusively("report", 60, function() print("never printed") end)))
  end
end

print("alice is let in: " .. tostring(exclusively("report", 60, report("alice"))))
print("carol is let in: " .. tostring(exclusively("report", 60, function() print("carol makes it again") end)))
