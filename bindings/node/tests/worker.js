// The workers of threads.test.js.

import { parentPort, workerData } from "node:worker_threads";
import { Store } from "luat-kv-native";

const { path, task, number } = workerData;
const store = Store.open(path, { busyTimeout: 30_000 });
const kv = store.namespace("n");

/** Increments with a check of the version that was read, and retries if another thread was faster. */
function countCarefully() {
  for (;;) {
    const { value, version } = kv.getWithMetadata("careful", "json");
    if (kv.atomic().check("careful", version).put("careful", (value ?? 0) + 1).commit().ok) return;
  }
}

const tasks = {
  contend() {
    for (let i = 0; i < 200; i++) {
      kv.incr("count");
      countCarefully();
      kv.put(`own:${number}:${i}`, `value ${number} ${i}`);
      if (kv.get(`own:${number}:${i}`) !== `value ${number} ${i}`) throw new Error("another's value");
    }
    store.close();
  },
  endless() {
    parentPort.postMessage("ready");
    for (let i = 0; ; i = (i + 1) % 1000) {
      kv.put(`k${i}`, "v".repeat(3000), { metadata: { i } });
      kv.list({ values: true, limit: 10 });
      kv.atomic().put("a", `${i}`).put("b", `${i}`).commit();
    }
  },
  background() {
    parentPort.postMessage("ready");
    const again = () => Promise.all([kv.exportAsync(`${path}.${number}.json`), store.compactAsync()]).then(again, again);
    for (let call = 0; call < 8; call++) again();
  },
  watch() {
    const all = Array.from({ length: 5 }, () => kv.watch({ values: true }).ref());
    const again = (one) => one.next().then(() => one.closed || again(one));
    for (const one of all) again(one);
    (async () => { for await (const { name } of kv.watch({ prefix: "k" })) kv.put("seen", name); })();
    parentPort.postMessage("ready");
    if (number % 3 === 0) setTimeout(() => all.forEach((one) => one.close()), number % 5);
    if (number % 3 === 1) setTimeout(() => all.forEach((one) => one.unref()), number % 5);
  },
  leave() {
    kv.put(`left:${number}`, "v");
  },
};

tasks[task]();
