// The page: loading, examples, layout and accessibility.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { axe } from "./axe.js";
import { Visit, start } from "./support.js";

let host;
before(async () => (host = await start()));
after(() => host?.stop());

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

test("loads without errors, and asks nobody else for anything", async () => {
  const visit = await Visit.begin(host);
  assert.equal(await visit.page.title(), "luat_kv playground");
  assert.equal(await visit.state(), "Ready");
  assert.match(await visit.page.locator("#empty").innerText(), /^No keys here yet/);
  const policy = await visit.page.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
  assert.match(policy, /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval';.*connect-src 'self'/);
  assert.ok(visit.requests.some((url) => /luat_kv_lua-.*\.wasm$/.test(url)) === false, "Lua comes when it is needed");
  await visit.run();
  assert.ok(visit.requests.some((url) => /luat_kv_lua-.*\.wasm$/.test(url)));
  await visit.end();
});

test("shows the real files of lua/examples, each in a tab", async () => {
  const visit = await Visit.begin(host, { hash: "#forms" });
  const tabs = visit.page.getByRole("tab");
  assert.deepEqual(await tabs.allInnerTexts(), ["forms.lua", "edit/+page.server.lua", "lib/blog.lua", "host.lua"]);
  for (const tab of await tabs.all()) {
    await tab.click();
    assert.equal(await tab.getAttribute("aria-selected"), "true");
    const file = new URL(`../../../${await tab.getAttribute("title")}`, import.meta.url);
    const lines = readFileSync(file, "utf8").split("\n").slice(0, 8);
    const shown = (await visit.page.locator(".cm-line").allTextContents()).slice(0, 8);
    assert.deepEqual(shown, lines);
  }
  await visit.end();
});

for (const colorScheme of ["light", "dark"]) {
  test(`can be read and used by everybody, ${colorScheme}`, async () => {
    const visit = await Visit.begin(host, { colorScheme });
    for (const id of ["blog", "cache", "json", "rate_limiter", "expiry", "error"]) {
      await visit.pick(id);
      await visit.run();
    }
    await visit.row("config").getByRole("button", { name: "config", exact: true }).click();
    const [red, green, blue] = await visit.page.evaluate(() =>
      getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number),
    );
    const isDark = red + green + blue < 3 * 64;
    assert.equal(isDark, colorScheme === "dark");
    await visit.shot(`desktop-${colorScheme}`);
    const { found } = await axe({ evaluate: (run) => visit.page.evaluate(`(${run})()`) });
    assert.deepEqual(found, []);
    await visit.end();
  });
}

test("fits a phone: nothing scrolls sideways", async () => {
  const visit = await Visit.begin(host, { ...PHONE, hash: "#expiry" });
  const check = async (when) => {
    const wide = await visit.page.evaluate(() => {
      scrollTo(1000, 0);
      const inside = ["html", ".cm-scroller", "#output", ".scroll"].map((name) => document.querySelector(name));
      return {
        moved: scrollX,
        wide: inside.filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).length,
      };
    });
    assert.deepEqual(wide, { moved: 0, wide: 0 }, when);
  };
  await check("at first");
  await visit.run();
  await visit.row("session:abc").locator(".open").tap();
  await check("with keys");
  await visit.shot("phone", { fullPage: true });
  await visit.pick("forms");
  await visit.run();
  await check("with tabs");
  await visit.pick("error");
  await visit.run();
  await check("with an error");
  await visit.pick("empty");
  await visit.write(`
    local long = ("x"):rep(300)
    KV.namespace(long):put(long, long .. long, { metadata = { long } })
    print(long)
    error(long)`);
  await visit.run();
  await visit.row("x".repeat(300)).locator(".open").tap();
  await check("with long names");
  await visit.end();
});
