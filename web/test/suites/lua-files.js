// Lua's `io` and `os` on the file system in memory, and the missing functions of its libraries.

import { equal, ok } from "./check.js";
import { withLua } from "./lua.js";

const text = (bytes) => (bytes === null ? null : new TextDecoder().decode(bytes));

export default {
  async "files go both ways"(api) {
    await withLua(api, async (lua) => {
      lua.writeFile("/a/b/in.txt", "one\ntwo");
      lua.writeFile("relative", Uint8Array.of(0, 255));
      const code = `local lines = {}
        for line in io.lines("/a/b/in.txt") do lines[#lines + 1] = line end
        local out = assert(io.open("/a/out", "w"))
        out:write("x", 1, "\\n")
        out:close()
        out = io.open("/a/out", "a")
        out:write("more")
        out:close()
        return lines, io.open("relative", "rb"):read("a"), #io.open("/relative"):read("a")`;
      equal(await lua.run(code), [["one", "two"], Uint8Array.of(0, 255), 2]);
      equal(text(lua.readFile("/a/out")), "x1\nmore");
      equal(text(lua.readFile("a/../a/./out")), "x1\nmore");
      equal([lua.readFile("/nothing"), lua.readFile("/a/out/deeper")], [null, null]);
      lua.writeFile("/a/out", "");
      equal(lua.readFile("/a/out"), new Uint8Array(0));
    });
  },

  async "seeking, renaming, removing"(api) {
    await withLua(api, async (lua) => {
      const code = `local f = assert(io.open("/tmp/f", "w+"))
        f:write("abcdef")
        assert(f:seek("set", 2) == 2 and f:read(2) == "cd" and f:seek("cur", -3) == 1 and f:seek("end", 2) == 8)
        f:write("!")
        f:seek("set")
        local all = f:read("a")
        f:close()
        assert(os.rename("/tmp/f", "/tmp/g"))
        local gone = { os.remove("/tmp/f") }
        assert(os.remove("/tmp/g"))
        return all, gone[2], select(2, io.open("/tmp/none/f", "w")), select(2, os.rename("/none", "/tmp/x")),
          (select(2, os.remove("/tmp/none/x")))`;
      equal(await lua.run(code), [
        "abcdef\0\0!",
        "/tmp/f: No such file or directory",
        "/tmp/none/f: No such file or directory",
        "No such file or directory",
        "/tmp/none/x: No such file or directory",
      ]);
      equal(await lua.run("return io.open('/tmp', 'w')"), [null, "/tmp: Is a directory", 31]);
      equal(await lua.run("return select(2, pcall(io.lines, '/none'))"), [
        "cannot open file '/none' (No such file or directory)",
      ]);
      equal(await lua.run("local odd = '/tmp/\\255\\1' assert(io.open(odd, 'w')) return io.open(odd):read('a')"), [""]);
    });
  },

  async "temporary files and devices"(api) {
    await withLua(api, async (lua) => {
      equal(
        await lua.run(`local a, b = os.tmpname(), os.tmpname()
          local f = io.tmpfile()
          f:write("kept") f:seek("set")
          return a ~= b, f:read("a"), io.open("/dev/null"):read("a"), #io.open("/dev/urandom"):read(100000),
            io.open("/dev/urandom"):read(16) ~= io.open("/dev/urandom"):read(16)`),
        [true, "kept", "", 100000, true],
      );
      equal(await lua.run("local f = io.open('/dev/full', 'w') f:write('x') return f:close()"), [
        null,
        "No space left on device",
        51,
      ]);
      const [open, why] = await lua.run(`local files = {}
        for i = 1, 5000 do
          local file, why = io.open("/tmp/" .. i, "w")
          if not file then return i, why end
          files[i] = file
        end`);
      ok(open > 900 && why.includes("No file descriptors available"), why);
      await lua.run("collectgarbage()");
      equal(await lua.run("return io.type(io.open('/tmp/1'))"), ["file"]);
    });
  },

  async "standard input is at its end, and the outputs stay open"(api) {
    await withLua(api, async (lua, lines) => {
      equal(await lua.run("return io.read(), io.read('a'), io.read('n')"), [null, "", null]);
      equal(await lua.run("return (io.stdout:close())"), [null]);
      equal(await lua.run("print('still')"), []);
      equal(lines, ["still"]);
    });
  },

  async "the time is JavaScript's, in UTC"(api) {
    await withLua(api, async (lua) => {
      const before = Math.floor(Date.now() / 1000);
      // (A browser's clock may have a resolution of a millisecond.)
      const [time, date, whole] = await lua.run(
        `local began = os.clock()
        repeat until os.clock() > began
        return os.time(), os.date("%Y-%m-%d %H:%M", 0),
          os.time({ year = 2024, month = 1, day = 1, hour = 0 })`,
      );
      ok(time >= before && time <= Date.now() / 1000);
      equal([date, whole], ["1970-01-01 00:00", 1704067200]);
    });
  },

  async "there are no processes, no variables and no libraries of C's"(api) {
    await withLua(api, async (lua) => {
      equal(await lua.run("return os.execute(), os.execute('ls')"), [false, null, "Function not implemented", 52]);
      equal(await lua.run("return pcall(io.popen, 'ls')"), [false, "'popen' not supported"]);
      equal(await lua.run("return os.getenv('PATH')"), [null]);
      equal((await lua.run("return package.loadlib('x', 'y')"))[2], "absent");
      const [, why] = await lua.run("return pcall(require, 'nothing')");
      const places = ["no field package.preload['nothing']", "no file './nothing.lua'", "no file './nothing/init.lua'"];
      equal(why, ["module 'nothing' not found:", ...places].join("\n\t"));
    });
  },

  async "nothing that reaches into C's memory is there"(api) {
    await withLua(api, async (lua) => {
      equal(
        await lua.run(`local names = {}
          for name in pairs(debug) do names[#names + 1] = name end
          table.sort(names)
          return table.concat(names, " ")`),
        ["getinfo getlocal getupvalue setupvalue traceback upvalueid upvaluejoin"],
      );
      equal(await lua.run("local x = 5 local name, value = debug.getlocal(1, 1) return name, value"), ["x", 5]);
      const inC = ["debug.getlocal(0, 1)", "debug.getupvalue(KV.namespace, 1)", "debug.setupvalue(KV.open, 1, 2)"];
      for (const code of inC) {
        const [ok_, why] = await lua.run(`return pcall(function() return ${code} end)`);
        ok(!ok_ && why.includes("of "), why);
      }
      const [, refused] = await lua.run("return load(string.dump(function() end))");
      equal(refused, "binary string: binary chunks are not loaded here");
      equal(await lua.run("return load('\\27Lua', 'name')"), [null, "name: binary chunks are not loaded here"]);
    });
  },
};
