--- Acknowledged writes survive the end of a process, its violent death, and other writers.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

-- Other processes --------------------------------------------------------------------------------

local Durability = {}

function Durability:test_another_process_finds_everything()
  local path = support.path()
  support.run([[
    local kv = KV.open({ path = ... }):namespace("posts")
    kv:put("bytes", "\0\1\255", { metadata = { author = "alice" }, expiration = 4102444800 })
    kv:put("document", { tags = { "a", "b" }, draft = false })
    kv:put("gone", "value")
    kv:delete("gone")
  ]], { path })
  local kv = KV.open({ path = path }):namespace("posts")
  local value, meta = kv:getWithMetadata("bytes")
  lu.assertEquals(value, "\0\1\255")
  lu.assertEquals(support.unversioned(meta), { metadata = { author = "alice" }, expiration = 4102444800 })
  lu.assertEquals(kv:get("document", "json"), { tags = { "a", "b" }, draft = false })
  lu.assertEquals(#kv:list().keys, 2)
end

function Durability:test_another_process_finds_it_while_the_first_goes_on()
  local path = support.path()
  local kv = KV.open({ path = path }):namespace("n")
  kv:put("ours", "1")
  lu.assertEquals(support.run([[
    local kv = KV.open({ path = ... }):namespace("n")
    kv:put("theirs", "2")
    print(kv:get("ours"))
  ]], { path }), "1")
  lu.assertEquals(kv:get("theirs"), "2")
end

function Durability:test_a_process_killed_right_after_a_put_loses_nothing()
  for _, durability in ipairs({ "normal", "full" }) do
    local path = support.path()
    local _, exit = support.try([[
      local path, durability = ...
      local kv = KV.open({ path = path, durability = durability }):namespace("n")
      for i = 1, 200 do kv:put("key" .. i, "value " .. i) end
      kv:delete("key1")
      os.execute("kill -9 $PPID") -- the shell's parent: this process
    ]], { path, durability })
    lu.assertEquals(exit, 137)
    local kv = KV.open({ path = path }):namespace("n")
    for i = 2, 200 do
      lu.assertEquals(kv:get("key" .. i), "value " .. i)
    end
    lu.assertNil(kv:get("key1"))
  end
end

function Durability:test_four_processes_that_write_at_once_lose_nothing()
  local path = support.path() -- a new file, so they race to make it, too
  local script = support.script([[
    local path, writer = ...
    local kv = KV.open({ path = path, busy_timeout = 30 }):namespace("n")
    for i = 1, 100 do
      kv:put(("%s:%d"):format(writer, i), writer)
      kv:put("last", writer)
      assert(kv:get(("%s:%d"):format(writer, i)) == writer)
    end
    print("done")
  ]])
  local output = support.must("for writer in 1 2 3 4; do " .. support.interpreter() .. " %s %s $writer & done; wait",
    script, path)
  lu.assertEquals(output, "done\ndone\ndone\ndone")
  local kv = KV.open({ path = path }):namespace("n")
  lu.assertEquals(#kv:list({ limit = 10000 }).keys, 401)
end

-- Several processes at one key --------------------------------------------------------------------

local Together = {}

--- Runs a script in eight processes at once, each of which gets the path and its number. Returns what they printed.
local function eight(path, code)
  local script = support.script(code)
  return support.must("for n in 1 2 3 4 5 6 7 8; do " .. support.interpreter() .. " %s %s $n & done; wait", script, path)
end

function Together:test_eight_processes_that_count_lose_no_step()
  local path = support.path()
  eight(path, [[
    local kv = KV.open({ path = (...), busy_timeout = 60 }):namespace("n")
    for i = 1, 1000 do kv:incr("counter") end
  ]])
  lu.assertEquals(KV.open({ path = path }):namespace("n"):get("counter"), "8000")
end

function Together:test_eight_processes_that_check_and_put_lose_no_update()
  local path = support.path()
  KV.open({ path = path }):namespace("n"):put("list", KV.array())
  local output = eight(path, [[
    local path, me = ...
    local kv = KV.open({ path = path, busy_timeout = 60 }):namespace("n")
    local conflicts = 0
    for i = 1, 50 do
      repeat
        local list, meta = kv:getWithMetadata("list", "json")
        list[#list + 1] = me .. ":" .. i
        local done = kv:atomic():check("list", meta.version):put("list", list):commit()
        if not done then conflicts = conflicts + 1 end
      until done
    end
    print(conflicts)
  ]])
  local list = KV.open({ path = path }):namespace("n"):get("list", "json")
  local there = {}
  for _, entry in ipairs(list) do there[entry] = true end
  lu.assertEquals(#list, 400)
  for me = 1, 8 do
    for i = 1, 50 do lu.assertTrue(there[me .. ":" .. i], output) end
  end
end

function Together:test_of_eight_processes_one_gets_the_lock()
  local path = support.path()
  local output = eight(path, [[
    local path, me = ...
    print(KV.open({ path = path }):namespace("n"):add("lock", me) and me or "-")
  ]])
  local winner = KV.open({ path = path }):namespace("n"):get("lock")
  lu.assertEquals(output:gsub("[-\n]", ""), winner)
end

function Together:test_a_batch_that_is_killed_leaves_all_or_nothing()
  local path = support.path()
  for round = 1, 8 do
    support.try([[
      local path, round = ...
      local kv = KV.open({ path = path }):namespace("n")
      os.execute(("(sleep 0.0%d; kill -9 $PPID) &"):format(round)) -- the shell's parent: this process
      for generation = 1, 1000 do
        local batch = kv:atomic()
        for i = 1, 500 do batch:put("key" .. i, round .. "." .. generation) end
        batch:commit()
      end
    ]], { path, tostring(round) })
    local kv = KV.open({ path = path }):namespace("n")
    local count, generations = 0, {}
    for _, key in kv:each({ values = true }) do
      count = count + 1
      generations[key.value] = true
    end
    lu.assertTrue(count == 0 or count == 500, count)
    lu.assertTrue(count == 0 or next(generations, next(generations)) == nil, "values of one generation only")
  end
  lu.assertEquals(support.sqlite(path, "PRAGMA integrity_check"), "ok")
end

function Together:test_a_backup_is_whole_while_others_write()
  local path, copy = support.path(), support.folder() .. "/copy.db"
  local store = KV.open({ path = path })
  local kv = store:namespace("n")
  local batch = kv:atomic()
  for i = 1, 2000 do batch:put("key" .. i, ("x"):rep(1000)) end
  batch:commit()
  local writer = support.script([[
    local kv = KV.open({ path = (...) }):namespace("n")
    for i = 1, 1000 do kv:atomic():put("one", i):put("two", i):commit() end
    print("done")
  ]])
  local pipe = io.popen((support.interpreter():gsub("%%%%", "%%")) .. " " .. support.quote(writer) .. " " ..
    support.quote(path))
  local patience = os.time() + 60
  while kv:get("one") == nil and os.time() < patience do end
  store:backup(copy)
  lu.assertStrContains(pipe:read("*a"), "done")
  pipe:close()
  lu.assertEquals(support.sqlite(copy, "PRAGMA integrity_check"), "ok")
  local found = KV.open({ path = copy }):namespace("n"):get({ "one", "two", "key2000" })
  lu.assertEquals(found.one, found.two)
  lu.assertEquals(#found.key2000, 1000)
  fails(function() store:backup(copy) end, "IO", "File exists (os error 17)")
  fails(function() store:backup(path) end, "IO", "File exists (os error 17)")
  fails(function() store:backup(path .. "-journal") end, "INVALID", "a store's own")
  fails(function() store:namespace("n"):export(path .. "-journal") end, "INVALID", "a store's own")
end

-- A busy database --------------------------------------------------------------------------------

local Busy = {}

local function seconds()
  return tonumber((support.must("date +%%s.%%N")))
end

local function store_with(options)
  options.path = support.path()
  local store = KV.open(options)
  store:namespace("n"):put("k", "before")
  return store, store:namespace("n"), options.path
end

function Busy:test_a_write_gives_up_after_the_busy_timeout_and_works_later()
  local store, kv, path = store_with({ busy_timeout = 0.3 })
  local unlock = support.lock(path)
  local start = seconds()
  fails(function() kv:put("k", "value") end, "BUSY")
  local waited = seconds() - start
  lu.assertTrue(waited >= 0.29 and waited < 5, waited)
  lu.assertEquals(kv:get("k"), "before") -- a reader waits for nobody
  lu.assertEquals(#kv:list().keys, 1)
  unlock()
  kv:put("k", "after")
  lu.assertEquals(kv:get("k"), "after")
  store:close()
end

function Busy:test_a_busy_timeout_of_0_waits_for_nothing()
  local store, kv, path = store_with({ busy_timeout = 0 })
  local unlock = support.lock(path)
  local start = seconds()
  fails(function() kv:put("k", "value") end, "BUSY")
  fails(function() kv:delete("k") end, "BUSY")
  lu.assertTrue(seconds() - start < 0.3)
  unlock()
  kv:delete("k")
  lu.assertNil(kv:get("k"))
  store:close()
end

function Busy:test_a_write_that_is_let_in_in_time_succeeds()
  local store, kv, path = store_with({})
  local unlock = support.lock(path)
  local script = support.script('KV.open({ path = ... }):namespace("n"):put("k", "value")')
  -- The other process waits while the lock is held a little longer, and goes in then.
  local waiting = io.popen(("cd / && %s %s %s; echo $?"):format(
    support.interpreter():gsub("%%%%", "%%"), support.quote(script), support.quote(path)))
  unlock(".shell sleep 0.2")
  lu.assertEquals(waiting:read("*a"), "0\n")
  waiting:close()
  lu.assertEquals(kv:get("k"), "value")
  store:close()
end

-- What is left in the files ----------------------------------------------------------------------

local Files = {}

function Files:test_a_closed_store_leaves_one_file()
  for _, durability in ipairs({ "normal", "full" }) do
    local path = support.path()
    local store = KV.open({ path = path, durability = durability })
    store:namespace("n"):put("key", ("value"):rep(10000))
    store:close()
    lu.assertEquals(support.must("ls %s", path:match("^(.*)/")), "kv.db")
    lu.assertEquals(support.sqlite(path, "PRAGMA integrity_check"), "ok")
  end
end

function Files:test_a_collected_store_leaves_one_file()
  local path = support.path()
  support.run([[
    local kv = KV.open({ path = ... }):namespace("n")
    kv:put("key", "value")
    kv = nil
    collectgarbage() collectgarbage()
  ]], { path })
  lu.assertEquals(support.must("ls %s", path:match("^(.*)/")), "kv.db")
end

--- A closed store's file with one live row and `count` expired ones.
local function with_expired(count)
  local path = support.path()
  local store = KV.open({ path = path })
  store:namespace("n"):put("live", "value", { expirationTtl = 3600 })
  store:namespace("n"):put("forever", "value")
  store:close()
  support.sqlite(path, ([[
    WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < %d)
    INSERT OR REPLACE INTO kv (namespace, key, value, metadata, expiration)
    SELECT 'n', 'old' || i, x'00', NULL, 1000000000 FROM number
  ]]):format(count))
  return path
end

local function count(path, condition)
  return tonumber(support.sqlite(path, "SELECT count(*) FROM kv WHERE " .. condition))
end

function Files:test_expired_rows_leave_the_file_with_later_writes()
  local path = with_expired(100)
  local store = KV.open({ path = path })
  local kv = store:namespace("elsewhere")
  for i = 1, 20 do
    kv:put("key" .. i, "value")
  end
  lu.assertTrue(count(path, "key LIKE 'old%'") < 100)
  for i = 1, 1000 do
    kv:put("key" .. i % 20, "value")
  end
  lu.assertEquals(count(path, "key LIKE 'old%'"), 0)
  lu.assertEquals(count(path, "namespace = 'n'"), 2)
  store:close()
end

function Files:test_sweep_removes_all_that_is_expired()
  local path = with_expired(2000)
  local store = KV.open({ path = path })
  local before = count(path, "key LIKE 'old%'")
  lu.assertEquals(store:sweep(10), 10)
  lu.assertEquals(count(path, "key LIKE 'old%'"), before - 10)
  lu.assertEquals(store:sweep(), before - 10)
  lu.assertEquals(count(path, "key LIKE 'old%'"), 0)
  lu.assertEquals(count(path, "1"), 2)
  store:close()
end

function Files:test_limits_are_for_what_is_written_not_for_what_is_stored()
  local path = support.path()
  local store = KV.open({ path = path })
  local key, value, metadata = ("k"):rep(600), ("v"):rep(26214401), ("m"):rep(5000)
  store:namespace("n"):put(key, "value")
  store:namespace("n"):put("key", value, { metadata = metadata })
  store:close()
  store = KV.open({ path = path, limits = "cloudflare" })
  local kept, meta = store:namespace("n"):getWithMetadata("key")
  lu.assertTrue(kept == value)
  lu.assertTrue(meta.metadata == metadata)
  local page = store:namespace("n"):list({ limit = 2 })
  lu.assertEquals(support.unversioned(page.keys[2]), { name = key })
  page = store:namespace("n"):list({ limit = 1 })
  lu.assertFalse(page.list_complete)
  store:close()
end

return { TestTogether = Together, TestDurability = Durability, TestBusy = Busy, TestFiles = Files }
