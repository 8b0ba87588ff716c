// Bundles a page with the package: it runs, and does not ship Lua if it does not use it.

import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { after, before } from "node:test";
import * as esbuild from "esbuild";
import * as vite from "vite";
import webpack from "webpack";
import { gzipSync } from "node:zlib";
import { launch, openPage, serve } from "../test/browser.js";
import { install, readme } from "../test/installed.js";
import { equal, ok } from "../test/suites/check.js";

/** The time limit, for slow machines. */
const PATIENCE = { timeout: 120_000 };

let installed, remove, browser;

before(async () => {
  ({ folder: installed, remove } = await install());
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await remove?.();
});

/** Each bundler writes a folder with page.js, and its other files, for a source file. */
const BUNDLERS = {
  Vite: (file, outDir) =>
    vite.build({
      root: installed,
      configFile: false,
      logLevel: "silent",
      build: {
        outDir,
        target: "es2022",
        rollupOptions: { input: file, output: { entryFileNames: "page.js" } },
      },
    }),

  webpack: (file, path) =>
    new Promise((resolve, reject) => {
      const options = { mode: "production", context: installed, entry: file, output: { path, filename: "page.js" } };
      webpack({ ...options, performance: false }, (error, stats) => {
        if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(stats.toString()));
        else resolve();
      });
    }),

  esbuild: (file, outdir) =>
    esbuild.build({
      entryPoints: { page: file },
      outdir,
      bundle: true,
      minify: true,
      format: "esm",
      loader: { ".wasm": "file" },
      logLevel: "silent",
    }),
};

const STORE = `
  import { Store } from "luat-kv";
  const store = (options) => Store.open(options);
`;
const LUA = `
  import { Lua } from "luat-kv/lua";
  const store = async (options) => (await Lua.create(options)).kv;
`;
const MAIN = LUA.replace("luat-kv/lua", "luat-kv");

const pages = new Map();

/** Bundles a page and opens it. Returns its title, its code, and the sizes of the shipped modules. */
function page(bundler, name, code) {
  const key = `${bundler}-${name}`;
  if (!pages.has(key)) pages.set(key, makePage(bundler, name, code));
  return pages.get(key);
}

async function makePage(bundler, name, code) {
  const file = join(installed, `${name}.js`);
  await writeFile(
    file,
    `${code}
    store(globalThis.options).then((store) => store.namespace("test").incr("n", 41)).then(
      (n) => (document.title = String(n)),
      (error) => (document.title = error.code + " " + error.message),
    );
  `,
  );
  const folder = join(installed, `${bundler}-${name}`);
  await BUNDLERS[bundler](file, folder);
  const html = '<!doctype html><link rel=icon href=data:,><script type="module" src="/page.js"></script>';
  const { url, close } = await serve({ "/": html }, folder);
  try {
    const opened = await openPage(browser, `${url}/`);
    await opened.waitForFunction(() => document.title !== "", null, PATIENCE);
    const code = await readFile(join(folder, "page.js"), "utf8");
    return { title: await opened.title(), shipped: await modulesIn(folder), code };
  } finally {
    await close();
  }
}

async function modulesIn(folder) {
  const entries = await readdir(folder, { recursive: true });
  const sizes = entries.filter((name) => name.endsWith(".wasm")).map((name) => stat(join(folder, name)));
  return (await Promise.all(sizes)).map(({ size }) => size).sort((a, b) => a - b);
}

/** The size that a page loads in kB, for comparison with the README: its code, and a module. */
async function loaded(code, name) {
  const module = await readFile(join(installed, "node_modules/luat-kv", name));
  return (gzipSync(code).length + gzipSync(module).length) / 1000;
}

const sizeOf = async (name) => (await stat(join(installed, "node_modules/luat-kv", name))).size;

const ownURL = (code, name) => `import wasm from "luat-kv/${name}";\nglobalThis.options = { wasm };\n${code}`;

for (const bundler of ["Vite", "webpack"]) {
  test(`${bundler}: a page without Lua ships the store alone`, async () => {
    const { title, shipped, code } = await page(bundler, "store", STORE);
    equal([title, shipped], ["41", [await sizeOf("luat_kv.wasm")]]);
    ok(!code.includes("wasi_snapshot"), "what is not used is left out");
  });

  test(`${bundler}: a page that imports luat-kv/lua ships Lua too`, async () => {
    const { title, shipped } = await page(bundler, "lua", LUA);
    equal([title, shipped], ["41", [await sizeOf("luat_kv.wasm"), await sizeOf("luat_kv_lua.wasm")]]);
  });
}

test("what a page loads is as much as the README says", async () => {
  const [, store, lua] = /loads (\d+) kB for the store.* and (\d+) kB for Lua/.exec(await readme());
  for (const [said, name, code, module] of [
    [store, "store", STORE, "luat_kv.wasm"],
    [lua, "lua", LUA, "luat_kv_lua.wasm"],
  ]) {
    const size = await loaded((await page("Vite", name, code)).code, module);
    ok(Math.abs(size / said - 1) < 0.05, `${name}: ${size} kB`);
  }
});

test("webpack: Lua of luat-kv itself runs as well", async () => {
  const { title, shipped } = await page("webpack", "main", MAIN);
  equal([title, shipped], ["41", [await sizeOf("luat_kv.wasm"), await sizeOf("luat_kv_lua.wasm")]]);
});

test("Vite: Lua of luat-kv itself runs if wasm sets its address; otherwise an error says what to do", async () => {
  const url = ownURL(MAIN, "luat_kv_lua.wasm?url");
  const { title, shipped } = await page("Vite", "main-url", url);
  equal([title, shipped], ["41", [await sizeOf("luat_kv.wasm"), await sizeOf("luat_kv_lua.wasm")]]);
  const { title: refused } = await page("Vite", "main", MAIN);
  const wanted = /^IO luat_kv_lua\.wasm could not be fetched: .* 404 Not Found; the option wasm .* luat-kv\/lua/;
  ok(wanted.test(refused), refused);
});

test("Vite's development server gives the modules as they are, with the setting that the README names", async (t) => {
  const [, exclude] = /optimizeDeps: \{ exclude: (\[.*?\])/s.exec(await readme());
  const script = (code) => `${code}
    store().then(() => (document.title = "open"), (error) => (document.title = error.message));
  `;
  await writeFile(join(installed, "dev-store.js"), script(STORE));
  await writeFile(join(installed, "dev-lua.js"), script(LUA));
  const server = await vite.createServer({
    root: installed,
    configFile: false,
    logLevel: "silent",
    appType: "custom",
    optimizeDeps: { exclude: JSON.parse(exclude) },
    server: { host: "127.0.0.1", port: 0 },
  });
  t.after(() => server.close());
  await server.listen();
  const { port } = server.httpServer.address();
  for (const name of ["dev-store", "dev-lua"]) {
    server.middlewares.use(`/${name}.html`, (_request, response) => {
      const page = `<!doctype html><script type=module src=/${name}.js></script>`;
      response.setHeader("content-type", "text/html").end(page);
    });
    const opened = await openPage(browser, `http://127.0.0.1:${port}/${name}.html`);
    await opened.waitForFunction(() => document.title !== "", null, PATIENCE);
    equal(await opened.title(), "open");
  }
});

test("esbuild: a page ships what it imports", async () => {
  const store = await page("esbuild", "store", ownURL(STORE, "luat_kv.wasm"));
  equal([store.title, store.shipped], ["41", [await sizeOf("luat_kv.wasm")]]);
  ok(!store.code.includes("wasi_snapshot"), "what is not used is left out");
  const lua = await page("esbuild", "lua", ownURL(LUA, "luat_kv_lua.wasm"));
  equal([lua.title, lua.shipped], ["41", [await sizeOf("luat_kv_lua.wasm")]]);
});
