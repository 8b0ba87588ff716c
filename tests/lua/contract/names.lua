--- Names: the name of a namespace and a key are UTF-8 text.
local lu = require("luaunit")
local support = require("support")
local fails, refuses = support.fails, support.refuses

local Names = {}

local strange_names = {
  " ", "a", "A", "a b", "\t", "\r\n", "a/b", "../a", "%", "_", "a%b", "a_b", "\\", "a\\", "'", '"', "'; DROP TABLE kv; --",
  "\0", "a\0", "a\0b", "\0\0", "\1", "\127", ".", "..", "*", "[a]", "?", "-- ", "null", "1", "1.0",
  "é", "e\204\129", "日本語", "😀", "\239\187\191", "\239\191\189", "\244\143\191\191", "\237\159\191", "\238\128\128",
}

local not_utf8 = {
  ["a byte that never occurs"] = "\255",
  ["a continuation alone"] = "\128",
  ["a sequence cut short"] = "a\226\130",
  ["an overlong slash"] = "\192\175",
  ["a surrogate"] = "\237\160\128",
  ["above U+10FFFF"] = "\244\144\128\128",
  ["Latin-1"] = "caf\233",
}

function Names:test_any_utf8_text_is_a_key()
  for i, name in ipairs(strange_names) do
    self.kv:put(name, "value " .. i)
  end
  for i, name in ipairs(strange_names) do
    lu.assertEquals(self.kv:get(name), "value " .. i)
  end
  local listed = {}
  for _, key in ipairs(self.kv:list().keys) do
    table.insert(listed, key.name)
  end
  lu.assertItemsEquals(listed, strange_names)
end

function Names:test_any_utf8_text_is_a_namespace_name()
  for i, name in ipairs(strange_names) do
    self.store:namespace(name):put("key", "value " .. i)
  end
  for i, name in ipairs(strange_names) do
    local kv = self.store:namespace(name)
    lu.assertEquals(kv:get("key"), "value " .. i)
    lu.assertEquals(#kv:list().keys, 1)
  end
end

function Names:test_keys_are_case_sensitive()
  self.kv:put("Key", "upper")
  lu.assertNil(self.kv:get("key"))
end

function Names:test_a_key_does_not_end_at_a_nul()
  self.kv:put("a\0b", "long")
  lu.assertNil(self.kv:get("a"))
  self.kv:delete("a\0")
  lu.assertEquals(self.kv:get("a\0b"), "long")
end

function Names:test_namespaces_never_see_each_others_keys()
  local a, b = self.store:namespace("isolated a"), self.store:namespace("isolated b")
  a:put("key", "of a")
  b:put("key", "of b")
  b:put("other", "of b")
  lu.assertEquals(a:get("key"), "of a")
  lu.assertEquals(#a:list().keys, 1)
  b:delete("key")
  lu.assertEquals(a:get("key"), "of a")
  lu.assertNil(a:get("other"))
end

function Names:test_where_a_namespace_ends_and_a_key_begins_matters()
  self.store:namespace("x"):put("yz", "1")
  lu.assertNil(self.store:namespace("xy"):get("z"))
  lu.assertEquals(self.store:namespace("xy"):list().keys, {})
  lu.assertEquals(self.store:namespace("x\0"):list().keys, {})
end

function Names:test_a_namespace_taken_twice_holds_the_same_data()
  self.store:namespace("twice"):put("key", "value")
  lu.assertEquals(self.store:namespace("twice"):get("key"), "value")
end

function Names:test_an_empty_key_is_an_error()
  refuses(self.kv, function(kv) kv:put("", "value") end, "INVALID")
  refuses(self.kv, function(kv) kv:get("") end, "INVALID")
  refuses(self.kv, function(kv) kv:getWithMetadata("") end, "INVALID")
  refuses(self.kv, function(kv) kv:delete("") end, "INVALID")
end

function Names:test_an_empty_namespace_name_is_an_error()
  fails(function() self.store:namespace("") end, "INVALID")
end

function Names:test_a_key_that_is_not_utf8_is_an_error()
  for _, key in pairs(not_utf8) do
    refuses(self.kv, function(kv) kv:put(key, "value") end, "INVALID", "UTF-8")
    refuses(self.kv, function(kv) kv:get(key) end, "INVALID", "UTF-8")
    refuses(self.kv, function(kv) kv:getWithMetadata(key) end, "INVALID", "UTF-8")
    refuses(self.kv, function(kv) kv:delete(key) end, "INVALID", "UTF-8")
  end
end

function Names:test_a_namespace_name_that_is_not_utf8_is_an_error()
  for _, name in pairs(not_utf8) do
    fails(function() self.store:namespace(name) end, "INVALID", "UTF-8")
  end
end

function Names:test_a_key_that_is_no_string_is_an_error()
  -- A number too: 10/2 would be the key "5.0" on Lua 5.4, and "5" on LuaJIT.
  for _, key in pairs({ 1, 1.5, true, {}, print, io.stdout }) do
    local expected = ("(string expected, got %s)"):format(type(key))
    refuses(self.kv, function(kv) kv:put(key, "value") end, "bad argument #1 to 'put' " .. expected)
    if type(key) ~= "table" then -- which asks for many
      refuses(self.kv, function(kv) kv:get(key) end, "bad argument #1 to 'get' " .. expected)
      refuses(self.kv, function(kv) kv:getWithMetadata(key) end, "bad argument #1 to 'getWithMetadata' " .. expected)
    end
    refuses(self.kv, function(kv) kv:delete(key) end, "bad argument #1 to 'delete' " .. expected)
  end
end

function Names:test_no_key_is_an_error()
  refuses(self.kv, function(kv) kv:get(nil) end, "bad argument #1 to 'get' (string expected, got nil)")
  refuses(self.kv, function(kv) kv:get() end, "bad argument #1 to 'get' (string expected, got n")
  refuses(self.kv, function(kv) kv:put() end, "bad argument #1 to 'put' (string expected, got n")
  refuses(self.kv, function(kv) kv:delete() end, "bad argument #1 to 'delete' (string expected, got n")
end

function Names:test_a_namespace_name_that_is_no_string_is_an_error()
  for _, name in pairs({ 1, true, {} }) do
    fails(function() self.store:namespace(name) end,
      ("bad argument #1 to 'namespace' (string expected, got %s)"):format(type(name)))
  end
  fails(function() self.store:namespace(nil) end, "bad argument #1 to 'namespace' (string expected, got nil)")
  fails(function() self.store:namespace() end, "bad argument #1 to 'namespace'")
end

return Names
