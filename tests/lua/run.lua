--- The Lua suite. From the repository root: lua5.4 tests/lua/run.lua [luaunit's arguments]
-- The module under test is the one that require("luat_kv") finds:
--   LUA_CPATH="target/lua/5.4/?.so;;" lua5.4 tests/lua/run.lua -o tap
-- With LUAT_KV_MODULE=luat_kv_ffi that is the module for LuaJIT's ffi, in lua/, which has some tests of its own:
--   LUAT_KV_MODULE=luat_kv_ffi LUAT_KV_LIBRARY=target/lib/libluat_kv.so LUA_CPATH="target/lua/jit/?.so;;" \
--       luajit tests/lua/run.lua -o tap
-- These compare it with the C module, which they find on LUA_CPATH.
-- With a server in LUAT_KV_TEST_POSTGRES (see tests/postgres/with-server) the contract runs on it, and nothing else.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path
local with_ffi = os.getenv("LUAT_KV_MODULE") == "luat_kv_ffi"
if with_ffi then
  package.path = here .. "/ffi/?.lua;" .. here .. "/../../lua/?.lua;" .. package.path
end

local lu = require("luaunit")
local support = require("support")

-- luaunit runs the global tables whose names begin with Test.
local suites = {
  "contract", "json", "open", "module", "watch", "retry", "durability", "project", "luat_files", "access", "examples",
  "luas",
}
if os.getenv("LUAT_KV_TEST_POSTGRES") then
  suites = { "contract", "postgres" }
else
  suites[#suites + 1] = with_ffi and "own" or "instances" -- "own" is in tests/lua/ffi
end
for _, suite in ipairs(suites) do
  for name, class in pairs(require(suite)) do
    _G[name] = class
  end
end

-- TAP without -v does not say what failed.
for _, word in ipairs(arg) do
  if word:lower() == "tap" then
    arg[#arg + 1] = "-v"
    break
  end
end

local failures = lu.LuaUnit.run()
support.cleanup()
os.exit(failures == 0 and 0 or 1)
