--- Converts C's entries to Lua tables. The caller holds the object that the entries belong to, and frees it later.

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local decode = require("luat_kv_ffi.decode")
local fail = require("luat_kv_ffi.fail")
local text = require("luat_kv_ffi.text")

local M = {}

--- The types in which a value can be requested.
M.TYPES = { words = { "text", "json", "arrayBuffer" }, text = "text", json = "json", arrayBuffer = "text" }
M.CLOUDFLARES_BULK_TYPES = { words = { "text", "json" }, text = "text", json = "json" }

--- The value as a document; nil if it is only `null`.
function M.document(value, key, null)
  local document, why = decode(value, null)
  if why then
    fail.invalid(("the value of %s is not JSON: %s"):format(text.quoted(key), why))
  end
  return document
end

--- Metadata, which another program may have written.
local function metadata_of(json, key, null)
  local document, why = decode(json, null)
  if why then
    fail.failed("CORRUPT", ("the metadata of %s is not JSON: %s"):format(text.quoted(key), why))
  end
  return document
end

--- Returns what C knows about an entry, unchanged: its key, version, expiration, metadata as JSON and, with `values`,
-- its value. A field without a value is absent. `size` is a size_t[1] of the caller.
function M.read(entry, size, values)
  local data = C.luat_kv_entry_key(entry, size)
  local about = { name = ffi.string(data, size[0]) }
  data = C.luat_kv_entry_version(entry, size)
  if data ~= nil then about.version = ffi.string(data, size[0]) end
  if values then
    data = C.luat_kv_entry_value(entry, size)
    about.value = ffi.string(data, size[0])
  end
  local expiration = tonumber(C.luat_kv_entry_expiration(entry))
  if expiration ~= 0 then about.expiration = expiration end
  data = C.luat_kv_entry_metadata(entry, size)
  if data ~= nil then about.metadata = ffi.string(data, size[0]) end
  return about
end

--- Replaces texts by their documents: the value's, if it is wanted as JSON, and the metadata's. A value that is only
-- `null` becomes absent.
local function documents(about, kind, null)
  if kind == "json" then about.value = M.document(about.value, about.name, null) end
  if about.metadata then about.metadata = metadata_of(about.metadata, about.name, null) end
  return about
end

--- The same for a table of entries, where a key whose document is `null` must not look missing.
function M.documents(about, kind, null)
  documents(about, kind, null)
  if kind == "json" and about.value == nil then about.value = null end
  return about
end

--- The results of `getWithMetadata`.
function M.results(about, kind, null)
  documents(about, kind, null)
  local value = about.value
  about.value, about.name = nil, nil
  return value, about
end

--- The value of an entry that has one.
function M.value(entry)
  local size = ffi.new("size_t[1]")
  local data = C.luat_kv_entry_value(entry, size)
  return ffi.string(data, size[0])
end

--- All entries of a page, as read above. The page is freed.
function M.page(page, values)
  ffi.gc(page, C.luat_kv_page_free)
  local keys, size = {}, ffi.new("size_t[1]")
  for i = 1, tonumber(C.luat_kv_page_len(page)) do
    keys[i] = M.read(C.luat_kv_page_at(page, i - 1), size, values)
  end
  local data = C.luat_kv_page_cursor(page, size)
  local cursor = data ~= nil and ffi.string(data, size[0]) or nil
  C.luat_kv_page_free(ffi.gc(page, nil))
  return keys, cursor
end

return M
