--- From JSON text to Lua values: serde_json's language, and its words where a text is not JSON.

local ffi = require("ffi")
local json = require("luat_kv_ffi.json")
local text = require("luat_kv_ffi.text")

local setmetatable, tonumber = setmetatable, tonumber
local sub, char = string.sub, string.char
local ARRAY, NULL, MAX_DEPTH = json.ARRAY, json.null, json.MAX_DEPTH

--- What a byte is: 1 white space, 2 a digit; within a string 4 what ends the plain run (a quote, a backslash, a control
-- character), 8 beyond ASCII.
local SPACE, DIGIT, STOP, WIDE = 1, 2, 4, 8
local CLASS = ffi.new("uint8_t[256]")
for code = 0, 31 do CLASS[code] = STOP end
for code = 128, 255 do CLASS[code] = WIDE end
for code = 48, 57 do CLASS[code] = DIGIT end
CLASS[34], CLASS[92] = STOP, STOP
CLASS[32] = SPACE
-- White space that is a control character, too.
local SPACES = ffi.new("uint8_t[256]")
SPACES[32], SPACES[9], SPACES[10], SPACES[13] = 1, 1, 1, 1

local bytes = ffi.typeof("const uint8_t *")

--- The words of an error, `at` so many bytes from the start.
local function wrong(source, what, at)
  local before = sub(source, 1, at)
  local _, lines = before:gsub("\n", "")
  local last = before:match(".*()\n") or 0
  return nil, ("%s at line %d column %d"):format(what, lines + 1, at - last)
end

--- The same about the byte at a place, which was looked at and not yet taken.
local function wrong_at(source, what, i)
  return wrong(source, what, math.min(i + 1, #source))
end

-- Strings ----------------------------------------------------------------------------------------

local ESCAPES = { [34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t" }

--- The number in four hexadecimal digits at a place.
local function hex(source, i)
  if i + 4 > #source then
    return wrong(source, "EOF while parsing a string", #source)
  end
  local digits = sub(source, i + 1, i + 4)
  if not digits:find("^%x%x%x%x$") then
    return wrong(source, "invalid escape", i + 4)
  end
  return tonumber(digits, 16)
end

local function utf8(code)
  local function tail(shift)
    return 128 + math.floor(code / shift) % 64
  end
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(192 + math.floor(code / 64), tail(1)) end
  if code < 0x10000 then return char(224 + math.floor(code / 4096), tail(64), tail(1)) end
  return char(240 + math.floor(code / 262144), tail(4096), tail(64), tail(1))
end

--- What \u stands for, from its digits on, and the place behind it.
local function unicode(source, p, i)
  local high, why = hex(source, i)
  if not high then return nil, why end
  i = i + 4
  if high >= 0xdc00 and high <= 0xdfff then
    return wrong(source, "lone leading surrogate in hex escape", i)
  elseif high < 0xd800 or high > 0xdbff then
    return utf8(high), i
  end
  for _, needed in ipairs({ 92, 117 }) do
    if i >= #source then return wrong(source, "EOF while parsing a string", i) end
    i = i + 1
    if p[i - 1] ~= needed then return wrong(source, "unexpected end of hex escape", i) end
  end
  local low
  low, why = hex(source, i)
  if not low then return nil, why end
  i = i + 4
  if low < 0xdc00 or low > 0xdfff then
    return wrong(source, "lone leading surrogate in hex escape", i)
  end
  return utf8(0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00)), i
end

--- A string with escapes, whose first `i - start` bytes are plain.
local function escaped(source, p, start, i)
  local len, parts = #source, {}
  while true do
    while CLASS[p[i]] ~= STOP do i = i + 1 end
    if i >= len then return wrong(source, "EOF while parsing a string", len) end
    parts[#parts + 1] = sub(source, start + 1, i)
    local one = p[i]
    i = i + 1
    if one == 34 then
      local whole = table.concat(parts)
      if not text.is_utf8(whole) then return wrong(source, "invalid unicode code point", i) end
      return whole, i
    elseif one ~= 92 then
      return wrong(source, "control character (\\u0000-\\u001F) found while parsing a string", i)
    elseif i >= len then
      return wrong(source, "EOF while parsing a string", len)
    end
    local letter = p[i]
    i = i + 1
    local part = ESCAPES[letter]
    if letter == 117 then
      local next_place
      part, next_place = unicode(source, p, i)
      if not part then return nil, next_place end
      i = next_place
    elseif not part then
      return wrong(source, "invalid escape", i)
    end
    parts[#parts + 1] = part
    start = i
  end
end

--- A string, from behind its first quote on, and the place behind its last; or nil and why not.
local function string_at(source, p, i)
  local start, wide = i, 0
  local class = CLASS[p[i]]
  -- The text ends in a NUL, which stops this.
  while class ~= STOP do
    if class == WIDE then wide = 1 end
    i = i + 1
    class = CLASS[p[i]]
  end
  if p[i] ~= 34 then
    return escaped(source, p, start, i)
  end
  local value = sub(source, start + 1, i)
  if wide ~= 0 and not text.is_utf8(value) then
    return wrong(source, "invalid unicode code point", i + 1)
  end
  return value, i + 1
end

-- Numbers ----------------------------------------------------------------------------------------

--- A number that is no short integer, from its first byte on.
local function long_number(source, p, start)
  local len, i = #source, start
  local function digits()
    while CLASS[p[i]] == DIGIT do i = i + 1 end
  end
  if p[i] == 45 then i = i + 1 end
  if i >= len then return wrong(source, "EOF while parsing a value", len) end
  if p[i] == 48 then
    i = i + 1
    if CLASS[p[i]] == DIGIT then return wrong_at(source, "invalid number", i) end
  elseif CLASS[p[i]] == DIGIT then
    digits()
  else
    return wrong(source, "invalid number", i + 1)
  end
  if p[i] == 46 then
    i = i + 1
    if CLASS[p[i]] ~= DIGIT then
      return wrong_at(source, i < len and "invalid number" or "EOF while parsing a value", i)
    end
    digits()
  end
  if p[i] == 101 or p[i] == 69 then
    local zero = not sub(source, start + 1, i):find("[1-9]")
    i = i + 1
    local negative = p[i] == 45
    if negative or p[i] == 43 then i = i + 1 end
    if i >= len then return wrong(source, "EOF while parsing a value", len) end
    if CLASS[p[i]] ~= DIGIT then return wrong(source, "invalid number", i + 1) end
    local exponent = 0
    while CLASS[p[i]] == DIGIT do
      exponent = exponent * 10 + p[i] - 48
      i = i + 1
      if exponent > 2147483647 and not zero and not negative then
        return wrong(source, "number out of range", i)
      end
    end
    if zero then return p[start] == 45 and -1 / math.huge or 0, i end
  end
  local number = tonumber(sub(source, start + 1, i))
  if number == math.huge or number == -math.huge then
    return wrong(source, "number out of range", i)
  end
  if number == 0 and p[start] == 45 then return -1 / math.huge, i end
  return number, i
end

--- The same for any number.
local function number_at(source, p, start)
  local i, number = start, 0
  if p[i] == 45 then i = i + 1 end
  local first = i
  while CLASS[p[i]] == DIGIT do
    number = number * 10 + (p[i] - 48)
    i = i + 1
  end
  local one, count = p[i], i - first
  -- Fifteen digits are exact.
  if count == 0 or count > 15 or one == 46 or one == 101 or one == 69 or (p[first] == 48 and (count > 1 or first > start)) then
    return long_number(source, p, start)
  end
  return first > start and -number or number, i
end

-- Words ------------------------------------------------------------------------------------------

local function word_at(source, p, i, word)
  for place = 1, #word do
    if i >= #source then return wrong(source, "EOF while parsing a value", #source) end
    i = i + 1
    if p[i - 1] ~= word:byte(place) then return wrong(source, "expected ident", i) end
  end
  return word, i
end

-- Documents --------------------------------------------------------------------------------------

--- What serde_json has read when it tells of a container that is too deep: it looks for its end before.
local function too_deep(source, p, i, array)
  while SPACES[p[i]] ~= 0 do i = i + 1 end
  if p[i] == (array and 93 or 125) then
    i = i + 1
  elseif array and p[i] == 44 then
    i = i + 1
    while SPACES[p[i]] ~= 0 do i = i + 1 end
  end
  return wrong(source, ("nested deeper than %d"):format(MAX_DEPTH), i)
end

--- An object's key and the place of its value, from where the key should begin.
local function key_at(source, p, i, first)
  if p[i] ~= 34 then
    if i >= #source then
      return wrong_at(source, first and "EOF while parsing an object" or "EOF while parsing a value", i)
    elseif p[i] == 125 then
      return wrong_at(source, "trailing comma", i)
    end
    return wrong_at(source, "key must be a string", i)
  end
  local key
  key, i = string_at(source, p, i + 1)
  if not key then return nil, i end
  while SPACES[p[i]] ~= 0 do i = i + 1 end
  if p[i] ~= 58 then
    return wrong_at(source, i < #source and "expected `:`" or "EOF while parsing an object", i)
  end
  return key, i + 1
end

--- A value that is no array or object, and the place behind it.
local function scalar_at(source, p, i)
  local one = p[i]
  if one == 34 then
    return string_at(source, p, i + 1)
  elseif CLASS[one] == DIGIT or one == 45 then
    return number_at(source, p, i)
  elseif one == 116 then
    local word, behind = word_at(source, p, i, "true")
    if word then return true, behind end
    return nil, behind
  elseif one == 102 then
    local word, behind = word_at(source, p, i, "false")
    if word then return false, behind end
    return nil, behind
  elseif one == 110 then
    local word, behind = word_at(source, p, i, "null")
    if word then return NULL, behind end
    return nil, behind
  end
  return wrong_at(source, i < #source and "expected value" or "EOF while parsing a value", i)
end

--- The value of a JSON text, and nothing else; or nil and why it is none. A document that is only `null` is nil.
return function(source)
  local p, len, i = ffi.cast(bytes, source), #source, 0
  -- The innermost container that is open, with its key or its count of items (an array's key is false), and those
  -- around it.
  local inner, key, count, depth = nil, false, 0, 0
  local outer = {}
  while true do
    while SPACES[p[i]] ~= 0 do i = i + 1 end
    local one, value = p[i], nil
    local opened = false
    if one == 123 or one == 91 then
      i = i + 1
      if depth == MAX_DEPTH then return too_deep(source, p, i, one == 91) end
      while SPACES[p[i]] ~= 0 do i = i + 1 end
      value = one == 91 and setmetatable({}, ARRAY) or {}
      if p[i] == one + 2 then
        i = i + 1
      else
        outer[3 * depth + 1], outer[3 * depth + 2], outer[3 * depth + 3] = inner, key, count
        depth, inner, key, count, opened = depth + 1, value, false, 0, true
        if one == 123 then
          key, i = key_at(source, p, i, true)
          if not key then return nil, i end
        elseif i >= len then
          return wrong_at(source, "EOF while parsing a list", i)
        end
      end
    else
      value, i = scalar_at(source, p, i)
      if value == nil then return nil, i end
    end
    -- The value goes where it belongs, and so does each container that ends behind it.
    while not opened do
      while SPACES[p[i]] ~= 0 do i = i + 1 end
      if depth == 0 then
        if i < len then return wrong_at(source, "trailing characters", i) end
        if value == NULL then return nil end
        return value
      end
      one = p[i]
      if key then
        inner[key] = value
        if one == 44 then
          i = i + 1
          while SPACES[p[i]] ~= 0 do i = i + 1 end
          key, i = key_at(source, p, i, false)
          if not key then return nil, i end
          break
        elseif one ~= 125 then
          return wrong_at(source, i < len and "expected `,` or `}`" or "EOF while parsing an object", i)
        end
      else
        count = count + 1
        inner[count] = value
        if one == 44 then
          i = i + 1
          while SPACES[p[i]] ~= 0 do i = i + 1 end
          if p[i] == 93 then return wrong_at(source, "trailing comma", i) end
          if i >= len then return wrong_at(source, "EOF while parsing a value", i) end
          break
        elseif one ~= 93 then
          return wrong_at(source, i < len and "expected `,` or `]`" or "EOF while parsing a list", i)
        end
      end
      i, value, depth = i + 1, inner, depth - 1
      inner, key, count = outer[3 * depth + 1], outer[3 * depth + 2], outer[3 * depth + 3]
    end
  end
end
