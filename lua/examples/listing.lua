--- The blog's front page in one call: lua5.4 lua/examples/listing.lua
-- The blog library requests the keys and then each post. With values, one list is enough.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local blog = host.require("blog")
local kv = host.server.KV.namespace("blog")

for number, title in ipairs({ "Hello, world", "This post outlives its process", "Newest first" }) do
  blog.create_post({ slug = ("%03d"):format(number), title = title, author = "alice" })
end

local page = kv:list({ prefix = "post:", values = "json", reverse = true, limit = 10 })
for _, post in ipairs(page.keys) do
  print(("%s: %s, by %s"):format(post.value.slug, post.value.title, post.metadata.author))
end
