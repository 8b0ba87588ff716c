--- What the tests share: checks of errors, temporary folders, child processes.
local lu = require("luaunit")

local M = {}

-- Lua's versions ---------------------------------------------------------------------------------

M.unpack = table.unpack or unpack

--- True if Lua has 64-bit integers besides its floats (5.3 and later).
M.has_integers = math.type ~= nil

--- Asserts that two numbers are identical: -0.0 is not 0.0, and 1.0 is not 1 if Lua distinguishes them.
function M.same_number(actual, expected)
  local same = actual == expected and 1 / actual == 1 / expected
    and (not M.has_integers or math.type(actual) == math.type(expected))
  if not same then
    lu.fail(("expected %.17g, got %s"):format(expected, tostring(actual)))
  end
end

--- -0.0, computed, since Lua 5.1 merges the constants 0 and -0.0 of a function.
M.minus_zero = -1 / math.huge

--- A value of the type thread. (Lua 5.1 cannot make one from a C function.)
M.thread = coroutine.create(function() end)

--- Nested arrays of this depth.
function M.nested(depth)
  local value = {}
  for _ = 2, depth do
    value = { value }
  end
  return value
end

-- Errors -----------------------------------------------------------------------------------------

--- Asserts that fn raises a plain string, with the caller's position, that contains each of the texts. A text in
-- capitals is a code: "LIMIT" stands for "luat_kv: LIMIT: ".
function M.fails(fn, ...)
  local ok, message = pcall(fn)
  if ok then
    lu.fail("an error was expected, but there was none")
  end
  lu.assertIsString(message)
  lu.assertStrContains(message, "^[^:]+:%d+: ", true)
  for _, text in ipairs({ ... }) do
    local code = text:match("^%u+$")
    lu.assertStrContains(message, code and ("luat_kv: %s: "):format(code) or text)
  end
  return message
end

local function contents(kv)
  local all = {}
  for _, key in ipairs(kv:list().keys) do
    all[key.name] = {
      value = kv:get(key.name), expiration = key.expiration, metadata = key.metadata, version = key.version,
    }
  end
  return all
end

--- Asserts that fn(kv) fails as above, that it changed nothing, and that the store still works.
-- There is an entry "k" for fn to fail on.
function M.refuses(kv, fn, ...)
  kv:put("k", "before", { metadata = { version = 1 } })
  local before = contents(kv)
  local message = M.fails(function() fn(kv) end, ...)
  lu.assertEquals(contents(kv), before)
  kv:put("after", "works")
  lu.assertEquals(kv:get("after"), "works")
  kv:delete("after")
  return message
end

-- Versions ---------------------------------------------------------------------------------------

--- Asserts that a version is opaque text of the right form.
function M.is_version(version)
  lu.assertIsString(version)
  lu.assertStrMatches(version, ("[%w_-]"):rep(16))
end

--- Removes the versions, which always differ, from a page, its keys, or a result of getWithMetadata.
function M.unversioned(told)
  local keys = told.keys or told
  for _, about in ipairs(keys[1] and keys or not told.keys and { told } or {}) do
    M.is_version(about.version)
    about.version = nil
  end
  return told
end

-- Files ------------------------------------------------------------------------------------------

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- Asserts that an expiration is the end of a lifetime that began after `before`, a time of os.time(). Lifetimes begin
-- at the next full second, and os.time() may lag behind the clock for that by a moment.
function M.is_end(expiration, ttl, before)
  local after = os.time()
  lu.assertTrue(before + ttl <= expiration and expiration <= after + ttl + 2,
    ("%d is no end of %d seconds from %d to %d"):format(expiration, ttl, before, after))
end

--- Waits until a key has expired.
function M.wait_for_end(kv, key)
  local _, meta = kv:getWithMetadata(key)
  if meta then
    M.wait_until(meta.expiration)
  end
end

-- A page in a browser has no shell and no processes. Functions that need neither have a version for it in page.lua.
-- Everything below is for machines.
local has_shell, shell = pcall(io.popen, "exit")
if not has_shell then
  return require("page")(M)
end
shell:close()

-- The shell --------------------------------------------------------------------------------------

function M.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Runs a shell command, in which each %s is replaced by one of the following words, quoted. Returns its output, on
-- either stream, and its exit code.
function M.sh(command, ...)
  local words = {}
  for i, word in ipairs({ ... }) do
    words[i] = M.quote(word)
  end
  local pipe = assert(io.popen(("exec 2>&1; ( %s\n); echo =$?"):format(command:format(M.unpack(words)))))
  local output, code = pipe:read("*a"):match("^(.*)=(%d+)\n$")
  pipe:close()
  return output, tonumber(code)
end

--- Like sh, but a command that fails fails the test, and the last newline is removed.
function M.must(command, ...)
  local output, code = M.sh(command, ...)
  if code ~= 0 then
    lu.fail(("%s: exit code %d\n%s"):format(command, code, output))
  end
  return (output:gsub("\n$", ""))
end

--- Waits until a Unix time. If the clock is that of clock.c, moves it instead.
function M.wait_until(time)
  local clock = os.getenv("TEST_CLOCK")
  if clock and os.time() < time then
    M.clock_ahead = (M.clock_ahead or 0) + time - os.time()
    local file = assert(io.open(clock, "r+b"))
    file:write(string.char(M.clock_ahead % 256, math.floor(M.clock_ahead / 256) % 256))
    file:close()
  end
  while os.time() < time do
    os.execute("sleep 0.05")
  end
end

--- The repository's root.
M.root = M.must("cd %s/../.. && pwd", arg[0]:match("^(.*)/[^/]*$") or ".")

local temporary, count = nil, 0

--- Returns an unused path. Its folder does not exist yet.
function M.path(name)
  temporary = temporary or M.must('mktemp -d "${TMPDIR:-/tmp}/luat_kv.XXXXXX"')
  count = count + 1
  return ("%s/%d/%s"):format(temporary, count, name or "kv.db")
end

--- Creates an empty folder.
function M.folder()
  local folder = M.path("folder")
  M.must("mkdir -p %s", folder)
  return folder
end

--- Removes everything that the tests have left.
function M.cleanup()
  M.must("rm -rf %s", temporary or "")
end

--- Asks another process: a database must not be opened in the process that has a store on it, since closing it again
-- would drop the store's locks.
function M.exists(path)
  local _, code = M.sh("test -e %s", path)
  return code == 0
end

--- Writes a file, and creates its folders.
function M.write(path, text)
  M.must("mkdir -p %s", path:match("^(.*)/"))
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

-- Child processes --------------------------------------------------------------------------------

local function absolute(path)
  return path:sub(1, 1) == "/" and path or M.must("pwd") .. "/" .. path
end

local function find_interpreter()
  local first = 0
  while arg[first - 1] do
    first = first - 1
  end
  return arg[first]:find("/") and absolute(arg[first]) or arg[first]
end

local interpreter = find_interpreter()

--- Returns the words of a shell command that set variables for the interpreter and start it.
local function words(variables)
  local set = "env -u LUA_CPATH_5_2 -u LUA_CPATH_5_3 -u LUA_CPATH_5_4 -u LUA_CPATH_5_5"
  for name, value in pairs(variables) do
    set = ("%s %s=%s"):format(set, name, M.quote(value))
  end
  return ((set .. " " .. M.quote(interpreter)):gsub("%%", "%%%%"))
end

-- How a child process and a folder reach the module under test. There are two modules with the same behaviour: the C
-- module, and with LUAT_KV_MODULE=luat_kv_ffi the one for LuaJIT's ffi, which a file in tests/lua/ffi returns for
-- "luat_kv".
local under_test = {}

function under_test.luat_kv()
  local function find()
    for template in package.cpath:gmatch("[^;]+") do
      local path = template:gsub("%?", "luat_kv")
      if M.exists(path) then
        return absolute(path)
      end
    end
    error("luat_kv.so is not on LUA_CPATH: " .. package.cpath)
  end
  local file = find()

  function M.interpreter(folder)
    return words({ LUA_CPATH = (folder or file:match("^(.*)/")) .. "/?.so;" .. package.cpath })
  end

  function M.copy_module(folder)
    M.must("cp %s %s/luat_kv.so", file, folder)
  end
end

function under_test.luat_kv_ffi()
  local library = absolute(assert(os.getenv("LUAT_KV_LIBRARY"), "LUAT_KV_LIBRARY is not set"))

  function M.interpreter(folder)
    local path = ("%s/tests/lua/ffi/?.lua;%s/lua/?.lua;"):format(M.root, M.root)
    return words({
      LUA_PATH = (folder and folder .. "/?.lua;" or path) .. package.path,
      LUAT_KV_LIBRARY = folder and folder .. "/libluat_kv.so" or library,
    })
  end

  function M.copy_module(folder)
    M.must("cd %s && cp -r tests/lua/ffi/luat_kv.lua lua/luat_kv_ffi.lua lua/luat_kv_ffi %s", M.root, folder)
    M.must("cp %s %s/libluat_kv.so && chmod -R a+rX %s", library, folder, folder)
  end
end

--- Defines two functions. `interpreter(folder)` returns the words of a shell command that start this interpreter with
-- the module in reach from anywhere, or with the copy of it in a folder; `copy_module(folder)` makes that copy.
assert(under_test[os.getenv("LUAT_KV_MODULE") or "luat_kv"], "LUAT_KV_MODULE is unknown")()

--- Writes a Lua script that starts with KV, and returns its path.
function M.script(code)
  return M.write(M.path("child.lua"), 'local KV = require("luat_kv") ' .. code)
end

--- Runs Lua code in its own process, and returns its output and its exit code. The code receives the arguments as
-- `...`; options: dir, the working directory.
function M.try(code, options)
  options = options or {}
  local words = { options.dir or M.folder(), M.script(code) }
  for _, word in ipairs(options) do
    words[#words + 1] = word
  end
  return M.sh("cd %s && " .. M.interpreter() .. (" %s"):rep(#words - 1), M.unpack(words))
end

--- Like try, but the code must succeed. Returns what it printed, without the last newline.
function M.run(code, options)
  local output, exit = M.try(code, options)
  if exit ~= 0 then
    lu.fail(("the child process ended with %d\n%s"):format(exit, output))
  end
  return (output:gsub("\n$", ""))
end

--- Runs SQL in sqlite3's shell, in its own process.
function M.sqlite(path, sql)
  return M.must("sqlite3 -batch -bail %s %s", path, sql)
end

--- Has another process lock the database for writing. Returns a function that ends that.
function M.lock(path)
  local folder = M.folder()
  local shell = io.popen(("cd %s && sqlite3 -batch %s"):format(M.quote(folder), M.quote(path)), "w")
  shell:write("BEGIN IMMEDIATE;\n.shell touch locked\n")
  shell:flush()
  M.must("cd %s; for i in $(seq 100); do test -e locked && exit; sleep 0.02; done; exit 1", folder)
  return function(command)
    shell:write(command or "", "\nCOMMIT;\n")
    shell:close()
  end
end

return M
