-- Metadata is any JSON, kept beside the value
local kv = KV.namespace("posts")
kv:put("post:123", { title = "Hello", content = "…" }, {
  metadata = { author = "alice", created = os.time() },
})

local value, meta = kv:getWithMetadata("post:123")
if value then
  print(value)
  print(meta.expiration) -- nil: it never expires
  print(meta.metadata.author)
end

-- A list brings the metadata along, without reading the values
for _, key in ipairs(kv:list({ prefix = "post:" }).keys) do
  print(key.name, key.metadata and key.metadata.author)
end

-- A put replaces all that the key held: without metadata, there is none
kv:put("post:123", "Hello again")
print(select(2, kv:getWithMetadata("post:123")).metadata)
kv:put("post:123", "Hello again", { metadata = { author = "bob" } })
