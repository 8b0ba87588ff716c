// The package as it is published: packed, installed in an empty folder, bundled, its types, and the README's examples.

import { lstat, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { build } from "esbuild";
import { launch, openPage, root, serve } from "./browser.js";
import { examples, install, run } from "./installed.js";
import { equal, ok, version } from "./support.js";

/** The time limit of a page: long enough for a busy machine. */
const PATIENCE = { timeout: 120_000 };

let packed, installed, remove;

before(async () => {
  ({ packed, folder: installed, remove } = await install());
});

after(() => remove?.());

/** Runs code in the folder in which the package is installed, and returns its output. */
async function printed(name, code) {
  const file = join(installed, name);
  await writeFile(file, code);
  return (await run(process.execPath, [file])).stdout;
}

test("it packs what it needs, and nothing else", () => {
  const paths = packed.files.map(({ path }) => path);
  const needed = [
    "package.json",
    "README.md",
    "index.d.ts",
    "wasm.d.ts",
    "luat_kv.wasm",
    "luat_kv_lua.wasm",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "src/index.js",
    "src/adapters/keyv.d.ts",
    "src/adapters/keyv.js",
    "src/adapters/open.d.ts",
    "src/adapters/unstorage.d.ts",
    "src/persist/opfs.js",
    "src/with-lua.js",
  ];
  for (const path of needed) ok(paths.includes(path), `${path} is not in it`);
  for (const path of paths) ok(needed.includes(path) || /^src\/[\w/-]+\.js$/.test(path), `${path} is in it`);
  ok(packed.size < 600_000, `${packed.size} bytes`);
});

test("from its folder, as the README has it, npm makes a copy that stays, with the licences", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const [, setting, command] = /^ {4}echo (\S+) >>\.npmrc\n {4}npm (install) PATH\/TO/m.exec(readme);
  const folder = join(installed, "..", "copy");
  await mkdir(folder);
  await writeFile(join(folder, "package.json"), '{ "type": "module", "private": true }');
  await writeFile(join(folder, ".npmrc"), `${setting}\n`);
  for (const place of [[root], []]) {
    await run("npm", [command, "--offline", "--no-audit", "--no-fund", ...place], { cwd: folder });
    ok((await lstat(join(folder, "node_modules/luat-kv"))).isDirectory(), "it is no link");
  }
  for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    const own = await readFile(new URL(`../../${name}`, import.meta.url), "utf8");
    equal(await readFile(join(folder, "node_modules/luat-kv", name), "utf8"), own);
  }
});

test("versions are the crate's", async () => {
  const cargo = await readFile(new URL("../../Cargo.toml", import.meta.url), "utf8");
  const crate = /^version = "(.+)"$/m.exec(cargo)[1];
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  equal([manifest.version, version, manifest.dependencies], [crate, crate, undefined]);
});

test("installed in an empty folder, it runs in node", async () => {
  const output = await printed(
    "run.js",
    `
    import { Store, Lua, version } from "luat-kv";
    const kv = (await Store.open()).namespace("a");
    await kv.put("k", "v", { metadata: 1 });
    console.log(version, await kv.get("k"), import.meta.resolve("luat-kv/luat_kv.wasm").split("/").at(-1));
    const lua = await Lua.create();
    console.log((await lua.run("return 1 + 1"))[0], (await import("luat-kv/lua")).Lua === Lua);
    lua.close();
  `,
  );
  equal(output, `${version} v luat_kv.wasm\n2 true\n`);
});

test("bundled, it runs in a page", async (t) => {
  const entry = join(installed, "bundled.js");
  await writeFile(
    entry,
    `
    import { Store } from "luat-kv";
    import wasm from "luat-kv/luat_kv.wasm";
    const kv = (await Store.open({ wasm })).namespace("a");
    await kv.put("k", "v");
    document.title = await kv.get("k");
  `,
  );
  const folder = join(installed, "dist");
  for (const minify of [false, true]) {
    const { warnings } = await build({
      entryPoints: [entry],
      outdir: folder,
      bundle: true,
      minify,
      format: "esm",
      loader: { ".wasm": "file" },
      logLevel: "silent",
    });
    equal(warnings, []);
    const page = '<!doctype html><link rel=icon href=data:,><script type="module" src="/bundled.js"></script>';
    const server = await serve({ "/": page }, folder);
    const browser = await launch();
    t.after(() => browser.close().then(server.close));
    const opened = await openPage(browser, `${server.url}/`);
    await opened.waitForFunction(() => document.title === "v", null, PATIENCE);
    equal(opened.errors, []);
  }
  const bundle = await readFile(join(folder, "bundled.js"), "utf8");
  ok(!bundle.includes("wasi_snapshot"), "what is not used is left out");
});

test("bundled as a plain script, it runs in a page that says where the module is", async (t) => {
  const entry = join(installed, "plain.js");
  await writeFile(
    entry,
    `
    import { Store } from "luat-kv";
    (async () => {
      const refused = await Store.open().catch((error) => error.message);
      const kv = (await Store.open({ wasm: "/node_modules/luat-kv/luat_kv.wasm" })).namespace("a");
      document.title = refused + " " + (await kv.incr("n"));
    })();
  `,
  );
  const outfile = join(installed, "plain.min.js");
  await build({ entryPoints: [entry], outfile, bundle: true, minify: true, format: "iife", logLevel: "silent" });
  const page = '<!doctype html><link rel=icon href=data:,><script src="/plain.min.js"></script>';
  const { url, close } = await serve({ "/": page }, installed);
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const opened = await openPage(browser, `${url}/`);
  await opened.waitForFunction(() => document.title !== "", null, PATIENCE);
  const told = "this bundle does not know the address of luat_kv.wasm: pass it as the option wasm";
  equal(await opened.title(), `${told}, as in: import wasm from "luat-kv/luat_kv.wasm" 1`);
});

test("without a bundler, it runs in a page by itself", async (t) => {
  const { url, close } = await serve({}, installed);
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const page = await openPage(browser, `${url}/`);
  const value = await page.evaluate(async () => {
    const { Store } = await import("/node_modules/luat-kv/src/index.js");
    return (await Store.open()).namespace("a").incr("n", 41);
  });
  equal([value, page.errors], [41, []]);
});

// `npm run types` checks the types themselves, also against those of Workers.
test("its types are found where it is installed", async () => {
  const file = join(installed, "typed.ts");
  await writeFile(
    file,
    `
    import { Store } from "luat-kv";
    import { Lua } from "luat-kv/lua";
    import wasm from "luat-kv/luat_kv.wasm";
    export const lua: Promise<Lua> = Store.open({ wasm }).then((kv) => Lua.create({ kv }));
  `,
  );
  const settings = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"];
  await run(join(root, "node_modules/.bin/tsc"), [...settings, file], { cwd: installed });
});

/** Whether an example is one of the two that share a store between tabs. */
const isShared = (code) => /"connect"|SharedWorker/.test(code);
/** Whether an example is only for browsers. */
const isForPage = (code) => code.includes("persist:") || isShared(code);

test("the README's examples print what they say", async () => {
  const code = (await examples("js")).filter((code) => !isForPage(code));
  equal(code.length, 5); // the last is a Worker: compat/readme.test.js
  equal(await printed("use.js", code[0]), "alice\nsession:abc web\ntrue 1\n9 3\n");
  equal(await printed("worker.js", code[1]), "2\n");
  const told = "theme:dark put true\ntheme:dark delete\nsince then: theme:dark delete\n";
  equal(await printed("watch.js", code[2]), told);
  equal(await printed("lua.js", code[3]), "Hello\n{ title: 'Hello' }\n");
});

test("the README's examples for a page run in one", async (t) => {
  const [html] = await examples("html");
  const persisted = (await examples("js")).filter((code) => isForPage(code) && !isShared(code));
  equal(persisted.length, 3);
  // A page imports by path.
  const codes = persisted.map((code) =>
    code.replace(/^import (.*) from "luat-kv";/, 'const $1 = await import("/node_modules/luat-kv/src/index.js");'),
  );
  const { url, close } = await serve(
    { "/page.html": `<!doctype html><link rel=icon href=data:,><body>${html}` },
    installed,
  );
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const page = await openPage(browser, `${url}/page.html`);
  await page.waitForFunction(() => document.body.textContent === "1", null, PATIENCE);
  for (const code of [...codes, ...codes.map((code) => code.replace("indexeddb", "opfs"))]) {
    await page.evaluate(
      (code) =>
        (0, eval)(`(async () => {
      ${code}
      globalThis.draft = await store.namespace("drafts").get("1");
      await store.close();
    })()`),
      code,
    );
    equal(await page.evaluate(() => draft), "Dear …");
  }
  equal(page.errors, []);
});

test("the README's SharedWorker keeps one store for all tabs", async (t) => {
  const [worker, tab] = (await examples("js")).filter(isShared);
  const code = worker.replace('"luat-kv"', '"./node_modules/luat-kv/src/index.js"');
  const { url, close } = await serve({ "/store.js": code }, installed);
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const context = await browser.newContext();
  const [first, second] = [await openPage(context, `${url}/`), await openPage(context, `${url}/`)];
  const run = (code) => (0, eval)(`(async () => { ${code}; globalThis.ask = ask; })()`);
  await first.evaluate(run, tab);
  await second.evaluate(run, tab.replace(/await ask\("put"[^]*/, ""));
  equal(await second.evaluate(() => ask("get", "1")), "Dear …");
  const refused = await second.evaluate(() => ask("put", "", "1").catch(({ message }) => message));
  ok(/^(INVALID|TypeError): /.test(refused), refused);
  await first.close(); // so the worker ends with the second
  await second.evaluate(() => ask("put", "2", "Yours"));
  await second.close();
  const third = await openPage(context, `${url}/`);
  await third.evaluate(run, tab);
  equal(await third.evaluate(() => ask("get", "2")), "Yours");
  equal([first.errors, second.errors, third.errors], [[], [], []]);
});
