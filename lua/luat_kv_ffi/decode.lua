--- Converts JSON text to Lua values, with serde_json's grammar and error messages.

local ffi = require("ffi")
local json = require("luat_kv_ffi.json")
local text = require("luat_kv_ffi.text")

local setmetatable, tonumber, rawequal = setmetatable, tonumber, rawequal
local sub, char, find = string.sub, string.char, string.find
local band, bnot, bor, rshift = bit.band, bit.bnot, bit.bor, bit.rshift
local ARRAY, MAX_DEPTH = json.ARRAY, json.MAX_DEPTH

--- Classes of bytes: 1 white space, 2 a digit; within a string 4 the end of a plain part (a quote, a backslash, a
-- control character), 8 a byte outside of ASCII.
local SPACE, DIGIT, STOP, WIDE = 1, 2, 4, 8
local CLASS = ffi.new("uint8_t[256]")
for code = 0, 31 do CLASS[code] = STOP end
for code = 128, 255 do CLASS[code] = WIDE end
for code = 48, 57 do CLASS[code] = DIGIT end
CLASS[34], CLASS[92] = STOP, STOP
CLASS[32] = SPACE
-- White space that is also a control character.
local SPACES = ffi.new("uint8_t[256]")
SPACES[32], SPACES[9], SPACES[10], SPACES[13] = 1, 1, 1, 1

local bytes = ffi.typeof("const uint8_t *")

--- The message of an error, `at` bytes from the start.
local function wrong(source, what, at)
  local before = sub(source, 1, at)
  local _, lines = before:gsub("\n", "")
  local last = before:match(".*()\n") or 0
  return nil, ("%s at line %d column %d"):format(what, lines + 1, at - last)
end

--- An error about the byte at a position, which was examined but not consumed.
local function wrong_at(source, what, i)
  return wrong(source, what, math.min(i + 1, #source))
end

-- Strings ----------------------------------------------------------------------------------------

local ESCAPES = ffi.new("uint8_t[256]")
for letter, meant in pairs({
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}) do
  ESCAPES[letter:byte()] = meant:byte()
end

--- The values of hexadecimal digits; 16 for other bytes.
local HEX = ffi.new("uint8_t[256]")
for code = 0, 255 do HEX[code] = tonumber(char(code), 16) or 16 end
for _, code in ipairs({ 9, 10, 11, 12, 13, 32, 45 }) do HEX[code] = 16 end

--- The number in four hexadecimal digits at a position; 2^16 or more if they are not all digits.
local function hex(p, i)
  local a, b, c, d = HEX[p[i]], HEX[p[i + 1]], HEX[p[i + 2]], HEX[p[i + 3]]
  if a > 15 or b > 15 or c > 15 or d > 15 then return 65536 end
  return a * 4096 + b * 256 + c * 16 + d
end

--- The error for the digits of an escape.
local function wrong_hex(source, i)
  if i + 4 > #source then
    return wrong(source, "EOF while parsing a string", #source)
  end
  return wrong(source, "invalid escape", i + 4)
end

--- Writes a character as UTF-8, and returns the position after it.
local function put_utf8(to, at, code)
  if code < 0x80 then
    to[at] = code
    return at + 1
  elseif code < 0x800 then
    to[at], to[at + 1] = 192 + rshift(code, 6), 128 + band(code, 63)
    return at + 2
  elseif code < 0x10000 then
    to[at], to[at + 1], to[at + 2] = 224 + rshift(code, 12), 128 + band(rshift(code, 6), 63), 128 + band(code, 63)
    return at + 3
  end
  to[at], to[at + 1] = 240 + rshift(code, 18), 128 + band(rshift(code, 12), 63)
  to[at + 2], to[at + 3] = 128 + band(rshift(code, 6), 63), 128 + band(code, 63)
  return at + 4
end

--- The character of a \u escape, from its digits on, and the position after it.
local function unicode(source, p, i)
  local high = hex(p, i)
  if high > 65535 then return wrong_hex(source, i) end
  i = i + 4
  if high >= 0xdc00 and high <= 0xdfff then
    return wrong(source, "lone leading surrogate in hex escape", i)
  elseif high < 0xd800 or high > 0xdbff then
    return high, i
  end
  if p[i] ~= 92 or p[i + 1] ~= 117 then
    if p[i] == 92 then i = i + 1 end
    if i >= #source then return wrong(source, "EOF while parsing a string", i) end
    return wrong(source, "unexpected end of hex escape", i + 1)
  end
  local low = hex(p, i + 2)
  if low > 65535 then return wrong_hex(source, i + 2) end
  i = i + 6
  if low < 0xdc00 or low > 0xdfff then
    return wrong(source, "lone leading surrogate in hex escape", i)
  end
  return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00), i
end

--- The buffer for strings with escapes. While it is in use it is taken from here, so a finalizer that decodes meanwhile
-- creates another.
local KEPT = 64 * 1024
local room

--- A string with escapes, whose first `i - start` bytes are plain.
local function escaped(source, p, start, i, plain)
  local len = #source
  local large, to, at = len - start > KEPT, room, i - start
  room = nil
  if large or not to then to = ffi.new("uint8_t[?]", large and len - start or KEPT) end
  ffi.copy(to, p + start, at)
  while true do
    local one = p[i]
    i = i + 1
    if CLASS[one] ~= STOP then
      to[at] = one
      at = at + 1
    elseif one == 92 then
      local letter = p[i]
      i = i + 1
      if ESCAPES[letter] ~= 0 then
        to[at] = ESCAPES[letter]
        at = at + 1
      elseif letter == 117 then
        local code, behind = unicode(source, p, i)
        if not code then return nil, behind end
        at, i = put_utf8(to, at, code), behind
      elseif i > len then
        return wrong(source, "EOF while parsing a string", len)
      else
        return wrong(source, "invalid escape", i)
      end
    elseif one == 34 then
      local whole = ffi.string(to, at)
      if not large then room = to end
      -- The values of escapes are always UTF-8.
      local valid = plain and at or text.valid_up_to(whole)
      if valid < at then return wrong(source, "invalid unicode code point", i - (at - valid)) end
      return whole, i
    elseif i > len then
      return wrong(source, "EOF while parsing a string", len)
    else
      return wrong(source, "control character (\\u0000-\\u001F) found while parsing a string", i)
    end
  end
end

--- Whether a text contains only ASCII's visible characters and spaces. Then its strings need not be examined.
local function is_plain(source, p)
  local words, len = ffi.cast("const int32_t *", p), #source
  local seen = 0
  for i = 0, rshift(len, 2) - 1 do
    local word = words[i]
    -- The highest bit of each byte: its own, and the borrow if it is below a space.
    seen = bor(seen, word, band(word - 0x20202020, bnot(word)))
  end
  for i = band(len, -4), len - 1 do
    if CLASS[p[i]] == WIDE or p[i] < 32 then return false end
  end
  return band(seen, 0x80808080) == 0
end

--- A string, from after its opening quote on, and the position after its closing quote; or nil and an error.
local function string_at(source, p, i, plain)
  if plain then
    local behind = find(source, '"', i + 1, true)
    if behind then
      local value = sub(source, i + 1, behind - 1)
      if not find(value, "\\", 1, true) then return value, behind end
    end
    return escaped(source, p, i, i, true)
  end
  local start, wide = i, 0
  local class = CLASS[p[i]]
  -- The text ends with a NUL, which ends this loop.
  while class ~= STOP do
    wide = bor(wide, class)
    i = i + 1
    class = CLASS[p[i]]
  end
  if p[i] ~= 34 then
    return escaped(source, p, start, i, false)
  end
  local value = sub(source, start + 1, i)
  if wide >= WIDE then
    local valid = text.valid_up_to(value)
    if valid < #value then return wrong(source, "invalid unicode code point", i + 1 - (#value - valid)) end
  end
  return value, i + 1
end

-- Numbers ----------------------------------------------------------------------------------------

local function behind_digits(p, i)
  while CLASS[p[i]] == DIGIT do i = i + 1 end
  return i
end

--- A number that is not a short integer, from its first byte on.
local function long_number(source, p, start)
  local len, i, negative = #source, start, false
  if p[i] == 45 then i = i + 1 end
  if i >= len then return wrong(source, "EOF while parsing a value", len) end
  if p[i] == 48 then
    i = i + 1
    if CLASS[p[i]] == DIGIT then return wrong_at(source, "invalid number", i) end
  elseif CLASS[p[i]] == DIGIT then
    i = behind_digits(p, i)
  else
    return wrong(source, "invalid number", i + 1)
  end
  if p[i] == 46 then
    i = i + 1
    if CLASS[p[i]] ~= DIGIT then
      return wrong_at(source, i < len and "invalid number" or "EOF while parsing a value", i)
    end
    i = behind_digits(p, i)
  end
  if p[i] == 101 or p[i] == 69 then
    local zero = not sub(source, start + 1, i):find("[1-9]")
    i = i + 1
    negative = p[i] == 45
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
  -- LuaJIT does not read a number whose exponent has very many digits.
  local number = tonumber(sub(source, start + 1, i)) or (negative and 0 or math.huge)
  if number == math.huge or number == -math.huge then
    return wrong(source, "number out of range", i)
  end
  if number == 0 and p[start] == 45 then return -1 / math.huge, i end
  return number, i
end

--- A number of any kind.
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

--- The error for a word that differs from the one its first letter begins.
local function wrong_word(source, p, i, word)
  for place = 1, #word do
    if i >= #source then return wrong(source, "EOF while parsing a value", #source) end
    i = i + 1
    if p[i - 1] ~= word:byte(place) then return wrong(source, "expected ident", i) end
  end
end

-- Documents --------------------------------------------------------------------------------------

--- The position at which serde_json reports a container that is too deep: it looks for the container's end before.
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

--- An object's key and the position of its value, from where the key should begin.
local function key_at(source, p, i, plain, first)
  if p[i] ~= 34 then
    if i >= #source then
      return wrong_at(source, first and "EOF while parsing an object" or "EOF while parsing a value", i)
    elseif p[i] == 125 then
      return wrong_at(source, "trailing comma", i)
    end
    return wrong_at(source, "key must be a string", i)
  end
  local key
  key, i = string_at(source, p, i + 1, plain)
  if not key then return nil, i end
  while SPACES[p[i]] ~= 0 do i = i + 1 end
  if p[i] ~= 58 then
    return wrong_at(source, i < #source and "expected `:`" or "EOF while parsing an object", i)
  end
  return key, i + 1
end

--- A value other than an array or object, and the position after it.
local function scalar_at(source, p, i, plain, null)
  local one = p[i]
  if one == 34 then
    return string_at(source, p, i + 1, plain)
  elseif CLASS[one] == DIGIT or one == 45 then
    return number_at(source, p, i)
  elseif one == 116 then
    if p[i + 1] == 114 and p[i + 2] == 117 and p[i + 3] == 101 then return true, i + 4 end
    return wrong_word(source, p, i, "true")
  elseif one == 102 then
    if p[i + 1] == 97 and p[i + 2] == 108 and p[i + 3] == 115 and p[i + 4] == 101 then return false, i + 5 end
    return wrong_word(source, p, i, "false")
  elseif one == 110 then
    if p[i + 1] == 117 and p[i + 2] == 108 and p[i + 3] == 108 then return null, i + 4 end
    return wrong_word(source, p, i, "null")
  end
  return wrong_at(source, i < #source and "expected value" or "EOF while parsing a value", i)
end

--- Returns the value of a JSON text that contains nothing else; or nil and an error. A document that is only `null` is
-- nil; within a document, `null` is the given value.
return function(source, null)
  local p, len, i = ffi.cast(bytes, source), #source, 0
  local plain = is_plain(source, p)
  -- The innermost open container, with its key or its count of items (for an array the key is false), and the
  -- containers around it.
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
          key, i = key_at(source, p, i, plain, true)
          if not key then return nil, i end
        elseif i >= len then
          return wrong_at(source, "EOF while parsing a list", i)
        end
      end
    else
      value, i = scalar_at(source, p, i, plain, null)
      if value == nil then return nil, i end
    end
    -- Stores the value in its container, and each container that ends after it in its own.
    while not opened do
      while SPACES[p[i]] ~= 0 do i = i + 1 end
      if depth == 0 then
        if i < len then return wrong_at(source, "trailing characters", i) end
        if rawequal(value, null) then return nil end
        return value
      end
      one = p[i]
      if key then
        inner[key] = value
        if one == 44 then
          i = i + 1
          while SPACES[p[i]] ~= 0 do i = i + 1 end
          key, i = key_at(source, p, i, plain, false)
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
