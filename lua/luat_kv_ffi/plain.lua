--- Reads tables through metamethods for conversion to JSON. Both modules for Lua use this file.
--
-- It returns a function that takes a function which returns any table's metatable, and the metatable that marks arrays.
-- That function returns `plain(value, null, field?)`, which returns a copy of a value in which no table has `__pairs`,
-- `__len` or `__index`; or nil and an error. With `field`, only that field of `value` is copied in this way. It needs
-- only Lua's basic functions, and no other file.

local next, pcall, rawequal, rawget, setmetatable, type = next, pcall, rawequal, rawget, setmetatable, type

--- The same as for JSON (see json.lua and encode.lua).
local MAX_DEPTH, SPARSE_SAFE, SPARSE_RATIO = 128, 10, 2

--- No value has room for more items: each takes two bytes of 512 MiB.
local MAX_ITEMS = 2 ^ 28

--- How many `__index` are followed, as in LuaJIT, and how many `__call`.
local MAX_INDEXES, MAX_CALLS = 100, 10

--- Whether the `__call` of a table can be another such table, as in Lua 5.4 and later.
local CALLS_CHAIN = pcall(setmetatable({}, { __call = setmetatable({}, { __call = function() end }) }))

--- A value as it is named in messages.
local function shown(value)
  if type(value) == "number" then return "" .. value end
  return value == nil and "nil" or "a " .. type(value)
end

return function(getmetatable, ARRAY)
  local copy

  -- Values that cannot be called are detected before Lua raises an error, which would have a position in this file.
  local function can_be_called(value, calls)
    if type(value) == "function" then return true end
    local metatable = getmetatable(value)
    local call = metatable and rawget(metatable, "__call")
    if type(call) == "function" then return true end
    return CALLS_CHAIN and call ~= nil and calls < MAX_CALLS and can_be_called(call, calls + 1)
  end

  --- Whether `next` would refuse its first arguments.
  local function is_refused_by_next(from, key)
    return type(from) ~= "table" or (key ~= nil and rawget(from, key) == nil)
  end

  local function through_pairs(value, pairs_of, copied)
    if not can_be_called(pairs_of, 0) then
      return "the __pairs of a table is " .. shown(pairs_of) .. "; it must be a function"
    end
    local step, from, key = pairs_of(value)
    if not can_be_called(step, 0) then
      return "the __pairs of a table returned " .. shown(step)
        .. "; it must return what a loop needs, as in: return next, fields"
    end
    if rawequal(step, next) and is_refused_by_next(from, key) then
      return "the __pairs of a table returned next without what next takes; right is: return next, fields"
    end
    local one
    while true do
      key, one = step(from, key)
      if key == nil then return end
      if type(key) == "number" and key ~= key then return "the __pairs of a table gave NaN as a key" end
      copied[key] = one
    end
  end

  --- Returns the item at a position, as indexing does. Returns nil and an error if an `__index` is unusable.
  local function item(value, place)
    local found = value
    for _ = 1, MAX_INDEXES do
      local is_table, one = type(found) == "table", nil
      if is_table then one = rawget(found, place) end
      if one ~= nil then return one end
      local metatable = getmetatable(found)
      local index = metatable and rawget(metatable, "__index")
      if index == nil then
        if is_table then return nil end
        return nil, "the __index of a table is " .. shown(found) .. "; it must be a function or a table"
      end
      if type(index) == "function" then return (index(found, place)) end
      found = index
    end
    return nil, "the __index of a table leads to more than 100 others; does one lead back to itself?"
  end

  local function through_len(value, len_of, copied, null)
    if not can_be_called(len_of, 0) then
      return "the __len of a table is " .. shown(len_of) .. "; it must be a function"
    end
    local len, count = len_of(value, value), 0
    if type(len) ~= "number" or not (len >= 0 and len % 1 == 0) then
      return "the __len of a table returned " .. shown(len) .. "; it must return a whole number from 0 up"
    elseif len > MAX_ITEMS then
      return "the __len of a table returned " .. shown(len) .. ", more items than a value has room for"
    end
    setmetatable(copied, ARRAY)
    for place = 1, len do
      local one, problem = item(value, place)
      if problem then return problem end
      if one == nil then one = null else count = count + 1 end
      if place > SPARSE_SAFE and place > SPARSE_RATIO * count then
        return "an array that its __len says is long has too many holes"
      end
      copied[place] = one
    end
  end

  --- Returns what a table itself contains: nothing, items (only integer keys from 1 on), or fields.
  local function own(value)
    local found = "nothing"
    for key in next, value do
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return "fields" end
      found = "items"
    end
    return found
  end

  --- Whether an `__index` leads to data. That of a class contains functions, and perhaps defaults in the metatable
  -- itself.
  local function has_data(index, metatable, steps)
    if index == nil or rawequal(index, metatable) then return false end
    if type(index) ~= "table" or steps == MAX_DEPTH then return true end
    for name, value in next, index do
      if type(value) ~= "function" and name ~= "__name" and not rawequal(value, index) then return true end
    end
    local behind = getmetatable(index)
    return behind ~= nil and has_data(rawget(behind, "__index"), behind, steps + 1)
  end

  --- Copies the contents of a table into another, unchanged. Returns an error, if there is one.
  local function fill(value, copied, null)
    local metatable = getmetatable(value) or {}
    local pairs_of, len_of = rawget(metatable, "__pairs"), rawget(metatable, "__len")
    if pairs_of ~= nil then return through_pairs(value, pairs_of, copied) end
    local has = own(value)
    if len_of ~= nil and has ~= "fields" then return through_len(value, len_of, copied, null) end
    if has == "nothing" and has_data(rawget(metatable, "__index"), metatable, 0) then
      return "a table has no fields, and the fields behind its __index cannot be listed; "
        .. "its metatable needs __pairs, or __len"
    end
    for key, one in next, value do copied[key] = one end
    if rawequal(metatable, ARRAY) then setmetatable(copied, ARRAY) end
  end

  function copy(state, value, depth)
    if type(value) ~= "table" or rawequal(value, state.null) then return value end
    local copied = state.seen[value]
    if copied then return copied end
    if depth == MAX_DEPTH then
      state.problem = "nested deeper than 128; does a table contain itself?"
      return nil
    end
    copied = {}
    state.seen[value] = copied
    state.problem = fill(value, copied, state.null)
    -- This is done last, and in a table that no other code knows: metamethods may change their own tables.
    for key, one in next, copied do
      if state.problem then return nil end
      copied[key] = copy(state, one, depth + 1)
    end
    return copied
  end

  return function(value, null, field)
    local state = { null = null, seen = {} }
    local copied
    if field then
      copied = {}
      for name, one in next, value do copied[name] = one end
      copied[field] = copy(state, value[field], 0)
    else
      copied = copy(state, value, 0)
    end
    if state.problem then return nil, state.problem end
    return copied
  end
end
