--- Tests for luat_kv_ffi only: how it finds its library, that its messages are those of the C module, and how C's
-- memory and LuaJIT's collector interact.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

local header = support.read(support.root .. "/include/luat_kv.h")
local cdef = require("luat_kv_ffi.cdef")

-- Declarations -----------------------------------------------------------------------------------

local Declarations = {}

function Declarations:test_they_are_what_the_header_gives_now()
  local declare = assert(loadfile(support.root .. "/lua/tools/declare.lua"))("declare")
  local committed = support.read(support.root .. "/lua/luat_kv_ffi/cdef.lua")
  lu.assertTrue(committed == declare(header), "run: luajit lua/tools/declare.lua >lua/luat_kv_ffi/cdef.lua")
end

function Declarations:test_every_function_and_constant_is_declared()
  local plain = header:gsub("/%*.-%*/", "")
  local functions, constants = {}, {}
  for name in plain:gmatch("(luat_kv_[%w_]+)%(") do functions[name] = true end
  for name, value in plain:gmatch("#define (LUAT_KV_[%u_]+) (%-?%d+)") do constants[name] = tonumber(value) end
  local declared = {}
  for _, name in ipairs(cdef.functions) do declared[name] = true end
  lu.assertEquals(declared, functions)
  lu.assertEquals(cdef.constants, constants)
end

-- Loading ----------------------------------------------------------------------------------------

local Loading = {}

--- What a process says that loads the module with another library.
local function loading_with(library)
  local script = support.script("print('loaded')")
  local command = support.interpreter():gsub("LUAT_KV_LIBRARY='[^']*'", "LUAT_KV_LIBRARY=" .. support.quote(library))
  return (support.sh(command .. " %s", script))
end

--- A library made of some C.
local function library_of(code)
  local folder = support.folder()
  support.write(folder .. "/library.c", code)
  support.must((os.getenv("CC") or "cc") .. " -shared -fPIC -o %s %s", folder .. "/library.so", folder .. "/library.c")
  return folder .. "/library.so"
end

function Loading:test_a_library_that_is_missing_is_named()
  lu.assertStrContains(loading_with("/nowhere/libluat_kv.so"), "make lib && sudo make install), or set LUAT_KV_LIBRARY")
  lu.assertStrContains(loading_with("/nowhere/libluat_kv.so"), "/nowhere/libluat_kv.so: ")
end

function Loading:test_a_library_of_something_else_is_named()
  local other = library_of("int other(void) { return 1; }")
  lu.assertStrContains(loading_with(other), other .. " is not libluat_kv")
end

function Loading:test_a_library_of_another_abi_is_named_with_both_numbers()
  local other = library_of("unsigned luat_kv_abi_version(void) { return 99; }")
  lu.assertStrContains(loading_with(other),
    ("%s has ABI 99, and this module needs %d"):format(other, cdef.constants.LUAT_KV_ABI_VERSION))
end

function Loading:test_a_function_that_is_missing_is_named_at_once()
  local older = library_of(([[
    unsigned luat_kv_abi_version(void) { return %d; }
    const char *luat_kv_version(void) { return "0.0.1"; }
  ]]):format(cdef.constants.LUAT_KV_ABI_VERSION))
  lu.assertStrContains(loading_with(older), older .. " (version 0.0.1) is too old for this module: it has no luat_kv_")
end

function Loading:test_the_module_may_be_loaded_twice_in_a_state()
  lu.assertEquals(support.run([[
    local first = KV.open({ memory = true }):namespace("n")
    for name in pairs(package.loaded) do
      if name:find("luat_kv", 1, true) then package.loaded[name] = nil end
    end
    local again = require("luat_kv")
    local second = again.open({ memory = true }):namespace("n")
    first:put("list", again.array())
    second:put("list", KV.array())
    print(again ~= KV, first:get("list"), second:get("list"))
    local ok, why = pcall(function() first.get(second, "list") end)
    print(ok, (why:gsub("^.-%d: ", "")))
  ]]), "true\t[]\t[]\nfalse\tbad argument #1 to 'get' (luat_kv.namespace expected, got userdata; a method is called with ':')")
end

-- Beside the C module ----------------------------------------------------------------------------

local Twins = {}

local c_module = assert(package.searchpath("luat_kv", package.cpath), "the C module for LuaJIT has to be on LUA_CPATH")
local C = assert(package.loadlib(c_module, "luaopen_luat_kv"))()

function Twins:test_both_on_one_file_are_refused()
  local path = support.path()
  local first = C.open({ path = path })
  fails(function() KV.open({ path = path }) end, "BUSY", path)
  first:close()
  local second = KV.open({ path = path })
  fails(function() C.open({ path = path }) end, "BUSY", path)
  second:close()
end

function Twins:test_they_share_null_and_arrays()
  lu.assertEquals(KV.null, C.null)
  lu.assertEquals(KV._VERSION, C._VERSION)
  lu.assertEquals(KV.json.encode({ C.array(), C.null, C.json.decode("[]") }), "[[],null,[]]")
  lu.assertEquals(C.json.encode({ KV.array(), KV.null, KV.json.decode("[]") }), "[[],null,[]]")
end

--- Calls that fail, or tell something, on either module. They stand on one line each, for the position to be the same.
local calls = {
  function(K) K.open({ path = "a\0b" }) end, function(K) K.open({ path = "" }) end, function(K) K.open(5) end,
  function(K) K.open({ path = ":memory:" }) end, function(K) K:open({ memory = true }) end, function(K) K.open({ path = "x", memory = true }) end,
  function(K) K.new(5) end, function(K) K.new({ null = 1 }) end, function(K) K.install({}, { opne = true }) end, function(K) K.install({}, 5) end,
  function(K) K.new({ open = 1 }) end, function(_, _, kv) kv:list({ stop = "" }) end, function(_, _, kv) kv:each({ stop = "" }) end,
  function(K) K.open({ memory = true, readonly = true }) end, function(K) K.open({ memory = true, limits = "aws" }) end,
  function(K) K.open({ memory = true, busy_timeout = -1 }) end, function(K) K.open({ memory = 1 }) end,
  function(K) K.open({ memory = true, cache_size = -1 }) end, function(K) K.open({ memory = true, cache_size = 1.5 }) end,
  function(K) K.open({ path = support.path(), cache_size = 2 ^ 60 }) end, function(K) K.open({ path = support.path(), cache_size = 1e30 }) end,
  function(K) K.open({ memory = true, cache_size = 1 / 0 }) end, function(K) K.open({ memory = true, cache_size = "1" }) end,
  function(K) K.open({ memory = true, busy_timeout = 1e30 }) end, function(K) K.open({ memroy = true }) end,
  function(K) K.namespace("") end, function(K) K.namespace(("n"):rep(5000)) end, function(K) K.namespace("\255") end,
  function(K) K:namespace("n") end, function(K) K.namespace(5) end, function(K) K.install(5) end, function(K) K.install() end,
  function(K) K.array(5) end, function(K) K.array(setmetatable({}, {})) end, function(K) K.json.encode() end,
  function(K) K.json.encode({ print }) end, function(K) K.json.encode(0 / 0) end, function(K) K.json.encode("\255") end,
  function(K) K.json.encode({ [1] = 1, ["1"] = 2 }) end, function(K) K.json.encode({ [11] = 1 }) end,
  function(K) K.json.encode({ [{}] = 1 }) end, function(K) K.json.encode(K.array({ a = 1 })) end,
  function(K) K.json.encode(support.nested(129)) end, function(K) K.json.decode() end, function(K) K.json.decode("[1,]") end,
  function(_, s) s:sweep(-1) end, function(_, s) s:sweep("x") end, function(_, s) s:backup() end, function(_, s) s:backup("x") end,
  function(_, s) s:backup("x\0y") end, function(_, s) s:namespace() end, function(_, s) s:namespace("\226\130") end,
  function(_, s) s:atomic(print) end, function(_, s) s:atomic():put("k", "v") end, function(_, s) s.close() end,
  function(_, s) return s:sweep(0) end, function(_, s) return s:stats().path end, function(_, s) return s:checkpoint() end,
  function(_, s) return tostring(s) end, function(_, _, kv) return tostring(kv) end, function(_, s) return tostring(s:atomic()) end,
  function(_, _, kv) kv:get() end, function(_, _, kv) kv:get("") end, function(_, _, kv) kv:get("\255a\226\130b\n\1é\194\173") end,
  function(_, _, kv) kv.get("k") end, function(_, _, kv) local get = kv.get get(kv, nil) end, function(_, s, kv) kv.get(s, "k") end,
  function(_, _, kv) kv:get(("k"):rep(5000)) end, function(_, _, kv) kv:get("k", "yaml") end, function(_, _, kv) kv:get("k", 5) end,
  function(_, _, kv) kv:get("\255", "yaml") end, function(_, _, kv) kv:get("text", "json") end, function(_, _, kv) kv:get({}) end,
  function(_, _, kv) kv:get({ 1 }) end, function(_, _, kv) kv:get({ a = "b" }) end, function(_, _, kv) kv:get({ "text" }, "json") end,
  function(_, _, kv) kv:get("k", { typ = "json" }) end, function(_, _, kv) kv:getWithMetadata("text", "json") end,
  function(_, _, kv) kv:put("k") end, function(_, _, kv) kv:put("k", print) end, function(_, _, kv) kv:put("", "v") end,
  function(_, _, kv) kv:put("\255", "v") end, function(_, _, kv) kv:put("\255", {}) end, function(_, _, kv) kv:put("k", { print }) end,
  function(_, _, kv) kv:put("k", "v", { expirationTtl = 0 }) end, function(_, _, kv) kv:put("k", "v", { expirationTtl = -1 }) end,
  function(_, _, kv) kv:put("k", "v", { expirationTtl = 1.5 }) end, function(_, _, kv) kv:put("k", "v", { expirationTtl = 2 ^ 63 }) end,
  function(_, _, kv) kv:put("k", "v", { expirationTtl = "1" }) end, function(_, _, kv) kv:put("k", "v", { expiration_ttl = 1 }) end,
  function(_, _, kv) kv:put("k", "v", { [1] = 1 }) end, function(_, _, kv) kv:put("k", "v", { zzz = 1 }) end,
  function(_, _, kv) kv:put("k", "v", { metadata = print }) end, function(_, _, kv) kv:put("k", "v", 5) end,
  function(K, _, kv) kv:put("k", "v", { metadata = K.null }) end, function(_, _, kv) kv:put("k", "v", { metadata = ("m"):rep(70000) }) end,
  function(_, _, kv) kv:put("k", "v", setmetatable({}, { __index = {} })) end, function(_, _, kv) kv:add("k", nil) end,
  function(_, _, kv) kv:touch("k", {}) end, function(_, _, kv) kv:touch("k", { expirationTtl = 0 }) end, function(_, _, kv) kv:touch("", nil) end,
  function(_, _, kv) kv:incr("text") end, function(_, _, kv) kv:incr("n", 1.5) end, function(_, _, kv) kv:incr("n", "1") end,
  function(_, _, kv) kv:incr("n", 1, { initial = 1.5 }) end, function(_, _, kv) kv:incr("n", 1, { expirationTtl = 0 }) end,
  function(_, _, kv) return kv:incr("far", 1, { initial = 2 ^ 62 }) end, function(_, _, kv) kv:delete() end, function(_, _, kv) kv:delete("\255") end,
  function(_, _, kv) kv:has() end, function(_, _, kv) kv:has("\255") end, function(_, _, kv) kv:has("") end, function(_, s) s.has("k") end,
  function(_, _, kv) kv:take() end, function(_, _, kv) kv:take("\255") end, function(_, _, kv) kv:take("text", "json") end,
  function(_, _, kv) kv:take("k", "yaml") end, function(_, _, kv) kv:take({ "text" }) end, function(_, s, kv) s:close() kv:take("text") end,
  function(_, _, kv) return kv:take("text") end, function(_, _, kv) return kv:delete("text") end, function(_, _, kv) return kv:has("text") end,
  function(_, _, kv) kv:list({ limit = 0 }) end, function(_, _, kv) kv:list({ limit = -1 }) end, function(_, _, kv) kv:list({ limit = 20000 }) end,
  function(_, _, kv) kv:list({ limit = 2 ^ 40 }) end, function(_, _, kv) kv:list({ limit = 0 / 0 }) end, function(_, _, kv) kv:list({ limit = 1e-5 }) end,
  function(_, _, kv) kv:list({ limit = 0, prefix = ("k"):rep(5000) }) end, function(_, _, kv) kv:list({ cursor = "" }) end,
  function(_, _, kv) kv:list({ cursor = "x" }) end, function(_, _, kv) kv:list({ prefix = "\255" }) end, function(_, _, kv) kv:list({ values = 5 }) end,
  function(_, _, kv) kv:list({ values = "yaml" }) end, function(_, _, kv) kv:list({ reverse = 1 }) end, function(_, _, kv) kv:each({ limit = 1 }) end,
  function(_, _, kv) kv:each({ start = ("k"):rep(5000) }) end, function(_, _, kv) return select("#", kv:each()) end, function(_, _, kv) kv:count("p") end,
  function(_, _, kv) kv:deletePrefix("") end, function(_, _, kv) kv:deletePrefix() end, function(_, _, kv) kv:export(5) end,
  function(_, _, kv) kv:export("x\0y") end, function(_, _, kv) kv:import("x\0y") end, function(_, _, kv) kv:import("/nowhere/x") end,
  function(_, _, kv) kv:export("/nowhere/x") end, function(_, _, kv) kv:export("x", { format = "csv" }) end,
  function(_, _, kv) kv:atomic():check("k") end, function(_, _, kv) kv:atomic():check("k", 5) end, function(_, _, kv) kv:atomic():check("k", {}) end,
  function(_, _, kv) kv:atomic():check("k", "") end, function(_, _, kv) kv:atomic():check("k", "x") end, function(_, _, kv) kv:atomic():incr("k", 1.5) end,
  function(_, _, kv) kv:atomic():put("k", "v", { expirationTtl = 0 }) end, function(_, _, kv) kv:atomic():delete("\255") end,
  function(_, _, kv) local batch = kv:atomic() batch:commit() batch:commit() end, function(_, _, kv) kv:atomic():incr("text"):commit() end,
  function(_, s, kv) s:close() kv:get("k") end, function(_, s) s:close() s:close() s:namespace("n") end,
  function(_, s, kv) s:close() return tostring(s) .. tostring(kv) end, function(_, s, kv) local step = kv:each() s:close() step() end,
  function(_, s, kv) local batch = kv:atomic() s:close() batch:put("k", "v") end, function(_, s, kv) s:close() return tostring(kv:atomic()) end,
}

local function outcome(module, call)
  local store = module.open({ memory = true })
  local kv = store:namespace("n")
  kv:put("text", "not\nJSON")
  local ok, told = pcall(call, module, store, kv)
  return ok, told
end

function Twins:test_they_say_the_same()
  for place, call in ipairs(calls) do
    local expected, told = outcome(C, call)
    local ok, ours = outcome(KV, call)
    lu.assertEquals({ ok, ours }, { expected, told }, "call " .. place)
  end
end

local pieces = {
  '"', "\\", "u", "d", "8", "0", "{", "}", "[", "]", ",", ":", "1", "e", "E", "+", "-", ".", " ", "\n", "t", "true",
  "null", "false", "\0", "\255", "\195", "\169", "\240\159\152\128", "\\u", "\\ud83d", "\\ude00", "nul", '"a":',
}
local documents = {
  '{"a":[1,2.5,-3e10,"x\\n\\u00e9\\ud83d\\ude00",true,false,null,{}],"b":{"c":"é😀"}}', "[[],{},[1,[2,[3]]]]",
  '"a\\"b\\\\c\\/d\\b\\f\\n\\r\\t"', "  [1 , 2 ]  ", "-0", "1e999", "123456789012345678901234567890", '{"a":1,"a":2}',
  "1e99999999999", "0e99999999999", "1e-99999999999", "18446744073709551616", "-9223372036854775809", "[\n\n1,\n2\n",
  ("["):rep(130) .. ("]"):rep(130), ("["):rep(128) .. "[]," .. ("]"):rep(130), ('{"a":'):rep(129) .. "}",
}

--- Are two values the same, arrays marked as arrays, and -0.0 not 0.0?
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and (a ~= 0 or 1 / a == 1 / b)
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return getmetatable(a) == getmetatable(b)
end

function Twins:test_they_read_the_same_json_and_refuse_the_same_with_the_same_words()
  math.randomseed(7)
  for _ = 1, 20000 do
    local text = documents[math.random(#documents)]
    for _ = 1, math.random(0, 3) do
      local place = math.random(0, #text)
      text = text:sub(1, place) .. pieces[math.random(#pieces)] .. text:sub(place + math.random(1, 3))
    end
    local expected, told = pcall(C.json.decode, text)
    local ok, ours = pcall(KV.json.decode, text)
    if not (ok == expected and same(told, ours)) then
      lu.assertEquals({ text, ok, ours }, { text, expected, told })
    end
  end
end

function Twins:test_they_write_the_same_numbers()
  local function same(number)
    lu.assertEquals(KV.json.encode(number), C.json.encode(number))
  end
  math.randomseed(8)
  for exponent = -1074, 1023 do same(2 ^ exponent) same(-2 ^ exponent * 1.5) end
  for _ = 1, 20000 do
    same(math.random() * 10 ^ math.random(-30, 30))
    same(math.random(1, 1e6) / 10 ^ math.random(1, 8))
    same(math.random(1, 2 ^ 53) / 2 ^ math.random(0, 8))
    same(math.random() * 2.2e-308)
  end
end

-- Memory -----------------------------------------------------------------------------------------

local Memory = {}

function Memory:test_100000_operations_take_no_more_memory()
  support.run([[
    local store = KV.open({ memory = true })
    local kv = store:namespace("n")
    local function work(count)
      for i = 1, count do
        local key = "key" .. i % 100
        kv:put(key, { i, "text" }, { metadata = { i }, expirationTtl = 1000 })
        assert(kv:get(key) and kv:get(key, "json")[1] == i)
        kv:getWithMetadata(key)
        pcall(kv.get, kv, "")
        kv:get({ key, "missing" }, "json")
        assert(kv:has(key) and kv:take(key, "json")[1] == i and not kv:delete(key))
        if i % 10 == 0 then
          kv:list({ limit = 3, values = true })
          for _ in kv:each({ limit = nil, prefix = "key1" }) do break end
          kv:atomic():put(key, "x"):check(key, nil):commit()
          store:namespace("n" .. i % 5):incr("n")
        end
      end
      collectgarbage() collectgarbage()
    end
    local function resident()
      local file = io.open("/proc/self/statm")
      local _, pages = file:read("*n", "*n")
      file:close()
      return pages * 4096
    end
    work(20000)
    local before = resident()
    work(100000)
    local grown = resident() - before
    assert(grown < 2000000, grown .. " bytes more")
  ]])
end

function Memory:test_finalizers_may_close_the_store_in_the_midst_of_a_call()
  support.run([[
    local calls, closed = 0, 0
    for round = 1, 200 do
      local store = KV.open({ memory = true })
      local kv = store:namespace("n")
      for i = 1, 20 do kv:put("key" .. i, { i, "text" }, { metadata = { i } }) end
      local watch = kv:watch()
      local left = round % 60
      local function plant()
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = function()
          calls, left = calls + 1, left - 1
          if left == 0 then store:close() end
          pcall(kv.list, kv, { values = "json" })
          if left > 0 then plant() end
        end
      end
      plant()
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 1000)
      local ok, why = pcall(function()
        for _ = 1, 200 do
          kv:get({ "key1", "key2" }, "json")
          kv:getWithMetadata("key3", "json")
          for _, key in kv:each({ values = "json" }) do assert(key.value[2] == "text") end
          kv:watch({ since = watch:token() }):next(0)
          watch:next(0)
          assert(kv:atomic():put("a", { 1 }, { metadata = { 2 } }):delete("a"):commit())
          store:namespace("m"):put("b", { { { "c" } } })
          assert(store:namespace("m"):take("b", "json")[1][1][1] == "c")
        end
      end)
      if not ok then
        closed = closed + 1
        assert(why:find("luat_kv: INVALID: the store is closed", 1, true), why)
        assert(#watch:token() > 0)
      end
      left = 0
    end
    assert(closed > 20 and calls > 200, closed .. " " .. calls)
  ]])
end

-- Interpreted, since compiled code of LuaJIT's does not survive such a finalizer, be there a module or not.
function Memory:test_finalizers_that_fail_do_no_harm()
  support.run([[
    jit.off()
    local kv = KV.open({ memory = true }):namespace("n")
    for i = 1, 20 do kv:put("key" .. i, { i, "text" }, { metadata = { i } }) end
    local failed = 0
    for round = 1, 300 do
      local ok, why = pcall(function()
        getmetatable(newproxy(true)).__gc = function() error("out of a finalizer") end
        for _ = 1, 20 do
          assert(kv:get("key1", "json")[2] == "text")
          assert(#kv:list({ values = true }).keys == 20)
          kv:put("key2", { 2, "text" }, { metadata = { 2 } })
        end
        collectgarbage()
      end)
      if not ok then
        failed = failed + 1
        assert(why:find("out of a finalizer", 1, true), why)
      end
    end
    assert(failed > 0)
    repeat until pcall(collectgarbage)
    assert(kv:getWithMetadata("key2", "json")[2] == "text")
  ]])
end

function Memory:test_a_token_covers_no_change_that_could_not_be_converted()
  local entry = require("luat_kv_ffi.entry")
  local documents = entry.documents
  --- Returns what a watch tells that goes on after each change of a loop, before which there was no memory for one.
  local function told(meanwhile)
    local kv = KV.open({ memory = true }):namespace("n")
    local watch, told = kv:watch({ timeout = 0 }), {}
    local function since()
      local names = {}
      for i, change in ipairs(kv:watch({ since = watch:token() }):next(0) or {}) do names[i] = change.name end
      told[#told + 1] = table.concat(names)
    end
    for _, name in ipairs({ "a", "b", "c" }) do kv:put(name, "") end
    entry.documents = function() error("not enough memory", 0) end
    lu.assertFalse(pcall(watch))
    entry.documents = documents
    meanwhile(kv)
    since()
    for change in watch do
      told[#told + 1] = change.name .. ":"
      since()
    end
    return table.concat(told, " ")
  end
  lu.assertEquals(told(function() end), "abc a: abc b: abc c: ")
  lu.assertEquals(told(function(kv) kv:put("b", 2) kv:put("d", 4) end), "abcd a: abcd b: abcd c: d d: ")
end

-- Processes --------------------------------------------------------------------------------------

local Processes = {}

function Processes:test_a_process_may_fork()
  lu.assertEquals(support.run([[
    local ffi = require("ffi")
    ffi.cdef("int fork(void); int waitpid(int, int *, int); void _exit(int);")
    local kv = KV.open({ path = (...) }):namespace("n")
    kv:put("key", "before")
    local child = ffi.C.fork()
    if child == 0 then
      local ok = pcall(function()
        assert(kv:get("key") == "before")
        for i = 1, 100 do kv:incr("n") end
        kv:put("child", "was here")
      end)
      ffi.C._exit(ok and 0 or 1)
    end
    for i = 1, 100 do kv:incr("n") end
    local status = ffi.new("int[1]")
    ffi.C.waitpid(child, status, 0)
    print(status[0], kv:get("n"), kv:get("child"))
  ]], { support.path() }), "0\t200\twas here")
end

-- A library whose tests can make it panic: cargo build --features debug-hooks.
function Processes:test_a_panic_in_the_library_is_an_error_and_no_more()
  local library = os.getenv("LUAT_KV_HOOKED_LIBRARY")
  lu.assertNotNil(library, "set LUAT_KV_HOOKED_LIBRARY")
  local script = support.script([[
    local kv = KV.open({ memory = true }):namespace("n")
    for _, call in ipairs({
      function() kv:put("boom", "x") end, function() kv:get("boom") end, function() kv:getWithMetadata("boom") end,
    }) do
      local ok, why = pcall(call)
      assert(not ok and why:find("luat_kv: PANIC: ", 1, true), why)
    end
    kv:put("other", "works")
    print(kv:get("other"))
  ]])
  local command = support.interpreter():gsub("LUAT_KV_LIBRARY='[^']*'", "LUAT_KV_LIBRARY=" .. support.quote(library))
  lu.assertStrContains(support.must("LUAT_KV_DEBUG_PANIC_KEY=boom " .. command .. " %s", script), "works")
end

-- Files that were read before --------------------------------------------------------------------

local Files = {}

local lines = '{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n{"key":"c","value":"3"}\n'

function Files:test_an_import_begins_where_the_file_stands()
  local path = support.write(support.path("lines"), "a heading\n" .. lines)
  for _, file in ipairs({ assert(io.open(path)), assert(io.popen("cat " .. support.quote(path))) }) do
    local kv = KV.open({ memory = true }):namespace("n")
    lu.assertEquals(file:read("*l"), "a heading")
    lu.assertEquals({ kv:import(file) }, { 3, 0 })
    lu.assertNil(file:read("*l"))
    file:close()
  end
end

function Files:test_an_export_leaves_the_file_where_it_ends()
  local kv = KV.open({ memory = true }):namespace("n")
  kv:put("a", "1")
  local path = support.write(support.path("out"), "")
  local file = assert(io.open(path, "w+"))
  file:write("before\n")
  kv:export(file, { format = "jsonl" })
  lu.assertEquals(file:seek("cur"), #support.read(path))
  file:write("after\n")
  file:seek("set")
  lu.assertEquals(file:read("*a"), 'before\n{"key":"a","value":"1"}\nafter\n')
  file:close()
end

-- The manual -------------------------------------------------------------------------------------

local Manual = {}

function Manual:test_its_example_runs_as_it_stands()
  local manual = support.read(support.root .. "/docs/luajit-ffi.md")
  local example = manual:match("\n```lua\n(.-)\n```")
  local _, count = example:gsub("\n", "")
  lu.assertTrue(count < 20)
  local script = support.write(support.path("example.lua"), example)
  lu.assertEquals(support.must("cd %s && " .. support.interpreter() .. " %s", support.folder(), script),
    "alice\t2\nsession:abc\n3\nLIMIT")
end

return {
  TestDeclarations = Declarations, TestLoading = Loading, TestTwins = Twins, TestMemory = Memory,
  TestProcesses = Processes, TestImportedFiles = Files, TestManual = Manual,
}
