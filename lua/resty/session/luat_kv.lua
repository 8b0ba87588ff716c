--- A storage for lua-resty-session 4: all workers of nginx share the sessions, in one file. docs/hosts/nginx.md shows it.
--
--   require("resty.session").init({
--     storage = require("resty.session.luat_kv").new({ path = "/var/lib/site/kv.db" }),
--   })
--
-- Options of `new`: `namespace` ("sessions"), `prefix` and `suffix` of keys as in the other storages, `timeout` (how many
-- seconds a call waits for other processes, 5), `module` (the module luat_kv, or luat_kv_ffi). All others are those of
-- KV.open, such as `path`, `url` and `durability`.

local ceil, max = math.ceil, math.max
local concat = table.concat

local OWN_OPTIONS = { namespace = true, prefix = true, suffix = true, timeout = true, module = true }

local Storage = {}
Storage.__index = Storage

--- The namespace. `new` is called in the master process, as root, so each worker opens the file by its first call.
local function opened(self)
  if not self.kv then
    -- This open may wait for another worker that creates the file. The next one shares its connections.
    self.first = self.first or self.KV.open(self.options)
    self.options.busy_timeout = 0.01
    self.kv = self.KV.open(self.options):namespace(self.namespace)
  end
  return self.kv
end

--- The name of an entry, as in the other storages.
local function name_of(self, name, key, subject)
  local parts = { self.prefix or name }
  if self.prefix then parts[2] = name end
  parts[#parts + 1] = key
  parts[#parts + 1] = subject
  parts[#parts + 1] = self.suffix
  return concat(parts, ":")
end

--- The sessions of an audience and a subject that have not ended: from their keys to their ends, in Unix seconds.
local function live(sessions, current_time)
  local left = {}
  for key, ends in pairs(sessions or {}) do
    if ends > current_time then left[key] = ends end
  end
  return left
end

--- Adds to a batch what a call changes of the sessions of one audience and subject.
local function update_list(self, batch, meta_name, current_time, change)
  local stored, about = self.kv:getWithMetadata(meta_name, "json")
  local sessions = live(stored, current_time)
  change(sessions)
  local ends = current_time
  for _, each in pairs(sessions) do ends = max(ends, each) end
  batch:check(meta_name, about and about.version)
  if ends > current_time then
    batch:put(meta_name, sessions, { expirationTtl = ceil(ends - current_time) })
  else
    batch:delete(meta_name)
  end
end

--- The same for each audience and subject, of which the library may name one twice.
local function update_metadata(self, batch, name, metadata, current_time, change)
  local changed = {}
  for i, audience in ipairs(metadata.audiences) do
    local meta_name = name_of(self, name, audience, metadata.subjects[i])
    if not changed[meta_name] then -- else the second check of the batch would find what the first change stored
      changed[meta_name] = true
      update_list(self, batch, meta_name, current_time, change)
    end
  end
end

--- Adds to a batch that the session from before a renewal lives for `stale_ttl` more at most.
local function shorten(self, batch, old_name, stale_ttl, current_time)
  local value, about = self.kv:getWithMetadata(old_name)
  if not value or (about.expiration and about.expiration <= current_time + stale_ttl) then return end
  batch:check(old_name, about.version)
  if stale_ttl > 0 then
    batch:put(old_name, value, { expirationTtl = ceil(stale_ttl) })
  else
    batch:delete(old_name)
  end
end

--- Commits a batch that `fill` fills, from the beginning as long as another worker changes what it has read.
local function commit(self, fill)
  repeat
    local batch = self.kv:atomic()
    fill(batch)
  until batch:commit()
  return true
end

local methods = {}

--- Stores a session. With `old_key`, the session that it renews ends in `stale_ttl` seconds.
function methods.set(self, name, key, value, ttl, current_time, old_key, stale_ttl, metadata)
  local options = { expirationTtl = max(ceil(ttl), 1) }
  if not old_key and not metadata then
    self.kv:put(name_of(self, name, key), value, options)
    return true
  end
  return commit(self, function(batch)
    if old_key and old_key ~= key then
      shorten(self, batch, name_of(self, name, old_key), stale_ttl or 0, current_time)
    end
    batch:put(name_of(self, name, key), value, options)
    if metadata then
      update_metadata(self, batch, name, metadata, current_time, function(sessions)
        if old_key then sessions[old_key] = nil end
        sessions[key] = current_time + ttl
      end)
    end
  end)
end

--- Returns what `set` has stored, or nil.
function methods.get(self, name, key)
  return (self.kv:get(name_of(self, name, key)))
end

--- Removes a session.
function methods.delete(self, name, key, current_time, metadata)
  if not metadata then
    self.kv:delete(name_of(self, name, key))
    return true
  end
  return commit(self, function(batch)
    batch:delete(name_of(self, name, key))
    update_metadata(self, batch, name, metadata, current_time, function(sessions) sessions[key] = nil end)
  end)
end

--- Returns the sessions of an audience and a subject: a table from their keys to their ends.
function methods.read_metadata(self, name, audience, subject, current_time)
  return live(self.kv:get(name_of(self, name, audience, subject), "json"), current_time)
end

--- The library expects nil and a message in place of an error, and other requests go on while this one waits.
for name, method in pairs(methods) do
  Storage[name] = function(self, ...)
    local arguments, count = { ... }, select("#", ...)
    local done, result = pcall(function()
      opened(self)
      return self.KV.retry(function() return method(self, unpack(arguments, 1, count)) end, self.waiting)
    end)
    if not done then return nil, result end
    return result
  end
end

local M = {}

--- Returns a storage for lua-resty-session.
function M.new(configuration)
  configuration = configuration or {}
  local options = {}
  for name, value in pairs(configuration) do
    if not OWN_OPTIONS[name] then options[name] = value end
  end
  return setmetatable({
    KV = configuration.module or require("luat_kv"),
    options = options,
    namespace = configuration.namespace or "sessions",
    prefix = configuration.prefix,
    suffix = configuration.suffix,
    waiting = { sleep = ngx.sleep, timeout = configuration.timeout },
  }, Storage)
end

return M
