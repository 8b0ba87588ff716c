// Watches in Lua: what scripts and JavaScript change in one instance.

import { equal, ok, sleep } from "./check.js";
import { raised, withLua } from "./lua.js";

/**
 * Calls a function with a Lua, in which `kv` is a namespace, `watch` a watch of it, and `news(watch)` what that tells
 * without waiting: "+a=1" for a put, "-a" for a removal; and with the same namespace for JavaScript.
 */
async function withWatch(api, use, options = "values = true") {
  await withLua(api, async (lua) => {
    await lua.run(`kv = KV.namespace("test")
      watch = kv:watch({ ${options} })
      function news(watch, seconds)
        local told = {}
        for i, change in ipairs(watch:next(seconds or 0) or {}) do
          told[i] = change.type == "put" and "+" .. change.name .. "=" .. change.value or "-" .. change.name
        end
        return table.concat(told, " ")
      end`);
    await use(lua, lua.kv.namespace("test"), (code = "watch") => lua.runSync(`return news(${code})`)[0]);
  });
}

const ENDLESS = "luat_kv: INVALID: a wait without a timeout would never end: nobody can write while Lua waits";

export default {
  async "a script is told of all that JavaScript writes"(api) {
    await withWatch(api, async (lua, kv, news) => {
      equal(news(), "");
      await kv.put("a", "1", { metadata: { m: 1 }, expiration: 4e9 });
      const [{ version, metadata, expiration, ...rest }] = lua.runSync("return watch:next(0)")[0];
      equal(rest, { name: "a", type: "put", value: "1" });
      equal([metadata, expiration], [{ m: 1 }, 4e9]);
      equal(version, (await kv.getWithMetadata("a")).version);
      kv.sync.put("b", "1");
      kv.sync.get("b");
      kv.sync.put("b", "2"); // in the row that was read
      equal(news(), "+b=2");
      kv.sync.put("b", "3");
      equal(news(), "+b=3");
      kv.atomic().put("c", "1").delete("a").commit();
      await kv.incr("n", 5);
      equal(news(), "-a +c=1 +n=5");
      await kv.take("c");
      await kv.import(JSON.stringify([{ key: "i", value: "imported" }]));
      equal(news(), "-c +i=imported");
      await kv.clear();
      equal(news(), "-b -i -n");
      lua.kv.namespace("other").sync.put("a", "1");
      equal(news(), "");
    });
  },

  async "and of what it writes itself, and another Lua on the same store"(api) {
    await withWatch(api, async (lua, kv, news) => {
      lua.runSync("kv:put('a', 1)");
      equal(news(), "+a=1");
      await withLua(
        api,
        async (other) => {
          other.runSync("other = KV.namespace('test'):watch() KV.namespace('test'):put('b', 2)");
          equal(news(), "+b=2");
          lua.runSync("kv:delete('a')");
          equal(other.runSync("return #other:next(0), other:next(0)"), [2, null]);
        },
        { kv: lua.kv },
      );
      equal(news(), "-a");
      const own = `local kv = KV.open({ memory = true }):namespace("n")
        local watch = kv:watch({ values = true })
        kv:put("a", "own")
        return news(watch)`;
      equal(lua.runSync(own), ["+a=own"]);
      equal(news(), "");
    });
  },

  async "nothing waits, since nobody could write meanwhile"(api) {
    await withWatch(api, async (lua, kv, news) => {
      const begun = Date.now();
      equal(lua.runSync("return watch:next(3600), watch:next(0.5), watch:next(1e9)"), [null, null, null]);
      equal(lua.runSync("local n = 0 for _ in kv:watch({ timeout = 3600 }) do n = n + 1 end return n"), [0]);
      ok(Date.now() - begun < 60_000, "it has waited");
      kv.sync.put("a", "1");
      equal(news("watch, 3600"), "+a=1");
    });
  },

  async "a wait without an end is an error, after which the watch goes on"(api) {
    await withWatch(api, async (lua, kv, news) => {
      const endless = ["watch:next()", "watch:next(math.huge)", "watch:next(1e300)", "watch()", "for _ in watch do end"];
      for (const code of [...endless, "for _ in kv:watch({ timeout = math.huge }) do end"]) {
        const { message } = await raised(() => lua.run(code, { name: "s" }));
        ok(message.startsWith(`s:1: ${ENDLESS}`), `${code}: ${message}`);
      }
      kv.sync.put("a", "1");
      equal(lua.runSync("return #watch:next()"), [1]);
      kv.sync.put("b", "2");
      const loop = "names = '' return pcall(function() for change in watch do names = names .. change.name end end)";
      const [isDone, message] = lua.runSync(loop);
      equal([isDone, message.includes(ENDLESS)], [false, true]);
      equal(lua.runSync("return names"), ["b"]);
      equal(news(), "");
    });
  },

  async "there is no descriptor"(api) {
    await withWatch(api, async (lua) => {
      equal(lua.runSync("return watch:fd(), select('#', watch:fd())"), [null, 1]);
      const closed = "watch:close() return pcall(watch.fd, watch)";
      equal(lua.runSync(closed), [false, "luat_kv: INVALID: the watch is closed"]);
    });
  },

  async "a script that asks again and again is told what the page writes meanwhile"(api) {
    await withWatch(api, async (lua, kv) => {
      const running = lua.run("local told repeat told = news(watch) until told ~= '' return told");
      await sleep(20);
      kv.sync.put("a", "1");
      equal(await running, ["+a=1"]);
      const following = lua.run(`local told = {}
        local follow = coroutine.wrap(function()
          while true do
            for change in kv:watch({ timeout = 0, values = true, existing = true }) do told[change.name] = change.value end
            coroutine.yield()
          end
        end)
        while told.last ~= "1" do follow() end
        return told.a`);
      await sleep(20);
      kv.sync.put("last", "1");
      equal(await following, ["1"]);
      const error = await raised(() => lua.run("while true do watch:next(0) end", { timeout: 50 }));
      equal(error.stopped, "timeout");
    });
  },

  async "a watch of keys, of a prefix, and one that begins with what is there"(api) {
    await withWatch(api, async (lua, kv) => {
      for (const name of ["a", "ab", "b", "c"]) kv.sync.put(name, name);
      lua.runSync(`watches = {
        kv:watch({ keys = { "b", "c", "d" }, existing = true, values = true }),
        kv:watch({ prefix = "a", values = true }),
      }`);
      kv.sync.put("ab", "new");
      kv.sync.delete("c");
      equal(lua.runSync("return news(watches[1]), news(watches[2])"), ["+b=b", "+ab=new"]);
      kv.sync.delete("b");
      kv.sync.put("d", "1");
      equal(lua.runSync("return news(watches[1]), news(watches[2])"), ["-b +d=1", ""]);
    });
  },

  async "an expiry is told with the next write, or a sweep"(api) {
    const { now } = Date;
    let time = now();
    Date.now = () => time;
    try {
      await withWatch(api, async (lua, kv) => {
        kv.sync.put("a", "1", { expirationTtl: 10 });
        kv.sync.put("b", "1", { expirationTtl: 20 });
        equal(lua.runSync("return #watch:next(0)"), [2]);
        const told = (expired) => [[{ name: expired, type: "delete", expired: true }]];
        time += 11_000;
        lua.runSync("KV.open({ memory = true }):sweep()");
        equal(lua.runSync("return watch:next(0)"), [null]);
        lua.kv.sweep();
        equal(lua.runSync("return watch:next(0)"), told("a"));
        time += 11_000;
        lua.kv.namespace("other").sync.put("a", "1");
        equal(lua.runSync("return watch:next(0)"), told("b"));
      });
    } finally {
      Date.now = now;
    }
  },

  async "watches of a store that is closed, and of a Lua that is closed"(api) {
    const kv = await api.Store.open();
    await withLua(
      api,
      async (lua) => {
        const ask = `local store = KV.open({ memory = true })
          local watch = store:namespace("n"):watch()
          store:close()
          return pcall(watch.next, watch, 0)`;
        equal(lua.runSync(ask), [false, "luat_kv: INVALID: the store is closed"]);
        lua.runSync("watch = KV.namespace('n'):watch()");
      },
      { kv },
    );
    await kv.namespace("n").put("a", "1");
    await withLua(api, async (lua) => equal(lua.runSync("return KV.namespace('n'):watch():next(0)"), [null]), { kv });
    await kv.close();
  },

  async "finalizers may ask in the midst of a call"(api) {
    await withWatch(api, async (lua) => {
      const [calls, missing] = lua.runSync(`local calls, told = 0, {}
        local watch = kv:watch({ values = true, type = "json", timeout = 0 })
        local function tell(change)
          assert(change.value.name == change.name and change.metadata[1] == change.name)
          told[change.name] = true
        end
        local function ask()
          for _, change in ipairs(watch:next(0) or {}) do tell(change) end
        end
        local function plant()
          setmetatable({}, { __gc = function()
            calls = calls + 1
            local change = calls % 3 == 0 and watch()
            if change then tell(change) else ask() end
            plant()
          end })
        end
        plant()
        collectgarbage("setpause", 1)
        collectgarbage("setstepmul", 1000)
        for round = 1, 300 do
          for i = 1, 5 do
            local name = round .. "." .. i
            kv:put(name, { name = name, text = ("x"):rep(100) }, { metadata = { name } })
          end
          if round % 2 == 0 then
            for change in watch do tell(change) end
          else
            ask()
          end
        end
        for name in kv:each() do if not told[name] then return calls, name end end
        return calls`);
      equal(missing, undefined);
      ok(calls > 20, `${calls} finalizers ran`);
    });
  },
};
