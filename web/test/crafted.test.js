// Records that are complete, but which this package does not write.

import test from "node:test";
import { coreOf } from "../src/store.js";
import { profile, reload } from "./profile.js";
import { Store, equal, fails, ok, open } from "./support.js";

const HEAD = 12;

/** A record of three keys, the second of which has metadata that is not JSON. Its checksum is correct. */
async function crafted(t) {
  const kv = await open(t);
  await kv.put("a", "1", { metadata: { a: 1 } });
  await kv.put("b", "2", { metadata: ["here"] });
  await kv.put("c", "3");
  const core = coreOf(kv.store);
  core.changes(false);
  const record = core.changes(true);
  const at = new TextDecoder("latin1").decode(record).indexOf('["here"]');
  ok(at > 0);
  record[at] = "{".charCodeAt(0);
  const sum = record.subarray(HEAD).reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5) >>> 0;
  new DataView(record.buffer, record.byteOffset).setUint32(HEAD - 4, sum, true);
  return record;
}

const bad = 'the metadata of "b" is not JSON';

test("metadata that is not JSON is an error where it is looked at, and nowhere else", async (t) => {
  const store = await Store.open();
  t.after(() => store.close());
  coreOf(store).load(await crafted(t));
  const kv = store.namespace("test");
  const { keys } = await kv.list({ values: true });
  equal(
    keys.map(({ name, value }) => name + value),
    ["a1", "b2", "c3"],
  );
  equal([keys[0].metadata, keys[2].metadata], [{ a: 1 }, undefined]);
  await fails(() => keys[1].metadata, "CORRUPT", bad);
  const many = await kv.getWithMetadata(["a", "b", "c"]);
  equal([many.get("a").metadata, many.get("b").value, many.get("c").metadata], [{ a: 1 }, "2", null]);
  await fails(() => many.get("b").metadata, "CORRUPT", bad);
  await fails(() => kv.getWithMetadata("b"), "CORRUPT", bad);
  const names = [];
  for await (const { name } of kv.each()) names.push(name);
  equal([names, await kv.get("b"), await kv.count()], [["a", "b", "c"], "2", 3]);
  // An export would not be JSON, so it is an error that names the key.
  await fails(() => kv.export(), "CORRUPT", bad);
  await kv.put("b", await kv.get("b"));
  equal(JSON.parse(await kv.export()).length, 3);
});

test("indexeddb: a record with metadata that is not JSON opens, and goes on", async (t) => {
  const record = await crafted(t);
  const page = await profile(t, "indexeddb");
  await page.evaluate(
    (bytes) =>
      new Promise((resolve) => {
        const opening = indexedDB.open("luat_kv:luat_kv", 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore("segments", { keyPath: "number" });
        opening.onsuccess = () => {
          const transaction = opening.result.transaction("segments", "readwrite");
          transaction.objectStore("segments").put({ number: 1, kind: "log", bytes: Uint8Array.from(bytes) });
          transaction.oncomplete = () => resolve(opening.result.close());
        };
      }),
    Array.from(record),
  );
  const look = async () => {
    await open();
    const { keys } = await kv.list();
    return [keys.map(({ name }) => name), await failing(() => keys[1].metadata), await kv.get("b"), told];
  };
  const seen = await page.evaluate(look);
  equal([seen[0], seen[2], seen[3]], [["a", "b", "c"], "2", []]);
  ok(seen[1].startsWith(`CORRUPT: ${bad}`), seen[1]);
  await page.evaluate(async () => {
    await kv.put("b", await kv.get("b"), { metadata: "good" });
    await store.flush();
  });
  await reload(page);
  equal(await page.evaluate(() => open().then((kv) => kv.getWithMetadata("b")).then(({ metadata }) => metadata)), "good");
});

test("each() begins with a small page, and each page is larger than the one before", async (t) => {
  const kv = (await open(t)).sync;
  for (let index = 0; index < 3000; index++) kv.put(`k${String(index).padStart(4, "0")}`, "");
  const prototype = Object.getPrototypeOf(kv);
  const { list } = prototype;
  const read = [];
  t.mock.method(prototype, "list", function (settings) {
    const page = list.call(this, settings);
    read.push(page.keys.length);
    return page;
  });
  equal(kv.each().next().value.name, "k0000");
  ok(read.length === 1 && read[0] <= 10, `${read}`);
  read.length = 0;
  equal([...kv.each()].length, 3000);
  ok(read.length <= 8 && Math.max(...read) === 1000, `${read}`);
});
