--- Form actions of a page: lua5.4 lua/examples/forms.lua
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local blog = host.require("blog")
local page = host.route("blog/[slug]/edit/+page.server.lua")

local function visit(slug)
  local data = page.load({ params = { slug = slug } })
  print(("GET  /blog/%s/edit: %s"):format(slug, data.post and data.post.title or data.status .. " " .. data.error))
end

local function submit(slug, action, form)
  local result = page.actions[action]({ params = { slug = slug }, form = form })
  local answer = result.saved and "saved"
    or result.redirect and "redirect to " .. result.redirect
    or result.status .. " " .. result.data.error
  print(("POST /blog/%s/edit (%s): %s"):format(slug, action, answer))
end

blog.create_post({ slug = "draft", title = "A draft", author = "alice", content = "…" })
visit("draft")
submit("draft", "default", { title = "A better title", content = "Better words." })
visit("draft")
submit("draft", "delete", {})
visit("draft")
submit("draft", "default", { title = "Too late", content = "" })
