// Lua: results, output and errors of scripts, and the store that they share with JavaScript.

import { equal, fails, ok } from "./check.js";

/** Calls a function with a Lua, and with the lines that it has printed. */
export async function withLua(api, use, options) {
  const lines = [];
  const lua = await api.Lua.create({ print: (line) => lines.push(line), ...options });
  try {
    await use(lua, lines);
  } finally {
    lua.close();
  }
}

export async function raised(run) {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error("no error was raised");
}

export default {
  async "what a script returns"(api) {
    await withLua(api, async (lua) => {
      const code = 'return nil, true, false, 7, -0.5, "grüße\\0", "\\255", { 1, { a = KV.null } }, KV.null, 1 << 62';
      const wanted = [null, true, false, 7, -0.5, "grüße\0", Uint8Array.of(255), [1, { a: null }], null, 1n << 62n];
      equal(await lua.run(code), wanted);
      equal(lua.runSync(code), wanted);
      equal(await lua.run("return 2^53, 1e308 * 10, 9007199254740991, -9007199254740992"), [
        2 ** 53,
        Infinity,
        Number.MAX_SAFE_INTEGER,
        -9007199254740992n,
      ]);
      const [text, named] = lua.runSync('return print, setmetatable({}, { __tostring = function() return "x" end })');
      ok(/^function: 0x/.test(text), text);
      equal(named, {});
      equal(await lua.run(""), []);
      equal((await lua.run("return table.unpack({}, 1, 100000)")).length, 100000);
      const unix = "#!/usr/bin/lua\nreturn debug.getinfo(1).currentline, arg[0], ...";
      equal(await lua.run(unix, { name: "me" }), [2, "me"]);
      const error = await raised(() => lua.run("local t = {} t[1] = t return t"));
      ok(error instanceof api.LuaError && error.message.includes("nested deeper than 128"), error.message);
    });
  },

  async "what it prints, a line at a time"(api) {
    await withLua(api, async (lua, lines) => {
      await lua.run('print("a", 1, nil) io.write("b\\nc") io.stderr:write("e\\n") io.write("d\\n\\n\\255") print()');
      equal(lines, ["a\t1\tnil", "b", "e", "cd", "", "\ufffd"]);
      lines.length = 0;
      await lua.run('io.write("no end")');
      equal(lines, ["no end"]);
      await raised(() => lua.run('print("before") io.write("half") error("x")'));
      equal(lines.slice(1), ["before", "half"]);
      lines.length = 0;
      lua.runSync('for _ = 1, 3 do io.write(("x"):rep(1000000)) end');
      equal(lines.join("").length, 3000000);
    });
  },

  async "what print throws ends the script"(api) {
    const thrown = new Error("enough");
    const print = () => {
      throw thrown;
    };
    await withLua(
      api,
      async (lua) => {
        equal((await raised(() => lua.run("while true do print(1) end"))) === thrown, true);
        equal((await raised(async () => lua.runSync("print(1)"))) === thrown, true);
        equal(await lua.run("return 1"), [1]);
      },
      { print },
    );
  },

  async "print may use the store, and other Luas, but not run this one"(api) {
    const seen = [];
    let other;
    const print = (line) => {
      seen.push(lua.kv.namespace("n").sync.get(line), ...other.runSync("return KV.namespace('n'):count()"));
      try {
        lua.runSync("return 1");
      } catch (error) {
        seen.push(error.code);
      }
    };
    const lua = await api.Lua.create({ print });
    other = await api.Lua.create({ kv: lua.kv });
    const put = "kv:put(key, key .. '!') print(key)";
    lua.runSync(`local kv = KV.namespace("n") for _, key in ipairs({ "a", "b" }) do ${put} end`);
    equal(seen, ["a!", 2, "INVALID", "b!", 2, "INVALID"]);
    other.close();
    lua.close();
  },

  async "errors tell where they come from"(api) {
    await withLua(api, async (lua) => {
      const code = 'local function f()\n  local x\n  return x.y\nend\nprint("a")\nf()';
      const error = await raised(() => lua.run(code, { name: "my.lua" }));
      equal([error.name, error instanceof api.LuaError, error.stopped], ["LuaError", true, null]);
      equal(error.message, "my.lua:3: attempt to index a nil value (local 'x')");
      equal([error.source, error.line], ["my.lua", 3]);
      for (const text of ["stack traceback:", "my.lua:3: in local 'f'", "my.lua:6: in main chunk"]) {
        ok(error.traceback.includes(text), error.traceback);
      }
      const name = "a/very/long/".repeat(10) + "name.lua";
      equal((await raised(() => lua.run("\nerror('x')", { name }))).source, name);
      const syntax = await raised(() => lua.run("return 1\nx = = 2"));
      equal([syntax.name, syntax.line, syntax.traceback], ["LuaError", 2, ""]);
      ok(syntax.message.startsWith("script:2: "), syntax.message);
    });
  },

  async "errors of every kind"(api) {
    await withLua(api, async (lua) => {
      for (const [code, message] of [
        ["error({ code = 2 })", "(error object is a table value)"],
        ["error()", "(error object is a nil value)"],
        ["error(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine"],
        ["error(setmetatable({}, { __tostring = error }))", "(an error while the error was made text)"],
        ["error('a\\0b')", "script:1: a\0b"],
        ["error('bare', 0)", "bare"],
        ["coroutine.wrap(function() error('inner') end)()", "script:1: inner"],
        ["local t <close> = setmetatable({}, { __close = function() error('closing') end })", "script:1: closing"],
        ["require('nothing')", "module 'nothing' not found"],
        ["KV.namespace('n'):put('', 1)", "luat_kv: INVALID: the key is empty"],
        ["load('return 1', 'x', 'b')()", "attempt to call a nil value"],
        ["os.exit(3)", "the script ended by os.exit(3)"],
        ["pcall(os.exit, false) error('not this')", "the script ended by os.exit(1)"],
        ["coroutine.wrap(os.exit)(4) error('not this')", "the script ended by os.exit(4)"],
      ]) {
        const error = await raised(() => lua.run(code));
        ok(error.name === "LuaError" && error.message.includes(message), `${code}: ${error.message}`);
      }
      equal(await lua.run("os.exit() error('not this')"), []);
      equal(await lua.run("pcall(os.exit, true) error('not this')"), []);
      equal(await lua.run("return 1"), [1]);
    });
  },

  async "modules"(api) {
    await withLua(api, async (lua) => {
      lua.module("greet", "local M = {}\nfunction M.hello() error('bad') end\nreturn M");
      const error = await raised(() => lua.run("\nrequire('greet').hello()"));
      equal([error.message, error.source, error.line], ["greet:2: bad", "greet", 2]);
      lua.module("greet", "return ...");
      equal(await lua.run("return (require('greet'))"), ["greet"]);
      lua.module("broken", "return = 1");
      ok((await raised(() => lua.run("require('broken')"))).message.includes("broken:1: unexpected symbol"));
      lua.writeFile("/lib/other.lua", "return 'of a file'");
      equal(await lua.run("package.path = '/lib/?.lua' return (require('other'))"), ["of a file"]);
      equal(await lua.run("return require('luat_kv') == KV, json == KV.json"), [true, true]);
      equal(await lua.run("package.loaded.luat_kv = nil return require('luat_kv') == KV"), [true]);
    });
  },

  async "JavaScript and Lua share the store"(api) {
    const kv = await api.Store.open();
    const js = kv.namespace("shared").sync;
    js.put("before", Uint8Array.of(0, 128, 255), { metadata: { a: [1, null] }, expirationTtl: 1000 });
    const { version, expiration } = js.getWithMetadata("before");
    await withLua(
      api,
      async (lua) => {
        equal(lua.kv === kv, true);
        equal(js.getWithMetadata("before").version, version);
        const told = await lua.run(`local kv = KV.namespace("shared")
          local value, about = kv:getWithMetadata("before")
          kv:put("after", "\\0\\200", { metadata = { b = true }, expiration = about.expiration })
          return value, about.metadata.a[1], about.expiration, about.version`);
        equal(told, [Uint8Array.of(0, 128, 255), 1, expiration, version]);
        const after = js.getWithMetadata("after", "arrayBuffer");
        equal(new Uint8Array(after.value), Uint8Array.of(0, 200));
        equal([after.metadata, after.expiration], [{ b: true }, expiration]);
        equal(kv.atomic().namespace("shared").check("before", version).put("before", "new").commit().ok, true);
        equal(await lua.run("return KV.namespace('shared'):get('before')"), ["new"]);
        await withLua(api, (other) => equal(other.runSync("return KV.namespace('shared'):count()"), [2]), { kv });
      },
      { kv },
    );
    equal(js.count(), 2); // the store outlives its Lua states
    await withLua(api, (lua) => equal(lua.runSync("return KV.namespace('shared'):count()"), [2]), { kv });
    await kv.close();
  },

  async "two of them share nothing else"(api) {
    const kv = await api.Store.open();
    const lines = [[], []];
    const [one, two] = await Promise.all(lines.map((to) => api.Lua.create({ kv, print: (line) => to.push(line) })));
    await Promise.all([
      one.run("x = 1 for i = 1, 3e6 do end print('one')"),
      two.run("x = 2 for i = 1, 3e6 do end print('two')"),
    ]);
    equal([one.runSync("return x"), two.runSync("return x")], [[1], [2]]);
    equal(lines, [["one"], ["two"]]);
    one.writeFile("/f", "one");
    equal(two.readFile("/f"), null);
    equal(two.runSync("return (io.open('/f'))"), [null]);
    one.close();
    equal(two.runSync("return x"), [2]);
    await withLua(api, (third) => equal(third.runSync("return x, KV.namespace('n'):count()"), [null, 0]));
    two.close();
    await kv.close();
  },

  async "print may close the Lua while garbage is collected"(api) {
    const kv = await api.Store.open();
    const other = await api.Lua.create({ kv, maxMemory: 4 * 1024 * 1024 });
    let lua;
    lua = await api.Lua.create({ kv, print: () => lua.close() });
    const code = `local mt = { __gc = function() print("bye") end }
      collectgarbage("stop")
      local t = {}
      for i = 1, 1e9 do t[i] = setmetatable({ ("x"):rep(1000) }, mt) end`;
    const error = await raised(() => lua.run(code));
    ok(error.code !== "PANIC", error.message);
    equal([lua.closed, other.runSync("return 1")], [true, [1]]);
    lua = await api.Lua.create({ kv, print: () => lua.close() });
    // lua.module() runs their finalizers, unless the collector has already run them.
    await lua.run("for _ = 1, 100 do setmetatable({}, { __gc = function() print('bye') end }) end").catch((error) => {
      equal(error.message, "the Lua was closed");
    });
    for (let tries = 0; tries < 1000 && !lua.closed; tries++) lua.module("m", "-".repeat(20000));
    equal([lua.closed, other.runSync("return 1")], [true, [1]]);
    other.close();
    await kv.close();
  },

  async "what is closed refuses"(api) {
    const lua = await api.Lua.create();
    const running = lua.run("while true do end");
    await fails(() => lua.run("return 1"), "INVALID", "one at a time");
    await fails(async () => lua.runSync("return 1"), "INVALID", "one at a time");
    lua.close();
    lua.close();
    await fails(() => running, "INVALID", "the Lua was closed");
    equal([lua.closed, lua.kv.closed], [true, true]);
    await fails(() => lua.run("return 1"), "INVALID", "the Lua is closed");
    await fails(async () => lua.module("a", ""), "INVALID", "the Lua is closed");
    await fails(async () => lua.writeFile("a", ""), "INVALID", "the Lua is closed");
    await fails(async () => lua.readFile("a"), "INVALID", "the Lua is closed");
    const kv = await api.Store.open();
    const on = await api.Lua.create({ kv });
    await kv.close();
    await fails(() => on.run("return 1"), "INVALID", "the store is closed");
    await fails(() => api.Lua.create({ kv }), "INVALID", "the store is closed");
    on.close();
  },

  async "wrong arguments"(api) {
    await fails(() => api.Lua.create({ kv: {} }), "TypeError", "kv must be a Store");
    await fails(() => api.Lua.create({ print: 1 }), "TypeError", "print must be a function");
    await fails(() => api.Lua.create({ prnt: () => {} }), "TypeError", "did you mean");
    await fails(() => api.Lua.create({ maxMemory: 1 }), "RangeError");
    await fails(async () => new api.Lua(), "TypeError", "Lua.create()");
    await withLua(api, async (lua) => {
      await fails(() => lua.run(1), "TypeError", "the script must be a string");
      await fails(() => lua.run("", { name: "a\0" }), "TypeError", "NUL");
      await fails(() => lua.run("", { name: 1 }), "TypeError", "name must be a string");
      await fails(() => lua.run("", { timeout: -1 }), "TypeError", "timeout");
      await fails(() => lua.run("", { timeout: NaN }), "TypeError", "timeout");
      await fails(() => lua.run("", { signal: {} }), "TypeError", "signal");
      await fails(async () => lua.runSync("", { signal: new AbortController().signal }), "TypeError", "signal");
      await fails(async () => lua.module(1, ""), "TypeError");
      await fails(async () => lua.writeFile("/dev", ""), "INVALID", "it is a folder");
      await fails(async () => lua.writeFile("/tmp/../tmp", ""), "INVALID", "it is a folder");
      equal(await lua.run("return 1"), [1]);
    });
  },
};
