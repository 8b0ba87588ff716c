--- Stores: opening, housekeeping, closing.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local entry = require("luat_kv_ffi.entry")
local fail = require("luat_kv_ffi.fail")
local handles = require("luat_kv_ffi.handle")
local json = require("luat_kv_ffi.json")
local text = require("luat_kv_ffi.text")

local constants = call.constants
local problem = call.problem

-- A store's contents are:
--   ptr     the C object; false after close()
--   free    the C function that frees it
--   limits  the maximum lengths of JSON that is stored, in bytes: value, metadata; and whether they are Cloudflare's
--   path    the given path of the file, absolute; nil if it is not known yet, "memory" for a store in memory
--   settings  the settings of the module that opened it (json.lua)
--   users   the contents of its namespaces, batches and watches, whose `ptr` must be freed when it closes. The function
--           `leave` of some is called before
-- Its users have its contents as `store`, and its handle as `owner`, which keeps it from being collected.

local M = {}

local Store = {}

--- Sets the maximum lengths of a store; without a store, those of the default limits.
local function read_limits(into, ptr)
  local limits = ffi.new("luat_kv_limits")
  C.luat_kv_store_limits(ptr, limits, ffi.sizeof(limits))
  into.value, into.metadata = tonumber(limits.max_value_len), limits.max_metadata_len
  return into
end
M.JSON_LIMIT = read_limits({}).value

--- The absolute path of the database file, or `memory`, or a URL without its password. The project's path, and that of
-- a URL, is found when it is first needed.
function M.label(store)
  if not store.path then
    if not store.ptr then return "closed" end
    store.path = ffi.string(C.luat_kv_store_path(store.ptr or fail.closed()))
  end
  return store.path
end

local new_store, stores, this, ptr = handles.kind("luat_kv.store", Store, M.label)

-- Opening ----------------------------------------------------------------------------------------

pcall(ffi.cdef, "char *getcwd(char *, size_t);")

--- A path as std::path::absolute returns it: with the working directory, without "." and doubled slashes.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then
    local room = ffi.new("char[?]", 4096)
    local found, here = pcall(function() return ffi.C.getcwd(room, 4096) end)
    if not found or here == nil then return nil end
    path = ffi.string(here) .. "/" .. path
  end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part ~= "." then parts[#parts + 1] = part end
  end
  return "/" .. table.concat(parts, "/")
end

local cell = ffi.new("luat_kv_store *[1]")

--- Creates a handle for a store that is opened into the cell, and its contents.
local function new(limits, path, settings)
  local store = {
    ptr = false, free = C.luat_kv_close, path = path, settings = settings,
    limits = { cloudflare = limits == constants.LUAT_KV_LIMITS_CLOUDFLARE },
    users = setmetatable({}, { __mode = "k" }),
  }
  return new_store(store), store
end

local function opened(store, status)
  if status < 0 then fail.raise(status) end
  store.ptr = cell[0]
  read_limits(store.limits, store.ptr)
end

local OPEN = { names = { "path", "memory", "limits", "durability", "busy_timeout", "readonly", "cache_size", "url" } }

function OPEN.path(option, into)
  into.path = option:expect("string")
end

function OPEN.url(option, into)
  into.url = option:expect("string")
end

function OPEN.memory(option, into)
  into.memory = option:boolean()
end

local LIMIT_WORDS = {
  words = { "default", "cloudflare" },
  default = constants.LUAT_KV_LIMITS_DEFAULT, cloudflare = constants.LUAT_KV_LIMITS_CLOUDFLARE,
}
function OPEN.limits(option, into)
  into.limits = option:word(LIMIT_WORDS)
end

local DURABILITY_WORDS = {
  words = { "normal", "full" },
  normal = constants.LUAT_KV_DURABILITY_NORMAL, full = constants.LUAT_KV_DURABILITY_FULL,
}
function OPEN.durability(option, into)
  into.durability = option:word(DURABILITY_WORDS)
end

function OPEN.readonly(option, into)
  into.readonly = option:boolean()
end

function OPEN.busy_timeout(option, into)
  local seconds = option:expect("number")
  -- Rust's Duration ends at 2^64 seconds.
  if not (seconds >= 0 and seconds < 2 ^ 64) then
    option:wrong("seconds from 0 up expected, got " .. text.number(seconds))
  end
  into.busy_timeout = seconds
end

function OPEN.cache_size(option, into)
  local bytes = option:expect("number")
  if not (bytes >= 0 and bytes < math.huge and math.floor(bytes) == bytes) then
    option:wrong("whole number of bytes from 0 up expected, got " .. text.number(bytes))
  end
  into.cache_size = bytes
end

local function open_options(into)
  local options = ffi.new("luat_kv_open_options")
  C.luat_kv_open_options_init(options, ffi.sizeof(options))
  options.limits, options.durability = into.limits or 0, into.durability or 0
  local flags = into.readonly and constants.LUAT_KV_OPEN_READONLY or 0
  if into.busy_timeout == 0 then
    flags = flags + constants.LUAT_KV_OPEN_NOWAIT
  elseif into.busy_timeout then
    options.busy_timeout_ms = math.min(math.ceil(into.busy_timeout * 1000), 2 ^ 32 - 1)
  end
  if into.cache_size == 0 then
    flags = flags + constants.LUAT_KV_OPEN_NO_CACHE
  elseif into.cache_size then
    -- A number that is too large for the field is also more than the memory, which opening reports.
    options.cache_size = into.cache_size < 2 ^ 64 and into.cache_size or 0xffffffffffffffffULL
  end
  options.flags = flags
  return options
end

--- The functions of the module itself are called with a full stop.
local NO_COLON = "called with ':', which is for methods; here it is '.'"

--- The collector sees a userdata of a few bytes, but a store has descriptors and a cache. So this much garbage is
-- created with each store, and the collector runs sooner if stores are opened again and again.
local WEIGHT = 64 * 1024

--- Opens a file, and tries again after collecting garbage if that failed, since there may be no descriptors left.
local function open_file(store, open)
  local status = open()
  -- (A server that refuses is not asked twice.)
  if status == constants.LUAT_KV_IO and C.luat_kv_error_errno(problem[0]) ~= 0 then
    fail.taken(status)
    -- A batch keeps its namespace, which keeps its store, until it is finalized.
    for _ = 1, 3 do pcall(collectgarbage) end
    status = open()
  end
  opened(store, status)
end

--- `KV.open(options?)`.
function M.open(settings, options, more)
  if type(more) == "table" then fail.argument(1, NO_COLON) end
  local into = args.options(options, 1, OPEN, {})
  local path, url, memory = into.path, into.url, into.memory or false
  if (path and url) or ((path or url) and memory) then
    fail.argument(1, "the options 'path', 'url' and 'memory = true' exclude each other")
  end
  ffi.new("uint8_t[?]", WEIGHT)
  local limits, c_options = into.limits or constants.LUAT_KV_LIMITS_DEFAULT, open_options(into)
  if memory then
    local handle, store = new(limits, "memory", settings)
    opened(store, C.luat_kv_open_memory(c_options, cell, problem))
    return handle
  elseif url then
    if url:find("\0", 1, true) then fail.invalid("the URL has a NUL in it") end
    local handle, store = new(limits, nil, settings)
    open_file(store, function() return C.luat_kv_open_url(url, c_options, cell, problem) end)
    return handle
  elseif not path then
    local handle, store = new(limits, nil, settings)
    open_file(store, function() return C.luat_kv_open_project(nil, c_options, cell, problem) end)
    return handle
  end
  if path:find("\0", 1, true) then
    fail.invalid(("opening %s: the path has a NUL in it"):format(text.one_line(path)))
  end
  local handle, store = new(limits, absolute(path), settings)
  open_file(store, function() return C.luat_kv_open(path, c_options, cell, problem) end)
  return handle
end

-- Namespaces -------------------------------------------------------------------------------------

local namespace_cell = ffi.new("luat_kv_namespace *[1]")

--- Fills in the contents of a namespace.
function M.open_namespace(space)
  local store, name = space.store, space.name
  store.users[space] = true
  local status = C.luat_kv_namespace_open(store.ptr or fail.closed(), name, #name, namespace_cell, problem)
  if status < 0 then fail.raise(status) end
  handles.hold(space, namespace_cell)
end

--- The project's store, which opens on first use.
local project

--- `KV.namespace(name)`. `new_namespace` creates the handle.
function M.project_namespace(new_namespace)
  return function(name, settings)
    if type(name) == "table" then fail.argument(1, NO_COLON) end
    args.text(name, 1, "namespace")
    if not project then
      -- The name is checked before a store is created for it.
      local check, store = new(constants.LUAT_KV_LIMITS_DEFAULT, "memory")
      opened(store, C.luat_kv_open_memory(nil, cell, problem))
      new_namespace(check, name, settings)
      local handle
      handle, store = new(constants.LUAT_KV_LIMITS_DEFAULT)
      opened(store, C.luat_kv_open_project(nil, nil, cell, problem))
      project = handle
    end
    return (new_namespace(project, name, settings))
  end
end

--- Adds the methods of stores that create other handles.
function M.complete(new_namespace, begin_batch)
  function Store.namespace(self, name)
    local store = this(self)
    args.text(name, 2, "namespace")
    return (new_namespace(self, name, store.settings))
  end

  function Store.atomic(self, extra)
    local store = this(self)
    return (begin_batch(self, store.settings, nil, extra))
  end

  fail.public(Store)
end

-- Housekeeping -----------------------------------------------------------------------------------

local count = ffi.new("uint64_t[1]")

function Store.sweep(self, max)
  this(self)
  args.optional_whole(max, 2)
  if max and max < 0 then fail.argument(2, "whole number from 0 up expected") end
  -- To C, 0 means all of them.
  if max == 0 then return 0 end
  local status = C.luat_kv_sweep(ptr(self), max or 0, count, problem)
  if status < 0 then fail.raise(status) end
  return tonumber(count[0])
end

function Store.compact(self)
  local status = C.luat_kv_compact(ptr(self), problem)
  if status < 0 then fail.raise(status) end
end

local complete = ffi.new("int[1]")

function Store.checkpoint(self)
  local status = C.luat_kv_checkpoint(ptr(self), complete, problem)
  if status < 0 then fail.raise(status) end
  return complete[0] ~= 0
end

function Store.backup(self, path)
  local store = this(self)
  if type(path) ~= "string" then fail.argument(2, "string expected, got " .. type(path)) end
  if path:find("\0", 1, true) and store.ptr and M.label(store) ~= "memory" then
    fail.invalid(("backing up to %s: the path has a NUL in it"):format(text.one_line(path)))
  end
  local status = C.luat_kv_backup(ptr(self), path, problem)
  if status < 0 then fail.raise(status) end
end

function Store.namespaces(self)
  local status = C.luat_kv_namespaces(ptr(self), call.page, problem)
  if status < 0 then fail.raise(status) end
  local names = entry.page(call.page[0], false)
  for i = 1, #names do
    names[i] = names[i].name
  end
  return setmetatable(names, json.ARRAY)
end

function Store.stats(self)
  local out = ffi.new("luat_kv_stats *[1]")
  local status = C.luat_kv_stats_read(ptr(self), out, problem)
  if status < 0 then fail.raise(status) end
  local stats, size = ffi.gc(out[0], C.luat_kv_stats_free), call.size()
  local cache = ffi.new("luat_kv_cache_stats")
  C.luat_kv_stats_cache(stats, cache, ffi.sizeof(cache))
  local namespaces = {}
  for i = 0, tonumber(C.luat_kv_stats_len(stats)) - 1 do
    local data = C.luat_kv_stats_name(stats, i, size)
    namespaces[ffi.string(data, size[0])] = {
      live = tonumber(C.luat_kv_stats_live(stats, i)), expired = tonumber(C.luat_kv_stats_expired(stats, i)),
    }
  end
  return {
    path = ffi.string(C.luat_kv_stats_path(stats)), file_size = tonumber(C.luat_kv_stats_file_size(stats)),
    namespaces = namespaces,
    cache = {
      hits = tonumber(cache.hits), misses = tonumber(cache.misses),
      drops = tonumber(cache.drops), size = tonumber(cache.size),
    },
  }
end

function Store.close(self)
  local store, others = this(self), fail.depth() - 1
  local leaving = {}
  for user in next, store.users do
    if user.leave then leaving[#leaving + 1] = user end
  end
  for i = 1, #leaving do leaving[i]:leave() end
  -- The store itself closes with the last object that uses it.
  for user in next, store.users do
    handles.release(user, others)
  end
  handles.release(store, others)
end

M.stores = stores

return M
