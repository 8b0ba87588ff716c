--- The suites of tests/lua that are about the store alone, as they stand, on luat_kv_lua.wasm.
-- Two of their tests cannot run in a page:
local NOT_HERE = {
  -- It limits the memory of a process that it starts. (lua.test.js has the same in a small maxMemory.)
  "TestJSON.test_a_table_that_unfolds_without_end_is_an_error",
  -- It compares with lua-cjson, a library of C's.
  "TestJSON.test_null_is_that_of_lua_cjson",
}

package.path = "/tests/lua/?.lua;" .. package.path

local lu = require("luaunit")
for _, suite in ipairs({ "contract", "json" }) do
  for name, class in pairs(require(suite)) do
    _G[name] = class
  end
end

local arguments = { "-o", "tap", "-v" }
for _, test in ipairs(NOT_HERE) do
  arguments[#arguments + 1] = "-x"
  arguments[#arguments + 1] = "^" .. test:gsub("%p", "%%%0") .. "$"
end
return lu.LuaUnit.run(table.unpack(arguments))
