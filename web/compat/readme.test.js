// The README's examples for runtimes and pages.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { launch, openPage, serve } from "../test/browser.js";
import { examples, install, readme, run } from "../test/installed.js";
import { equal, ok } from "../test/suites/check.js";
import { programOf } from "./programs.js";
import { runWorkers } from "./workerd.js";

let installed, remove;

before(async () => {
  ({ folder: installed, remove } = await install());
});

after(() => remove?.());

for (const name of ["node", "deno", "bun"]) {
  test(`the first example runs in ${name}`, async () => {
    const [code] = await examples("js");
    await writeFile(join(installed, "main.js"), code);
    const [, command] = new RegExp(`^ {4}${name} (.*main\\.js)$`, "m").exec(await readme());
    const { stdout } = await run(programOf(name), command.split(" "), { cwd: installed });
    equal(stdout, "alice\nsession:abc web\ntrue 1\n9 3\n");
  });
}

test("the Worker counts its visitors", async () => {
  const code = (await examples("js")).find((code) => code.includes("async fetch(request) {"));
  const [worker, visitor] = [join(installed, "visits.js"), join(installed, "visitor.js")];
  await writeFile(worker, code);
  await writeFile(
    visitor,
    `export default {
      async test(_controller, env) {
        const get = async (path) => (await env.visits.fetch("https://example.com" + path)).text();
        const seen = [await get("/a"), await get("/a"), await get("/b")];
        seen.push(...(await Promise.all([get("/a"), get("/a")])).sort());
        if (seen.join() !== "1,2,1,3,4") throw new Error("it counted " + seen.join());
      },
    };`,
  );
  const date = "2026-11-01";
  const workers = [
    { name: "visits", file: worker, date },
    { name: "visitor", file: visitor, date, bindings: ["visits"] },
  ];
  equal(await runWorkers(workers), 0);
});

test("a page whose policy forbids WebAssembly is told so, and one that has what the README says runs", async (t) => {
  const [source] = /'wasm-unsafe-eval'/.exec(await readme());
  const page = (policy) => `<!doctype html><link rel=icon href=data:,><meta http-equiv=Content-Security-Policy
    content="script-src 'self' ${policy}"><script type=module src=/page.js></script>`;
  const code = `
    import { Store } from "/node_modules/luat-kv/src/index.js";
    Store.open().then(
      () => (document.title = "open"),
      (error) => (document.title = error.code + " " + error.message),
    );
  `;
  const files = { "/without.html": page(""), "/with.html": page(source), "/page.js": code };
  const { url, close } = await serve(files, installed);
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const titleOf = async (path) => {
    const opened = await openPage(browser, url + path);
    await opened.waitForFunction(() => document.title !== "", null, { timeout: 120_000 });
    return opened.title();
  };
  const refused = await titleOf("/without.html");
  ok(/^INVALID luat_kv\.wasm at .* may not be compiled here: .*Content Security Policy/.test(refused), refused);
  ok(refused.endsWith("; the page's policy needs 'wasm-unsafe-eval' in its script-src"), refused);
  equal(await titleOf("/with.html"), "open");
});
