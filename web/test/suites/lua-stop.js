// Scripts that run for long, are stopped, or need too much memory.

import { equal, fails, ok } from "./check.js";
import { raised, withLua } from "./lua.js";

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Scripts that never end, each in a different way. */
const RUNAWAYS = {
  "a loop": "while true do end",
  "calls": "local function f() return f() end f()",
  "a loop in pcall, in a loop": "while true do pcall(function() while true do end end) end",
  "xpcall whose handler loops": "while true do xpcall(error, function() while true do end end) end",
  "pcall as the last act": "return pcall(function() while true do end end)",
  "a coroutine": "coroutine.wrap(function() while true do end end)()",
  "coroutines in coroutines": "local function f() while true do coroutine.wrap(f)() end end pcall(f) while true do end",
  "many coroutines": "while true do coroutine.resume(coroutine.create(function() for _ = 1, 1e5 do end end)) end",
  "a comparator": "table.sort({ 3, 1, 2 }, function() while true do end end)",
  "a metamethod": "return tostring(setmetatable({}, { __tostring = function() while true do end end }))",
  "a finalizer": "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
  "a __close": "local x <close> = setmetatable({}, { __close = function() while true do end end })",
  "a __close when it is stopped":
    "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
  "a coroutine's __close when it is stopped": `coroutine.wrap(function()
    local x <close> = setmetatable({}, { __close = function() while true do end end })
    while true do end
  end)()`,
  "an error's text": "error(setmetatable({}, { __tostring = function() while true do end end }))",
  "a pattern": "string.find(('a'):rep(100000), ('.-'):rep(50) .. 'b')",
  "a move": "table.move({}, 1, math.maxinteger - 1, 2)",
  "a repetition": "string.rep('', math.maxinteger)",
  "an iterator of C's": "for _ in string.gmatch(('a'):rep(100), '') do while true do string.byte('a') end end",
};

/** The same, with operations that take long in few steps. */
const SLOW = {
  "a search for a long text": "string.find(('a'):rep(4e6), ('a'):rep(2e6) .. 'b', 1, true)",
  "a long path of modules": "package.searchpath('x', ('?;'):rep(1e6))",
  "a long date": "os.date(('%c'):rep(5e6))",
  "collections": "local t = {} for i = 1, 5e5 do t[i] = { i } end while true do collectgarbage() end",
  "comparisons": "local a, b = ('x'):rep(1e7) .. 'a', ('x'):rep(1e7) .. 'b' while true do local _ = a == b end",
  "orders": "local a, b = ('x'):rep(1e7) .. 'a', ('x'):rep(1e7) .. 'b' while true do local _ = a < b end",
  "numbers": "local text = (' '):rep(1e7) while true do tonumber(text) end",
  "JSON": "local text = '[' .. ('1,'):rep(3e5) .. '1]' while true do json.decode(text) end",
  "the store": "local kv, v = KV.namespace('n'), ('x'):rep(1e7) kv:put('k', v) while true do kv:get('k') end",
  "compiling": "local text = ('a=1 '):rep(1e5) while true do load(text) end",
  "compiling what it is slow with": "load('x = ' .. ('a or '):rep(3e5) .. 'b')",
};

const PAUSING = ["a loop", "a coroutine", "coroutines in coroutines"];

export default {
  async "every runaway is stopped by its timeout, and the Lua goes on"(api) {
    await withLua(api, async (lua) => {
      for (const [what, code] of Object.entries(RUNAWAYS)) {
        for (const run of [() => lua.run(code, { timeout: 50 }), async () => lua.runSync(code, { timeout: 50 })]) {
          const error = await raised(run);
          equal([error.name, error.stopped], ["LuaError", "timeout"], what);
          ok(error.message.includes("it ran for 50 ms"), error.message);
          equal(await lua.run("return 1 + 1"), [2], what);
        }
      }
    });
  },

  async "what takes long in few steps is stopped, too"(api) {
    await withLua(api, async (lua) => {
      for (const [what, code] of Object.entries(SLOW)) {
        equal((await raised(() => lua.run(code, { timeout: 500 }))).stopped, "timeout", what);
        await lua.run("collectgarbage()");
      }
      const code = "x = " + "a or ".repeat(3e5) + "b";
      equal((await raised(() => lua.run(code, { timeout: 300 }))).stopped, "timeout");
      equal(await lua.run("return 1"), [1]);
    });
  },

  async "a script whose store print() closes is stopped, and tells"(api) {
    for (const run of ["run", "runSync"]) {
      const kv = await api.Store.open();
      let closing;
      const lua = await api.Lua.create({ kv, print: () => (closing ??= kv.close()) });
      const code = `print("close it") for _ = 1, 1e7 do end KV.namespace("n"):put("k", "written to nowhere")`;
      await fails(async () => lua[run](code), "INVALID", "the store is closed");
      await closing;
      lua.close();
    }
  },

  async "a signal stops what can pause"(api) {
    await withLua(api, async (lua) => {
      for (const what of [...PAUSING, "a loop in pcall, in a loop", "many coroutines"]) {
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error("by hand")), 30);
        const error = await raised(() => lua.run(RUNAWAYS[what], { signal: controller.signal }));
        equal([error.name, error.stopped, error.cause.message], ["LuaError", "signal", "by hand"], what);
      }
      const error = await raised(() => lua.run("return 1", { signal: AbortSignal.abort() }));
      equal(error.stopped, "signal");
      equal(await lua.run("return 1", { signal: new AbortController().signal }), [1]);
    });
  },

  async "the page lives on meanwhile"(api) {
    await withLua(api, async (lua, lines) => {
      for (const what of PAUSING) {
        let ticks = 0;
        const timer = setInterval(() => ticks++, 10);
        // On a busy machine the timer may come late.
        for (let run = 0; run < 20 && ticks === 0; run++) await raised(() => lua.run(RUNAWAYS[what], { timeout: 500 }));
        clearInterval(timer);
        ok(ticks > 0, `${what}: the timer of the page never ran`);
      }
      const running = lua.run(`local n, kv = 0, KV.namespace("n")
        print("begun")
        repeat n = n + 1 until kv:get("stop")
        return n > 0`);
      await sleep(50);
      equal(lines, ["begun"]);
      lua.kv.namespace("n").sync.put("stop", "now");
      equal(await running, [true]);
    });
  },

  async "a pause is not to be seen by the script"(api) {
    await withLua(api, async (lua) => {
      const code = `local function work() for _ = 1, 2e6 do end return "done" end
        local co = coroutine.create(function(a)
          local b = coroutine.yield(a, work(), nil)
          local inner = coroutine.wrap(function(...) work() local c = coroutine.yield(...) work() return c, nil end)
          return select("#", inner(b)), work(), (pcall(work)), inner("c")
        end)
        local first = table.pack(coroutine.resume(co, 1))
        local second = table.pack(coroutine.resume(co, 2))
        return first.n, first[2], first[3], second.n, second[2], second[3], second[4], second[5], coroutine.status(co),
          coroutine.resume(co)`;
      const wanted = [4, 1, "done", 6, 1, "done", true, "c", "dead", false, "cannot resume dead coroutine"];
      equal(await lua.run(code), wanted);
      equal(lua.runSync(code), wanted);
      const asked = "local a, main = coroutine.running() return main, coroutine.isyieldable(), coroutine.status(a)";
      equal(await lua.run(asked), [true, false, "running"]);
      const [, why] = await lua.run("return pcall(coroutine.yield)");
      equal(why, "attempt to yield from outside a coroutine");
    });
  },

  async "what goes too deep or too far is an error"(api) {
    await withLua(api, async (lua) => {
      for (const [code, message] of [
        ["local function f() return 1 + f() end f()", "stack overflow"],
        ["local function f() return (string.gsub('a', 'a', f)) end f()", "C stack overflow"],
        ["local function f() table.sort({ 3, 2, 1 }, f) end f()", "C stack overflow"],
        ["local function f() return coroutine.wrap(f)() end f()", "C stack overflow"],
        ["return setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1]", "C stack overflow"],
        ["assert(load('return ' .. ('('):rep(100000) .. '1' .. (')'):rep(100000)))", "C stack overflow"],
        ["assert(load('return ' .. ('{'):rep(100000)))", "C stack overflow"],
        ["string.find(('a'):rep(300000), ('a?'):rep(300000) .. 'a')", "pattern too complex"],
        ["return ('x'):rep(1e10)", "resulting string too large"],
        ["return ('x'):rep(1 << 30) .. ('x'):rep(1 << 30)", "not enough memory"],
        ["return json.decode(('['):rep(1000000))", "nested deeper than 128"],
        ["return table.unpack({}, 1, 1e8)", "too many results to unpack"],
      ]) {
        const error = await raised(() => lua.run(code));
        ok(error.name === "LuaError" && error.message.includes(message), `${code}: ${error.message}`);
      }
      equal(await lua.run("local f = function() end for _ = 1, 1e6 do pcall(f) end return 1"), [1]);
    });
  },

  async "an exhausted memory is an error, and nothing ends"(api) {
    for (const maxMemory of [2, 4, 16].map((mebibytes) => mebibytes * 1024 * 1024)) {
      await withLua(
        api,
        async (lua) => {
          for (const code of [
            "t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
            "t = nil local t = {} for i = 1, 1e9 do t[i] = {} end",
            "local s = 'x' while true do s = s .. s end",
            "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
            "local kv = KV.namespace('n') for i = 1, 1e9 do kv:put(i .. '', ('x'):rep(1000), { metadata = { i } }) end",
          ]) {
            const error = await raised(() => lua.run(code));
            ok(/not enough memory|NOMEM/.test(error.message), `${code}: ${error.name}: ${error.message}`);
            equal(await lua.run("return 1"), [1]);
          }
          const many = lua.kv.namespace("n").sync.count();
          ok(many > 50, many);
          await fails(async () => lua.kv.namespace("n").sync.put("large", "x".repeat(maxMemory)), "NOMEM");
          await fails(() => lua.run("x".repeat(maxMemory)), "NOMEM");
          equal(await lua.run("local kv = KV.namespace('n') kv:clear() kv:put('a', 'b') return kv:get('a')"), ["b"]);
        },
        { maxMemory },
      );
    }
  },

  async "every operation bears that memory runs out in it"(api) {
    const code = `local t, failed = {}, 0
      local function try(f, ...) if not pcall(f, ...) then failed = failed + 1 end end
      for i = 1, 1500 do
        local size = (i * (7919 + arg[0])) % 20000
        try(function() kv:put("key" .. i, ("x"):rep(size), { metadata = { i } }) end)
        try(function() t[#t + 1] = ("y"):rep(size) end)
        try(function() return kv:list({ limit = 100 }), kv:get("key" .. i - 1), kv:export("/tmp/all") end)
        try(function() kv:atomic():put("a", ("x"):rep(size)):incr("n", 1):commit() end)
        try(function() return json.encode({ ("z"):rep(size) }), json.decode('[1,[2,{"a":"b"}]]') end)
        if #t > 150 then t = {} end
      end
      return failed`;
    let failed = 0;
    // The allocation that fails differs from size to size.
    for (let pages = 0; pages < 6; pages++) {
      await withLua(
        api,
        async (lua) => {
          // If no memory is left, a new handle is also NOMEM.
          await lua.run('kv = KV.namespace("n")');
          try {
            failed += (await lua.run(code, { name: `${pages}` }))[0];
          } catch (error) {
            // The error came between two of them.
            const isMemory = error.name === "LuaError" && error.message.includes("not enough memory");
            ok(isMemory, `${error.name}: ${error.message}`);
            failed++;
          }
          // The store can still be used: deleting frees memory.
          const onward = `kv:clear()
            kv:put("key", "value")
            return kv:get("key"), kv:count()`;
          equal(await lua.run(onward), ["value", 1]);
        },
        { maxMemory: 4 * 1024 * 1024 + pages * 65536 },
      );
    }
    ok(failed > 0, "there was memory for all of it");
  },

  async "a finalizer cannot hold up what gives modules"(api) {
    await withLua(api, async (lua) => {
      await lua.run("keep = setmetatable({}, { __gc = function() done = true while true do end end })");
      await lua.run("keep = nil");
      for (let megabytes = 1; megabytes < 20; megabytes++) lua.module("m", "-".repeat(megabytes * 1000000));
      equal(await lua.run("return done"), [true]);
    });
  },

  async "what is left to be done at the end cannot hold up the page"(api) {
    await withLua(api, async (lua) => {
      await lua.run("keep = setmetatable({}, { __gc = function() while true do end end })");
      lua.close(); // it must return
    });
  },
};
