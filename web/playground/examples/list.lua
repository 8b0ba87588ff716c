local kv = KV.namespace("members")
for number = 1, 12 do
  kv:put(("user:%03d"):format(number), "Member " .. number, { metadata = { number = number } })
end
kv:put("group:1", "Everybody")

-- All keys, in byte order
print(#kv:list().keys .. " keys")

-- Those with a prefix
for _, key in ipairs(kv:list({ prefix = "group:" }).keys) do
  print(key.name)
end

-- Page by page
local cursor, pages = nil, 0
repeat
  local page = kv:list({ prefix = "user:", limit = 5, cursor = cursor })
  pages = pages + 1
  print(("page %d: %s to %s"):format(pages, page.keys[1].name, page.keys[#page.keys].name))
  cursor = page.cursor
until page.list_complete

-- The same without pages, from the last to the first, with values
for name, key in kv:each({ prefix = "user:", reverse = true, values = true }) do
  if key.metadata.number > 10 then
    print(name, key.value)
  end
end
