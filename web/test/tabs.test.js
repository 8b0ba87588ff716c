// Stores that another tab has open: which opens wait, how long, and how they end.

import test from "node:test";
import { openPage } from "./browser.js";
import { plainHttp, profile, withoutLocks } from "./profile.js";
import { Store, equal, fails, sleep } from "./support.js";

const BUSY = 'BUSY: the store "luat_kv" is already open, here or in another tab or worker: close() it there, or set a longer wait';

/** Another tab of the same profile. */
const another = (page) => openPage(page.context(), page.url());

for (const persist of ["indexeddb", "opfs"]) {
  test(`${persist}: a store that another tab has is waited for as long as is wanted`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
    const second = await another(page);
    for (const wait of [0, 1, 300]) equal(await second.evaluate((wait) => failing(() => open({ wait })), wait), BUSY);
    await page.evaluate(() => store.close());
    // A separate store for each wait, so that all of them wait at the same time.
    const waits = [60_000, Infinity, 1e12];
    await page.evaluate(async (waits) => {
      globalThis.stores = [];
      for (const wait of waits) {
        await open({ name: `waited for ${wait}` }).then((kv) => kv.put("a", String(wait)));
        stores.push(store);
      }
    }, waits);
    await second.evaluate((waits) => {
      const read = async (wait) => {
        const kv = await open({ name: `waited for ${wait}`, wait });
        const value = await kv.get("a");
        await kv.store.close();
        return value;
      };
      globalThis.reading = Promise.all(waits.map(read));
    }, waits);
    await sleep(2500); // more than the default
    await page.evaluate(() => Promise.all(stores.map((store) => store.close())));
    equal(await second.evaluate(() => reading), waits.map(String));
    await page.evaluate(() => open());
    await second.evaluate(async (persist) => {
      const { Store } = await import("/src/index.js");
      globalThis.remove = (wait) => Store.delete({ persist, wait });
    }, persist);
    equal(await second.evaluate(() => failing(() => remove(0))), BUSY);
    await second.evaluate(() => void (globalThis.removing = remove(Infinity)));
    await page.evaluate(() => store.close());
    await second.evaluate(() => removing);
    equal(await page.evaluate(() => open().then((kv) => kv.get("a"))), null);
    equal(second.errors, []);
  });
}

for (const persist of ["indexeddb", "opfs"]) {
  test(`${persist}: a store that was closed, or deleted, is free at once`, async (t) => {
    const page = await profile(t, persist);
    const count = await page.evaluate(async (persist) => {
      for (let round = 0; round < 20; round++) {
        await open({ wait: (round % 2) / 1000 }); // less than the browser needs to answer
        await kv.incr("n");
        await store.close();
        const { Store } = await import("/src/index.js");
        await Store.delete({ persist, name: "other", wait: 0 });
      }
      return (await open({ wait: 0 })).get("n");
    }, persist);
    equal(count, "20");
  });
}

test("what is no wait, and no recover, is refused", async () => {
  for (const run of [(wait) => Store.open({ persist: "indexeddb", wait }), (wait) => Store.delete({ persist: "indexeddb", wait })]) {
    for (const wait of [-1, NaN]) await fails(() => run(wait), "RangeError", `wait must be a number of milliseconds`);
    for (const wait of ["5", null, {}]) await fails(() => run(wait), "TypeError", "wait must be a number");
  }
  await fails(() => Store.open({ persist: "indexeddb", recover: 1 }), "TypeError", "recover must be a boolean, not number");
});

test("indexeddb: where there are no locks, one tab at a time has a store all the same", async (t) => {
  const page = await profile(t, "indexeddb");
  await withoutLocks(page);
  const [second, third] = [await another(page), await another(page)];
  equal(await page.evaluate(() => navigator.locks), undefined);
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  equal(await second.evaluate(() => failing(() => open({ wait: 0 }))), BUSY);
  const remove = async () => (await import("/src/index.js")).Store.delete({ persist: "indexeddb" });
  const removing = second.evaluate((remove) => failing((0, eval)(remove)), remove.toString());
  equal(await Promise.all([third.evaluate(() => failing(open)), removing]), [BUSY, BUSY]);
  await page.evaluate(() => kv.put("b", "2").then(() => store.flush()));
  await second.evaluate(() => void (globalThis.opening = open({ wait: Infinity })));
  await page.evaluate(() => store.close());
  equal(await second.evaluate(() => opening.then((kv) => kv.count())), 2);
  await second.evaluate(() => kv.put("c", "3").then(() => store.close()));
  // Opens that timed out hold no lock, nor does a closed tab.
  equal(await page.evaluate(() => open().then((kv) => kv.count())), 3);
  await page.close();
  equal(await third.evaluate(() => open({ wait: 60_000 }).then((kv) => kv.count())), 3);
  await third.evaluate(() => store.close());
  await second.evaluate(remove);
  equal(await third.evaluate(() => open().then((kv) => kv.count())), 0);
  equal([second.errors, third.errors], [[], []]);
});

test("indexeddb: of several that open a store in the same moment, one has it", async (t) => {
  const inMoment = async (isSetBack) => {
    const page = await profile(t, "indexeddb");
    await withoutLocks(page);
    return page.evaluate(async (isSetBack) => {
      const { Store } = await import("/src/index.js");
      const ahead = Date.now() + 60_000;
      Date.now = () => ahead;
      if (isSetBack) {
        await open().then(() => store.close());
        Date.now = () => 0;
      }
      const opening = [1, 2, 3].map(() => Store.open({ persist: "indexeddb", wait: 0 }));
      const answers = [];
      for (const { value, reason } of await Promise.allSettled(opening)) {
        answers.push(reason?.code ?? "had");
        await value?.close();
      }
      return [answers.sort(), await open({ wait: 60_000 }).then((kv) => kv.count())];
    }, isSetBack);
  };
  // A clock that is ahead, and a clock that was ahead at the last open and has been set back since.
  for (const answer of await Promise.all([false, true].map(inMoment))) equal(answer, [["BUSY", "BUSY", "had"], 0]);
});

test("indexeddb: a store that is opened while it is deleted is empty, and is kept", async (t) => {
  const page = await profile(t, "indexeddb");
  await withoutLocks(page);
  const [answers, kept] = await page.evaluate(async () => {
    const { Store } = await import("/src/index.js");
    const answers = new Set();
    let kept = 0;
    for (let round = 0; round < 20; round++) {
      const given = { persist: "indexeddb", name: `${round}`, wait: 60_000 };
      await open(given).then((kv) => kv.put("old", "1"));
      await store.close();
      const removing = Store.delete(given);
      const opening = open(given);
      await Promise.all([removing, opening]);
      answers.add(await kv.count());
      await kv.put("new", "1");
      await store.flush();
      answers.add(await kv.get("old"));
      await store.close();
      kept += await open(given).then((kv) => kv.count());
      await store.close();
    }
    return [[...answers], kept];
  });
  equal([answers, kept], [[0, null], 20]);
});

test("indexeddb: whoever stands behind one who came too late is BUSY too", async (t) => {
  const page = await profile(t, "indexeddb");
  const second = await another(page);
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  await page.evaluate(() => store.close());
  await page.evaluate(
    () =>
      new Promise((done) => {
        // Like a program that opens the database without a lock.
        const opening = indexedDB.open("luat_kv:luat_kv");
        opening.onsuccess = () => done(void (globalThis.foreign = opening.result));
      }),
  );
  for (let round = 0; round < 2; round++) equal(await second.evaluate(() => failing(() => open({ wait: 0 }))), BUSY);
  await page.evaluate(() => foreign.close());
  equal(await second.evaluate(() => open().then((kv) => kv.get("a"))), "1");
  equal(second.errors, []);
});

test("indexeddb: tabs with locks and tabs without keep out of each other's store", async (t) => {
  const page = await profile(t, "indexeddb");
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  await page.context().addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  const second = await another(page);
  equal(await second.evaluate(() => failing(open)), BUSY);
  await page.evaluate(() => store.close());
  equal(await second.evaluate(() => open().then((kv) => kv.get("a"))), "1");
  equal(await page.evaluate(() => failing(open)), BUSY);
  equal(second.errors, []);
});

test("indexeddb: a page over plain http, which has no locks, keeps its store", async (t) => {
  const page = await profile(t, "indexeddb");
  await plainHttp(page);
  equal(await page.evaluate(() => [isSecureContext, "locks" in navigator]), [false, false]);
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  const second = await another(page);
  equal(await second.evaluate(() => failing(open)), BUSY);
  await page.reload();
  equal(await page.evaluate(() => open({ wait: 60_000 }).then((kv) => kv.get("a"))), "1");
  equal(
    await page.evaluate(() => failing(() => open({ persist: "opfs" }))),
    "INVALID: there is no origin private file system here to keep a store in, as the page was not loaded over https: " +
      'persist: "indexeddb" keeps one here',
  );
});

test("indexeddb: a store that another tab opened after the browser had closed it here is BUSY for good", async (t) => {
  const page = await profile(t, "indexeddb");
  await withoutLocks(page); // which would still be held
  const second = await another(page);
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  await page.evaluate(() => store.flush());
  // As when the user deletes the site's data.
  await page.evaluate(() => new Promise((done) => (indexedDB.deleteDatabase("luat_kv:luat_kv").onsuccess = done)));
  await second.evaluate(() => open().then((kv) => kv.put("second", "1")));
  await second.evaluate(() => store.close());
  const answers = await page.evaluate(async () => {
    await kv.put("b", "1");
    const answers = [await failing(() => store.flush()), await failing(() => store.flush()), [...told]];
    await kv.put("c", "1");
    return [...answers, await kv.count(), await failing(() => store.close())];
  });
  const overtaken =
    'BUSY: the store "luat_kv" was opened by another tab or worker when the browser had closed it here: ' +
    "later writes here are not persisted";
  equal(answers, [overtaken, overtaken, ["BUSY"], 3, overtaken]);
  equal(await page.evaluate(() => open().then((kv) => kv.list().then(({ keys }) => keys.map(({ name }) => name)))), [
    "second",
  ]);
  equal(second.errors, []);
});
