// Tests the built page in a browser: node test/browsers-run.js chromium | firefox | webkit. Its examples run, all of it
// can be used by keyboard, it is accessible, and nothing is printed to the console. Prints TAP.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "../../test/browsers.js";
import { axe } from "./axe.js";
import { PRINTED } from "./printed.js";

const name = process.argv[2];
const site = fileURLToPath(new URL("../../../target/playground/site/", import.meta.url));

let browser;
before(async () => {
  browser = await start(name, { "/": readFileSync(`${site}index.html`, "utf8") }, site);
  console.log(`# ${name} ${browser.version}`);
});
after(() => browser?.close());

/** Waits until a condition holds in the page, and returns its value. (Only a page that hangs takes two minutes.) */
const until = (page, isSo) =>
  page.evaluate(`async () => {
    for (const end = Date.now() + 120_000; Date.now() < end; ) {
      const answer = await (${isSo})();
      if (answer) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(${JSON.stringify(String(isSo))});
  }`);

async function open(path = "/") {
  const page = await browser.open(path);
  await until(page, () => document.querySelector("#run:enabled") !== null);
  return page;
}

/** Waits until a script has ended. Returns its state and its output. */
const ended = (page) =>
  until(page, () => {
    const state = document.querySelector("#state").innerText;
    return /^(Done|Failed|Stopped)/.test(state) && { state, output: document.querySelector("#output").innerText.trim() };
  });

const running = (page) => until(page, () => document.querySelector("#state").innerText === "Running…");

async function run(page, id) {
  await page.evaluate((id) => {
    const select = document.querySelector("#example");
    select.value = id;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    document.querySelector("#run").click();
  }, id);
  return ended(page);
}

const leave = async (page) => {
  assert.deepEqual(await page.messages(), []);
  await page.close();
};

test(`${name}: each example runs`, async () => {
  const page = await open();
  const ids = await page.evaluate(() => [...document.querySelectorAll("#example option")].map(({ value }) => value));
  assert.deepEqual(ids.sort(), Object.keys(PRINTED).sort());
  for (const [id, printed] of Object.entries(PRINTED)) {
    const { state, output } = await run(page, id);
    assert.match(output, printed);
    assert.match(state, id === "error" ? /^Failed after / : /^Done in /, id);
  }
  assert.match((await run(page, "blog")).output, /^found \d+ posts written by an earlier run:/);
  await leave(page);
});

test(`${name}: axe finds nothing`, async () => {
  const page = await open();
  for (const id of ["blog", "cache", "json", "rate_limiter", "expiry", "error"]) await run(page, id);
  await page.evaluate(() => document.querySelector("#table .open").click());
  const { found, checked } = await axe(page);
  assert.deepEqual(found, []);
  assert.ok(checked > 300, `${checked}`);
  await leave(page);
});

const focused = (page) =>
  page.evaluate(() => document.activeElement.id || document.activeElement.classList[0]);

test(`${name}: the keyboard is enough to pick, write, run and stop a script`, async () => {
  const page = await open();
  const order = [];
  for (let press = 0; press < 2; press++) {
    await page.press("Tab");
    order.push(await focused(page));
  }
  assert.deepEqual(order, ["skip", "example"]);
  await page.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.querySelector("#example").value), "json");
  await page.press("Tab", "Enter"); // the button Run
  assert.match((await ended(page)).output, /16 bytes$/);
  await page.press("Tab", "Control+a", "Delete", ..."while true do end", "Control+Enter");
  await running(page);
  await page.press("Escape");
  assert.match((await ended(page)).state, /^Stopped after /);
  assert.match(await page.evaluate(() => document.querySelector(".cm-content").innerText), /^while true do end$/m);
  await page.press("Control+a", "Delete", ..."while true do end", "Control+Enter");
  await running(page);
  await page.press("Shift+Tab");
  assert.equal(await focused(page), "stop");
  await page.press("Enter");
  assert.match((await ended(page)).state, /^Stopped after /);
  await leave(page);
});

test(`${name}: the keyboard is enough to find, look at and delete keys`, async () => {
  const page = await open();
  await page.press("Tab", "Tab", "Control+Enter");
  await ended(page);
  const order = [];
  for (let press = 0; press < 9; press++) {
    await page.press("Tab");
    order.push(await focused(page));
  }
  assert.deepEqual(order, ["run", "cm-content", "wipe", "output", "keep", "namespace", "prefix", "clear", "open"]);
  assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "solid");
  const count = (selector) => page.evaluate((selector) => document.querySelectorAll(selector).length, selector);
  await page.press("Enter");
  assert.equal(await count(".detail"), 1);
  await page.press("Enter", "Tab");
  assert.deepEqual([await count(".detail"), await focused(page)], [0, "remove"]);
  await page.press("Enter");
  assert.equal(await count("tr.row"), 1);
  assert.equal(await focused(page), "remove"); // of the next key
  await page.press("Shift+Tab", "Shift+Tab", "Enter"); // the button "Clear…"
  await until(page, () => document.querySelector("#dialog").open);
  await page.press("Escape");
  await until(page, () => !document.querySelector("#dialog").open);
  assert.deepEqual([await count("tr.row"), await focused(page)], [1, "clear"]);
  await page.press("Enter");
  await until(page, () => document.querySelector("#dialog").open);
  await page.press("Tab", "Enter");
  await until(page, () => document.querySelector("tr.row") === null);
  await leave(page);
});
