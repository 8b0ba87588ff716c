--- A shop that never sells more than its stock: lua5.4 lua/examples/stock.lua
-- The stock is reduced and the order stored in one transaction, or neither, even if others buy at the same time.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local KV = host.server.KV
local stock, orders = KV.namespace("stock"), KV.namespace("orders")

--- Returns the order's id, or nil and why not.
local function buy(item, customer)
  while true do
    local found, meta = stock:getWithMetadata(item, "json")
    if not found or found == 0 then
      return nil, "sold out"
    end
    local id = host.server.generate_id()
    local done = stock:atomic()
      :check(item, meta.version) -- fails if another process was faster, and the count is outdated
      :put(item, found - 1)
      :namespace("orders"):put("order:" .. id, { item = item, customer = customer })
      :commit()
    if done then
      return id
    end
  end
end

stock:put("apple", 2)
for _, customer in ipairs({ "alice", "bob", "carol" }) do
  local id, why = buy("apple", customer)
  print(("%-5s buys an apple: %s"):format(customer, id and "yes" or why))
end
print(("%d orders, %d apples left"):format(orders:count({ prefix = "order:" }), stock:get("apple", "json")))
orders:clear()
