--- Reads arguments and options. It converts nothing and ignores nothing.

local fail = require("luat_kv_ffi.fail")
local text = require("luat_kv_ffi.text")

local argument = fail.argument
local floor = math.floor

local M = {}

--- A string argument that must be UTF-8. Numbers are refused: 10/2 is "5.0" in one version of Lua and "5" in another.
function M.text(value, index, what)
  if type(value) ~= "string" then
    argument(index, "string expected, got " .. type(value))
  end
  M.utf8(value, what)
end

function M.utf8(value, what)
  if not text.is_utf8(value) then
    fail.invalid(("the %s is not UTF-8: %s"):format(what, text.quoted(value)))
  end
end

--- Whether a number is a 64-bit integer.
local function is_whole(number)
  return number >= -2 ^ 63 and number < 2 ^ 63 and floor(number) == number
end
M.is_whole = is_whole

--- An integer argument, or nil.
function M.optional_whole(value, index)
  if value ~= nil then
    if type(value) ~= "number" then
      argument(index, "number expected, got " .. type(value))
    elseif not is_whole(value) then
      argument(index, "whole number expected")
    end
  end
  return value
end

-- Suggestions ------------------------------------------------------------------------------------

--- The similarity of two words, from 0 to 1: Jaro's measure.
local function jaro(a, b)
  if #a == 0 or #b == 0 then return #a == #b and 1 or 0 end
  local reach = math.max(floor(math.max(#a, #b) / 2) - 1, 0)
  local in_a, in_b, matches = {}, {}, 0
  for i = 1, #a do
    for j = math.max(1, i - reach), math.min(#b, i + reach) do
      if a[i] == b[j] and not in_b[j] then
        in_a[i], in_b[j], matches = true, true, matches + 1
        break
      end
    end
  end
  if matches == 0 then return 0 end
  local j, swapped = 0, 0
  for i = 1, #a do
    if in_a[i] then
      repeat j = j + 1 until in_b[j]
      if a[i] ~= b[j] then swapped = swapped + 1 end
    end
  end
  return (matches / #a + matches / #b + (matches - floor(swapped / 2)) / matches) / 3
end

--- Words that are less similar are not suggested.
local NEAR = 0.7

--- `'expiration_ttl' (did you mean 'expirationTtl'?)`. If no word is similar, all are listed.
function M.with_suggestion(name, known)
  local lower = name:lower()
  local letters = text.characters(lower)
  local nearest, best
  for _, word in ipairs(known) do
    local other = word:lower()
    local likeness = jaro(text.characters(other), letters)
    -- For example "ttl" in "expirationTtl".
    if #lower > 2 and other:find(lower, 1, true) then likeness = math.max(likeness, 0.75) end
    if not best or likeness >= best then nearest, best = word, likeness end
  end
  local shown = text.escaped(name)
  if best > NEAR then
    return ("'%s' (did you mean '%s'?)"):format(shown, nearest)
  end
  return ("'%s' (there are: %s)"):format(shown, table.concat(known, ", "))
end

--- Returns the meaning of one of a few words; otherwise nil and the word for a message.
function M.word(word, meanings)
  local meaning = meanings[word]
  if meaning == nil or word == "words" then
    return nil, M.with_suggestion(word, meanings.words)
  end
  return meaning
end

-- Options ----------------------------------------------------------------------------------------

local Option = {}
Option.__index = Option

function Option:wrong(message)
  argument(self.argument, ("option '%s': %s"):format(self.name, message))
end

function Option:expect(kind)
  if type(self.value) ~= kind then
    self:wrong(("%s expected, got %s"):format(kind, type(self.value)))
  end
  return self.value
end

function Option:text()
  M.utf8(self:expect("string"), self.name)
  return self.value
end

function Option:boolean()
  return self:expect("boolean")
end

function Option:whole()
  local number = self:expect("number")
  if not is_whole(number) then
    self:wrong("whole number expected, got " .. text.number(number))
  end
  return number
end

function Option:word(meanings)
  local meaning, unknown = M.word(self:expect("string"), meanings)
  if unknown then self:wrong("unknown value " .. unknown) end
  return meaning
end

--- Goes through an options table, which may be missing, and returns `into`. `known` has the names in their order, and
-- for each name a function that takes the option and stores its value in `into`.
local function read_options(options, index, known, into)
  if type(options) ~= "table" then
    -- A string in place of options is most likely meant for the first option that takes one.
    local meant = type(options) == "string"
      and (known.url and options:find("://", 1, true) and "url" or known.path and "path" or known.prefix and "prefix")
    local hint = meant and (": did you mean { %s = … }?"):format(meant) or ""
    argument(index, "table expected, got " .. type(options) .. hint)
  end
  -- Raw reads do not see what an __index provides, and would ignore it.
  local metatable = debug.getmetatable(options)
  if metatable and rawget(metatable, "__index") ~= nil then
    argument(index, "options must be fields of the table itself, but its metatable has __index")
  end
  local option = setmetatable({ argument = index }, Option)
  for name, value in next, options do
    if type(name) ~= "string" then
      argument(index, ("an option's name is a string, not a %s"):format(type(name)))
    end
    local read = known[name]
    if not read or name == "names" then
      argument(index, "unknown option " .. M.with_suggestion(name, known.names))
    end
    option.name, option.value = name, value
    read(option, into)
  end
  return into
end
-- Functions that go through a table with `next` are not compiled, here and elsewhere: LuaJIT from 2021 on compiles
-- them, but then may skip keys (its issues 827 and 1510) or never end (1000). Debian's version of March 2022 did both
-- in tests.
jit.off(read_options)

function M.options(options, index, known, into)
  if options ~= nil then read_options(options, index, known, into) end
  return into
end

return M
