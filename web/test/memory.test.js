// A closed store frees its memory at once. Chromium has address space for about 125 memories. In a loop that does not
// yield to the browser, only unreachable objects are collected: no weak reference is cleared.

import test, { after, before } from "node:test";
import { launch, openPage, serve } from "./browser.js";
import { equal } from "./support.js";

const ROUNDS = 1000;

let server, browser, page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openPage(browser, `${server.url}/`);
});

after(async () => {
  await browser?.close();
  await server?.close();
});

test("a thousand stores are opened, used and closed without a pause, and what is left of them is kept", async () => {
  const answer = await page.evaluate(async (rounds) => {
    const { Store } = await import("/src/index.js");
    const kept = [];
    for (let round = 0; round < rounds; round++) {
      const store = await Store.open();
      const kv = store.namespace("test");
      await kv.put("a", String(round));
      if ((await kv.get("a")) !== String(round)) return `round ${round}`;
      kept.push(store, kv, kv.sync, kv.sync.each(), kv.atomic().put("a", "1"));
      await store.close();
    }
    const uses = [
      () => kept[0].stats(),
      () => kept[0].namespace("test"),
      () => kept[1].get("a"),
      () => kept[2].get("a"),
      () => kept[3].next(),
      () => kept[4].commit(),
    ];
    const errors = [];
    for (const use of uses) {
      try {
        await use();
      } catch (error) {
        errors.push(`${error.code} ${error.message}`);
      }
    }
    return errors;
  }, ROUNDS);
  equal(answer, Array(6).fill("INVALID the store is closed"));
});

test("and so is Lua, with its store", async () => {
  const answer = await page.evaluate(async (rounds) => {
    const { Lua } = await import("/src/index.js");
    const kept = [];
    for (let round = 0; round < rounds; round++) {
      const lua = await Lua.create({ print() {} });
      await lua.run("print(1)");
      kept.push(lua, lua.kv.namespace("test"));
      lua.close();
    }
    try {
      await kept[0].run("print(1)");
    } catch (error) {
      return error.message;
    }
  }, 300);
  equal(answer, "the Lua is closed");
});

test("nothing was printed to the console, and nothing was thrown aside", () => equal(page.errors, []));
