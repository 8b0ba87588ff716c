--- Stores on a PostgreSQL server: what the contract does not say of all back ends.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")

local url = support.must("%s/tests/postgres/database", support.root)

local TestPostgres = {}

function TestPostgres:test_stores_on_a_database_are_one()
  local store, again = KV.open({ url = url }), KV.open({ url = url })
  store:namespace("n"):put("key", "value")
  lu.assertEquals(again:namespace("n"):get("key"), "value")
  lu.assertStrContains(tostring(store), "postgresql://postgres@")
  store:close()
  again:close()
end

function TestPostgres:test_a_namespace_and_a_key_have_at_most_2600_bytes()
  local store = KV.open({ url = url })
  local kv, longest = store:namespace("n"), ("é"):rep(1299) .. "x"
  kv:put(longest, "value")
  lu.assertEquals(kv:get(longest), "value")
  lu.assertEquals(kv:list({ prefix = longest }).keys[1].name, longest)
  lu.assertIsTrue(kv:delete(longest))
  for _, method in ipairs({ "put", "get", "delete", "add" }) do
    support.fails(function() kv[method](kv, longest .. "x", "text") end, "LIMIT", "2600", "2601")
  end
  lu.assertEquals(kv:list({ prefix = longest .. "x" }).keys, {})
  store:close()
end

function TestPostgres:test_the_project_may_have_it()
  local folder = support.folder()
  support.write(folder .. "/luat.toml", ("[kv]\nurl = %q\n"):format(url))
  local code = 'local kv = KV.namespace("project") print(kv:incr("n")) '
  lu.assertEquals(support.run(code, { dir = folder }), "1")
  -- Another process, in a folder of its own: another machine, as far as the store can tell.
  local other = support.folder()
  support.write(other .. "/luat.toml", ("[kv]\nurl = %q\n"):format(url))
  lu.assertEquals(support.run(code, { dir = other }), "2")
end

function TestPostgres:test_a_server_that_is_not_there_is_an_error()
  local nowhere = url:gsub("port=%d+", "port=1")
  nowhere = nowhere:gsub("postgres@", "postgres:secret@")
  local message = support.fails(function() KV.open({ url = nowhere, busy_timeout = 0.1 }) end, "IO", ".s.PGSQL.1")
  lu.assertNotStrContains(message, "secret")
end

--- A child must leave the parent's connection alone. (Only LuaJIT can fork without a module.)
function TestPostgres:test_a_fork_with_an_open_connection()
  if not jit then lu.skip("only LuaJIT can fork without a module") end
  local ffi = require("ffi")
  ffi.cdef("int fork(void); int waitpid(int, int *, int); void _exit(int);")
  local store = KV.open({ url = url })
  local kv = store:namespace("fork")
  kv:put("n", 0)
  for _, finish in ipairs({ "leaves", "closes" }) do
    local child = ffi.C.fork()
    if child == 0 then
      local done = pcall(function()
        kv:incr("n")
        if finish == "closes" then store:close() end
      end)
      ffi.C._exit(done and 0 or 1)
    end
    kv:incr("n")
    local status = ffi.new("int[1]")
    lu.assertEquals(ffi.C.waitpid(child, status, 0), child)
    lu.assertEquals(status[0], 0)
  end
  lu.assertEquals(kv:get("n"), "4")
  store:close()
end

return { TestPostgres = TestPostgres }
