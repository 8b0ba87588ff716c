// Workers and processes on one file.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Store } from "luat-kv-native";
import { run, scratch, script } from "./support.js";

const worker = (path, task, number = 0) =>
  new Worker(new URL("worker.js", import.meta.url), { workerData: { path, task, number } });

async function check(path) {
  const { stdout } = await run("sqlite3", [path, "PRAGMA integrity_check"]);
  assert.equal(stdout, "ok\n");
}

test("workers that write at once lose nothing", async () => {
  const path = scratch();
  const workers = [1, 2, 3, 4].map((number) => worker(path, "contend", number));
  for (const [code] of await Promise.all(workers.map((one) => once(one, "exit")))) assert.equal(code, 0);
  const store = Store.open(path);
  const kv = store.namespace("n");
  assert.deepEqual([kv.get("count"), kv.get("careful", "json"), kv.count({ prefix: "own:" })], ["800", 800, 800]);
  store.close();
  await check(path);
});

test("processes that write at once lose nothing", async () => {
  const path = scratch();
  const code = `
    import { Store } from "luat-kv-native";
    const kv = Store.open(process.argv.at(-1), { busyTimeout: 30_000 }).namespace("n");
    for (let i = 0; i < 500; i++) { kv.incr("count"); kv.put("p" + process.pid + ":" + i, "v"); }`;
  await Promise.all([1, 2, 3].map(() => script(code, { args: [path] })));
  const store = Store.open(path);
  const kv = store.namespace("n");
  assert.deepEqual([kv.get("count"), kv.count({ prefix: "p" })], ["1500", 1500]);
  store.close();
  await check(path);
});

const files = () => readdirSync("/proc/self/fd").length;

for (const task of ["endless", "background", "watch"]) {
  test(`a worker that is terminated in mid-call harms nothing, and leaves nothing open: ${task}`, async () => {
    const path = scratch();
    await worker(path, "leave").terminate(); // with the descriptors that Node opens for its first worker
    const before = files();
    const store = Store.open(path, { busyTimeout: 30_000 });
    const kv = store.namespace("n");
    for (let i = 0; i < 300; i++) kv.put(`before${i}`, "v".repeat(1000));
    for (let round = 0; round < 12; round++) {
      const one = worker(path, task, round);
      await once(one, "message");
      await sleep(round);
      await one.terminate();
      kv.put("mine", `${round}`);
      assert.equal(kv.get("mine"), `${round}`);
      assert.equal(kv.get("a"), kv.get("b"));
      assert.equal(kv.count({ prefix: "before" }), 300);
    }
    store.close();
    assert.equal(files(), before);
    await check(path);
  });
}

test("a worker ends while its watches wait", async () => {
  const path = scratch();
  await once(worker(path, "leave"), "exit");
  const before = files();
  const kv = Store.open(path).namespace("n");
  for (let round = 0; round < 12; round++) {
    const one = worker(path, "watch", 3 * round + 1); // which unreferences them
    await once(one, "message");
    kv.put("k", "v");
    assert.deepEqual(await once(one, "exit"), [0]);
  }
  kv.store.close();
  assert.equal(files(), before);
});

test("a worker that ends by itself closes what it left open", async () => {
  const path = scratch();
  await once(worker(path, "leave"), "exit");
  const before = files();
  for (let number = 1; number <= 5; number++) await once(worker(path, "leave", number), "exit");
  assert.equal(files(), before);
  const store = Store.open(path);
  assert.equal(store.namespace("n").count({ prefix: "left:" }), 6);
  store.close();
});

test("a store cannot be posted to a worker, only its path", () => {
  const copy = structuredClone(Store.openMemory());
  assert.equal(copy.namespace, undefined);
});
