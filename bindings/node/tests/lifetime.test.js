// Handles: closed twice, in unusual orders, during a call, by the collector, or left open at the end.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import test from "node:test";
import { Store } from "luat-kv-native";
import { fails, onBoth, run, scratch, script } from "./support.js";

test("a closed store closes all of its own, again is harmless, and says so", onBoth((kv, store) => {
  const batch = kv.atomic().put("k", "v");
  const pages = kv.each();
  const watch = kv.watch();
  assert.equal(store.closed, false);
  store.close();
  store.close();
  store[Symbol.dispose]();
  assert.equal(store.closed, true);
  const uses = [
    () => kv.get("k"), () => kv.getWithMetadata("k"), () => kv.put("k", "v"), () => kv.add("k", "v"), () => kv.delete("k"), () => kv.has("k"), () => kv.take("k"), () => kv.deleteBulk([]),
    () => kv.touch("k"), () => kv.incr("k"), () => kv.get(["k"]), () => kv.get([]), () => kv.list(), () => pages.next(),
    () => kv.count(), () => kv.deletePrefix("k"), () => kv.clear(), () => kv.export(scratch()), () => kv.import(scratch()),
    () => kv.watch(), () => watch.poll(), () => kv.atomic(), () => batch.put("l", "v"), () => batch.commit(), () => store.namespace("test"),
    () => store.namespaces(), () => store.atomic(), () => store.stats(), () => store.sweep(), () => store.compact(),
    () => store.checkpoint(), () => store.backup(scratch()),
  ];
  for (const use of uses) fails("INVALID", /the store is closed/, use);
}));

test("the background refuses a closed store too", async () => {
  const store = Store.openMemory();
  const kv = store.namespace("n");
  store.close();
  for (const call of [() => kv.exportAsync(scratch()), () => kv.importAsync(scratch()), () => store.compactAsync(), () => store.backupAsync(scratch())]) {
    await assert.rejects(call, { code: "INVALID", message: "the store is closed" });
  }
});

test("closing frees the file: its log is gone", async () => {
  const path = scratch();
  const store = Store.open(path);
  const kv = store.namespace("n");
  kv.put("k", "v");
  kv.atomic().put("k", "w");
  assert(existsSync(`${path}-wal`));
  store.close();
  assert(!existsSync(`${path}-wal`));
});

test("a store that closes during calls in the background lets them end", async () => {
  for (let round = 0; round < 20; round++) {
    const store = Store.open(scratch());
    const kv = store.namespace("n");
    for (let i = 0; i < 200; i++) kv.put(`k${i}`, "v".repeat(100));
    const calls = [kv.exportAsync(scratch()), store.backupAsync(scratch()), kv.exportAsync(scratch())];
    store.close();
    fails("INVALID", /closed/, () => kv.get("k"));
    const [count, , again] = await Promise.all(calls);
    assert.deepEqual([count, again], [200, 200]);
  }
});

test("handles that are forgotten in any order are freed by the collector", async () => {
  const out = await script(`
    import { readdirSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    import { Store } from "luat-kv-native";
    const [path] = process.argv.slice(-1);
    const files = () => readdirSync("/proc/self/fd").length;
    Store.open(path).close();
    const before = files();
    let kept = [];
    // (A file each: stores on one file share its descriptors.)
    function fill() {
      for (let i = 0; i < 50; i++) {
        const kv = Store.open(path + i).namespace("n"); // the store itself is not referenced
        const batch = kv.atomic().put("k", "v" + i);
        kept.push(i % 2 ? kv : batch);
      }
    }
    fill();
    for (let i = 0; i < 5; i++) { gc(); await sleep(1); }
    kept.forEach((one) => one.put("k", "still open"));
    const open_ = files();
    kept = null;
    for (let i = 0; i < 20 && files() > before; i++) { gc(); await sleep(10); }
    console.log(open_ >= before + 50, files() <= before);`, { args: [scratch()] });
  assert.equal(out, "true true\n");
});

test("100 000 operations of each kind do not take memory", async () => {
  const out = await script(`
    import { Store } from "luat-kv-native";
    const kv = Store.openMemory().namespace("n");
    const [text, bytes] = ["t".repeat(100), Buffer.alloc(100)];
    const options = { metadata: { a: 1 }, expirationTtl: 1000 };
    const kinds = {
      put: () => kv.put("k", text, options), bytes: () => kv.put(bytes, bytes), get: () => kv.get("k"),
      buffer: () => kv.get("k", "buffer"), entry: () => kv.getWithMetadata("k", "buffer"), missing: () => kv.get("missing"),
      list: () => kv.list({ values: true, prefix: "k", limit: 1 }), many: () => kv.get(["k", "l"]), incr: () => kv.incr("n"),
      batch: () => kv.atomic().check("k", null).put("k", "v").commit(), touch: () => kv.touch("k"),
      error: () => { try { kv.get(""); } catch {} },
    };
    const turn = () => new Promise(setImmediate);
    async function rounds(count, one) {
      for (let i = 0; i < count; i++) { one(); if (i % 1000 === 0) await turn(); }
      gc(); await turn(); gc();
      return process.memoryUsage().rss;
    }
    for (const one of Object.values(kinds)) await rounds(5_000, one);
    for (const [name, one] of Object.entries(kinds)) {
      // A leak grows each time, the collector's memory only at first.
      let growth = [];
      let before = await rounds(10_000, one);
      do {
        const now = await rounds(100_000, one);
        growth.push((now - before) / 100_000);
        before = now;
      } while (growth.at(-1) > 20 && growth.length < 4);
      if (growth.at(-1) > 20) console.log(name, ...growth);
    }`);
  assert.equal(out, "");
});

test("transfers in the background do not take memory", async () => {
  const out = await script(`
    import { Store } from "luat-kv-native";
    const kv = Store.openMemory().namespace("n");
    async function rounds(count) {
      for (let i = 0; i < count; i++) await kv.exportAsync("/no/such/folder").catch(() => 0);
      gc();
      return process.memoryUsage().rss;
    }
    const growth = [];
    let before = await rounds(20_000);
    do {
      const now = await rounds(50_000);
      growth.push((now - before) / 50_000);
      before = now;
    } while (growth.at(-1) > 20 && growth.length < 4);
    if (growth.at(-1) > 20) console.log(...growth);`);
  assert.equal(out, "");
});

const leaving = (how) => `
  import { Store } from "luat-kv-native";
  const [path] = process.argv.slice(-1);
  const store = Store.open(path), kv = store.namespace("n");
  globalThis.kept = [Store.openMemory(), kv.atomic().put("k", "lost"), kv.each(), kv];
  for (let i = 0; i < 3000; i++) kv.put("k" + i, "v".repeat(500));
  process.on("exit", () => kv.put("at exit", "still open"));
  ${how}`;

test("a process may end with everything open, in any way", async () => {
  const ways = {
    "by itself": "",
    "by process.exit()": "process.exit(0);",
    "in a call in the background": "kv.exportAsync(path + '.json'); store.backupAsync(path + '.copy'); process.exit(0);",
    "by itself after calls in the background": "kv.exportAsync(path + '.json'); store.backupAsync(path + '.copy');",
    "in the callback of a call": "kv.exportAsync(path + '.json').then(() => process.exit(0));",
  };
  for (const [name, how] of Object.entries(ways)) {
    const path = scratch();
    await script(leaving(how), { args: [path] });
    if (how === "") assert(!existsSync(`${path}-wal`), "the store was closed");
    const store = Store.open(path);
    const kv = store.namespace("n");
    assert.deepEqual([kv.count({ prefix: "k" }), kv.get("at exit"), kv.get("k")], [3000, "still open", null], name);
    store.close();
  }
});

test("what the process of a test left is whole", async () => {
  const path = scratch();
  await assert.rejects(script(leaving("process.kill(process.pid, 'SIGKILL');"), { args: [path] }), { signal: "SIGKILL" });
  const { stdout } = await run("sqlite3", [path, "PRAGMA integrity_check"]);
  assert.equal(stdout, "ok\n");
});
