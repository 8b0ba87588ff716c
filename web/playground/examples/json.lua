-- A table is stored as JSON
local kv = KV.namespace("settings")
kv:put("config", {
  setting = "dark",
  sizes = { 12, 14, 16 },
  editor = { wrap = true, ruler = KV.null },
})

-- Get as text (default)
print(kv:get("config"))

-- Get and parse as JSON
local data = kv:get("config", "json")
print(data.setting, #data.sizes, data.editor.wrap, data.editor.ruler == KV.null)

-- Handle missing keys gracefully
local missing = kv:get("nonexistent", "json") or {}
print(missing.setting) -- nil

-- An empty table is an object, unless it is marked as an array
print(json.encode({}), json.encode(KV.array({})))

-- Any bytes are a value as well
kv:put("logo.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
print(#kv:get("logo.png", "arrayBuffer") .. " bytes")
