// Damaged persisted stores, opened in their state before the damage.

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { launchIn, temporaryFolder } from "./browser.js";
import { damage, pageOf, profile, segments } from "./profile.js";
import { equal, ok } from "./support.js";

/** Writes k0 to k3 with a flush each. One of them is so large that its flush is a snapshot. */
const fill = async (large) => {
  await open();
  for (let index = 0; index < 4; index++) {
    await kv.put(`k${index}`, index === large ? "x".repeat(300_000) : "x");
    await store.flush();
  }
  await store.close();
};
const keys = () => kv.list().then(({ keys }) => keys.map(({ name }) => name));
const recover = async () => {
  told.length = 0;
  await open({ recover: true });
  return [store.damage?.code, store.damage?.message, told];
};

for (const persist of ["indexeddb", "opfs"]) {
  /** Opens a damaged store. That must be reported, change nothing, and later writes must continue from there. */
  const recovers = async (page, { found, leftOut, message }) => {
    const before = await page.evaluate(segments[persist]);
    const refused = await page.evaluate(() => failing(open));
    for (let round = 0; round < 2; round++) {
      const [code, text, toOnError] = await page.evaluate(recover);
      equal([code, toOnError], ["CORRUPT", ["CORRUPT"]]);
      const told = `; the store was opened in its state before that, and later writes are left out (${leftOut} segments)`;
      ok(text.endsWith(told), text);
      if (message !== undefined) ok(message.test(text), text);
      equal(await page.evaluate(keys), found);
      await page.evaluate(async () => {
        // Running scripts on it is not a change yet.
        const { Lua } = await import("/src/index.js");
        const lua = await Lua.create({ kv: store });
        await lua.run('return KV.namespace("test"):get("k0")');
        await store.flush();
        lua.close();
        await store.close();
      });
      equal(await page.evaluate(segments[persist]), before, "nothing was changed");
      equal(await page.evaluate(() => failing(open)), refused);
    }
    await page.evaluate(recover);
    await page.evaluate(() => kv.put("new", "1").then(() => store.flush()));
    const after = await page.evaluate(segments[persist]);
    ok(after.length === 1 && after[0].endsWith("snapshot") && parseInt(after[0]) > parseInt(before.at(-1)), `${after}`);
    await page.evaluate(() => kv.put("newer", "1").then(() => store.close()));
    equal(await page.evaluate(() => open().then(() => [store.damage, told])), [null, ["CORRUPT"]]);
    equal(await page.evaluate(keys), [...found, "new", "newer"]);
    return refused;
  };

  test(`${persist}: a damaged store opens as it was before the damage, where that is wanted`, async (t) => {
    for (const [place, how, found, leftOut] of [
      [1, "flip", ["k0"], "3 of 4"],
      [1, "cut", ["k0"], "3 of 4"],
      [-2, "flip", ["k0", "k1"], "2 of 4"],
      [2, "remove", ["k0", "k1"], "1 of 3"],
      [0, "flip", [], "4 of 4"],
      [0, "remove", [], "3 of 3"],
    ]) {
      const page = await profile(t, persist);
      await page.evaluate(fill);
      await page.evaluate(damage[persist], [place, how]);
      const refused = await recovers(page, { found, leftOut });
      const nothing = "an empty store, since there is no earlier state";
      const rest = found.length > 0 ? "the store in its state before that" : nothing;
      ok(refused.startsWith("CORRUPT: segment "), refused);
      ok(refused.endsWith(`; Store.open() with recover: true opens ${rest}`), refused);
      await page.context().close();
    }
  });

  test(`${persist}: a damaged end is left out, and stays until the store is written to`, async (t) => {
    for (const how of ["cut", "flip"]) {
      const page = await profile(t, persist);
      await page.evaluate(fill);
      await page.evaluate(damage[persist], [-1, how]);
      const before = await page.evaluate(segments[persist]);
      equal(await page.evaluate(recover).then(([code]) => code), "CORRUPT");
      equal(await page.evaluate(keys), ["k0", "k1", "k2"]);
      await page.evaluate(() => store.close());
      equal(await page.evaluate(segments[persist]), before);
      await page.context().close();
    }
  });

  test(`${persist}: of a damaged snapshot nothing is taken, nor of what follows it`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(fill, 1);
    equal(await page.evaluate(segments[persist]), ["2.snapshot", "3.log", "4.log"]);
    await page.evaluate(damage[persist], [0, "flip"]);
    await recovers(page, { found: [], leftOut: "3 of 3" });
  });

  test(`${persist}: what is whole opens with recover as without`, async (t) => {
    const page = await profile(t, persist);
    equal(await page.evaluate(recover), [undefined, undefined, []]); // no store exists yet
    await page.evaluate(() => store.close());
    await page.evaluate(fill);
    equal(await page.evaluate(recover), [undefined, undefined, []]);
    await page.evaluate(() => kv.put("more", "1").then(() => store.close()));
    equal(await page.evaluate(segments[persist]), ["1.log", "2.log", "3.log", "4.log", "5.log"]);
  });

  test(`${persist}: of a flush that is damaged in part, no part is taken`, async (t) => {
    const page = await profile(t, persist);
    await page.evaluate(async () => {
      await open();
      await kv.put("a", "before");
      await store.flush();
      await kv.put("large", "x".repeat(8_000_000)); // so that the next segment is a log
      await store.flush();
      const batch = kv.atomic();
      for (let index = 0; index < 3; index++) batch.put(`batch${index}`, "y".repeat(2_000_000));
      batch.put("a", "after").commit();
      await store.close();
    });
    ok((await page.evaluate(segments[persist])).at(-1).endsWith("log"));
    // In its last record. The test needs a segment of several records.
    await page.evaluate(damage[persist], [-1, "flip end"]);
    equal(await page.evaluate(recover).then(([code]) => code), "CORRUPT");
    equal(await page.evaluate(keys), ["a", "large"]);
    equal(await page.evaluate(() => kv.get("a")), "before");
  });
}

test("opfs: a snapshot that is damaged while what it replaces is still there costs what follows it", async (t) => {
  const page = await profile(t, "opfs");
  await page.evaluate(fill);
  await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory())
      .getDirectoryHandle("luat_kv")
      .then((folder) => folder.getDirectoryHandle("luat_kv"));
    const bytes = await (await (await folder.getFileHandle("000000000003.log")).getFile()).arrayBuffer();
    await folder.removeEntry("000000000004.log");
    for (const name of ["000000000004.snapshot", "000000000005.log"]) {
      const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await stream.write(name.endsWith("log") ? bytes : "damaged");
      await stream.close();
    }
  });
  ok((await page.evaluate(() => failing(open))).startsWith("CORRUPT: segment 4"));
  equal(
    await page.evaluate(recover).then(([, message]) => message),
    "segment 4 of the persisted store cannot be read: it is torn or damaged; " +
      "the store was opened in its state before that, and later writes are left out (2 of 5 segments)",
  );
  equal(await page.evaluate(keys), ["k0", "k1", "k2"]);
});

test("indexeddb: a segment whose file the browser has lost is damage, and no more than that", async (t) => {
  const folder = await temporaryFolder(t);
  let context = await launchIn(folder);
  let page = await pageOf(context, "indexeddb");
  await page.evaluate(async () => {
    await open();
    await kv.put("a", "1");
    await store.flush();
    await kv.put("large", crypto.getRandomValues(new Uint8Array(65_536)));
    for (let index = 0; index < 2; index++) await kv.put(`l${index}`, crypto.getRandomValues(new Uint8Array(60_000)));
    await store.flush();
    await kv.put("b", "1");
    await store.close();
  });
  await context.close();
  // Chromium stores large values in files beside its database.
  let removed = 0;
  for (const path of await readdir(folder, { recursive: true })) {
    if (!/IndexedDB\/.*\.blob\//.test(path) || !(await stat(join(folder, path))).isFile()) continue;
    await rm(join(folder, path));
    removed++;
  }
  equal(removed, 1);
  context = await launchIn(folder);
  t.after(() => context.close());
  page = await pageOf(context, "indexeddb");
  const refused = await page.evaluate(() => failing(open));
  ok(refused.startsWith("CORRUPT: segment 2 of the persisted store cannot be read: the browser cannot read it back"), refused);
  ok(/ \(Data lost .*\); Store\.open\(\) with recover: true/.test(refused), refused);
  equal(await page.evaluate(recover).then(([code]) => code), "CORRUPT");
  equal(await page.evaluate(keys), ["a"]);
  await page.evaluate(() => kv.put("c", "1").then(() => store.close()));
  equal(await page.evaluate(() => open().then(() => store.damage)), null);
  equal(await page.evaluate(keys), ["a", "c"]);
  equal(page.errors, []);
});
