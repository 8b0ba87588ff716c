--- Files that cannot be used, or not be written: the errors are clear, and nothing is changed.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

local function mode(path)
  return support.must("stat -c %%a %s", path)
end

--- A closed store's file that holds key = "value" in the namespace "n".
local function filled()
  local path = support.path()
  local store = KV.open({ path = path })
  store:namespace("n"):put("key", "value")
  store:close()
  return path
end

-- Permissions ------------------------------------------------------------------------------------

local Permissions = {}

function Permissions:test_folders_are_0700_and_the_database_0600()
  for _, umask in ipairs({ "022", "000" }) do
    local folder = support.folder()
    local script = support.script([[
      local kv = KV.namespace("n")
      kv:put("key", "value")
      for _, file in ipairs({ "", "-wal", "-shm" }) do
        local mode = io.popen("stat -c %a .luat/data/kv.db" .. file .. " 2>&1"):read("*l")
        assert(mode == "600" or mode:find("No such file"), file .. " " .. mode)
      end
    ]])
    support.must("umask " .. umask .. "; cd %s && " .. support.interpreter() .. " %s", folder, script)
    lu.assertEquals(mode(folder .. "/.luat"), "700")
    lu.assertEquals(mode(folder .. "/.luat/data"), "700")
    lu.assertEquals(mode(folder .. "/.luat/data/kv.db"), "600")
  end
end

function Permissions:test_the_folders_to_a_path_are_0700()
  local path = support.path("new/folder/my.db")
  KV.open({ path = path }):close()
  lu.assertEquals(mode(path), "600")
  lu.assertEquals(mode((path:match("^(.*)/"))), "700")
  lu.assertEquals(mode((path:match("^(.*)/.*/"))), "700")
end

function Permissions:test_a_folder_that_was_there_stays_as_it_is()
  local folder = support.folder()
  support.must("chmod 755 %s", folder)
  KV.open({ path = folder .. "/kv.db" }):close()
  lu.assertEquals(mode(folder), "755")
end

-- Files that are no database ---------------------------------------------------------------------

local Junk = {}

function Junk:test_a_file_of_junk_is_an_error_and_stays_as_it_is()
  for _, junk in ipairs({
    "not a database", ("junk "):rep(5000), ("\0"):rep(8192), "SQLite format 3\0" .. ("\255"):rep(5000),
  }) do
    local path = support.write(support.path(), junk)
    fails(function() KV.open({ path = path }) end, "CORRUPT", path)
    fails(function() KV.open({ path = path, readonly = true }) end, "CORRUPT", path)
    lu.assertTrue(support.read(path) == junk)
    lu.assertEquals(support.must("ls %s", path:match("^(.*)/")), "kv.db")
  end
end

function Junk:test_an_empty_file_is_a_new_database()
  local path = support.write(support.path(), "")
  local store = KV.open({ path = path })
  store:namespace("n"):put("key", "value")
  lu.assertEquals(store:namespace("n"):get("key"), "value")
  store:close()
end

function Junk:test_a_folder_as_path_is_an_error()
  local folder = support.folder()
  fails(function() KV.open({ path = folder }) end, "IO", folder)
  fails(function() KV.open({ path = folder, readonly = true }) end, "IO", folder)
  lu.assertEquals(support.must("ls -A %s", folder), "")
end

function Junk:test_a_file_in_the_way_of_a_folder_is_an_error()
  local file = support.write(support.path("file"), "in the way")
  fails(function() KV.open({ path = file .. "/data/kv.db" }) end, "IO", file)
  lu.assertEquals(support.read(file), "in the way")
end

function Junk:test_a_damaged_database_never_ends_the_process()
  local path = support.path()
  local store = KV.open({ path = path })
  local kv = store:namespace("n")
  for i = 1, 500 do
    kv:put("key" .. i, ("value"):rep(50), { metadata = { n = i } })
  end
  store:close()
  local sound = support.read(path)
  for page = 0, 9 do
    local start = page * 4096 + 20
    support.write(path, sound:sub(1, start) .. ("\170"):rep(3000) .. sound:sub(start + 3001))
    local output = support.run([[
      local function try(fn, ...)
        local ok, message = pcall(fn, ...)
        assert(ok or type(message) == "string", tostring(message))
        return ok and message
      end
      local store = try(KV.open, { path = ... })
      if store then
        local kv = store:namespace("n")
        for i = 1, 500, 7 do try(kv.get, kv, "key" .. i) end
        for i = 1, 500, 7 do try(kv.put, kv, "key" .. i, "new") end
        try(kv.list, kv)
        try(store.sweep, store)
        try(store.close, store)
      end
      print("alive")
    ]], { path })
    lu.assertEquals(output, "alive")
  end
end

function Junk:test_a_table_kv_of_another_program_is_an_error()
  local path = support.path()
  support.must("mkdir -p %s", path:match("^(.*)/"))
  support.sqlite(path, "CREATE TABLE kv (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO kv VALUES (1, 'theirs')")
  fails(function()
    local store = KV.open({ path = path })
    store:namespace("n"):put("key", "value")
  end, "luat_kv: ")
  lu.assertEquals(support.sqlite(path, "SELECT * FROM kv"), "1|theirs")
end

-- Read only --------------------------------------------------------------------------------------

local ReadOnly = {}

function ReadOnly:test_reads_work_and_writes_are_errors()
  local path = filled()
  local store = KV.open({ path = path, readonly = true })
  local kv = store:namespace("n")
  lu.assertEquals(kv:get("key"), "value")
  lu.assertEquals(support.unversioned(kv:list().keys), { { name = "key" } })
  fails(function() kv:put("key", "new") end, "READONLY")
  fails(function() kv:put("other", "new") end, "READONLY")
  fails(function() kv:delete("key") end, "READONLY")
  fails(function() store:sweep() end, "READONLY")
  lu.assertEquals(kv:get("key"), "value")
  lu.assertEquals(#kv:list().keys, 1)
  store:close()
end

function ReadOnly:test_a_file_that_is_missing_is_an_error_and_not_made()
  local path = support.path()
  fails(function() KV.open({ path = path, readonly = true }) end, "IO", path)
  lu.assertFalse(support.exists(path))
  lu.assertFalse(support.exists(path:match("^(.*)/")))
end

function ReadOnly:test_a_reader_sees_what_a_writer_writes()
  local path = filled()
  local writer, reader = KV.open({ path = path }), KV.open({ path = path, readonly = true })
  writer:namespace("n"):put("key", "new")
  lu.assertEquals(reader:namespace("n"):get("key"), "new")
  reader:close()
  writer:close()
end

-- Without rights ---------------------------------------------------------------------------------

local WithoutRights = {}

local is_root = support.must("id -u") == "0"
local drop = "setpriv --reuid=65534 --regid=65534 --clear-groups "

--- Runs Lua code as a user without rights, in a folder where a shell's command has shut something before.
-- Returns what the code printed, and a listing of the folder afterwards.
local function denied(command, code, ...)
  local folder = support.folder()
  support.write(folder .. "/child.lua", 'local KV = require("luat_kv") ' .. code)
  support.must("cd %s && chmod 711 ../.. .. && chmod 755 . && chmod 644 *", folder)
  support.copy_module(folder)
  support.must("cd %s && " .. command, folder, ...)
  local as = is_root and drop or ""
  local output = support.sh("cd %s && " .. as .. support.interpreter(folder) .. " child.lua", folder)
  local left = support.sh("cd %s; ls -AR; chmod -R u+rwx .", folder)
  return output, left
end

local function can_drop()
  return not is_root or select(2, support.sh(drop .. "true")) == 0
end

function WithoutRights:setUp()
  lu.skipIf(not can_drop(), "root, and setpriv cannot drop that here")
end

function WithoutRights:test_a_folder_that_may_not_be_written_is_an_error()
  local output, left = denied("mkdir closed; chmod 555 closed", [[
    print(pcall(function() KV.open({ path = "closed/kv.db" }) end))
    print(pcall(function() KV.open({ path = "closed/new/kv.db" }) end))
  ]])
  lu.assertStrMatches(output,
    "false\tchild.lua:1: luat_kv: IO: [^\n]*closed[^\n]*\nfalse\tchild.lua:2: luat_kv: IO: [^\n]*closed[^\n]*\n")
  lu.assertNil(left:find("kv.db", 1, true))
end

function WithoutRights:test_a_folder_that_may_not_be_entered_is_an_error()
  local output = denied("mkdir closed; chmod 000 closed", [[
    print(pcall(function() KV.open({ path = "closed/kv.db" }) end))
    print(pcall(function() KV.open({ path = "closed/kv.db", readonly = true }) end))
  ]])
  lu.assertStrMatches(output,
    "false\tchild.lua:1: luat_kv: IO: [^\n]*closed[^\n]*\nfalse\tchild.lua:2: luat_kv: IO: [^\n]*closed[^\n]*\n")
end

function WithoutRights:test_a_database_that_may_not_be_written_is_an_error()
  local output = denied("mkdir open; cp %s open/kv.db; chmod 777 open; chmod 444 open/kv.db", [[
    local ok, message = pcall(function()
      local store = KV.open({ path = "open/kv.db" })
      store:namespace("n"):put("key", "new")
    end)
    assert(not ok and (message:find("luat_kv: READONLY: ") or message:find("luat_kv: IO: ")), message)
    local store = KV.open({ path = "open/kv.db", readonly = true })
    print(store:namespace("n"):get("key"))
  ]], filled())
  lu.assertEquals(output, "value\n")
end

-- WAL needs a file beside the database, which cannot be made here: if this is not readable, it must say so.
function WithoutRights:test_a_database_in_a_folder_that_may_not_be_written_is_readable_or_a_clear_error()
  local output = denied("mkdir shut; cp %s shut/kv.db; chmod 444 shut/kv.db; chmod 555 shut", [[
    print(pcall(function()
      return KV.open({ path = "shut/kv.db", readonly = true }):namespace("n"):get("key")
    end))
  ]], filled())
  if output ~= "true\tvalue\n" then
    lu.assertStrMatches(output, "false\tchild.lua:%d: luat_kv: %u+: [^\n]*shut/kv.db[^\n]*\n")
  end
end

function WithoutRights:test_a_luat_toml_that_may_not_be_read_is_an_error()
  local output = denied("touch luat.toml; chmod 000 luat.toml", [[
    print(pcall(function() KV.namespace("n") end))
  ]])
  lu.assertStrMatches(output, "false\tchild.lua:1: luat_kv: IO: [^\n]*luat.toml[^\n]*\n")
end

return { TestPermissions = Permissions, TestJunk = Junk, TestReadOnly = ReadOnly, TestWithoutRights = WithoutRights }
