// Running scripts: errors, stopping, output, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Visit, start } from "./support.js";

let host;
before(async () => (host = await start()));
after(() => host?.stop());

const marked = async ({ page }) => ({
  line: await page.locator(".cm-errorLine").allTextContents(),
  number: await page.locator(".cm-errorNumber").allTextContents(),
  message: await page.locator(".cm-errorMessage").allTextContents(),
});
const NONE = { line: [], number: [], message: [] };

test("an error shows its line, in the output and in the editor, and a link goes there", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("print('before')\n\nlocal missing\nmissing.field = 1\nprint('after')");
  assert.match(await visit.run(), /^before\nempty\.lua:4: attempt to index a nil value \(local 'missing'\)/);
  assert.match(await visit.state(), /^Failed after /);
  assert.deepEqual(await marked(visit), {
    line: ["missing.field = 1"],
    number: ["4"],
    message: ["attempt to index a nil value (local 'missing')"],
  });
  await visit.page.getByRole("button", { name: "empty.lua:4" }).click();
  await visit.page.keyboard.type("--");
  assert.equal(await visit.page.locator(".cm-line").nth(3).textContent(), "--missing.field = 1");
  assert.deepEqual(await marked(visit), NONE); // since the text has changed
  assert.equal((await visit.run()).trim(), "before\nafter");
  await visit.end();
});

test("a traceback is there to be opened", async () => {
  const visit = await Visit.begin(host, { hash: "#error" });
  await visit.run();
  await visit.page.locator("summary").click();
  assert.match(
    await visit.page.locator(".error pre").innerText(),
    /error\.lua:7: in .*withdraw[^]*error\.lua:16: in main chunk/,
  );
  await visit.end();
});

test("a script that cannot be compiled shows its line", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("local a = 1\nlocal = 2\n");
  assert.match(await visit.run(), /^empty\.lua:2: <name> expected near '='/);
  assert.deepEqual((await marked(visit)).number, ["2"]);
  await visit.end();
});

test("an error in another file opens that file", async () => {
  const visit = await Visit.begin(host, { hash: "#forms" });
  await visit.page.getByRole("tab", { name: "lib/blog.lua" }).click();
  const code = "local M = {}\nfunction M.create_post(post)\n  return post.slug.title.words\nend\nreturn M";
  await visit.write(code);
  await visit.page.getByRole("tab", { name: "forms.lua" }).click();
  const output = await visit.run();
  assert.match(output, /lua\/examples\/site\/src\/lib\/blog\.lua:3/);
  assert.equal(await visit.page.getByRole("tab", { selected: true }).innerText(), "lib/blog.lua");
  assert.deepEqual((await marked(visit)).number, ["3"]);
  await visit.write("local M =");
  await visit.page.getByRole("tab", { name: "forms.lua" }).click();
  assert.match(await visit.run(), /^lua\/examples\/site\/src\/lib\/blog\.lua:1: unexpected symbol near <eof>/);
  assert.equal(await visit.page.getByRole("tab", { selected: true }).innerText(), "lib/blog.lua");
  assert.deepEqual((await marked(visit)).message, ["unexpected symbol near <eof>"]);
  await visit.page.getByRole("button", { name: "Reset" }).click();
  assert.deepEqual(await marked(visit), NONE);
  assert.match(await visit.run(), /saved/);
  await visit.end();
});

test("Stop ends an endless loop, and the page goes on meanwhile and afterwards", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  const { page } = visit;
  await visit.write("local kv = KV.namespace('loop')\nlocal n = 0\nwhile true do n = n + 1; kv:put('n', n) end");
  await page.click("#run");
  await page.getByText("Running…").waitFor();
  assert.equal(await page.locator("#keep").isDisabled(), true);
  const value = page.locator("#table td.value");
  const before = await value.textContent();
  await page.waitForFunction((before) => {
    const now = document.querySelector("#table td.value")?.textContent ?? before; // the row may be replaced
    return now !== before;
  }, before);
  await page.click("#stop");
  await visit.ended();
  assert.match(await visit.state(), /^Stopped after \d/);
  assert.deepEqual(await marked(visit), NONE);
  await visit.write("print(KV.namespace('loop'):get('n', 'json') > 1)");
  assert.equal((await visit.run()).trim(), "true");
  await visit.end();
});

test("a loop that catches every error is stopped too, and one within a pattern or a coroutine", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  for (const code of [
    "while true do pcall(function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
  ]) {
    await visit.write(code);
    await visit.page.click("#run");
    await visit.page.getByText("Running…").waitFor();
    await visit.page.keyboard.press("Escape");
    await visit.ended();
    assert.match(await visit.state(), /^Stopped after /);
  }
  await visit.end();
});

test("a million lines are cut short, with a note", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("for n = 1, 1000000 do print(n) end");
  const output = await visit.run();
  assert.match(output, /\n2000\n… and 998\s000 more lines: the first 2\s000 are shown$/);
  assert.ok((await visit.page.locator("#output > *").count()) < 2100);
  await visit.write("print(('y'):rep(3000000))\nio.write('no end')");
  assert.match(await visit.run(), /^y{4000}… \([\d\s]+ more characters\)\n[^]*no end$/);
  await visit.end();
});

test("shows what a script returns, and text that could be markup as it is", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("print('<b>&amp;</b>')\nreturn 1, 'two', { 3 }, nil, true");
  const output = await visit.run();
  assert.match(output, /^<b>&amp;<\/b>\n/);
  assert.match(output, /1 {4}"two" {4}\[3\] {4}nil {4}true/);
  await visit.end();
});

test("keeps what was written when another example is picked, and resets it on demand", async () => {
  const visit = await Visit.begin(host, { hash: "#empty" });
  await visit.write("print('mine')");
  await visit.pick("basics");
  await visit.pick("empty");
  assert.equal((await visit.run()).trim(), "mine");
  await visit.page.click("#reset");
  assert.match(await visit.page.locator(".cm-content").innerText(), /KV\.namespace\("mine"\)/);
  assert.equal(await visit.page.locator("#reset").isHidden(), true);
  await visit.end();
});
