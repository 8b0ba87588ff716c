-- Get a namespace
local kv = KV.namespace("my-namespace")

-- Store a value
kv:put("user:123", "Alice")

-- Retrieve a value
local name = kv:get("user:123")
print(name) -- "Alice"

-- Delete a value
kv:delete("user:123")
print(kv:get("user:123")) -- nil: a missing key is no error

-- Data in one namespace does not affect another
local users = KV.namespace("users")
local posts = KV.namespace("posts")
users:put("key", "value1")
posts:put("key", "value2")
print(users:get("key"), posts:get("key"))
