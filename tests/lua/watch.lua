--- Watches beyond the contract: other processes, forks, descriptors, collection, and calls in the midst of a call.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")

local Watch = {}

-- Other processes --------------------------------------------------------------------------------

--- Starts Lua code in a process of its own, and does not wait for it.
local function start(code, ...)
  local words = { support.script(code), ... }
  support.must("( " .. support.interpreter() .. (" %s"):rep(#words) .. " ) >/dev/null 2>&1 &", support.unpack(words))
end

function Watch:test_it_waits_for_another_process()
  local path = support.path()
  local kv = KV.open({ path = path }):namespace("n")
  local watch = kv:watch({ prefix = "job:", values = true, type = "json", timeout = 60 })
  start([[
    local kv = KV.open({ path = ... }):namespace("n")
    kv:put("other", "x")
    kv:atomic():put("job:1", { 1 }):put("job:2", { 2 }):commit()
  ]], path)
  local changes = watch:next(60)
  lu.assertEquals({ #changes, changes[1].name, changes[2].value[1] }, { 2, "job:1", 2 })
  start([[KV.open({ path = ... }):namespace("n"):delete("job:1")]], path)
  for change in watch do
    lu.assertEquals(change, { name = "job:1", type = "delete" })
    break
  end
end

function Watch:test_what_another_program_writes_is_seen()
  local path = support.path()
  local kv = KV.open({ path = path }):namespace("n")
  kv:put("a", "old")
  local watch = kv:watch({ values = true })
  support.sqlite(path, "UPDATE kv SET value = 'new' WHERE key = 'a'")
  lu.assertEquals(watch:next(60)[1].value, "new")
  support.sqlite(path, "DELETE FROM kv WHERE key = 'a'")
  lu.assertEquals(watch:next(60), { { name = "a", type = "delete" } })
end

function Watch:test_a_token_outlives_its_process()
  local path = support.path()
  local token = support.run([[
    local store = KV.open({ path = ... })
    local kv = store:namespace("n")
    local watch = kv:watch({ timeout = 0 })
    kv:atomic():put("a", 1):put("b", 1):put("c", 1):commit()
    for change in watch do
      if change.name == "b" then break end
    end
    store:close()
    io.write(watch:token())
  ]], { path })
  support.run([[
    local kv = KV.open({ path = ... }):namespace("n")
    kv:delete("a")
    kv:put("d", 2)
  ]], { path })
  local names = {}
  for change in KV.open({ path = path }):namespace("n"):watch({ since = token, timeout = 0 }) do
    names[#names + 1] = change.type .. " " .. change.name
  end
  lu.assertEquals(names, { "delete a", "put c", "put d" })
end

function Watch:test_the_child_of_a_fork_opens_its_own()
  support.run([[
    local path, library = ...
    local fork, wait, leave
    if jit then
      local ffi = require("ffi")
      ffi.cdef("int fork(void); int waitpid(int, int *, int); void _exit(int);")
      local status = ffi.new("int[1]", -1)
      fork, leave = function() return ffi.C.fork() end, function(code) ffi.C._exit(code) end
      wait = function(child) ffi.C.waitpid(child, status, 0) return status[0] end
    else
      local function load(name) return assert(package.loadlib(library, name)) end
      fork, wait, leave = load("do_fork"), load("do_wait"), load("do_leave")
    end
    local kv = KV.open({ path = path }):namespace("n")
    local watch = kv:watch()
    assert(watch:fd() or not io.open("/proc/self/fd"))
    local child = fork()
    if child == 0 then
      local done, why = pcall(function()
        for _, method in ipairs({ "next", "fd", "token" }) do
          local ok, message = pcall(function() watch[method](watch, 0) end)
          assert(not ok and message:find("INVALID: the watch was opened before a fork", 1, true), message)
        end
        local own = kv:watch()
        kv:put("a", "1")
        assert(own:next(0)[1].name == "a")
        watch:close()
        watch = nil
        collectgarbage()
      end)
      if not done then io.stderr:write("child: ", tostring(why), "\n") end
      leave(done and 0 or 1)
    end
    assert(watch:next(60)[1].name == "a")
    assert(wait(child) == 0)
    kv:put("b", "1")
    assert(watch:next(60)[1].name == "b")
  ]], { support.path(), support.root .. "/target/lua/fork.so" })
end

-- Descriptors ------------------------------------------------------------------------------------

--- What a process knows of itself from /proc, for the code of a child process.
local COUNTS = [[
  local function count(what)
    local pipe = io.popen("ls /proc/$PPID/" .. what .. " | wc -l")
    local number = pipe:read("*n")
    pipe:close()
    return number
  end
  --- An eventfd is readable while its count is not 0.
  local function is_readable(fd)
    local pipe = io.popen("cat /proc/$PPID/fdinfo/" .. fd)
    local number = pipe:read("*a"):match("eventfd%-count:%s+(%x+)")
    pipe:close()
    return tonumber(number, 16) > 0
  end
  local proc = io.open("/proc/self/fdinfo/0")
  if not proc then return end -- only Linux has a descriptor
  proc:close()
]]

function Watch:test_a_descriptor_is_readable_after_a_change()
  support.run(COUNTS .. [[
    for _, options in ipairs({ { path = ... }, { memory = true } }) do
      local kv = KV.open(options):namespace("n")
      local watch = kv:watch()
      local fd = watch:fd()
      assert(math.floor(fd) == fd and watch:fd() == fd)
      for i = 1, 5 do
        assert(not watch:next(0) or i > 1)
        while is_readable(fd) do assert(not watch:next(0)) end
        kv:put("key", i)
        while not is_readable(fd) do end
        assert(watch:next(0)[1].name == "key")
      end
    end
  ]], { support.path() })
end

function Watch:test_nothing_is_left_of_watches_that_ended()
  support.run(COUNTS .. [[
    local kv = KV.open({ path = ... }):namespace("n")
    kv:put("key", "value")
    local descriptors = count("fd")
    for i = 1, 200 do
      local watch = kv:watch({ values = true, timeout = 0 })
      watch:fd()
      kv:put("a" .. i % 2, "value")
      kv:put("b", "value")
      for change in watch do break end
      if i % 2 == 0 then watch:close() end
      for change in kv:watch({ timeout = 0 }) do assert(false) end
    end
    for _ = 1, 3 do collectgarbage() end
    assert(count("fd") <= descriptors + 2, descriptors .. " descriptors before, and then " .. count("fd"))
    assert(count("task") == 1, count("task") .. " threads")
  ]], { support.path() })
end

-- Finalizers -------------------------------------------------------------------------------------

function Watch:test_finalizers_may_ask_in_the_midst_of_a_call()
  support.run([[
    local kv = KV.open({ memory = true }):namespace("n")
    local watch = kv:watch({ values = true, type = "json", timeout = 0 })
    local calls, told = 0, {}
    --- A token that was freed while it was copied is refused.
    local function check_token() kv:watch({ since = watch:token() }):close() end
    local function tell(change)
      assert(change.value.name == change.name and change.metadata[1] == change.name)
      told[change.name] = true
    end
    local function plant()
      local proxy = newproxy and newproxy(true)
      local function finalizer()
        calls = calls + 1
        check_token()
        if calls % 3 == 0 then
          local change = watch()
          if change then tell(change) end
        else
          for _, change in ipairs(watch:next(0) or {}) do tell(change) end
        end
        plant()
      end
      if proxy then getmetatable(proxy).__gc = finalizer else setmetatable({}, { __gc = finalizer }) end
    end
    plant()
    for name, value in pairs({ pause = 1, stepmul = 1000 }) do
      if not pcall(collectgarbage, "set" .. name, value) then collectgarbage("param", name, value) end -- Lua 5.5
    end
    for round = 1, 300 do
      for i = 1, 5 do
        local name = round .. "." .. i
        kv:put(name, { name = name, text = ("x"):rep(100) }, { metadata = { name } })
      end
      check_token()
      if round % 2 == 0 then
        for change in watch do tell(change) end
      else
        for _, change in ipairs(watch:next(0) or {}) do tell(change) end
      end
    end
    for change in watch do tell(change) end
    assert(calls > 20, calls .. " finalizers ran")
    for round = 1, 300 do
      for i = 1, 5 do assert(told[round .. "." .. i], round .. "." .. i .. " is lost") end
    end
  ]])
end

return { TestWatch = Watch }
