--- A blog with persistent storage: lua5.4 lua/examples/blog.lua
-- Run it twice: the second process finds what the first one wrote.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local blog = host.require("blog")

local function write(slug, title)
  blog.create_post({ slug = slug, title = title, author = "alice", content = "…" })
  print("wrote  " .. slug .. ": " .. title)
end

local posts = blog.get_posts()
if #posts == 0 then
  print("found no posts: this is the first run here")
  write("001-hello", "Hello, world")
  write("002-outlives", "This post outlives its process")
else
  print(("found %d post%s written by an earlier run:"):format(#posts, #posts == 1 and "" or "s"))
  for _, post in ipairs(posts) do
    print(("  %s: %s, by %s at %s"):format(post.slug, post.title, post.author, os.date("%H:%M:%S", post.created)))
  end
  local number = #posts + 1
  write(("%03d-again"):format(number), "Another process, post number " .. number)
end

print("The posts are kept here: " .. tostring(host.server.KV.namespace("blog")))
if #posts == 0 then
  print("Now run me again.")
end
