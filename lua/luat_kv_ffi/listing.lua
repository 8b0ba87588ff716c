--- The methods of a namespace for ranges of keys: listing, iterating, counting, clearing.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local entry = require("luat_kv_ffi.entry")
local fail = require("luat_kv_ffi.fail")
local handles = require("luat_kv_ffi.handle")
local json = require("luat_kv_ffi.json")

local constants, problem = call.constants, call.problem
local ARRAY = json.ARRAY

-- Options ----------------------------------------------------------------------------------------

local RANGE = { names = { "prefix", "start", "stop", "reverse", "values" } }

for _, name in ipairs({ "prefix", "start", "stop" }) do
  RANGE[name] = function(option, into) into[name] = option:text() end
end

local read_stop = RANGE.stop

function RANGE.stop(option, into)
  read_stop(option, into)
  if into.stop == "" then
    option:wrong("it is empty, and no key comes before that; leave it out to go to the end")
  end
end

function RANGE.reverse(option, into)
  into.reverse = option:boolean()
end

--- `true`, or a type as in `get`.
function RANGE.values(option, into)
  local kind = type(option.value)
  if kind == "boolean" then
    into.values = option.value and "text" or nil
  elseif kind == "string" then
    into.values = option:word(entry.TYPES)
  else
    option:wrong(('true, "text" or "json" expected, got %s'):format(kind))
  end
end

local LIST = setmetatable({ names = { "prefix", "start", "stop", "limit", "cursor", "reverse", "values" } }, { __index = RANGE })

function LIST.cursor(option, into)
  into.cursor = option:text()
end

function LIST.limit(option, into)
  into.limit = option:whole()
  if into.limit < 0 then option:wrong("a whole number from 1 up expected") end
end

--- The greatest limit that C accepts; more than any page has.
local FAR = 2 ^ 32 - 1

local function set(view, bytes)
  view.data, view.len = bytes, bytes and #bytes or 0
end

--- Reads a page: its keys, with documents as text, and its cursor. Arguments that only Lua allows are changed so that C
-- reports the same error: a limit of 0 or beyond 32 bits, and a cursor of "", which is malformed.
local function read_page(ptr, object, range)
  local options = ffi.new("luat_kv_list_options")
  C.luat_kv_list_options_init(options, ffi.sizeof(options))
  local limit = range.limit
  local out_of_range = limit and (limit == 0 or limit > FAR)
  options.limit = out_of_range and FAR or limit or 0
  options.flags = (range.reverse and constants.LUAT_KV_LIST_REVERSE or 0)
    + (range.values and constants.LUAT_KV_LIST_VALUES or 0)
  set(options.prefix, range.prefix)
  set(options.start, range.start)
  set(options.stop, range.stop)
  set(options.cursor, range.cursor == "" and "?" or range.cursor)
  local status = C.luat_kv_list(ptr(object), options, call.page, problem)
  if status < 0 then
    local code, message = fail.taken(status)
    if out_of_range and limit == 0 and message:find("^limit is ") then
      code, message = "INVALID", "limit is 0; it is at least 1"
    elseif out_of_range then
      message = message:gsub("^limit is %d+", ("limit is %.0f"):format(limit))
    end
    fail.failed(code, message)
  end
  return entry.page(call.page[0], range.values)
end

-- Walks ------------------------------------------------------------------------------------------

local new_walk, _, this_walk, _, walk_metatable = handles.kind("luat_kv.each")

--- A loop that ends early should read little, so the first page is small and the size doubles.
local FIRST_PAGE, LARGEST_PAGE = 16, 1000

--- A generic `for` calls this for each key: returns the next one that is still live, and its table.
function walk_metatable.__call(self)
  local walk = this_walk(self)
  if not walk.space.ptr then fail.closed() end
  while true do
    while walk.place < #walk.keys do
      local place = walk.place + 1
      local about = walk.keys[place]
      walk.place, walk.keys[place] = place, false
      if not about.expiration or os.time() < about.expiration then
        entry.documents(about, walk.range.values, walk.space.settings.null)
        return about.name, about
      end
    end
    if walk.finished then return nil end
    local range = walk.range
    local keys, cursor = read_page(walk.ptr_of, walk.owner, range)
    walk.keys, walk.place, range.cursor, walk.finished = keys, 0, cursor, cursor == nil
    range.limit = math.min(2 * range.limit, LARGEST_PAGE)
  end
end

--- Releases the page when the loop ends.
function walk_metatable.__close(self)
  local walk = this_walk(self)
  walk.keys, walk.place, walk.finished = {}, 0, true
end

fail.public(walk_metatable)

-- Methods ----------------------------------------------------------------------------------------

local count = ffi.new("uint64_t[1]")
local COUNT = { names = { "prefix" }, prefix = RANGE.prefix }

--- Adds the methods. Returns the options that select a range.
return function(Namespace, this, ptr)
  function Namespace.list(self, options)
    local space = this(self)
    local range = args.options(options, 2, LIST, {})
    local keys, cursor = read_page(ptr, self, range)
    for i = 1, #keys do
      entry.documents(keys[i], range.values, space.settings.null)
    end
    return { keys = setmetatable(keys, ARRAY), list_complete = cursor == nil, cursor = cursor }
  end

  function Namespace.each(self, options)
    local space = this(self)
    local range = args.options(options, 2, RANGE, {})
    -- Errors about the range are raised at once, by a page that is not used.
    read_page(ptr, self, { prefix = range.prefix, start = range.start, stop = range.stop, limit = 1 })
    range.limit = FIRST_PAGE
    local walk = new_walk({ space = space, owner = self, ptr_of = ptr, range = range, keys = {}, place = 0, finished = false })
    return walk, nil, nil, walk
  end

  function Namespace.count(self, options)
    this(self)
    local prefix = args.options(options, 2, COUNT, {}).prefix or ""
    local status = C.luat_kv_count(ptr(self), prefix, #prefix, count, problem)
    if status < 0 then fail.raise(status) end
    return tonumber(count[0])
  end

  function Namespace.deletePrefix(self, prefix)
    this(self)
    args.text(prefix, 2, "prefix")
    if prefix == "" then fail.argument(2, "the prefix is empty; to delete all keys, call clear()") end
    local status = C.luat_kv_delete_prefix(ptr(self), prefix, #prefix, count, problem)
    if status < 0 then fail.raise(status) end
    return tonumber(count[0])
  end

  function Namespace.clear(self)
    this(self)
    local status = C.luat_kv_clear(ptr(self), count, problem)
    if status < 0 then fail.raise(status) end
    return tonumber(count[0])
  end

  return RANGE
end
