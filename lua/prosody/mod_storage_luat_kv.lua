-- A storage driver for Prosody 0.12: everything in one store of luat_kv. docs/hosts/prosody.md says how to use it.
--
-- A store of Prosody is a namespace, "keyval/HOST/STORE" or "archive/HOST/STORE". Keys begin with the user: "u:NAME", or
-- "h" for what belongs to the host. Values are what Prosody's own serializer writes, since JSON has neither keys that are
-- no strings nor several kinds of numbers: a roster has the key `false`.
--
-- An archive has three kinds of keys for each user, after a zero byte:
--
--   n        the number of the last item
--   i NUMBER an item: the stanza, and as metadata its id, time and partner. The numbers give the order
--   k ID     the number of the item with this id
--
-- Maps are left to Prosody, which makes them of a keyval store.

local KV = require "luat_kv"
local serialization = require "util.serialization"
local st = require "util.stanza"
local datetime = require "util.datetime"
local new_id = require "util.id".medium
local now = require "util.time".now
local paths = require "util.paths"

local location = module:get_option_string("luat_kv_db", "kv.db")
if not location:find("^%a[%w+.-]*:") then
  location = paths.resolve_relative_path(prosody.paths.data, location)
end
local archive_item_limit = module:get_option_number("storage_archive_item_limit")

local db = KV.open({
  url = location,
  durability = module:get_option_string("luat_kv_durability", "normal"),
  busy_timeout = module:get_option_number("luat_kv_busy_timeout", 5),
})

local function namespace_name(kind, store)
  return ("%s/%s/%s"):format(kind, module.host, store or "")
end

local function key_of(user)
  return user and "u:" .. user or "h"
end

local function encode(data)
  return serialization.serialize(data, "compact")
end

local function decode(text)
  local data, why = serialization.deserialize(text)
  if data == nil then
    error("it is not what Prosody has stored: " .. tostring(why))
  end
  return data
end

-- The methods of a store. An error of luat_kv becomes `nil, message`, which Prosody tells from data that is not there.
local function methods(list)
  for name, method in pairs(list) do
    if type(method) == "function" then
      list[name] = function(self, ...)
        local result = table.pack(pcall(method, self, ...))
        if result[1] then
          return table.unpack(result, 2, result.n)
        end
        module:log("error", "%s of the store %s failed: %s", name, self.name, result[2])
        return nil, tostring(result[2])
      end
    end
  end
  return { __index = list }
end

-- ---- Data of a user

local keyval = {}

function keyval:get(user)
  local text = self.kv:get(key_of(user))
  if text == nil then
    return nil
  end
  return decode(text)
end

-- Prosody's own drivers remove an empty table too, so nobody who has no data is among the users.
function keyval:set(user, data)
  if not data or (type(data) == "table" and next(data) == nil) then
    self.kv:delete(key_of(user))
  else
    self.kv:put(key_of(user), encode(data))
  end
  return true
end

function keyval:users()
  local users = {}
  for name in self.kv:each({ prefix = "u:" }) do
    users[#users + 1] = name:sub(3)
  end
  local i = 0
  return function()
    i = i + 1
    return users[i]
  end
end

-- ---- Archives

local archive = {
  caps = { total = true, quota = archive_item_limit, truncate = true, full_id_range = true, ids = true },
}

local STEP = 1000 -- how many items one batch removes

local function last_key(user)
  return key_of(user) .. "\0n"
end
local function item_key(user, number)
  return ("%s\0i%016d"):format(key_of(user), number)
end
local function id_key(user, id)
  return key_of(user) .. "\0k" .. id
end

local function to_text(stanza)
  return encode(st.preserialize(stanza))
end

-- Returns the key of the item with this id.
local function find_id(self, user, id)
  local number = self.kv:get(id_key(user, id))
  return number and item_key(user, math.tointeger(number))
end

local function matches(item, query)
  return (not query.with or item.with == query.with)
    and (not query.start or item.when >= query.start)
    and (not query["end"] or item.when <= query["end"])
    and (not query.key or item.id == query.key)
end

local function item_of(name, metadata)
  return { name = name, id = metadata.id, when = metadata.when, with = metadata.with }
end

-- Returns the items that match a query, oldest first, without their stanzas, and without its limits.
local function all_matching(self, user, query)
  local found, ids = {}, query.ids or (query.key and { query.key })
  local function add(name, metadata)
    local item = item_of(name, metadata)
    if matches(item, query) then
      found[#found + 1] = item
    end
  end
  if ids then
    local seen = {}
    for _, id in ipairs(ids) do
      local name = not seen[id] and find_id(self, user, id)
      local _, meta = self.kv:getWithMetadata(name or id_key(user, id))
      seen[id] = true
      if name and meta then
        add(name, meta.metadata)
      end
    end
    table.sort(found, function(a, b) return a.name < b.name end)
  else
    for name, key in self.kv:each({ prefix = key_of(user) .. "\0i" }) do
      add(name, key.metadata)
    end
  end
  return found
end

-- Stores an item, and what finds it by its id. Returns false if another process has used that id meanwhile.
local function store_item(self, user, item, text)
  local number, meta = self.kv:getWithMetadata(id_key(user, item.id))
  local next_number = self.kv:incr(last_key(user))
  local batch = self.kv:atomic():check(id_key(user, item.id), meta and meta.version)
  if number then
    batch:delete(item_key(user, math.tointeger(number)))
  end
  batch:put(item_key(user, next_number), text, { metadata = { id = item.id, when = item.when, with = item.with } })
  batch:put(id_key(user, item.id), tostring(next_number))
  return (batch:commit())
end

function archive:append(user, id, value, when, with)
  if not st.is_stanza(value) then
    return nil, "unsupported-datatype"
  end
  if archive_item_limit and self.kv:count({ prefix = key_of(user) .. "\0i" }) >= archive_item_limit then
    module:log("debug", "%s has reached the limit of the store %s", user, self.name)
    return nil, "quota-limit"
  end
  local item = { id = id or new_id(), when = when or now(), with = with or "" }
  local text = to_text(value)
  repeat until store_item(self, user, item, text)
  return item.id
end

-- Returns those of the items that are after one id and before another, as mod_storage_sql: each has to be in the archive.
local function between(self, user, items, query)
  local first = query.after and find_id(self, user, query.after)
  local last = query.before and find_id(self, user, query.before)
  if (query.after and not first) or (query.before and not last) then
    return nil, "item-not-found"
  end
  local found = {}
  for _, item in ipairs(items) do
    if (not first or item.name > first) and (not last or item.name < last) then
      found[#found + 1] = item
    end
  end
  return found
end

function archive:find(user, query)
  query = query or {}
  local matching = all_matching(self, user, query)
  local total = query.total and #matching or nil
  local items, why = between(self, user, matching, query)
  if not items then
    return nil, why
  end
  if query.reverse then
    table.sort(items, function(a, b) return a.name > b.name end)
  end
  local i, last = 0, math.min(#items, query.limit or #items)
  return function()
    while i < last do
      i = i + 1
      local text = self.kv:get(items[i].name)
      if text then -- it may have been removed meanwhile
        return items[i].id, st.deserialize(decode(text)), items[i].when, items[i].with
      end
    end
  end, total
end

function archive:get(user, id)
  local name = find_id(self, user, id)
  if not name then
    return nil, "item-not-found"
  end
  local text, meta = self.kv:getWithMetadata(name)
  if not text then
    return nil, "item-not-found"
  end
  return st.deserialize(decode(text)), meta.metadata.when, meta.metadata.with
end

function archive:set(user, id, value, when, with)
  if not st.is_stanza(value) then
    return nil, "unsupported-datatype"
  end
  local name = find_id(self, user, id)
  local _, meta = self.kv:getWithMetadata(name or id_key(user, id))
  if not name or not meta then
    return nil, "item-not-found"
  end
  local old = meta.metadata
  self.kv:put(name, to_text(value), { metadata = { id = id, when = when or old.when, with = with or old.with } })
  return true
end

function archive:dates(user)
  local dates, seen = {}, {}
  for _, item in ipairs(all_matching(self, user, {})) do
    local date = datetime.date(item.when)
    if not seen[date] then
      seen[date] = true
      dates[#dates + 1] = date
    end
  end
  return dates
end

function archive:summary(user, query)
  local items, why = self:find(user, query)
  if not items then
    return nil, why
  end
  local counts, earliest, latest, body = {}, {}, {}, {}
  for _, stanza, when, with in items do
    counts[with] = (counts[with] or 0) + 1
    earliest[with] = earliest[with] or when
    latest[with] = when
    body[with] = stanza:get_child_text("body") or body[with]
  end
  return { counts = counts, earliest = earliest, latest = latest, body = body }
end

function archive:users()
  local after = "u:"
  return function()
    while true do
      local found = self.kv:list({ prefix = "u:", start = after, limit = 1 }).keys[1]
      if not found then
        return nil
      end
      local user = found.name:match("^u:([^\0]*)")
      after = "u:" .. user .. "\1" -- past all keys of this user
      if found.name ~= last_key(user) then -- else all of this user's items are gone
        return user
      end
    end
  end
end

-- What all conditions match is removed, as in mod_storage_sql. Of that, `truncate` keeps the newest ones.
function archive:delete(user, query)
  if not query or next(query) == nil then
    self.kv:deletePrefix(key_of(user) .. "\0")
    return true
  end
  local items, why = between(self, user, all_matching(self, user, query), query)
  if not items then
    return nil, why
  end
  local first, last = 1, #items
  if query.truncate and query.reverse then
    first = query.truncate + 1
  elseif query.truncate then
    last = #items - query.truncate
  end
  for begin = first, last, STEP do
    local batch = self.kv:atomic()
    for i = begin, math.min(last, begin + STEP - 1) do
      batch:delete(items[i].name):delete(id_key(user, items[i].id))
    end
    batch:commit()
  end
  return math.max(0, last - first + 1)
end

-- ---- The driver

local kinds = { keyval = methods(keyval), archive = methods(archive) }
local driver = {}

function driver:open(store, kind)
  kind = kind or "keyval"
  if not kinds[kind] then
    return nil, "unsupported-store"
  end
  local name = namespace_name(kind, store)
  local ok, kv = pcall(db.namespace, db, name)
  if not ok then
    return nil, kv -- a store of mod_pep has a name that a user has chosen, which may be too long
  end
  return setmetatable({ name = name, kv = kv }, kinds[kind])
end

-- Which stores there are, of a user or of the host; `true` means all.
function driver:stores(user)
  local stores = {}
  local prefix = namespace_name("keyval", "")
  for _, name in ipairs(db:namespaces()) do
    if name:sub(1, #prefix) == prefix and (user == true or db:namespace(name):has(key_of(user))) then
      stores[#stores + 1] = name:sub(#prefix + 1)
    end
  end
  local i = 0
  return function()
    i = i + 1
    return stores[i]
  end
end

function driver:purge(user)
  for _, name in ipairs(db:namespaces()) do
    local kv = db:namespace(name)
    if name:find(namespace_name("keyval", ""), 1, true) == 1 then
      kv:delete(key_of(user))
    elseif name:find(namespace_name("archive", ""), 1, true) == 1 then
      kv:deletePrefix(key_of(user) .. "\0")
    end
  end
  return true
end

module:provides("storage", driver)
