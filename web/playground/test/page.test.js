// The page as it stands: that it loads, its examples, its looks, and what it must be for everybody.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { audit } from "./audit.js";
import { Visit, start } from "./support.js";

let host;
before(async () => (host = await start()));
after(() => host?.stop());

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** What each example prints: all of it, in order, from its beginning on. */
const PRINTED = {
  basics: /^Alice\nnil\nvalue1\tvalue2$/,
  json: /^\{".*\}\ndark\t3\ttrue\ttrue\nnil\n\{\}\t\[\]\n16 bytes$/,
  metadata: /^\{".*\}\nnil\nalice\npost:123\talice\nnil$/,
  expiry: /^session:abc expires at \d\d:\d\d:\d\d UTC\nnil$/,
  list: /^13 keys\ngroup:1\npage 1: user:001 to user:005\n.*\npage 3: user:011 to user:012\nuser:012\tMember 12\n.*11$/,
  session: /^Alice logs in\. {3}Her session is [0-9a-f]{32}, good.*\nA request comes\. .*user-42,.*\n.*nil\.\n.*nil\.$/,
  cache: /^request 1: status 200, X-Cache MISS, 2 posts\nrequest 2: .* HIT ,.*\n.*\nThe database was asked 1 time\.$/,
  blog: /^found no posts: this is the first run here\nwrote {2}001-hello: Hello, world\n(.*\n){2}Now run me again\.$/,
  forms:
    /^GET {2}\/blog\/draft\/edit: A draft\nPOST .*saved\nGET .*A better title\nPOST .*\nGET .*404.*\nPOST .*400.*$/,
  listing: /^003: Newest first, by alice\n/,
  stock:
    /^alice buys an apple: yes\nbob {3}buys an apple: yes\ncarol buys an apple: sold out\n2 orders, 0 apples left$/,
  rate_limiter: /^request 1: 200 OK, 4 left\n(.*\n){5}request 7: 429 Too Many Requests, 0 left$/,
  job_lock:
    /^alice makes the report\nbob is let in: {2}false\nalice is let in: true\ncarol makes it again\ncarol .*true$/,
  many: /^10000 keys in \d+ ms\n5 of them begin with garden:0001$/,
  error:
    /^alice has 70\n.*unknown option 'expiration_ttl'.*\nerror\.lua:7: attempt to perform arithmetic on a nil value/,
  empty: /^$/,
};

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

test("runs each example", async (t) => {
  const visit = await Visit.begin(host);
  const ids = await visit.page.locator("#example option").evaluateAll((options) => options.map(({ value }) => value));
  assert.deepEqual(ids.sort(), Object.keys(PRINTED).sort());
  for (const [id, printed] of Object.entries(PRINTED)) {
    await t.test(id, async () => {
      await visit.pick(id);
      assert.match((await visit.run()).trim(), printed);
      assert.match(await visit.state(), id === "error" ? /^Failed after / : /^Done in /);
    });
  }
  await t.test("the blog finds its posts the second time", async () => {
    await visit.pick("blog");
    assert.match(await visit.run(), /^found \d+ posts written by an earlier run:/);
  });
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
    const { checked, faults } = await visit.page.evaluate(audit);
    assert.ok(checked.texts > 60 && checked.controls > 20, JSON.stringify(checked));
    assert.deepEqual(faults, []);
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
