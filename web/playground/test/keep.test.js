// The store over time: persisted, in two tabs, out of memory, and after its instance has ended.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Visit, start } from "./support.js";

let host;
before(async () => (host = await start()));
after(() => host?.stop());

const names = async (visit) => (await visit.rows()).map(({ key }) => key);

async function reload(visit) {
  await visit.page.reload();
  await visit.ready();
}

/** The store is written in the background, a moment after the last write. */
const written = (visit) => visit.page.waitForTimeout(700);

const kept = (visit) => visit.page.locator("#keep").isChecked();
const notices = (visit) => visit.page.locator(".notice p").allInnerTexts();

test("without being told so, nothing is kept", async () => {
  const visit = await Visit.begin(host);
  await visit.run();
  assert.equal((await names(visit)).length, 2);
  await reload(visit);
  assert.deepEqual(await names(visit), []);
  await visit.end();
});

test("keeps the store across reloads, what was in it before included, until told otherwise", async () => {
  const visit = await Visit.begin(host, { hash: "#metadata" });
  await visit.run();
  await visit.page.check("#keep");
  await visit.page.locator("#keep:enabled").waitFor();
  await visit.pick("expiry");
  await visit.run();
  await visit.page.getByRole("button", { name: "Delete token:xyz of tokens" }).click();
  await written(visit);
  await reload(visit);
  assert.equal(await kept(visit), true);
  const rows = await visit.rows();
  assert.ok(
    rows.some(({ key, metadata }) => key === "post:123" && metadata === '{"author":"bob"}'),
    JSON.stringify(rows),
  );
  assert.ok(
    rows.some(({ key, expiry }) => key === "session:abc" && /^in (5\d s|1 min)$/.test(expiry)),
    JSON.stringify(rows),
  );
  assert.ok(!rows.some(({ key }) => key === "token:xyz"));
  assert.deepEqual(await notices(visit), []);
  // A script also finds it.
  await visit.pick("empty");
  await visit.write("print(KV.namespace('posts'):get('post:123'))");
  assert.equal((await visit.run()).trim(), "Hello again");

  await visit.page.uncheck("#keep");
  await visit.page.locator("#keep:enabled").waitFor();
  assert.ok((await names(visit)).includes("post:123"));
  await reload(visit);
  assert.equal(await kept(visit), false);
  assert.deepEqual(await names(visit), []);
  await visit.page.check("#keep");
  await visit.page.locator("#keep:enabled").waitFor();
  assert.deepEqual(await names(visit), []); // no store is left
  await visit.end();
});

test("a second tab says that the store is open elsewhere, and goes on in memory", async () => {
  const first = await Visit.begin(host, { hash: "#session" });
  await first.page.check("#keep");
  await first.page.locator("#keep:enabled").waitFor();
  await first.pick("metadata");
  await first.run();
  const second = await Visit.begin(host, { context: first.context });
  assert.equal((await notices(second)).length, 1);
  assert.match((await notices(second))[0], /^Another tab has the kept store open\. This tab works in memory/);
  assert.equal(await kept(second), false);
  assert.deepEqual(await names(second), []);
  await second.run();
  assert.deepEqual(await names(second), ["key", "key"]);
  await second.page.click("#keep"); // that fails, and loses nothing
  await second.page.locator("#keep:enabled").waitFor();
  assert.equal(await kept(second), false);
  assert.deepEqual(await names(second), ["key", "key"]);
  await written(first);
  await first.page.close();
  await second.page.getByRole("button", { name: "Try again" }).click();
  await second.row("post:123").waitFor();
  assert.equal(await kept(second), true);
  assert.deepEqual(await names(second), ["key", "post:123", "key"]);
  assert.deepEqual(await notices(second), []);
  await second.end();
  await first.end();
});

test("what was kept and is damaged is told, and can be thrown away", async () => {
  const visit = await Visit.begin(host);
  await visit.page.check("#keep");
  await visit.page.locator("#keep:enabled").waitFor();
  await visit.run();
  await written(visit);
  await visit.page.evaluate(async () => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open("luat_kv:playground"));
    const segments = database.transaction("segments", "readwrite").objectStore("segments");
    for (const segment of await done(segments.getAll())) {
      segment.bytes[segment.bytes.length - 1] ^= 1;
      await done(segments.put(segment));
    }
    database.close();
  });
  await reload(visit);
  assert.match((await notices(visit))[0], /^What was kept cannot be opened: .*This tab works in memory meanwhile\.$/);
  assert.equal(await kept(visit), false);
  await visit.page.getByRole("button", { name: "Try again" }).click();
  await visit.page.locator("#keep:enabled").waitFor();
  assert.equal((await notices(visit)).length, 1);
  await visit.run();
  await visit.page.getByRole("button", { name: "Delete what was kept" }).click();
  await visit.page.locator("#keep:enabled").waitFor();
  assert.equal(await kept(visit), true);
  assert.deepEqual(await notices(visit), []);
  await reload(visit);
  assert.deepEqual(await names(visit), ["key", "key"]);
  await visit.end();
});

test("what was kept and is damaged opens as it was before the damage", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.page.check("#keep");
  await visit.page.locator("#keep:enabled").waitFor();
  for (const key of ["first", "second", "third"]) {
    await visit.write(`KV.namespace("kept"):put("${key}", "1")`);
    await visit.run();
    await written(visit);
  }
  await visit.page.evaluate(async () => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open("luat_kv:playground"));
    const segments = database.transaction("segments", "readwrite").objectStore("segments");
    const last = (await done(segments.getAll())).at(-1);
    last.bytes[last.bytes.length - 1] ^= 1;
    await done(segments.put(last));
    database.close();
  });
  await reload(visit);
  assert.match((await notices(visit))[0], /^What was kept cannot be opened: it is damaged\./);
  await visit.page.getByRole("button", { name: "Open what is good" }).click();
  await visit.row("second").waitFor();
  assert.equal(await kept(visit), true);
  assert.deepEqual(await names(visit), ["first", "second"]);
  assert.match((await notices(visit))[0], /^A part of what was kept is damaged, .* \(1 of \d segments\)\.$/);
  await visit.write('KV.namespace("kept"):put("fourth", "1")');
  await visit.run();
  await written(visit);
  await reload(visit);
  assert.deepEqual(await names(visit), ["first", "fourth", "second"]);
  assert.deepEqual(await notices(visit), []);
  await visit.end();
});

test("a store that has died is told, and the page starts afresh", async () => {
  const visit = await Visit.begin(host);
  await visit.run();
  // The page's clock, which the module calls, throws: the exception unwinds through the module like a trap.
  await visit.page.evaluate(() => {
    const now = Date.now;
    Date.now = () => {
      Date.now = now;
      throw new WebAssembly.RuntimeError("unreachable");
    };
  });
  await visit.page.fill("#prefix", "a"); // reads the store
  await visit.page.locator(".notice").waitFor();
  await visit.page.fill("#prefix", "");
  assert.match(
    (await notices(visit))[0],
    /^The store’s WebAssembly has ended, and what was in memory with it: unreachable\.$/,
  );
  assert.deepEqual(await names(visit), []);
  assert.match(await visit.run(), /WebAssembly instance has ended/);
  assert.equal((await notices(visit)).length, 1);
  await visit.page.getByRole("button", { name: "Start afresh" }).click();
  await visit.ready();
  assert.deepEqual(await notices(visit), []);
  assert.match(await visit.run(), /^Alice\n/);
  assert.equal((await names(visit)).length, 2);
  await visit.end();
});

test("a script that uses up the memory is told so, and the page goes on", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("local all = {}\nwhile true do\n  all[#all + 1] = ('x'):rep(9000000) .. #all\nend");
  assert.match(await visit.run(), /not enough memory/);
  assert.match((await notices(visit))[0], /^The memory that this page allows is used up/);
  await visit.pick("basics");
  assert.match(await visit.run(), /^Alice\n/);
  await visit.page.getByRole("button", { name: "Start afresh" }).click();
  assert.match(await visit.page.locator("#dialog").innerText(), /2 keys will be gone\./);
  await visit.page.locator("#dialog-ok").click();
  await visit.page.waitForFunction(() => document.querySelectorAll("tr.row").length === 0);
  await visit.ready();
  assert.match(await visit.run(), /^Alice\n/);
  await visit.end();
});

test("values that use up the memory are told so, and those that are there can be deleted", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write(
    "local kv, value = KV.namespace('big'), ('x'):rep(9000000)\nfor n = 1, 1000 do kv:put('k' .. n, value) end",
  );
  assert.match(await visit.run(), /NOMEM|not enough memory/);
  assert.match((await notices(visit))[0], /^The memory that this page allows is used up/);
  await visit.page.click("#clear");
  await visit.page.locator("#dialog-ok").click();
  assert.deepEqual(await names(visit), []);
  await visit.pick("basics");
  assert.match(await visit.run(), /^Alice\n/);
  await visit.end();
});
