--- Differences between versions of Lua: each row of the table in docs/lua.md, on the Lua that runs this.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")

local Luas = {}

local has = {
  integers = math.type ~= nil,
  close = _VERSION >= "Lua 5.4",
  table_gc = _VERSION >= "Lua 5.2",
}

function Luas:setUp()
  self.kv = KV.open({ memory = true }):namespace("n")
end

function Luas:test_a_count_past_2_53_is_stored_exactly_and_answered_as_near_as_lua_can()
  self.kv:put("n", "9007199254740992")
  local sum = self.kv:incr("n")
  lu.assertEquals(self.kv:get("n"), "9007199254740993")
  lu.assertEquals(("%.0f"):format(sum), "9007199254740992") -- as a float
  lu.assertEquals(sum % 2 == 1, has.integers)
end

function Luas:test_whole_numbers_are_integers_where_lua_has_them()
  self.kv:put("document", "[1, 1.0, 9007199254740993]")
  local one, float, big = support.unpack(self.kv:get("document", "json"))
  lu.assertTrue(one == 1 and float == 1)
  if has.integers then
    lu.assertEquals({ math.type(one), math.type(float), math.type(big) }, { "integer", "float", "integer" })
    lu.assertEquals(tostring(big), "9007199254740993")
  else
    lu.assertEquals(("%.0f"):format(big), "9007199254740992")
  end
end

function Luas:test_a_whole_float_is_written_as_a_float_only_where_there_are_integers()
  self.kv:put("document", 2 ^ 2)
  lu.assertEquals(self.kv:get("document"), has.integers and "4.0" or "4")
end

function Luas:test_a_whole_float_past_2_53_is_written_in_full_where_there_are_no_integers()
  local kv = self.kv
  for written, n in pairs({ ["10000000000000000"] = 1e16, ["-9223372036854775808"] = -2 ^ 63,
    ["9223372036854774784"] = 2 ^ 63 - 1024, ["9007199254740994"] = 2 ^ 53 + 2 }) do
    kv:put("n", n)
    kv:put("in", { n, { [n] = "a key", other = true } })
    if has.integers then
      lu.assertEquals(kv:get("n"), KV.json.encode(n))
      lu.assertStrContains(kv:get("n"), "[e.]", true)
    else
      lu.assertEquals(kv:get("n"), written)
      lu.assertEquals(kv:get("in"):match("^%[(.-),"), written)
      kv:incr("n")
      lu.assertEquals(kv:get("n"), written:sub(1, -2) .. written:sub(-1) + (n < 0 and -1 or 1))
    end
    local number, keyed = support.unpack(kv:get("in", "json"))
    lu.assertEquals(number, n)
    lu.assertEquals(keyed, { [written] = "a key", other = true })
  end
  for _, n in ipairs({ 2 ^ 63, -2 ^ 64, 1e300 }) do
    kv:put("n", n)
    lu.assertStrContains(kv:get("n"), "e")
    lu.assertEquals(kv:get("n", "json"), n)
  end
end

function Luas:test_times_and_steps_may_be_whole_floats()
  self.kv:put("key", "value", { expirationTtl = 2 ^ 6 })
  lu.assertEquals(self.kv:incr("n", 2 ^ 1), 2)
  lu.assertEquals(#self.kv:list({ limit = 2 ^ 1 }).keys, 2)
end

function Luas:test_text_is_how_a_number_past_2_53_is_given_where_there_are_no_integers()
  self.kv:put("n", "9007199254740993")
  self.kv:put("m", 2 ^ 53 + 1)
  lu.assertEquals(self.kv:get("m"):match("^%d+"), "9007199254740992")
  lu.assertEquals(self.kv:get("n"), "9007199254740993")
end

if _VERSION >= "Lua 5.5" then
  function Luas:test_global_declarations_and_loop_variables_that_are_constant()
    lu.assertEquals(support.run([[
      global require, print
      for name in require("luat_kv").open({ memory = true }):namespace("n"):each() do print(name) end
      print("done")
    ]]), "done")
  end
end

function Luas:test_closing_by_a_variable()
  local code = [[
    local KV, keep = ...
    do
      local store <close> = KV.open({ memory = true })
      keep(store)
    end
  ]]
  local store
  local chunk = (loadstring or load)(code)
  lu.assertEquals(chunk ~= nil, has.close)
  if chunk then
    chunk(KV, function(opened) store = opened end)
    support.fails(function() store:sweep() end, "INVALID", "closed")
  end
end

function Luas:test_a_broken_loop_gives_its_page_back_at_once_where_loops_close()
  for i = 1, 3 do self.kv:put("key" .. i, "value") end
  local walk
  local function keep(...)
    walk = ...
    return ...
  end
  for _ in keep(self.kv:each()) do break end
  local name = walk()
  if has.close then
    lu.assertNil(name)
  else
    lu.assertEquals(name, "key2")
  end
end

function Luas:test_a_loop_over_a_watch_closes_it_where_loops_close()
  local watch
  local function keep(...)
    watch = ...
    return ...
  end
  for _ in keep(self.kv:watch({ timeout = 0 })) do lu.fail("nothing has changed") end
  if has.close then
    support.fails(function() watch:next(0) end, "INVALID", "the watch is closed")
  else
    lu.assertNil(watch:next(0))
  end
end

function Luas:test_the_collector_closes_what_nobody_holds()
  support.run([[
    local function open_files()
      local pipe = io.popen("ls -l /proc/$PPID/fd | grep -c kv.db")
      local count = pipe:read("*n")
      pipe:close()
      return count
    end
    local function use(path)
      KV.open({ path = path }):namespace("n"):put("key", "value")
      assert(open_files() > 0)
    end
    use(...)
    collectgarbage() collectgarbage()
    assert(open_files() == 0)
  ]], { support.path() })
end

function Luas:test_a_store_for_each_request_runs_out_of_no_descriptors()
  for _, first in ipairs({ "", "collectgarbage('stop')" }) do
    local script = support.script(first .. [[
      local folder = ...
      for i = 1, 300 do KV.open({ path = folder .. "/kv.db" }):namespace("n"):incr("count") end
      for i = 1, 100 do KV.open({ path = ("%s/%d.db"):format(folder, i) }):namespace("n"):put("key", "value") end
      assert(KV.open({ path = folder .. "/kv.db" }):namespace("n"):get("count") == "300")
      local held = {}
      local ok, why = pcall(function()
        for i = 1, 100 do held[i] = KV.open({ path = ("%s/%d.db"):format(folder, i) }) end
      end)
      assert(not ok and why:find("luat_kv: IO: ", 1, true), why)
      held[1]:namespace("n"):put("key", "other")
      print("done")
    ]])
    lu.assertEquals(support.must("ulimit -n 64; " .. support.interpreter() .. " %s %s", script, support.folder()), "done")
  end
end

function Luas:test_a_finalizer_of_a_table_may_close_a_store()
  local store = KV.open({ memory = true })
  setmetatable({}, { __gc = function() store:close() end })
  collectgarbage()
  collectgarbage()
  lu.assertEquals(pcall(function() store:sweep() end), not has.table_gc)
end

function Luas:test_the_example_in_the_docs()
  local example = support.read(support.root .. "/docs/lua.md"):match("\n```lua\n(.-)\n```\n")
  lu.assertEquals(support.run("do end " .. example), "Hello\talice\nhello\ttrue\nfalse\tINVALID")
end

function Luas:test_coroutines_share_handles()
  local kv = self.kv
  local threads = {}
  for i = 1, 3 do
    threads[i] = coroutine.wrap(function()
      for name in kv:each() do coroutine.yield(name) end
    end)
  end
  for _, name in ipairs({ "a", "b", "c" }) do kv:put(name, name) end
  for _, name in ipairs({ "a", "b", "c" }) do
    for i = 1, 3 do lu.assertEquals(threads[i](), name) end
  end
end

function Luas:test_an_error_passes_through_a_coroutine()
  local ok, message = coroutine.resume(coroutine.create(function() self.kv:put("", "value") end))
  lu.assertFalse(ok)
  lu.assertStrContains(message, "luat_kv: INVALID: ")
end

return { TestLuas = Luas }
