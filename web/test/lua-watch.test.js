// Watches in Lua, in Node: the suite, records that are loaded, and memory.

import test from "node:test";
import { coreOf } from "../src/store.js";
import { Lua, Store, equal, ok, suite } from "./support.js";
import tests from "./suites/lua-watch.js";

suite(tests);

const MIB = 1024 * 1024;

/** A Lua that is closed after the test. */
async function luaFor(t, options) {
  const lua = await Lua.create(options);
  t.after(() => lua.close());
  return lua;
}

const SHORT = `function short(changes)
  local told = {}
  for i, change in ipairs(changes or {}) do
    told[i] = (change.type == "put" and "+" or "-") .. change.name .. (change.value or "")
  end
  return table.concat(told, " ")
end`;

test("records that are loaded: a watch is told what differs", async (t) => {
  const from = await Store.open();
  t.after(() => from.close());
  const source = from.namespace("n").sync;
  for (const key of ["a", "b", "c"]) source.put(key, "1");
  const before = coreOf(from).changes(true);
  source.put("a", "2");
  source.delete("b");
  source.put("d", "2");
  const changes = coreOf(from).changes(false);
  source.put("a", "3");
  const everything = coreOf(from).changes(true);

  const lua = await luaFor(t);
  const core = coreOf(lua.kv);
  const news = () => lua.runSync("return short(watch:next(0))")[0];
  lua.runSync(`${SHORT} watch = KV.namespace("n"):watch({ values = true })`);
  core.load(before);
  equal(news(), "+a1 +b1 +c1");
  core.load(before);
  equal(news(), ""); // the same versions
  core.load(changes);
  equal(news(), "+a2 -b +d2");
  lua.kv.namespace("n").sync.put("c", "own");
  equal(news(), "+cown");
  core.load(everything);
  equal(news(), "+a3 +c1");
  core.load(before); // does not remove what it lacks
  equal(news(), "+a1 +b1");
});

test("watches that are closed or dropped leave no memory behind", async (t) => {
  const lua = await luaFor(t, { maxMemory: 8 * MIB });
  const rounds = lua.runSync(`local kv, rounds = KV.namespace("n"), 0
    for i = 1, 2000 do kv:put("key" .. i, "value") end
    for i = 1, 500 do
      local watch = kv:watch({ values = true, existing = i % 2 == 0 })
      kv:put("key1", i)
      if i % 3 > 0 then rounds = rounds + #watch:next(0) // 2000 end
      for _ in kv:watch({ existing = true, timeout = 0 }) do break end
      if i % 5 == 0 then watch:close() else watch = nil collectgarbage() end
    end
    return rounds`);
  equal(rounds, [167]);
});

/** Defines the functions of the test below. A script may run out of memory anywhere, so no step may lose a result. */
const STEPS = `kv = KV.namespace("n")
  watch, copy, seen, changes, names = kv:watch({ prefix = "w", values = true }), {}, {}, nil, {}
  for i = 1, 200 do names[i] = "w" .. i .. ("x"):rep(LENGTH) end
  for _, what in ipairs({ "next", "watch" }) do seen[what] = { OK = false, NOMEM = false } end
  --- Notes how a call ends, and returns its result.
  function try(what, call, ...)
    local done, result = pcall(call, ...)
    if done then
      seen[what].OK = true
      return result
    end
    seen[what][result:match("luat_kv: (%u+): ") or result] = true
  end
  function follow()
    repeat
      for _, change in ipairs(changes or {}) do copy[change.name] = change.value end
      changes = nil
      changes = try("next", watch.next, watch, 0)
    until not changes
  end
  function step()
    follow()
    local other = try("watch", kv.watch, kv, { prefix = "w", values = true, existing = true })
    if other then try("next", other.next, other, 0) end
    try("watch", kv.watch, kv, { keys = names })
  end
  --- Returns the name of a key that the copy has not, or has too much.
  function differs()
    follow()
    for name, about in kv:each({ prefix = "w", values = true }) do
      if copy[name] ~= about.value then return name end
      copy[name] = nil
    end
    return next(copy)
  end`;

test("however little memory is left, a call is NOMEM or done, and no change is lost", async (t) => {
  for (const length of [10, 300, 2000]) {
    const lua = await luaFor(t, { maxMemory: 4 * MIB });
    lua.runSync(STEPS.replace("LENGTH", length));
    const kv = lua.kv.namespace("n").sync;
    const outcome = (run) => {
      try {
        run();
        return "OK";
      } catch (error) {
        return error.code ?? error.message.match(/not enough memory|fit into memory/)?.[0] ?? error.message;
      }
    };
    const name = (at) => `w${1 + (at % 50)}${"x".repeat(length)}`;
    let fill = 0;
    for (let at = 0; at < 50; at++) kv.put(name(at), "v".repeat(1000));
    for (const value of ["v".repeat(1000), ""]) while (outcome(() => kv.put(`fill ${fill}`, value)) === "OK") fill++;
    const scripts = new Set();
    for (let at = 0; at < 500; at++) {
      for (let more = 0; more < 2; more++) kv.delete(`fill ${--fill}`);
      scripts.add(outcome(() => kv.put(name(at), String(at).repeat(at % 100))));
      if (at % 3 === 0) kv.delete(name(7 * at));
      scripts.add(outcome(() => lua.runSync("step()")));
    }
    for (const end of scripts) ok(/^(OK|NOMEM|not enough memory|fit into memory)$/.test(end), end);
    equal(lua.runSync("return differs()"), [null]);
    const [{ next, watch }] = lua.runSync("return seen");
    for (const { OK, NOMEM, "not enough memory": _, ...others } of [next, watch]) {
      equal([OK, NOMEM, others], [true, true, {}], `keys of ${length}`);
    }
    lua.close();
  }
});
