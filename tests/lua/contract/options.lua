--- Options: none is ever silently ignored.
local lu = require("luaunit")
local support = require("support")
local refuses = support.refuses

local Options = {}

function Options:test_an_unknown_option_of_put_is_an_error_that_suggests_the_near_one()
  for unknown, near in pairs({
    expiration_ttl = "expirationTtl", expirationTTL = "expirationTtl", expirationttl = "expirationTtl",
    expiraton = "expiration", Expiration = "expiration", meta_data = "metadata", metaData = "metadata",
    Metadata = "metadata",
  }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { [unknown] = 60 }) end,
      "bad argument #3 to 'put'", ("unknown option '%s'"):format(unknown), ("did you mean '%s'"):format(near))
    refuses(self.kv, function(kv) kv:put("new", "value", { metadata = "m", [unknown] = 60 }) end,
      ("unknown option '%s'"):format(unknown))
  end
end

function Options:test_an_unknown_option_of_list_is_an_error_that_suggests_the_near_one()
  for unknown, near in pairs({
    Prefix = "prefix", prefx = "prefix", Limit = "limit", limits = "limit", Cursor = "cursor", curser = "cursor",
  }) do
    refuses(self.kv, function(kv) kv:list({ [unknown] = "a" }) end,
      "bad argument #1 to 'list'", ("unknown option '%s'"):format(unknown), ("did you mean '%s'"):format(near))
  end
end

function Options:test_an_unknown_option_of_get_is_an_error()
  refuses(self.kv, function(kv) kv:get("k", { typ = "json" }) end,
    "bad argument #2 to 'get'", "unknown option 'typ'", "did you mean 'type'")
  refuses(self.kv, function(kv) kv:get("missing", { cacheTtl = 60 }) end, "unknown option 'cacheTtl'")
  refuses(self.kv, function(kv) kv:getWithMetadata("k", { typ = "json" }) end,
    "bad argument #2 to 'getWithMetadata'", "unknown option 'typ'", "did you mean 'type'")
end

function Options:test_an_unknown_option_that_is_near_to_none_is_an_error_too()
  for _, unknown in ipairs({ "zzz", "", "x\0y", "\255", ("long"):rep(1000) }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { [unknown] = 1 }) end, "unknown option")
    refuses(self.kv, function(kv) kv:list({ [unknown] = 1 }) end, "unknown option")
    refuses(self.kv, function(kv) kv:get("k", { [unknown] = 1 }) end, "unknown option")
  end
end

function Options:test_an_option_whose_name_is_no_string_is_an_error()
  for _, name in pairs({ 1, 1.5, true, {}, print }) do
    refuses(self.kv, function(kv) kv:put("k", "value", { [name] = "x" }) end, "bad argument #3 to 'put'")
    refuses(self.kv, function(kv) kv:list({ [name] = "x" }) end, "bad argument #1 to 'list'")
    refuses(self.kv, function(kv) kv:get("k", { [name] = "x" }) end, "bad argument #2 to 'get'")
  end
end

function Options:test_an_option_of_a_wrong_type_is_an_error_that_names_it()
  for _, wrong in pairs({ 1, true, {}, print }) do
    refuses(self.kv, function(kv) kv:list({ prefix = wrong }) end,
      "bad argument #1 to 'list'", "prefix", "string expected, got " .. type(wrong))
    refuses(self.kv, function(kv) kv:list({ cursor = wrong }) end,
      "bad argument #1 to 'list'", "cursor", "string expected, got " .. type(wrong))
  end
  for _, wrong in pairs({ "1", true, {}, print }) do
    refuses(self.kv, function(kv) kv:list({ limit = wrong }) end,
      "bad argument #1 to 'list'", "limit", "number expected, got " .. type(wrong))
  end
end

function Options:test_options_that_are_no_table_are_an_error()
  for _, wrong in pairs({ 60, "60", true, false, print }) do
    refuses(self.kv, function(kv) kv:put("k", "value", wrong) end,
      "bad argument #3 to 'put'", "table expected, got " .. type(wrong))
    refuses(self.kv, function(kv) kv:list(wrong) end,
      "bad argument #1 to 'list'", "table expected, got " .. type(wrong))
  end
  refuses(self.kv, function(kv) kv:list("post:") end, "did you mean { prefix = … }?")
end

function Options:test_options_that_a_metatable_would_add_are_an_error()
  local inherited = setmetatable({}, { __name = "options", __index = { expirationTtl = 60 } })
  refuses(self.kv, function(kv) kv:put("k", "value", inherited) end, "bad argument #3 to 'put'", "__index")
  refuses(self.kv, function(kv) kv:list(setmetatable({ limit = 1 }, { __index = print })) end,
    "bad argument #1 to 'list'", "__index")
  self.kv:put("k", "value", setmetatable({ metadata = "own" }, { __name = "options", __len = print }))
  lu.assertEquals(support.unversioned(self.kv:list({ limit = 1 }).keys), { { name = "k", metadata = "own" } })
end

function Options:test_a_number_in_a_message_is_short()
  refuses(self.kv, function(kv) kv:list({ limit = 1e300 }) end, "got 1e300")
  refuses(self.kv, function(kv) kv:list({ limit = 1.5 }) end, "got 1.5")
end

function Options:test_no_options_and_empty_options_are_the_same()
  self.kv:put("a", "value", nil)
  self.kv:put("b", "value", {})
  lu.assertEquals(support.unversioned(self.kv:list().keys), { { name = "a" }, { name = "b" } })
end

return Options
