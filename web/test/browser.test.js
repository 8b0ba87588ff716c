// The suites of suites/ in Chromium: in a page, and in a worker.

import test, { after, before } from "node:test";
import argumentTests from "./suites/arguments.js";
import bulkTests from "./suites/bulk.js";
import limitTests from "./suites/limits.js";
import luaFileTests from "./suites/lua-files.js";
import luaStopTests from "./suites/lua-stop.js";
import luaTests from "./suites/lua.js";
import namespaceTests from "./suites/namespace.js";
import { equal } from "./suites/check.js";
import { launch, openPage, serve } from "./browser.js";

const SUITES = {
  namespace: namespaceTests,
  arguments: argumentTests,
  bulk: bulkTests,
  limits: limitTests,
  lua: luaTests,
  "lua-files": luaFileTests,
  "lua-stop": luaStopTests,
};

const WORKER = `
  onmessage = async ({ data: { suite, name } }) => {
    try {
      const tests = (await import("/test/suites/" + suite + ".js")).default;
      await tests[name](await import("/src/index.js"));
      postMessage("done");
    } catch (error) {
      postMessage(String(error.stack));
    }
  };
`;

let server, browser, page;

before(async () => {
  server = await serve({ "/worker.js": WORKER });
  browser = await launch();
  page = await openPage(browser, `${server.url}/`);
  await page.evaluate(() => (globalThis.worker = new Worker("/worker.js", { type: "module" })));
});

after(async () => {
  await browser?.close();
  await server?.close();
});

const inPage = async ({ suite, name }) => {
  try {
    const tests = (await import(`/test/suites/${suite}.js`)).default;
    await tests[name](await import("/src/index.js"));
    return "done";
  } catch (error) {
    return String(error.stack);
  }
};

const inWorker = (which) =>
  new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => resolve(message);
    worker.postMessage(which);
  });

for (const [where, run] of [
  ["page", inPage],
  ["worker", inWorker],
]) {
  for (const [suite, tests] of Object.entries(SUITES)) {
    for (const name of Object.keys(tests)) {
      test(`${where}: ${name}`, async () => {
        const answer = await page.evaluate(run, { suite, name });
        if (answer !== "done") throw new Error(answer);
      });
    }
  }
}

test("nothing was printed to the console, and nothing was thrown aside", () => equal(page.errors, []));
