import { spawnSync } from "node:child_process";
import test, { after } from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import { coreOf } from "../src/store.js";
import tests from "./suites/watch.js";
import { Store, equal, fails, ok, open, sleep, suite } from "./support.js";

// A call that waits does not keep Node alive.
const alive = setInterval(() => {}, 1000);
after(() => clearInterval(alive));

suite(tests);

test("a store is told of watches only while one waits", async (t) => {
  const kv = await open(t);
  const core = coreOf(kv.store);
  const controller = new AbortController();
  const watch = kv.watch({ signal: controller.signal });
  const isFree = () => core.waiting === null;
  equal(isFree(), true);
  for (const end of [() => kv.sync.put("a", "1"), () => watch.close()]) {
    const waiting = watch.next();
    equal(isFree(), false);
    end();
    await waiting;
    equal(isFree(), true);
  }
  const aborted = kv.watch({ signal: controller.signal });
  const waiting = aborted.next().catch(() => {});
  equal(isFree(), false);
  controller.abort();
  await waiting;
  equal(isFree(), true);
  const late = kv.watch();
  equal([await late.next(1), isFree()], [[], true]);
});

test("a watch compares only after a call that may have changed the store", async (t) => {
  const kv = await open(t);
  const { engine } = coreOf(kv.store);
  const { list } = engine.call;
  let lists = 0;
  engine.call.list = (...values) => (lists++, list(...values));
  const watch = kv.watch();
  equal(lists, 1);
  for (const read of [() => kv.get("a"), () => kv.getWithMetadata(["a"]), () => kv.count(), () => kv.store.flush()]) {
    await read();
    await watch.next(0);
  }
  equal(lists, 1);
  await kv.put("a", "1");
  equal([(await watch.next(0)).length, (await watch.next(0)).length, lists], [1, 0, 2]);
});

test("the end of the instance ends what waits", async (t) => {
  const kv = await open(t);
  const watch = kv.watch();
  const waiting = watch.next().catch(({ code }) => code);
  const { now } = Date;
  Date.now = () => {
    throw new Error("no time");
  };
  try {
    await fails(() => kv.count(), "PANIC", "no time");
  } finally {
    Date.now = now;
  }
  equal(await waiting, "PANIC");
  await fails(() => watch.next(0), "PANIC");
});

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc");

/** In a separate function, so that its variables do not keep the store. */
async function dropped() {
  const kv = (await Store.open()).namespace("test");
  kv.sync.put("a", "1");
  const watch = kv.watch();
  kv.watch().next(); // waits for good
  (async () => {
    for await (const _ of watch);
  })();
  await sleep(1);
  return [watch, kv.store].map((object) => new WeakRef(object));
}

test("a watch that waits does not keep a store that nobody else has, nor itself", async () => {
  const references = await dropped();
  for (let turn = 0; turn < 100 && references.some((reference) => reference.deref()); turn++) {
    await sleep(5);
    collect();
    await sleep(5);
  }
  equal(references.map((reference) => reference.deref() === undefined), [true, true]);
});

/** In a separate function: what its caller keeps is the namespace, and the function that follows. */
function follow(kv, seen) {
  (async () => {
    for await (const { name } of kv.watch()) seen.push(name);
  })().catch(() => {}); // the store was closed
}

test("but a store keeps the watches that wait with it", async (t) => {
  const kv = await open(t);
  const seen = [];
  follow(kv, seen);
  for (const name of ["a", "b", "c"]) {
    for (let turn = 0; turn < 5; turn++) {
      await sleep(2);
      collect();
    }
    kv.sync.put(name, "1");
  }
  for (let turn = 0; turn < 1000 && seen.length < 3; turn++) await sleep(5);
  equal(seen, ["a", "b", "c"]);
});

test("a call that waits does not keep Node alive, whatever it waits for", () => {
  const code = `
    import { Store } from ${JSON.stringify(new URL("../src/index.js", import.meta.url).href)};
    const kv = (await Store.open()).namespace("test");
    kv.sync.put("a", "1", { expirationTtl: 1000 });
    for (const timeout of [undefined, 1e6, 1e12]) kv.watch().next(timeout).then(() => console.log("too early"));
    (async () => {
      for await (const { name } of kv.watch()) console.log(name);
    })();
    setTimeout(() => kv.sync.put("b", "1"), 20);
    kv.watch({ prefix: "x" }).next().then(() => console.log("x"));
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
    encoding: "utf8",
    timeout: 120_000,
  });
  equal([status, stderr], [0, ""]);
  ok(stdout.includes("b\n"), stdout);
});
