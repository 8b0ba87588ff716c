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

--- The sessions of the database, besides the one that asks.
local function sessions()
  return support.must("psql -XAtqd %s -c %s", url, "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    .. " AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY backend_start")
end

--- Parent and child go on at the same time, each with a connection of its own.
function TestPostgres:test_a_fork_with_an_open_connection()
  local library = support.root .. "/target/lua/fork.so"
  local function load(name) return assert(package.loadlib(library, name)) end
  local fork, wait, leave = load("do_fork"), load("do_wait"), load("do_leave")
  local store = KV.open({ url = url })
  local kv, steps = store:namespace("fork"), 100
  kv:put("n", 0)
  local before = sessions()
  local function use(name)
    for step = 1, steps do
      kv:incr("n")
      kv:put(("%s/%d"):format(name, step), name)
    end
    kv:add("once", name)
  end
  for round, ending in ipairs({ "leaves", "exits", "closes", "collects", "does nothing" }) do
    kv:delete("once")
    io.stdout:flush() -- what is in its buffer would be written by both
    local child = fork()
    if child == 0 then
      local done, why = ending == "does nothing" or pcall(function()
        use("child")
        -- The parent's connection, and another one.
        assert(sessions():find(before .. "\n%d+$"), "no connection of its own")
        if ending == "closes" then store:close() end
        if ending == "collects" then
          store, kv = nil, nil
          collectgarbage()
        end
      end)
      if not done then io.stderr:write("child: ", tostring(why), "\n") end
      if ending == "exits" then lu.oldOsExit(done and 0 or 1, true) end
      leave(done and 0 or 1)
    end
    use("parent")
    lu.assertEquals(wait(child), 0, ending)
    -- The server notices that the child is gone.
    for _ = 1, 1000 do
      if sessions() == before then break end
    end
    lu.assertEquals(sessions(), before)
    lu.assertNotNil(kv:get("once"))
    local expected = steps * (round + math.min(round, 4))
    lu.assertEquals(kv:get("n"), tostring(expected), ending)
  end
  lu.assertEquals(kv:count({ prefix = "child/" }), steps)
  lu.assertEquals(kv:count({ prefix = "parent/" }), steps)
  store:close()
end

return { TestPostgres = TestPostgres }
