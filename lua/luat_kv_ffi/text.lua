--- Text for messages: checks UTF-8, quotes like Rust's `{:?}`, and formats numbers in their shortest form.

local byte, find, format = string.byte, string.find, string.format

local M = {}

--- Returns the length of the character at a position, or nothing and the number of invalid bytes (as Unicode counts
-- them, so that each such sequence is shown as one U+FFFD).
local function character(text, i)
  local a, b = byte(text, i, i + 1)
  if a < 0x80 then return 1 end
  local len, low, high = 0, 0x80, 0xbf
  if a >= 0xc2 and a <= 0xdf then
    len = 2
  elseif a >= 0xe0 and a <= 0xef then
    len = 3
    if a == 0xe0 then low = 0xa0 elseif a == 0xed then high = 0x9f end
  elseif a >= 0xf0 and a <= 0xf4 then
    len = 4
    if a == 0xf0 then low = 0x90 elseif a == 0xf4 then high = 0x8f end
  else
    return nil, 1
  end
  if not b or b < low or b > high then return nil, 1 end
  for k = 2, len - 1 do
    local c = byte(text, i + k)
    if not c or c < 0x80 or c > 0xbf then return nil, k end
  end
  return len
end

--- Returns how many bytes at the beginning are UTF-8.
function M.valid_up_to(text)
  local i, len = 1, #text
  while i <= len do
    if byte(text, i) < 0x80 then
      i = i + 1
    else
      local more = character(text, i)
      if not more then return i - 1 end
      i = i + more
    end
  end
  return len
end

function M.is_utf8(text)
  return M.valid_up_to(text) == #text
end

local escapes = { ["\0"] = "\\0", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

--- Characters outside of ASCII that are invisible, or change how others are shown: the first and last of each range.
local unseen = {
  0x80, 0xa0, 0xad, 0xad, 0x34f, 0x34f, 0x61c, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180f, 0x2000, 0x200f,
  0x2028, 0x202f, 0x205f, 0x206f, 0x3000, 0x3000, 0xe000, 0xf8ff, 0xfe00, 0xfe0f, 0xfeff, 0xfeff, 0xfff0, 0xfffb,
  0xfffe, 0xffff, 0xe0000, 0xe0fff, 0xf0000, 0x10ffff,
}

local function is_unseen(code)
  for i = 1, #unseen, 2 do
    if code >= unseen[i] and code <= unseen[i + 1] then return true end
  end
  return false
end

local function code_point(one)
  local a, b, c, d = byte(one, 1, 4)
  if d then return (a % 8) * 0x40000 + (b % 64) * 0x1000 + (c % 64) * 64 + d % 64 end
  if c then return (a % 16) * 0x1000 + (b % 64) * 64 + c % 64 end
  return b and (a % 32) * 64 + b % 64 or a
end

local function shown(one)
  if escapes[one] then return escapes[one] end
  local code = code_point(one)
  if code < 0x20 or code == 0x7f or (code >= 0x80 and is_unseen(code)) then return format("\\u{%x}", code) end
  return one
end

--- The maximum number of characters of a name in a message.
local LONGEST = 60

--- Returns the text without quotes, escaped, and whether it was truncated.
function M.escaped(text)
  local out, i, len = {}, 1, #text
  while i <= len do
    if #out == LONGEST then return table.concat(out), true end
    local more, wrong = character(text, i)
    out[#out + 1] = more and shown(text:sub(i, i + more - 1)) or "\239\191\189"
    i = i + (more or wrong)
  end
  return table.concat(out), false
end

--- Quotes a name or key for a message.
function M.quoted(text)
  local inside, cut = M.escaped(text)
  return '"' .. inside .. (cut and '"…' or '"')
end

--- Converts text that may have line breaks to one line of a message.
function M.one_line(text)
  return (text:gsub("%c", function(one) return shown(one) end))
end

--- Between two decimal texts of equal length that are equally near, LuaJIT takes the larger one; all others take the
-- even one.
local function to_even(text, number)
  local digits, last, exponent = text:match("^(.*)([13579])(e.*)$")
  if not digits then return text end
  local exact = format("%.60e", number)
  if not exact:find("^50*e", #digits + 2) then return text end
  return digits .. (last - 1) .. exponent
end

--- Returns the digits of a finite number and its exponent: the fewest that identify this number.
local function shortest(number)
  local first = math.abs(number) < 2.2250738585072014e-308 and 1 or 15
  local text
  for precision = first, 17 do
    text = to_even(format("%." .. precision - 1 .. "e", number), number)
    if tonumber(text) == number then break end
    -- Below a power of two floats are denser than above: the nearest text of 16 digits may be another number there, and
    -- the next one up may be this one.
    if precision == 16 and math.abs(math.frexp(number)) == 0.5 then
      -- (After a 9 comes a 0, and so fewer digits, which were tried before.)
      local up = text:gsub("([0-8])e", function(last) return (last + 1) .. "e" end)
      if tonumber(up) == number then
        text = up
        break
      end
    end
  end
  local sign, whole, fraction, exponent = text:match("^(%-?)(%d)%.?(%d*)e([-+]%d+)$")
  return sign, (whole .. fraction):gsub("0+$", ""), tonumber(exponent)
end

--- A finite number as decimal text that is recognised as a float. `least` is the smallest exponent without an "e".
local function decimal(number, least, plus)
  if number == 0 then return 1 / number < 0 and "-0.0" or "0.0" end
  local sign, digits, exponent = shortest(number)
  local len = #digits
  if exponent >= 16 or exponent < least then
    local tail = len > 1 and "." .. digits:sub(2) or ""
    return sign .. digits:sub(1, 1) .. tail .. "e" .. (exponent > 0 and plus or "") .. exponent
  elseif exponent < 0 then
    return sign .. "0." .. ("0"):rep(-exponent - 1) .. digits
  elseif len <= exponent + 1 then
    return sign .. digits .. ("0"):rep(exponent + 1 - len) .. ".0"
  end
  return sign .. digits:sub(1, exponent + 1) .. "." .. digits:sub(exponent + 2)
end

--- A float in JSON, as serde_json writes it.
function M.float(number)
  -- A shortcut: fifteen digits are exact if they are enough.
  local brief = format("%.15g", number)
  if tonumber(brief) == number and find(brief, ".", 1, true) and not find(brief, "e", 1, true) then return brief end
  return decimal(number, -5, "+")
end

--- A number in a message.
function M.number(number)
  if number ~= number then return "NaN" end
  if number == math.huge then return "inf" end
  if number == -math.huge then return "-inf" end
  return decimal(number, -4, "")
end

--- Returns the characters of a text, as a list.
function M.characters(text)
  local list, i = {}, 1
  while i <= #text do
    local more, wrong = character(text, i)
    list[#list + 1] = more and text:sub(i, i + more - 1) or "\239\191\189"
    i = i + (more or wrong)
  end
  return list
end

return M
