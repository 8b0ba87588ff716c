// The table of keys: its contents, its updates, searching and deleting.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Visit, start } from "./support.js";

let host;
before(async () => (host = await start()));
after(() => host?.stop());

async function withScript(code) {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write(code);
  await visit.run();
  return visit;
}

const names = async (visit) => (await visit.rows()).map(({ key }) => key);

test("shows keys with value, metadata and expiry", async () => {
  const visit = await withScript(`
    local kv = KV.namespace("things")
    kv:put("a", "text", { metadata = { by = "alice" }, expirationTtl = 3600 })
    kv:put("b", { list = { 1, 2 } })
    kv:put("c", "\\0\\1\\255")
    kv:put("d", "")
    kv:put("e<i>", "<b>bold</b>", { expirationTtl = 864000, metadata = false })`);
  // (Some seconds may have passed.)
  const rounded = (expiry) => expiry.replace(/59 min.*/, "1 h").replace(/9 d.*/, "10 d");
  assert.deepEqual(
    (await visit.rows()).map((row) => ({ ...row, expiry: rounded(row.expiry) })),
    [
      { key: "a", value: "text", metadata: '{"by":"alice"}', expiry: "in 1 h" },
      { key: "b", value: '{"list":[1,2]}', metadata: "–", expiry: "–" },
      { key: "c", value: "bytes00 01 ff", metadata: "–", expiry: "–" },
      { key: "d", value: "empty", metadata: "–", expiry: "–" },
      { key: "e<i>", value: "<b>bold</b>", metadata: "false", expiry: "in 10 d" },
    ],
  );
  const detail = visit.page.locator(".detail");
  await visit.row("b").locator(".open").click();
  assert.match(await detail.innerText(), /Value \(JSON, 14 bytes\)\n\{\n {2}"list": \[\n {4}1,\n {4}2\n {2}\]\n\}/);
  await visit.row("b").locator(".open").click();
  assert.equal(await detail.count(), 0);
  await visit.row("c").locator(".open").click();
  assert.match(await detail.innerText(), /Value \(bytes, 3 bytes\)\n0000 {2}00 01 ff +\.\.\./);
  await visit.end();
});

test("an expiry ticks down, and the row leaves when it ends", async () => {
  const visit = await withScript(`
    KV.namespace("short"):put("soon", "x", { expirationTtl = 5 })
    KV.namespace("long"):put("later", "y", { expirationTtl = 59 })`);
  const expiry = visit.row("soon").locator(".expiry");
  const seen = new Set();
  const began = Date.now();
  while ((await visit.row("soon").count()) > 0 && Date.now() - began < 10_000) {
    seen.add(await expiry.innerText({ timeout: 500 }).catch(() => "gone"));
    await visit.page.waitForTimeout(100);
  }
  const times = [...seen].filter((text) => text !== "gone").map((text) => Number(/^in (\d)\ss$/.exec(text)[1]));
  assert.ok(times.length >= 3 && times.every((time, at) => at === 0 || time < times[at - 1]), `${[...seen]}`);
  const took = Date.now() - began;
  assert.ok(took > 3000 && took < 7500, `${took} ms`);
  assert.deepEqual(await names(visit), ["later"]);
  assert.match((await visit.rows())[0].expiry, /^in 5\d s$/);
  assert.equal(await visit.page.locator("#count").innerText(), "1 key");
  assert.doesNotMatch(await visit.page.locator("#namespace").innerText(), /short/);
  await visit.end();
});

test("a namespace is chosen, and keys are found by their prefix", async () => {
  const visit = await withScript(`
    for _, name in ipairs { "users", "posts" } do
      for n = 1, 3 do KV.namespace(name):put(name:sub(1, 4) .. ":" .. n, n) end
      KV.namespace(name):put("%", "literal")
    end`);
  const { page } = visit;
  assert.equal((await names(visit)).length, 8);
  assert.deepEqual(await page.locator("#namespace option").allInnerTexts(), [
    "All namespaces (8)",
    "posts (4)",
    "users (4)",
  ]);
  assert.deepEqual(await page.locator("#table .group th").allInnerTexts(), ["posts4 keys", "users4 keys"]);
  await page.fill("#prefix", "user:");
  assert.deepEqual(await names(visit), ["user:1", "user:2", "user:3"]);
  assert.equal(await page.locator("#count").innerText(), "3 keys");
  await page.fill("#prefix", "%");
  assert.deepEqual(await names(visit), ["%", "%"]);
  await page.selectOption("#namespace", { label: "posts (4)" });
  assert.deepEqual(await names(visit), ["%"]);
  await page.fill("#prefix", "nothing");
  assert.equal(await page.locator("#empty").innerText(), "No key begins with that.");
  await page.fill("#prefix", "");
  assert.deepEqual(await names(visit), ["%", "post:1", "post:2", "post:3"]);
  await visit.end();
});

test("keys are deleted, one by one, those with a prefix, and all", async () => {
  const visit = await withScript("for n = 1, 9 do KV.namespace(n < 6 and 'a' or 'b'):put('key:' .. n, n) end");
  const { page } = visit;
  await page.getByRole("button", { name: "Delete key:2 of a" }).click();
  assert.deepEqual(await names(visit), ["key:1", "key:3", "key:4", "key:5", "key:6", "key:7", "key:8", "key:9"]);
  // The focus is on the next row, so deleting can continue by keyboard.
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), "Delete key:3 of a");
  await page.keyboard.press("Enter");
  assert.deepEqual((await names(visit))[1], "key:4");
  await page.fill("#prefix", "key:9");
  await page.click("#clear");
  assert.match(
    await page.locator("#dialog").innerText(),
    /^Delete 1 key\?\n+All keys that begin with “key:9” in all namespaces/,
  );
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.deepEqual(await names(visit), ["key:9"]);
  await page.click("#clear");
  await page.keyboard.press("Escape");
  assert.deepEqual(await names(visit), ["key:9"]);
  await page.click("#clear");
  await page.locator("#dialog-ok").click();
  await page.fill("#prefix", "");
  assert.deepEqual(await names(visit), ["key:1", "key:4", "key:5", "key:6", "key:7", "key:8"]);
  await page.selectOption("#namespace", "=b");
  await page.click("#clear");
  await page.locator("#dialog-ok").click();
  await page.selectOption("#namespace", "");
  assert.deepEqual(await names(visit), ["key:1", "key:4", "key:5"]);
  await visit.end();
});

test("10 000 keys come page by page, and the page stays quick", async () => {
  const visit = await Visit.begin(host, { hash: "#many" });
  const { page } = visit;
  await visit.run();
  const count = page.locator("#count");
  assert.match(await count.innerText(), /^1–50 of 10\s000 keys$/);
  assert.equal((await visit.rows()).length, 50);
  await page.click("#next");
  assert.match(await count.innerText(), /^51–100 of /);
  assert.deepEqual((await names(visit))[0], "garden:00102");
  await page.click("#previous");
  assert.match(await count.innerText(), /^1–50 of /);
  await page.fill("#prefix", "house:0000");
  assert.equal(await count.innerText(), "5 keys");
  await page.fill("#prefix", "");
  const turns = await page.evaluate(async () => {
    let turns = 0;
    for (const end = performance.now() + 2500; performance.now() < end; turns++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return turns;
  });
  assert.ok(turns >= 5, `the page had ${turns} turns of its event loop while it refreshed`);
  await visit.end();
});

test("pages go over the bounds of namespaces, and back when theirs is emptied", async () => {
  const visit = await withScript(
    "for n = 1, 120 do KV.namespace(('ns%d'):format(n % 3)):put(('k%03d'):format(n), n) end",
  );
  const { page } = visit;
  const all = [];
  for (let at = 0; at < 3; at++) {
    if (at > 0) await page.click("#next");
    all.push(...(await names(visit)));
  }
  assert.equal(new Set(all).size, 120);
  assert.equal(await page.locator("#next").isDisabled(), true);
  assert.match(await page.locator("#count").innerText(), /^101–120 of 120 keys$/);
  await page.selectOption("#namespace", "=ns1");
  assert.equal(await page.locator("#count").innerText(), "40 keys");
  await page.selectOption("#namespace", "");
  await page.click("#next");
  await visit.write("for _, name in ipairs { 'ns1', 'ns2' } do KV.namespace(name):clear() end");
  await visit.run();
  assert.equal(await page.locator("#count").innerText(), "40 keys");
  assert.equal((await visit.rows()).length, 40);
  await visit.end();
});

test("keys of new namespaces come while a script runs, and keys leave when they expire", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write(`
    KV.namespace("new"):put("first", 1)
    local began = os.time()
    while os.time() - began < 2 do end
    KV.namespace("newer"):put("second", 1)
    KV.namespace("new"):put("first", 2)
    while true do end`);
  await visit.page.click("#run");
  await visit.row("first").waitFor();
  await visit.row("second").waitFor();
  assert.deepEqual((await visit.rows()).map(({ key, value }) => key + value), ["first2", "second1"]);
  await visit.page.click("#stop");
  await visit.ended();
  await visit.write("KV.namespace('new'):put('first', 3, { expirationTtl = 2 }) KV.namespace('newer'):clear()");
  await visit.run();
  assert.deepEqual(await names(visit), ["first"]);
  await visit.page.locator("#table tr.row").waitFor({ state: "detached" });
  assert.equal(await visit.page.locator("#empty").innerText(), "No keys here yet. Run an example, and see them come.");
  await visit.end();
});

test("a row that is open stays open while others come and go, and shows what changes", async () => {
  const visit = await withScript("KV.namespace('x'):put('m', 'first')");
  await visit.row("m").locator(".open").click();
  await visit.write("local kv = KV.namespace('x'); kv:put('a', 1); kv:put('z', 1); kv:put('m', 'second')");
  await visit.run();
  assert.match(await visit.page.locator(".detail").innerText(), /second/);
  assert.deepEqual(await names(visit), ["a", "m", "z"]);
  assert.equal(await visit.page.locator("tr.row + tr.detail").count(), 1);
  await visit.end();
});
