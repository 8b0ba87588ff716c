// Stores that are kept across reloads, in Chromium.

import test from "node:test";
import { openPage } from "./browser.js";
import { profile, reload, segments, server } from "./profile.js";
import { Store, equal, fails, ok, sleep } from "./support.js";

for (const persist of ["indexeddb", "opfs"]) {
  test(`${persist}: a store survives a reload, with all that it holds`, async (t) => {
    const page = await profile(t, persist);
    const before = await page.evaluate(async () => {
      await open();
      await kv.put("text", "ü\0", { metadata: { a: 1 }, expirationTtl: 1000 });
      await kv.put("bytes", new Uint8Array([255, 0, 254]));
      await kv.put("gone", "1");
      await kv.put("large", "x".repeat(500_000));
      await kv.incr("n", 5);
      await store.namespace("other").put("o", "1");
      await store.flush();
      await kv.delete("gone");
      await kv.put("text2", "again");
      await kv.touch("n", { expiration: 99999999999 });
      await store.flush();
      const keys = (await kv.list({ values: true })).keys.map((key) => ({ ...key, version: key.version }));
      return [keys, await store.namespace("other").get("o"), kv.watch().token()];
    });
    const token = before.pop();
    equal(before[0].length, 5);
    await reload(page);
    const now = await page.evaluate(async () => {
      await open();
      const keys = (await kv.list({ values: true })).keys.map((key) => ({ ...key, version: key.version }));
      return [keys, await store.namespace("other").get("o")];
    });
    equal(now, before);
    // Restored versions can be used in conditions, and new versions differ.
    const done = await page.evaluate(
      async (version) => {
        const { ok } = kv.atomic().check("n", version).put("n", "6").commit();
        return [ok, kv.atomic().check("n", version).put("n", "7").commit().ok, (await kv.getWithMetadata("n")).version];
      },
      before[0].find(({ name }) => name === "n").version,
    );
    equal(done.slice(0, 2), [true, false]);
    ok(!before[0].some(({ version }) => version === done[2]));
    // A token from before the reload tells what has changed since, and only that.
    const changes = await page.evaluate(async (since) => {
      await kv.delete("bytes");
      const changes = await kv.watch({ since }).next(0);
      return changes.map(({ name, type }) => `${type} ${name}`);
    }, token);
    equal(changes, ["delete bytes", "put n"]);
    equal(await page.evaluate(() => told), []);
    equal(page.errors, []);
  });

  test(`${persist}: a store is removed with all that it kept, but not while it is open`, async (t) => {
    const page = await profile(t, persist);
    const answers = await page.evaluate(async (persist) => {
      const { Store } = await import("/src/index.js");
      await Store.delete({ persist }); // it does not exist
      await open();
      await kv.put("a", "1");
      await store.flush();
      const busy = await Store.delete({ persist }).catch(({ code }) => code);
      await store.close();
      await Store.delete({ persist });
      await open();
      return [busy, await kv.get("a"), await Store.delete({ persist: "disk" }).catch(({ message }) => message)];
    }, persist);
    equal(answers.slice(0, 2), ["BUSY", null]);
    ok(answers[2].includes("indexeddb, opfs"), answers[2]);
  });

  test(`${persist}: what is written in the background, and when a store closes`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(async () => {
      await open();
      for (let round = 0; round < 3; round++) {
        await kv.put("background", "0");
        await Promise.all([store.flush(), store.flush(), kv.put("background", "0"), store.flush()]);
      }
      await kv.put("background", "1");
      await new Promise((resolve) => setTimeout(resolve, 700));
    });
    await reload(page);
    await page.evaluate(async () => {
      await open();
      if ((await kv.get("background")) !== "1") throw new Error("it was not written");
      await kv.put("closing", "1");
      await store.close();
      await open();
      await kv.put("disposing", "1");
      store[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
      await open(); // waits for the deletion
    });
    equal(await page.evaluate(() => kv.list().then(({ keys }) => keys.map(({ name }) => name))), [
      "background",
      "closing",
      "disposing",
    ]);
  });

  test(`${persist}: stores by name are apart, and any name will do`, async (t) => {
    const page = await profile(t, persist);
    const names = ["a", ".", "..", "a/b", "ü😀", "%2E", "x".repeat(60)];
    const read = await page.evaluate(async (names) => {
      for (const name of names) {
        await open({ name });
        await kv.put("name", name);
        await store.close();
      }
      const read = [];
      for (const name of names) read.push(await (await open({ name })).get("name"));
      return read;
    }, names);
    equal(read, names);
  });

  test(`${persist}: an entry expires while nobody looks`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(async () => {
      await open();
      await kv.put("short", "1", { expirationTtl: 1 });
      await kv.put("long", "1", { expirationTtl: 100 });
      await store.flush();
    });
    await sleep(2100);
    await reload(page);
    equal(
      await page.evaluate(() =>
        open()
          .then((kv) => kv.list())
          .then(({ keys }) => keys.map(({ name }) => name)),
      ),
      ["long"],
    );
  });

  test(`${persist}: a second tab gets BUSY, until the first has closed`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
    const second = await openPage(page.context(), `${server.url}/`);
    const answer = await second.evaluate(() => failing(open));
    equal(answer, 'BUSY: the store "luat_kv" is already open, here or in another tab or worker: close() it there, or set a longer wait');
    equal(await second.evaluate(() => open({ name: "other" }).then((kv) => kv.get("a"))), null);
    await page.evaluate(() => store.close());
    equal(await second.evaluate(() => open().then((kv) => kv.get("a"))), "1");
    await second.close();
    equal(await page.evaluate(() => open().then((kv) => kv.get("a"))), "1", "a tab that was closed holds nothing");
  });

  test(`${persist}: many small logs become a snapshot, also where pages come and go`, async (t) => {
    const page = await profile(t, persist);
    for (let visit = 0; visit < 2; visit++) {
      await page.evaluate(async () => {
        await open();
        for (let round = 0; round < 40; round++) {
          kv.sync.incr("count");
          await store.flush();
        }
        await store.close();
      });
    }
    const names = await page.evaluate((read) => (0, eval)(`(${read})`)(), segments[persist].toString());
    ok(names.length < 40, `${names}`);
    equal(await page.evaluate(() => open().then((kv) => kv.get("count"))), "80");
  });

  test(`${persist}: logs become a snapshot when they outgrow it`, async (t) => {
    const page = await profile(t, persist);
    const counts = await page.evaluate(async (read) => {
      await open();
      const segments = (0, eval)(`(${read})`);
      const counts = [];
      for (let round = 0; round < 40; round++) {
        await kv.put(`k${round % 4}`, String(round).repeat(20_000));
        await store.flush();
        counts.push((await segments()).length);
      }
      return [counts, await segments()];
    }, segments[persist].toString());
    ok(Math.max(...counts[0]) < 20, `${counts[0]}`);
    ok(counts[1][0].endsWith("snapshot") && counts[1].slice(1).every((name) => name.endsWith("log")), `${counts[1]}`);
    await reload(page);
    const values = await page.evaluate(() =>
      open()
        .then((kv) => kv.get(["k0", "k1", "k2", "k3"]))
        .then((map) => [...map.values()]),
    );
    equal(
      values,
      [36, 37, 38, 39].map((round) => String(round).repeat(20_000)),
    );
  });
}

test("indexeddb: a page that is left, or hidden, writes at once what it can", async (t) => {
  for (const type of ["pagehide", "visibilitychange"]) {
    const page = await profile(t, "indexeddb");
    await page.evaluate(async (type) => {
      const { setTimeout } = globalThis;
      globalThis.setTimeout = (run, delay) => (delay === 50 ? 0 : setTimeout(run, delay)); // so nothing else writes
      await open();
      await kv.put("a", "1");
      Object.defineProperty(document, "visibilityState", { value: "hidden" });
      (type === "pagehide" ? globalThis : document).dispatchEvent(new Event(type));
    }, type);
    let there = [];
    for (let turn = 0; turn < 100 && there.length === 0; turn++) {
      await sleep(50);
      there = await page.evaluate(segments.indexeddb);
    }
    equal(there, ["1.log"], type);
  }
});

test("indexeddb: a page that is left while it writes writes what has changed since as well", async (t) => {
  for (const size of [10, 400_000]) {
    const page = await profile(t, "indexeddb"); // the first flush is a log, or a snapshot
    await page.evaluate(async (size) => {
      await open();
      const { transaction } = IDBDatabase.prototype;
      // The page gets no events of its requests.
      IDBDatabase.prototype.transaction = function (...given) {
        return Object.defineProperty(transaction.apply(this, given), "oncomplete", { set() {} });
      };
      kv.sync.put("first", "1".repeat(size));
      store.flush();
      kv.sync.put("last", "1");
      globalThis.dispatchEvent(new Event("pagehide"));
      IDBDatabase.prototype.transaction = transaction;
    }, size);
    let text = "";
    for (let turn = 0; turn < 1000 && !text.includes("last"); turn++) {
      await sleep(50);
      text = await page.evaluate(async () => {
        const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
        const database = await done(indexedDB.open("luat_kv:luat_kv"));
        const segments = await done(database.transaction("segments").objectStore("segments").getAll());
        database.close();
        return segments.map(({ bytes }) => new TextDecoder().decode(bytes)).join();
      });
    }
    equal((await page.evaluate(segments.indexeddb)).length, 1);
    await reload(page);
    equal(await page.evaluate(() => open().then((kv) => kv.count())), 2);
  }
});

test("indexeddb: a page that is hidden while it writes goes on as if it had not been", async (t) => {
  const page = await profile(t, "indexeddb");
  await page.evaluate(async () => {
    await open();
    for (let round = 0; round < 60; round++) {
      kv.sync.put(`a${round % 7}`, `${round}`.repeat(3000));
      const flushed = store.flush();
      kv.sync.put(`b${round % 5}`, `${round}`);
      globalThis.dispatchEvent(new Event("pagehide"));
      kv.sync.put(`c${round % 3}`, `${round}`);
      if (round % 2) globalThis.dispatchEvent(new Event("pagehide"));
      if (round % 3) await flushed;
      if (round % 4 === 3) kv.sync.delete(`c${(round + 1) % 3}`);
      if (round % 5 === 4) await store.flush();
    }
    await store.flush();
    globalThis.sessionStorage.setItem("all", await kv.export());
  });
  await reload(page);
  equal(...(await page.evaluate(async () => [await (await open()).export(), sessionStorage.getItem("all")])));
  equal(await page.evaluate(() => told), []);
});

test("a store that goes to Lua's instance is kept on, with what both write", async (t) => {
  const page = await profile(t, "indexeddb");
  await page.evaluate(async () => {
    const { Lua } = await import("/src/index.js");
    await open();
    await kv.put("flushed", "1");
    await store.flush();
    await kv.put("pending", "1");
    const lua = await Lua.create({ kv: store });
    await kv.put("javascript", "1");
    await lua.run('KV.namespace("test"):put("lua", "1")');
    await store.flush();
    await lua.run('KV.namespace("test"):delete("flushed")');
    await store.close();
  });
  await reload(page);
  const { keys } = await page.evaluate(() => open().then((kv) => kv.list()));
  equal(
    keys.map(({ name }) => name),
    ["javascript", "lua", "pending"],
  );
});

test("a worker keeps a store as well, in opfs also where it can only write in place", async (t) => {
  const page = await profile(t, "opfs");
  for (const [persist, before] of [
    ["indexeddb", ""],
    ["opfs", ""],
    ["opfs", "delete FileSystemFileHandle.prototype.createWritable;"],
  ]) {
    const run = (code) =>
      page.evaluate(
        (code) =>
          new Promise((resolve) => {
            const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), {
              type: "module",
            });
            worker.onmessage = ({ data }) => {
              worker.terminate();
              resolve(data);
            };
          }),
        `import { Store } from "${server.url}/src/index.js"; ${before}
         const store = await Store.open({ persist: "${persist}", name: "worker" });
         const kv = store.namespace("a");
         ${code}`,
      );
    const write = `
      for (let round = 0; round < 9; round++) {
        await kv.put("a" + round % 4, "x".repeat(100_000));
        await store.flush();
      }
      await kv.put("a1", "1");
      await store.close();
      postMessage(1);`;
    await run(write);
    equal(await run('postMessage([await kv.get("a1"), await kv.count(), store.damage]);'), ["1", 4, null], before);
  }
});

test("where there is nothing to keep a store in, that is said", async () => {
  await fails(() => Store.open({ persist: "indexeddb" }), "INVALID", "there is no IndexedDB here");
  await fails(() => Store.open({ persist: "opfs" }), "INVALID", "there is no origin private file system here");
  const store = await Store.open();
  await store.flush();
  await store.close();
});
