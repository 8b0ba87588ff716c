--- Reads through metamethods what JSON is to be made of: both modules for Lua use this file.
--
-- It returns a function that takes one which returns any table's metatable, and the metatable that marks arrays. That
-- returns a function `plain(value, null, field?)`, which returns a copy of a value in which no table has `__pairs`,
-- `__len` or `__index`; or nil and what is wrong. With `field`, only what stands there in `value` is copied so.
-- It needs no library but Lua's basic functions, and no file to be there.

local next, rawequal, rawget, setmetatable, type = next, rawequal, rawget, setmetatable, type

--- As JSON's (see json.lua and encode.lua).
local MAX_DEPTH, SPARSE_SAFE, SPARSE_RATIO = 128, 10, 2

return function(getmetatable, ARRAY)
  local copy

  local function through_pairs(state, value, pairs_of, copied, depth)
    local step, from, key = pairs_of(value)
    local one
    while true do
      key, one = step(from, key)
      if key == nil or state.problem then return end
      if one ~= nil then copied[key] = copy(state, one, depth) end
    end
  end

  local function through_len(state, value, len_of, copied, depth)
    local len, count = len_of(value, value), 0
    if type(len) ~= "number" or len < 0 or len % 1 ~= 0 then
      state.problem = "the __len of a table returned no whole number from 0 up"
      return
    end
    setmetatable(copied, ARRAY)
    for place = 1, len do
      local one = value[place]
      if one == nil then one = state.null else count = count + 1 end
      if place > SPARSE_SAFE and place > SPARSE_RATIO * count then
        state.problem = "an array that its __len says is long has too many holes"
      end
      if state.problem then return end
      copied[place] = copy(state, one, depth)
    end
  end

  --- What a table has of its own: nothing, items (whole keys from 1 up and no others), or fields.
  local function own(value)
    local found = "nothing"
    for key in next, value do
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return "fields" end
      found = "items"
    end
    return found
  end

  --- Has an `__index` data behind it? A class has functions there, and perhaps defaults in the metatable itself.
  local function has_data(index, metatable, steps)
    if index == nil or rawequal(index, metatable) then return false end
    if type(index) ~= "table" or steps == MAX_DEPTH then return true end
    for name, value in next, index do
      if type(value) ~= "function" and name ~= "__name" and not rawequal(value, index) then return true end
    end
    local behind = getmetatable(index)
    return behind ~= nil and has_data(rawget(behind, "__index"), behind, steps + 1)
  end

  local function fill(state, value, copied, depth)
    local metatable = getmetatable(value) or {}
    local pairs_of, len_of = rawget(metatable, "__pairs"), rawget(metatable, "__len")
    if pairs_of ~= nil then return through_pairs(state, value, pairs_of, copied, depth) end
    local has = own(value)
    if len_of ~= nil and has ~= "fields" then return through_len(state, value, len_of, copied, depth) end
    if has == "nothing" and has_data(rawget(metatable, "__index"), metatable, 0) then
      state.problem = "a table has nothing of its own, and what stands behind its __index cannot be listed; "
        .. "its metatable needs __pairs, or __len"
      return
    end
    for key, one in next, value do
      if state.problem then return end
      copied[key] = copy(state, one, depth)
    end
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
    fill(state, value, copied, depth + 1)
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
