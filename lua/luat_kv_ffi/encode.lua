--- Converts Lua values to JSON text. It reads only raw, and takes a plain copy of a table that has to be read through
-- metamethods (plain.lua). Tables are interpreted as in lua-cjson.

local ffi = require("ffi")
local fail = require("luat_kv_ffi.fail")
local json = require("luat_kv_ffi.json")
local text = require("luat_kv_ffi.text")

local type, rawget, rawequal, next, tonumber = type, rawget, rawequal, next, tonumber
local getmetatable = debug.getmetatable
local floor, format = math.floor, string.format
local ARRAY, NULL, MAX_DEPTH = json.ARRAY, json.null, json.MAX_DEPTH

local bytes = ffi.typeof("uint8_t[?]")

local make_plain = require("luat_kv_ffi.plain")
jit.off(make_plain, true) -- see args.lua
local plain = make_plain(getmetatable, ARRAY)

--- An array may have this many items before its holes are counted, and then this many slots for each item: the defaults
-- of lua-cjson's encode_sparse_array.
local SPARSE_SAFE, SPARSE_RATIO = 10, 2

--- How each byte of a string is written: 0 unchanged; the letter of a short escape; 1 as \u00xx; 2 starts a character
-- outside of ASCII.
local CLASS = ffi.new("uint8_t[256]")
for code = 0, 31 do CLASS[code] = 1 end
for code = 128, 255 do CLASS[code] = 2 end
for one, letter in pairs({ ['"'] = '"', ["\\"] = "\\", ["\b"] = "b", ["\f"] = "f", ["\n"] = "n", ["\r"] = "r", ["\t"] = "t" }) do
  CLASS[one:byte()] = letter:byte()
end
local HEX = ffi.new("uint8_t[17]", "0123456789abcdef")

-- Writers ----------------------------------------------------------------------------------------
-- A writer is a growing buffer. While it is in use it is not in the pool, so a finalizer that encodes meanwhile takes
-- another. One that is left behind by an error is collected.

local pool

--- Larger writers are not kept.
local KEPT, KEPT_KEYS = 256 * 1024, 1000

local function grow(writer, len)
  local cap = writer.cap * 2
  while cap < len do cap = cap * 2 end
  local data = bytes(cap)
  ffi.copy(data, writer.data, writer.len)
  writer.data, writer.cap = data, cap
end

local function take(limit, what, null)
  local writer = pool or { data = bytes(1024), cap = 1024, keys = {} }
  pool = nil
  writer.len, writer.limit, writer.what, writer.null = 0, limit, what, null
  return writer
end

local function give_back(writer)
  if #writer.keys > KEPT_KEYS then writer.keys = {} end
  if writer.cap <= KEPT then pool = writer end
end

local function invalid(message)
  fail.invalid(message)
end

--- Stops early: shared tables can produce more text than there is memory.
local function over_limit(writer, len)
  fail.failed("LIMIT", format("%s is at least %d bytes long; the limit is %d", writer.what, len, writer.limit))
end

local function put(writer, one)
  local len = writer.len
  if len >= writer.cap then grow(writer, len + 1) end
  writer.data[len] = one
  writer.len = len + 1
end

local function put_text(writer, more)
  local len = writer.len
  if len + #more > writer.cap then grow(writer, len + #more) end
  ffi.copy(writer.data + len, more, #more)
  writer.len = len + #more
end

-- Values -----------------------------------------------------------------------------------------

local function put_string(writer, value)
  local size = #value
  local len = writer.len
  if len + size > writer.limit then over_limit(writer, len + size) end
  -- Every byte may become six.
  if len + 6 * size + 2 > writer.cap then grow(writer, len + 6 * size + 2) end
  local from, to = ffi.cast("const uint8_t *", value), writer.data
  local wide = false
  to[len] = 34
  len = len + 1
  for i = 0, size - 1 do
    local one = from[i]
    local class = CLASS[one]
    if class == 0 then
      to[len] = one
      len = len + 1
    elseif class == 2 then
      wide = true
      to[len] = one
      len = len + 1
    elseif class == 1 then
      to[len], to[len + 1], to[len + 2], to[len + 3] = 92, 117, 48, 48
      to[len + 4], to[len + 5] = HEX[bit.rshift(one, 4)], HEX[bit.band(one, 15)]
      len = len + 6
    else
      to[len], to[len + 1] = 92, class
      len = len + 2
    end
  end
  if wide and not text.is_utf8(value) then
    invalid("a JSON string must be UTF-8: " .. text.quoted(value))
  end
  to[len] = 34
  writer.len = len + 1
end

--- Whether a number is written as an integer: it has no fraction, fits in 64 bits, and is not -0.0.
local function is_integer(number)
  return floor(number) == number and number >= -2 ^ 63 and number < 2 ^ 63 and (number ~= 0 or 1 / number > 0)
end

local function put_number(writer, number)
  if is_integer(number) then
    if number < -2 ^ 53 or number > 2 ^ 53 then
      return put_text(writer, format("%.0f", number))
    end
    local len = writer.len
    if len + 20 > writer.cap then grow(writer, len + 20) end
    local data = writer.data
    if number < 0 then
      data[len] = 45
      len, number = len + 1, -number
    end
    local last, rest = len, number
    while rest >= 10 do
      rest, last = floor(rest / 10), last + 1
    end
    for place = last, len, -1 do
      rest = floor(number / 10)
      data[place] = 48 + (number - rest * 10)
      number = rest
    end
    writer.len = last + 1
  elseif number - number == 0 then
    put_text(writer, text.float(number))
  else
    invalid("JSON cannot represent " .. (number ~= number and "NaN" or text.number(number)))
  end
end

--- The text of a numeric key of a table; nil for NaN, which cannot be a key.
local function key_text(number)
  if number == 0 then return "0" end
  if is_integer(number) then return format("%.0f", number) end
  return number - number == 0 and text.float(number) or nil
end

--- Whether the table has a numeric key with the text `name`.
local function is_a_number_too(value, name)
  if not name:find("^[-%d]") then return false end
  local number = tonumber(name)
  return number ~= nil and key_text(number) == name and rawget(value, number) ~= nil
end

local function put_key(writer, value, key)
  local kind = type(key)
  if kind == "string" then
    local first = key:byte(1)
    if first and first <= 57 and (first >= 48 or first == 45) and is_a_number_too(value, key) then
      invalid("two keys of a table have one name in JSON: " .. text.quoted(key))
    end
    put_string(writer, key)
  elseif kind == "number" then
    local name = key_text(key)
    if not name then invalid("JSON cannot represent " .. text.number(key)) end
    put_text(writer, '"' .. name .. '"')
  else
    invalid(format("JSON keys are strings or numbers, not a %s", kind))
  end
end

--- Returns the table itself or, if its contents are behind metamethods, a plain copy.
local function without_metamethods(value, metatable, null)
  local reads = rawget(metatable, "__pairs") ~= nil
  if not reads and (rawget(metatable, "__len") ~= nil or (next(value) == nil and rawget(metatable, "__index") ~= nil)) then
    reads = true
  end
  if not reads then return value end
  local copied, problem = plain(value, null)
  if problem then invalid(problem) end
  return copied
end

--- Returns the shape of a table: the length of an array, including holes, or nil and the number of an object's keys,
-- which are stored in `keys` after `top`; and the table that this applies to. An array has only integer keys from 1 on,
-- and not too many holes.
local function shape(value, keys, top, null)
  local metatable = getmetatable(value)
  local marked = rawequal(metatable, ARRAY)
  if metatable ~= nil and not marked then
    value = without_metamethods(value, metatable, null)
    marked = rawequal(getmetatable(value), ARRAY)
  end
  local max, count, is_array = 0, 0, true
  for key in next, value do
    is_array = type(key) == "number" and key >= 1 and floor(key) == key and key < 2 ^ 63
    if not is_array then break end
    if key > max then max = key end
    count = count + 1
  end
  if not is_array or (count == 0 and not marked) then
    if marked then invalid("an array has a key that is not a whole number from 1 up") end
    count = 0
    for key in next, value do
      count = count + 1
      keys[top + count] = key
    end
    return nil, count, value
  end
  if max > SPARSE_SAFE and max > count * SPARSE_RATIO then
    invalid(format("an array with %d items has its last at %.0f: too many holes; with strings for keys it is an object",
      count, max))
  end
  return max, nil, value
end
-- See args.lua.
jit.off(shape)

local put_value

local function put_table(writer, value, depth, top)
  if depth == MAX_DEPTH then
    invalid(format("nested deeper than %d; does a table contain itself?", MAX_DEPTH))
  end
  local keys = writer.keys
  local len, count
  len, count, value = shape(value, keys, top, writer.null)
  if len then
    put(writer, 91)
    for place = 1, len do
      if place > 1 then put(writer, 44) end
      put_value(writer, rawget(value, place), depth + 1, top)
    end
    put(writer, 93)
  else
    put(writer, 123)
    for place = top + 1, top + count do
      local key = keys[place]
      if place > top + 1 then put(writer, 44) end
      put_key(writer, value, key)
      put(writer, 58)
      put_value(writer, rawget(value, key), depth + 1, top + count)
    end
    put(writer, 125)
  end
end

local function is_null(writer, value)
  return rawequal(value, NULL) or rawequal(value, writer.null)
end

function put_value(writer, value, depth, top)
  local kind = type(value)
  if kind == "string" then
    put_string(writer, value)
  elseif kind == "number" then
    put_number(writer, value)
  elseif kind == "nil" or ((kind == "userdata" or kind == "table") and is_null(writer, value)) then
    put_text(writer, "null")
  elseif kind == "table" then
    put_table(writer, value, depth, top)
  elseif kind == "boolean" then
    put_text(writer, value and "true" or "false")
  else
    invalid(format("JSON cannot represent a %s", kind))
  end
  if writer.len > writer.limit then over_limit(writer, writer.len) end
end

--- Returns the JSON text of a value. A text of more than `limit` bytes is an error about `what`. The value `null` is
-- written as null.
return function(value, limit, what, null)
  local writer = take(limit, what, null)
  put_value(writer, value, 0, 0)
  local encoded = ffi.string(writer.data, writer.len)
  give_back(writer)
  return encoded
end
