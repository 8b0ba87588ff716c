--- Watches: `kv:watch`, and the methods of what it returns.
--
-- What C reports stays with the watch until it is returned: first as C's page, then as texts, then as what Lua gets. If
-- one of these steps fails, the next call repeats it, so nothing is lost.

jit.off(true, true) -- see call.lua

local ffi = require("ffi")
local C = require("luat_kv_ffi.library")
local args = require("luat_kv_ffi.args")
local call = require("luat_kv_ffi.call")
local entry = require("luat_kv_ffi.entry")
local fail = require("luat_kv_ffi.fail")
local handles = require("luat_kv_ffi.handle")
local json = require("luat_kv_ffi.json")
local stores = require("luat_kv_ffi.store")
local text = require("luat_kv_ffi.text")

local constants, problem = call.constants, call.problem

-- The contents of a watch, besides those that each user of a store has (store.lua):
--   closed   whether it was closed by itself
--   space    the contents of its namespace
--   kind     the type of the values; nil if there are none
--   timeout  how long a loop waits for the next change, as C takes it
--   page     a cell with C's page, until that was read
--   texts    the changes that were read, in byte order, until they were converted
--   changes  the changes as Lua gets them
--   place    how many of those were returned
--   olds     how many of the texts or changes are from C's answers before the last one, which could not be converted
--   last_old the place of the last of those; 0 if there are none
--   floor    the token from before the first of those answers; nil if there are none
--   last     the token as of when the store was closed

local Watch = {}

local new_watch, _, this, _, metatable = handles.kind("luat_kv.watch", Watch, function(watch)
  return watch.closed and "closed" or ("%s in %s"):format(watch.space.name, stores.label(watch.store))
end)

local NONE = {}

local function ptr_of(watch)
  if watch.closed then fail.invalid("the watch is closed") end
  return watch.ptr or fail.closed()
end

-- Tokens -----------------------------------------------------------------------------------------

local token_cell = ffi.new("luat_kv_bytes")

-- References to its fields, which ffi.string() follows. (Reading the fields would allocate. C's text is valid only until
-- its next token of the watch, which a finalizer may ask for.)
local token_data = ffi.cast("const void *&", token_cell)
local token_len = ffi.cast("size_t &", ffi.cast("char *", token_cell) + ffi.offsetof("luat_kv_bytes", "len"))

--- Returns the token for when so many changes of C's last answer were returned.
local function token_after(watch, count)
  local status = C.luat_kv_watch_token(ptr_of(watch), count, token_cell, problem)
  if status < 0 then fail.raise(status) end
  return (ffi.string(token_data, token_len))
end

local ALL = ffi.cast("size_t", -1)

--- Returns the token for the changes that were returned.
local function token_of(watch)
  if watch.page or #watch.texts > 0 then
    return watch.floor or token_after(watch, 0)
  elseif watch.place >= #watch.changes then
    return (token_after(watch, ALL))
  elseif watch.place >= watch.last_old then
    return (token_after(watch, watch.place - watch.olds))
  end
  -- C takes all the old ones for returned. With this token, some that were returned are told again.
  return watch.floor
end

--- Keeps the token of a watch whose store is about to close. In the child of a fork there is none.
local function keep_token(watch)
  if not watch.ptr then return end
  local done, token = pcall(token_of, watch)
  if done then watch.last = token end
end

-- Changes ----------------------------------------------------------------------------------------

local new_cell = ffi.typeof("luat_kv_page *[1]")

local function free_page(cell)
  local page = cell[0]
  cell[0] = nil
  C.luat_kv_page_free(page)
end

--- Reads a change, unchanged.
local function read(change, size, values)
  local kind = C.luat_kv_entry_change(change)
  local is_put = kind == constants.LUAT_KV_CHANGE_PUT
  local about = entry.read(change, size, is_put and values)
  if is_put then
    about.type = "put"
    return about
  end
  return { name = about.name, type = "delete", expired = kind == constants.LUAT_KV_CHANGE_EXPIRE or nil }
end

--- Reads the page of a cell, and returns the newest changes of it and of the older texts; how many of these are left; and
-- the place of the last of them.
local function read_page(cell, values, older)
  local page, size, texts, is_new = cell[0], call.size(), {}, {}
  for i = 1, tonumber(C.luat_kv_page_len(page)) do
    texts[i] = read(C.luat_kv_page_at(page, i - 1), size, values)
    is_new[texts[i].name] = true
  end
  for i = 1, #older do
    if not is_new[older[i].name] then texts[#texts + 1] = older[i] end
  end
  if #older > 0 then
    table.sort(texts, function(a, b) return a.name < b.name end)
  end
  local olds, last_old = 0, 0
  for i = 1, #texts do
    if not is_new[texts[i].name] then olds, last_old = olds + 1, i end
  end
  return texts, olds, last_old
end

--- Returns the tables for Lua, with documents.
local function converted(texts, kind, null)
  local changes = {}
  for i = 1, #texts do
    local change = {}
    for name, value in next, texts[i] do change[name] = value end
    changes[i] = change.type == "put" and entry.documents(change, kind, null) or change
  end
  return setmetatable(changes, json.ARRAY)
end

--- Lets C wait for a page, if there are still only these texts. Returns whether the time is over.
local function ask(watch, texts, timeout)
  -- Nothing is allocated between the call and the field that keeps the page.
  local cell = ffi.gc(new_cell(), free_page)
  -- C takes the texts for returned as soon as it is asked.
  local floor = #texts > 0 and (watch.floor or token_after(watch, 0)) or nil
  if watch.page or not rawequal(watch.texts, texts) or watch.place < #watch.changes then return false end
  watch.floor, watch.olds, watch.last_old = floor, #texts, #texts
  local status = C.luat_kv_watch_next(ptr_of(watch), timeout, cell, problem)
  if status < 0 then fail.raise(status) end
  if status ~= constants.LUAT_KV_OK then return true end
  watch.page = cell
  return false
end

--- Returns whether there are changes to return; if there are none, waits for some. Whatever allocates may run a finalizer
-- that calls the watch. So each step counts only if nothing has changed meanwhile.
local function has_changes(watch, timeout)
  local asked = false
  ptr_of(watch) -- fails if there is none
  while watch.place >= #watch.changes do
    local page, texts = watch.page, watch.texts
    if page then
      local newer, olds, last_old = read_page(page, watch.kind ~= nil, texts)
      if rawequal(watch.page, page) and rawequal(watch.texts, texts) then
        watch.page, watch.texts, watch.olds, watch.last_old = nil, newer, olds, last_old
        -- (A call that this one interrupts may be reading the page.)
        if fail.depth() == 1 then free_page(ffi.gc(page, nil)) end
      end
    elseif #texts == 0 or not asked then
      -- Texts that could not be converted may be out of date.
      asked = true
      if ask(watch, texts, #texts > 0 and 0 or timeout) and #texts == 0 then return false end
    else
      local changes = converted(texts, watch.kind, watch.space.settings.null)
      if rawequal(watch.texts, texts) and watch.place >= #watch.changes then
        watch.changes, watch.place, watch.texts = changes, 0, NONE
      end
    end
  end
  return true
end

-- Options ----------------------------------------------------------------------------------------

--- To C, a negative timeout never ends.
local FOR_EVER = -1

--- Returns a timeout for C. A time that is too long, such as `math.huge`, never ends.
local function milliseconds(seconds, wrong)
  if not (seconds >= 0) then
    wrong("seconds from 0 up expected, got " .. text.number(seconds))
  end
  return seconds < 2 ^ 43 and math.ceil(seconds * 1000) or FOR_EVER
end

--- The options. `range` has those that a list has too.
local function known_options(range, keys_of)
  local known = { names = { "prefix", "keys", "existing", "since", "values", "type", "timeout" }, prefix = range.prefix }

  function known.keys(option, into)
    local function wrong(message) option:wrong(message) end
    into.keys = keys_of(option:expect("table"), wrong)
    if #into.keys == 0 then wrong("it is empty; leave it out to watch the whole namespace") end
  end

  function known.existing(option, into)
    into.existing = option:boolean()
  end

  function known.since(option, into)
    into.since = option:expect("string")
    args.utf8(into.since, "token")
  end

  function known.values(option, into)
    range.values(option, into)
    into.is_true = option.value == true
  end

  function known.type(option, into)
    into.type = option:word(entry.TYPES)
  end

  function known.timeout(option, into)
    into.timeout = milliseconds(option:expect("number"), function(message) option:wrong(message) end)
  end

  return known
end

local watch_cell = ffi.new("luat_kv_watch *[1]")

--- Opens a watch into the cell.
local function open(ptr, object, given)
  local keys, options = given.keys or NONE, ffi.new("luat_kv_watch_options")
  C.luat_kv_watch_options_init(options, ffi.sizeof(options))
  local values = given.values and constants.LUAT_KV_WATCH_VALUES or 0
  local existing = given.existing and constants.LUAT_KV_WATCH_EXISTING or 0
  options.flags = values + existing
  options.prefix.data, options.prefix.len = given.prefix, given.prefix and #given.prefix or 0
  options.since.data, options.since.len = given.since, given.since and #given.since or 0
  local views = ffi.new("luat_kv_bytes[?]", math.max(#keys, 1))
  for i = 1, #keys do
    local view = views[i - 1]
    view.data, view.len = keys[i], #keys[i]
  end
  options.keys, options.key_count = views, #keys
  local status = C.luat_kv_watch_open(ptr(object), options, watch_cell, problem)
  if status < 0 then fail.raise(status) end
end

-- Methods ----------------------------------------------------------------------------------------

function Watch.next(self, seconds)
  local watch, timeout = this(self), FOR_EVER
  if seconds ~= nil then
    if type(seconds) ~= "number" then fail.argument(2, "number expected, got " .. type(seconds)) end
    timeout = milliseconds(seconds, function(message) fail.argument(2, message) end)
  end
  local rest, changes, place
  repeat
    if not has_changes(watch, timeout) then return nil end
    changes, place = watch.changes, watch.place
    rest = changes
    if place > 0 then
      rest = setmetatable({}, json.ARRAY)
      for i = place + 1, #changes do rest[i - place] = changes[i] end
    end
  until rawequal(watch.changes, changes) and watch.place == place
  watch.changes, watch.place = NONE, 0
  return rest
end

--- A generic `for` calls this for each change.
function metatable.__call(self)
  local watch = this(self)
  if not has_changes(watch, watch.timeout) then return nil end
  local place = watch.place + 1
  local change = watch.changes[place]
  watch.changes[place], watch.place = false, place
  return change
end

function Watch.token(self)
  local watch = this(self)
  if watch.closed then fail.invalid("the watch is closed") end
  if not watch.ptr then return watch.last or fail.closed() end
  return (token_of(watch))
end

local descriptor = ffi.new("int[1]")

function Watch.fd(self)
  local status = C.luat_kv_watch_fd(ptr_of(this(self)), descriptor, problem)
  if status < 0 then fail.raise(status) end
  return descriptor[0] >= 0 and descriptor[0] or nil
end

function Watch.close(self)
  local watch = this(self)
  watch.closed = true
  watch.page, watch.texts, watch.changes, watch.place, watch.floor, watch.last = nil, NONE, NONE, 0, nil, nil
  handles.release(watch, fail.depth() - 1)
end
metatable.__close = Watch.close

fail.public(Watch)
fail.public(metatable)

return function(Namespace, this_space, ptr, range, keys_of)
  local OPTIONS = known_options(range, keys_of)

  function Namespace.watch(self, options)
    local space = this_space(self)
    local given = args.options(options, 2, OPTIONS, {})
    if given.type then
      if not given.is_true then fail.argument(2, "option 'type': only with values = true") end
      given.values = given.type
    end
    local watch = {
      ptr = false, free = C.luat_kv_watch_free, store = space.store, owner = space.owner, space = space, closed = false,
      kind = given.values, timeout = given.timeout or FOR_EVER, texts = NONE, changes = NONE, place = 0, olds = 0,
      last_old = 0, leave = keep_token,
    }
    local handle = new_watch(watch)
    space.store.users[watch] = true
    open(ptr, self, given)
    handles.hold(watch, watch_cell)
    return handle, nil, nil, handle
  end
end
