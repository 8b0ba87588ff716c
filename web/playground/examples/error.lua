-- What an error looks like: its line is marked, and what was done before it stays done
local kv = KV.namespace("accounts")
kv:put("alice", 100)

local function withdraw(name, amount)
  local balance = kv:get(name, "json")
  kv:put(name, balance - amount)
  return balance - amount
end

print("alice has " .. withdraw("alice", 30))

-- A failed operation raises a plain string, which can be caught
print(select(2, pcall(function() kv:put("bob", "x", { expiration_ttl = 60 }) end)))

print("bob has " .. withdraw("bob", 30))
