--- The module itself: loading, names, install, tostring, types for editors, and the life of handles.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

-- Loading ----------------------------------------------------------------------------------------

local Module = {}

function Module:test_loading_sets_no_global()
  local script = support.write(support.path("child.lua"), [[
    local before = {}
    for name in pairs(_G) do before[name] = true end
    local KV = require("luat_kv")
    for name in pairs(_G) do assert(before[name], name) end
    assert(package.loaded.luat_kv == KV and require("luat_kv") == KV)
    print("clean")
  ]])
  lu.assertEquals(support.must(support.interpreter() .. " %s", script), "clean")
end

function Module:test_the_version()
  local version = support.read(support.root .. "/Cargo.toml"):match('\nversion = "(.-)"')
  lu.assertEquals(KV._VERSION, "luat_kv " .. version)
end

function Module:test_loading_opens_no_store()
  local folder = support.folder()
  support.run("", { dir = folder })
  lu.assertFalse(support.exists(folder .. "/.luat"))
end

function Module:test_tostring_names_a_store()
  local path = support.path()
  local store = KV.open({ path = path })
  lu.assertStrContains(tostring(store), path)
  store:close()
  lu.assertStrContains(tostring(KV.open({ memory = true })), "memory")
end

function Module:test_tostring_names_a_namespace()
  local kv = KV.open({ memory = true }):namespace("my posts")
  lu.assertStrContains(tostring(kv), "my posts")
end

--- The names that a table has for its users.
local function public(members)
  local names = {}
  for name in pairs(members) do
    if type(name) == "string" and not name:find("^__") then
      names[name] = true
    end
  end
  return names
end

-- install ----------------------------------------------------------------------------------------

local Install = {}

function Install:test_it_puts_KV_and_json_into_the_table_it_returns()
  local env = {}
  lu.assertIs(KV.install(env), env)
  lu.assertIsFunction(env.KV.namespace)
  lu.assertEquals(env.json.encode({ 1 }), "[1]")
  lu.assertEquals(env.json.decode("[1]"), { 1 })
end

function Install:test_it_keeps_a_json_that_is_there()
  local json = {}
  local env = KV.install({ json = json })
  lu.assertIs(env.json, json)
  lu.assertIsFunction(env.KV.namespace)
end

function Install:test_it_puts_nothing_else_anywhere()
  local env = KV.install({})
  for name in pairs(env) do
    lu.assertTrue(name == "KV" or name == "json")
  end
  lu.assertNil(rawget(_G, "KV"))
  lu.assertNil(rawget(_G, "json"))
end

function Install:test_each_one_gets_tables_of_its_own()
  local one, other = KV.install({}), KV.install({})
  lu.assertIs(one.json, one.KV.json)
  local seen = { [KV] = true, [KV.json] = true }
  for _, env in ipairs({ one, other, { KV = KV.new() } }) do
    for _, mine in ipairs({ env.KV, env.KV.json }) do
      lu.assertNil(seen[mine])
      seen[mine] = true
    end
  end
  one.KV.namespace, one.json.decode, one.KV.open = nil, nil, nil
  lu.assertIsFunction(other.KV.namespace)
  lu.assertIsFunction(other.json.decode)
  lu.assertIsFunction(KV.open)
  lu.assertEquals(public(other.KV), public(KV))
end

function Install:test_without_open_nothing_leads_to_a_file_of_the_scripts_choice()
  for _, open in ipairs({ KV, KV.install({}).KV, KV.new({ open = true }) }) do
    lu.assertIsFunction(open.open)
  end
  for _, module in ipairs({ KV.install({}, { open = false }).KV, KV.new({ open = false, null = {} }) }) do
    lu.assertEquals(public(module), { _VERSION = true, namespace = true, array = true, json = true, null = true })
  end
  support.run([[
    local env = KV.install({}, { open = false })
    local kv = env.KV.namespace("n")
    kv:put("key", env.json.decode("[1,null]"), { metadata = env.KV.array() })
    assert(kv:get("key") == "[1,null]" and kv:atomic():namespace("m"):put("a", "b"):commit())
    assert(KV.namespace("m"):get("a") == "b")
    for _, handle in ipairs({ kv, kv:atomic(), (kv:each()), (kv:watch()) }) do
      for _, name in ipairs({ "export", "import", "backup", "open", "store", "namespaces", "stats", "compact" }) do
        assert(not pcall(function() return assert(handle[name]) end), name)
      end
      assert(not pcall(function() handle.export = KV.namespace("n").export end))
      assert(getmetatable(handle) == false and not pcall(setmetatable, handle, {}))
    end
    local host = KV.namespace("n")
    assert(host.export and host.import)
  ]])
end

function Install:test_single_namespaces_for_code_that_is_not_trusted()
  support.run([[
    local restricted = KV.new({ open = false })
    local env = { posts = restricted.namespace("posts") }
    env.posts:put("hello", { title = "Hello" }, { metadata = 1 })
    assert(KV.namespace("posts"):get("hello", "json").title == "Hello")
    local step = env.posts:each({ values = "text" })
    local batch = env.posts:atomic():put("second", "2")
    for _, handle in ipairs({ env.posts, batch, step }) do
      for _, name in ipairs({ "export", "import", "backup", "open", "path", "store", "close" }) do
        assert(not pcall(function() return assert(handle[name]) end), name)
      end
      assert(getmetatable(handle) == false)
    end
    -- The way back from a batch to handles is closed, too.
    assert(batch:namespace("posts") == batch and batch:commit())
    local names = {}
    for name in env.posts:each() do names[#names + 1] = name end
    assert(table.concat(names, " ") == "hello second")
    -- A handle of the full module has what those lack, so it is not for such an environment.
    local full = KV.namespace("posts")
    assert(full.export and full.import)
  ]])
end

function Install:test_its_options_are_checked()
  fails(function() KV.install({}, { opne = false }) end, "bad argument #2 to 'install'", "did you mean 'open'")
  fails(function() KV.install({}, { open = "no" }) end, "bad argument #2 to 'install'", "option 'open'", "boolean expected")
  fails(function() KV.install({}, "open") end, "bad argument #2 to 'install'", "table expected")
  fails(function() KV.new(5) end, "bad argument #1 to 'new'", "table expected")
end

function Install:test_it_takes_tables_only()
  for _, wrong in pairs({ 1, "env", true, print }) do
    fails(function() KV.install(wrong) end, "bad argument #1 to 'install'", "table expected, got " .. type(wrong))
  end
  fails(function() KV.install(nil) end, "bad argument #1 to 'install'", "table expected, got nil")
  fails(function() KV.install() end, "bad argument #1 to 'install'")
end

-- Types for editors ------------------------------------------------------------------------------

local Types = {}

local source = support.read(support.root .. "/lua/types/luat_kv.lua")

--- The names that the types file defines in a table of its own: functions, methods and values.
local function documented(variable)
  local names = {}
  for name in source:gmatch("\nfunction " .. variable .. "[.:]([%w_]+)%(") do
    names[name] = true
  end
  for name in source:gmatch("\n" .. variable .. "%.([%w_]+) = ") do
    names[name] = true
  end
  return names
end

local function methods(handle)
  return public(debug.getmetatable(handle).__index)
end

function Types:test_they_name_what_there_is()
  local store = KV.open({ memory = true })
  lu.assertEquals(documented("KV"), public(KV))
  lu.assertEquals(documented("KV%.json"), public(KV.json))
  lu.assertEquals(documented("Store"), methods(store))
  lu.assertEquals(documented("Namespace"), methods(store:namespace("n")))
  lu.assertEquals(documented("Batch"), methods(store:atomic()))
  lu.assertEquals(documented("Watch"), methods((store:namespace("n"):watch())))
end

function Types:test_what_they_name_is_there()
  local store = KV.open({ memory = true })
  local namespace, batch = store:namespace("n"), store:atomic()
  local watch = namespace:watch()
  for object, variable in pairs({
    [KV] = "KV", [store] = "Store", [namespace] = "Namespace", [batch] = "Batch", [watch] = "Watch",
  }) do
    for name in pairs(documented(variable)) do
      lu.assertNotNil(object[name], variable .. "." .. name)
    end
  end
end

function Types:test_the_file_is_lua_that_an_editor_reads_and_nobody_runs()
  lu.assertStrContains(source, "^%-%-%-@meta luat_kv\n", true)
  lu.assertIsFunction((loadstring or load)(source))
end

-- Handles ----------------------------------------------------------------------------------------
-- In processes of their own: what goes wrong here ends the process.

local Handles = {}

function Handles:test_a_namespace_keeps_its_store_alive()
  support.run([[
    local kv = KV.open({ path = ... }):namespace("n")
    for i = 1, 10 do collectgarbage() kv:put("key" .. i, "value") end
    assert(#kv:list().keys == 10)
  ]], { support.path() })
end

function Handles:test_any_order_of_collection_is_safe()
  support.run([[
    local path = ...
    for round = 1, 200 do
      local stores, spaces = {}, {}
      for i = 1, 4 do
        stores[i] = KV.open(i % 2 == 0 and { memory = true } or { path = path })
        for j = 1, 4 do
          local kv = stores[i]:namespace("n" .. j)
          kv:put("key", "value " .. round)
          table.insert(spaces, math.random(#spaces + 1), kv)
        end
      end
      if round % 3 == 0 then stores[1]:close() end
      if round % 5 == 0 then stores = nil else table.remove(stores, math.random(4)) end
      collectgarbage(round % 2 == 0 and "collect" or "step")
      for _, kv in ipairs(spaces) do pcall(kv.get, kv, "key") end
    end
  ]], { support.path() })
end

function Handles:test_handles_in_a_cycle_are_collected()
  support.run([[
    for i = 1, 50 do
      local store = KV.open({ path = ... })
      local kv = store:namespace("n")
      local cycle = { store = store, kv = kv }
      cycle.self = cycle
      kv:put("key", "value")
    end
    collectgarbage() collectgarbage()
    local descriptors = io.popen("ls /proc/$PPID/fd | wc -l"):read("*n")
    assert(descriptors < 40, descriptors .. " files are open")
  ]], { support.path() })
end

function Handles:test_a_process_may_end_with_all_open()
  for _, ending in ipairs({ "", "os.exit(0)", "os.exit(0, true)", "store:close()", "kv = nil collectgarbage()" }) do
    local path = support.path()
    support.run([[
      store = KV.open({ path = ... })
      kv = store:namespace("n")
      kv:put("key", "value")
    ]] .. ending, { path })
    lu.assertEquals(support.run('print(KV.open({ path = ... }):namespace("n"):get("key"))', { path }), "value")
  end
end

function Handles:test_a_process_may_end_with_an_error()
  local output, exit = support.try([[
    local kv = KV.open({ memory = true }):namespace("n")
    kv:put("", "value")
  ]])
  lu.assertEquals(exit, 1)
  lu.assertStrContains(output, "child.lua:2: luat_kv: INVALID: ")
end

function Handles:test_a_finalizer_called_by_hand_does_no_harm()
  support.run([[
    local store = KV.open({ path = ... })
    local kv = store:namespace("n")
    local watch = kv:watch()
    kv:put("key", "value")
    for _, handle in ipairs({ watch, kv, store, watch, kv }) do
      for _, name in ipairs({ "__gc", "__close" }) do
        local finalizer = debug.getmetatable(handle)[name]
        if finalizer then
          for _, wrong in ipairs({ 1, "x", {}, io.stdout, KV.null, store, kv }) do pcall(finalizer, wrong) end
          finalizer(handle)
          finalizer(handle)
          pcall(finalizer)
        end
      end
    end
    pcall(kv.get, kv, "key")
    pcall(watch.next, watch, 0)
    pcall(watch)
    pcall(store.namespace, store, "n")
    store:close()
    collectgarbage()
  ]], { support.path() })
end

function Handles:test_handles_made_at_the_end_of_a_state_are_safe()
  support.run([[
    local path = ...
    local proxy = newproxy and newproxy(true)
    local finalizer = function() KV.open({ path = path }):namespace("n"):put("late", "value") end
    if proxy then getmetatable(proxy).__gc = finalizer else proxy = setmetatable({}, { __gc = finalizer }) end
    _G.kept = proxy
  ]], { support.path() })
end

function Handles:test_finalizers_may_call_in_the_midst_of_a_call()
  support.run([[
    local kv = KV.open({ memory = true }):namespace("n")
    for i = 1, 50 do kv:put("key" .. i, { i, { text = "a\nb" .. i } }, { metadata = { place = i } }) end
    local calls = 0
    local function plant()
      local proxy = newproxy and newproxy(true)
      local function finalizer()
        calls = calls + 1
        assert(kv:get("key7", "json")[2].text == "a\nb7")
        assert(kv:list({ limit = 3 }).keys[3].metadata.place == 11)
        pcall(kv.get, kv, nil)
        plant()
      end
      if proxy then getmetatable(proxy).__gc = finalizer else setmetatable({}, { __gc = finalizer }) end
    end
    plant()
    for name, value in pairs({ pause = 1, stepmul = 1000 }) do
      if not pcall(collectgarbage, "set" .. name, value) then collectgarbage("param", name, value) end -- Lua 5.5
    end
    for round = 1, 300 do
      local i = round % 50 + 1
      local value, meta = kv:getWithMetadata("key" .. i, "json")
      assert(value[1] == i and value[2].text == "a\nb" .. i and meta.metadata.place == i)
      assert(kv:get("key" .. i):match("^%[" .. i .. ","))
      for _, key in ipairs(kv:list().keys) do assert(key.name == "key" .. key.metadata.place) end
      local ok, message = pcall(kv.put, kv, "", "value")
      assert(not ok and message:match("the key is empty"))
    end
    assert(calls > 100, calls .. " finalizers ran")
  ]])
end

if _VERSION >= "Lua 5.4" then
  function Handles:test_a_store_may_be_a_variable_to_be_closed()
    local store, kv
    load([[
      local KV, keep = ...
      local store <close> = KV.open({ memory = true })
      keep(store, store:namespace("n"))
    ]])(KV, function(a, b) store, kv = a, b end)
    fails(function() store:sweep() end, "INVALID", "closed")
    fails(function() kv:get("key") end, "INVALID", "closed")
  end
end

return { TestModule = Module, TestInstall = Install, TestTypes = Types, TestHandles = Handles }
