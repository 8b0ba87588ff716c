// Persisted stores when something fails: damage, exhausted quota, the end of the browser.

import { readlink } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { launchIn, temporaryFolder } from "./browser.js";
import { damage, pageOf, profile, reload, server } from "./profile.js";
import { equal, ok, sleep } from "./support.js";

for (const persist of ["indexeddb", "opfs"]) {
  test(`${persist}: damage is told, and never taken for data`, async (t) => {
    const fill = async () => {
      await open();
      for (let index = 0; index < 4; index++) {
        await kv.put(`k${index}`, String(index));
        await store.flush();
      }
      await store.close();
      return (await (await open()).list()).keys.length;
    };
    for (const [place, how] of [
      [1, "flip"],
      [0, "cut"],
      [1, "remove"],
      [0, "remove"],
      [-2, "flip"],
    ]) {
      const page = await profile(t, persist);
      equal(await page.evaluate(fill), 4);
      await page.evaluate(() => store.close());
      await page.evaluate(damage[persist], [place, how]);
      const answer = await page.evaluate(() => failing(open));
      ok(/^CORRUPT: segment \d of the persisted store .*recover: true/.test(answer), `${place} ${how}: ${answer}`);
      // It fails again, and nothing is removed.
      equal(await page.evaluate(() => failing(open)), answer);
      await page.context().close();
    }
    for (const how of ["cut", "flip", ...(persist === "opfs" ? ["empty"] : [])]) {
      const page = await profile(t, persist);
      await page.evaluate(fill);
      await page.evaluate(() => store.close());
      await page.evaluate(damage[persist], [-1, how]);
      if (persist === "indexeddb") {
        // A transaction writes a segment completely.
        ok((await page.evaluate(() => failing(open))).startsWith("CORRUPT: segment 4"));
        continue;
      }
      equal(
        await page.evaluate(() =>
          open()
            .then((kv) => kv.list())
            .then(({ keys }) => keys.length),
        ),
        3,
        how,
      );
      equal(await page.evaluate(() => told), how === "empty" ? [] : ["CORRUPT"]);
      await page.evaluate(() =>
        kv
          .put("new", "1")
          .then(() => store.close())
          .then(open),
      );
      equal(await page.evaluate(() => kv.count()), 4);
      await page.context().close();
    }
  });

  test(`${persist}: no room is IO, is told, and is tried again`, async (t) => {
    const page = await profile(t, persist);
    const session = await page.context().newCDPSession(page);
    const quota = (quotaSize) =>
      session.send("Storage.overrideQuotaForOrigin", { origin: server.url, ...(quotaSize ? { quotaSize } : {}) });
    await quota(100_000); // first, since Chromium caches the available space
    await page.evaluate(() =>
      open()
        .then((kv) => kv.put("a", "1"))
        .then(() => store.flush()),
    );
    const answer = await page.evaluate(async () => {
      await kv.put("large", crypto.getRandomValues(new Uint8Array(60_000)));
      for (let index = 0; index < 50; index++) kv.sync.put(`l${index}`, crypto.getRandomValues(new Uint8Array(60_000)));
      return failing(() => store.flush());
    });
    // Chromium may also detect first that the receiver of a file's bytes has ended.
    const noRoom = /^IO: writing the store: (there is no space left in this origin's storage \(|.*data pipe)/;
    ok(noRoom.test(answer), answer);
    equal(await page.evaluate(() => [told[0], kv.sync.get("a")]), ["IO", "1"]);
    await quota();
    await page.evaluate(async () => {
      await kv.put("b", "1");
      await store.flush();
    });
    await reload(page);
    equal(await page.evaluate(() => open().then((kv) => kv.count())), 53);
  });

  test(`${persist}: a browser that is killed while it writes loses nothing that was flushed`, async (t) => {
    const folder = await temporaryFolder(t);
    for (let round = 1; round <= 3; round++) {
      const context = await launchIn(folder);
      const page = await pageOf(context, persist);
      let flushed = -1;
      await context.exposeFunction("flushed", (count) => (flushed = count));
      const found = await page.evaluate(async () => {
        await open();
        const last = Number((await kv.get("count")) ?? -1);
        const { keys } = await kv.list({ prefix: "k", limit: 10_000, values: true });
        return [last, keys.every(({ name, value }) => value.startsWith(name)), keys.length];
      });
      if (round > 1) {
        ok(found[0] >= t.flushed, `${t.flushed} was flushed, and ${found[0]} was found`);
        ok(found[1] && found[2] === Math.min(found[0] + 1, 300), `${found}`);
      }
      if (round === 3) {
        await context.close();
        break;
      }
      await page.evaluate((start) => {
        globalThis.writing = (async () => {
          for (let count = start; ; count++) {
            const name = `k${count % 300}`;
            kv.atomic().put(name, `${name} ${count} `.padEnd(4000, "x")).put("count", String(count)).commit();
            if (count % 7 !== 0) continue;
            await store.flush();
            flushed(count);
          }
        })();
      }, found[0] + 1);
      while (flushed < 300 * round) await sleep(20);
      await sleep(Math.random() * 100);
      const pid = Number((await readlink(join(folder, "SingletonLock"))).split("-").at(-1));
      const gone = new Promise((resolve) => context.once("close", resolve));
      process.kill(pid, "SIGKILL");
      await gone;
      t.flushed = flushed;
      await sleep(300); // until its other processes notice
    }
  });
}

for (const persist of ["indexeddb", "opfs"]) {
  test(`${persist}: a store that has come to its maxMemory is kept, and opens again with as much`, async (t) => {
    const page = await profile(t, persist);
    const options = { maxMemory: 8 * 1024 * 1024 };
    for (const [length, value] of [
      [10, ""],
      [2000, "v".repeat(100)],
      [10, "v".repeat(30_000)],
    ]) {
      const before = await page.evaluate(
        async ([options, length, value]) => {
          await open({ ...options, name: `${length}${value}`.slice(0, 20) });
          let count = 0;
          try {
            for (; ; count++) kv.sync.put(`${count}`.padEnd(length, "x"), value);
          } catch (error) {
            if (error.code !== "NOMEM") throw error;
          }
          await store.flush();
          for (let index = 0; index < count; index += 3) kv.sync.delete(`${index}`.padEnd(length, "x"));
          const left = kv.sync.count();
          await store.close();
          return left;
        },
        [options, length, value],
      );
      ok(before > 50);
      await reload(page);
      const now = await page.evaluate(
        ([options, name]) => open({ ...options, name }).then((kv) => kv.count()),
        [options, `${length}${value}`.slice(0, 20)],
      );
      equal(now, before);
    }
  });
}

test("indexeddb: changes that could not be copied, for want of memory, are written all the same", async (t) => {
  const page = await profile(t, "indexeddb");
  const answer = await page.evaluate(async () => {
    await open();
    await kv.put("a", "1");
    await store.flush();
    await kv.put("b", "1");
    const { slice } = ArrayBuffer.prototype;
    ArrayBuffer.prototype.slice = () => {
      throw new RangeError("Array buffer allocation failed");
    };
    const answer = await failing(() => store.flush());
    ArrayBuffer.prototype.slice = slice;
    await store.flush();
    return answer;
  });
  ok(answer.startsWith("NOMEM: "), answer);
  await reload(page);
  equal(await page.evaluate(() => open().then((kv) => kv.count())), 2);
});

test("indexeddb: a database that is deleted under a store is written anew", async (t) => {
  const page = await profile(t, "indexeddb");
  await page.evaluate(async () => {
    await open();
    await kv.put("a", "1");
    await store.flush();
    await new Promise((resolve) => (indexedDB.deleteDatabase("luat_kv:luat_kv").onsuccess = resolve));
    await kv.put("b", "1");
    await store.flush();
  });
  await reload(page);
  equal(await page.evaluate(() => open().then((kv) => kv.count())), 2);
});

test("opfs: what a snapshot that was whole has not come to remove is left alone", async (t) => {
  const page = await profile(t, "opfs");
  await page.evaluate(async () => {
    await open();
    for (let round = 0; round < 3; round++) {
      await kv.put(`k${round}`, "x".repeat(200_000));
      await store.flush();
    }
    await store.close();
    // As if the browser had ended before it removed the first log, and while it wrote the next.
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle("luat_kv")).getDirectoryHandle("luat_kv");
    await folder.getFileHandle("000000000001.log", { create: true });
    const names = [];
    for await (const name of folder.keys()) names.push(name);
    if (!names.some((name) => name.endsWith("snapshot"))) throw new Error(`there is no snapshot among ${names}`);
    const next = Math.max(...names.map((name) => parseInt(name, 10))) + 1;
    await folder.getFileHandle(`${String(next).padStart(12, "0")}.log`, { create: true });
  });
  const count = await page.evaluate(async () => {
    await open();
    await kv.put("more", "1");
    await store.close();
    return (await open()).count();
  });
  equal([count, await page.evaluate(() => told)], [4, []]);
});

test("opfs: a folder that is deleted under a store is written anew", async (t) => {
  const page = await profile(t, "opfs");
  const removed = async () => (await navigator.storage.getDirectory()).removeEntry("luat_kv", { recursive: true });
  await page.evaluate(() =>
    open()
      .then((kv) => kv.put("a", "1"))
      .then(() => store.flush()),
  );
  await page.evaluate(removed);
  await page.evaluate(() => kv.put("b", "1").then(() => store.flush()));
  await page.evaluate(() => kv.put("c", "1").then(() => store.flush()));
  await page.evaluate(removed);
  await page.evaluate(() => kv.put("d", "1").then(() => store.close()));
  equal(await page.evaluate(() => open().then((kv) => kv.count())), 4);
  equal(await page.evaluate(() => told), []);
});

test("opfs: what was deleted after its end does not come back with a clock that is set back", async (t) => {
  const page = await profile(t, "opfs");
  await page.evaluate(async () => {
    await open();
    const { now } = Date;
    await kv.put("gone", "1", { expirationTtl: 100 });
    await store.flush();
    Date.now = () => now() + 200_000;
    await kv.put("here", "1"); // which also removes expired keys
    await kv.delete("gone");
    await store.close();
    Date.now = now;
  });
  const { keys } = await page.evaluate(() => open().then((kv) => kv.list()));
  equal(
    keys.map(({ name }) => name),
    ["here"],
  );
});
