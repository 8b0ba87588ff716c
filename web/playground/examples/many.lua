-- 10 000 keys: see how long it takes, and search among them
local kv = KV.namespace("sensors")
local began = os.clock()

for number = 1, 10000 do
  local place = ("%s:%05d"):format(number % 2 == 0 and "garden" or "house", number)
  kv:put(place, { celsius = 15 + number % 100 / 10 }, { metadata = { number = number } })
end

print(("%d keys in %.0f ms"):format(kv:count(), (os.clock() - began) * 1000))
print(kv:count({ prefix = "garden:0001" }) .. " of them begin with garden:0001")
