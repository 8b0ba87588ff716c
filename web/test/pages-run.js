// Tests the package in a page of a browser: node test/pages-run.js chromium | firefox | webkit. The suites of suites/
// run in the page and in a worker. Prints TAP.

import { readdirSync } from "node:fs";
import test, { after, before } from "node:test";
import { start } from "./browsers.js";
import { equal } from "./suites/check.js";

const name = process.argv[2];

const WORKER = `
  onmessage = async ({ data: { suite, name } }) => {
    try {
      const tests = (await import("/test/suites/" + suite + ".js")).default;
      await tests[name](await import("/src/index.js"));
      postMessage("done");
    } catch (error) {
      postMessage(error + "\\n" + error.stack);
    }
  };
`;

let browser, page;

before(async () => {
  browser = await start(name, { "/worker.js": WORKER });
  console.log(`# ${name} ${browser.version}`);
  page = await browser.open("/");
  await page.evaluate(() => void (globalThis.worker = new Worker("/worker.js", { type: "module" })));
});

after(() => browser?.close());

const inPage = async ({ suite, name }) => {
  const tests = (await import(`/test/suites/${suite}.js`)).default;
  await tests[name](await import("/src/index.js"));
  return "done";
};

const inWorker = (which) =>
  new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => resolve(message);
    worker.postMessage(which);
  });

// This comes first, since WebKit compiles code that runs often, and only its interpreter might not catch this error.
test(`${name}: the first error of Lua's in a page is caught`, async () => {
  const run = async () => {
    const { Lua } = await import("/src/index.js");
    const lua = await Lua.create();
    return [await lua.run('return pcall(error, "first")'), await lua.run("error('second')").catch(String)];
  };
  equal(await page.evaluate(run), [[false, "first"], "LuaError: script:1: second"]);
});

const suites = readdirSync(new URL("suites", import.meta.url))
  .map((file) => file.replace(".js", ""))
  .filter((suite) => suite !== "check");
for (const suite of suites) {
  const tests = (await import(`./suites/${suite}.js`)).default;
  for (const [where, run] of Object.entries({ page: inPage, worker: inWorker })) {
    for (const what of Object.keys(tests)) {
      test(`${name}: ${where}: ${what}`, async () => equal(await page.evaluate(run, { suite, name: what }), "done"));
    }
  }
}

/** Opens a store, returns its contents and errors, and puts something into it for the next time. */
const visit = async (persist) => {
  const { Store } = await import("/src/index.js");
  const store = await Store.open({ persist }).catch(({ code, message }) => `${code}: ${message}`);
  if (typeof store === "string") return store;
  const kv = store.namespace("test");
  const found = await kv.get("text");
  await kv.put("text", "ü\0", { metadata: { a: 1 } });
  await store.flush();
  return found;
};

const NO_OPFS = "INVALID: there is no origin private file system here to keep a store in";

for (const persist of ["indexeddb", "opfs"]) {
  test(`${name}: ${persist}: a store is kept across a reload`, async () => {
    const answers = [];
    for (let visits = 0; visits < 3; visits++) {
      answers.push(await page.evaluate(visit, persist));
      await page.goto(`${browser.url}/`);
    }
    // WebKitGTK has no such file system, unlike Safari.
    const isThere = persist === "indexeddb" || name !== "webkit";
    equal(answers, isThere ? [null, "ü\0", "ü\0"] : Array(3).fill(NO_OPFS));
  });
}

test(`${name}: a store is one page's at a time`, async () => {
  const opening = async () => {
    const { Store } = await import("/src/index.js");
    globalThis.store = await Store.open({ persist: "indexeddb" }).catch(({ code }) => code);
    return globalThis.store === "BUSY" ? "BUSY" : globalThis.store.namespace("test").get("text");
  };
  const second = await browser.open("/");
  const answers = [await page.evaluate(opening), await second.evaluate(opening)];
  await page.evaluate(() => store.close());
  answers.push(await second.evaluate(opening));
  await second.evaluate(() => store.close());
  equal(answers, ["ü\0", "BUSY", "ü\0"]);
  equal(await second.messages(), []);
  await second.close();
});

test(`${name}: nothing was printed to the console, and nothing was thrown aside`, async () => {
  equal(await page.messages(), []);
  // A message would have been collected:
  await page.evaluate(() => {
    console.warn("a warning");
    setTimeout(() => {
      throw new Error("thrown aside");
    });
    return new Promise((resolve) => setTimeout(resolve, 100));
  });
  equal(await page.messages(), ["warn: a warning", "error: Error: thrown aside"]);
});
