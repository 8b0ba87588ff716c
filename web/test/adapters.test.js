// The adapters in a page, bundled with what they are for. tests/adapters/js tests them in Node.

import test from "node:test";
import { build } from "esbuild";
import { launch, openPage, root, serve } from "./browser.js";
import { equal } from "./support.js";

test("bundled with unstorage, in a page: what was stored is there after a reload", async (t) => {
  const { outputFiles, warnings } = await build({
    stdin: {
      contents: `
        import { createStorage } from "unstorage";
        import KeyvLuatKV from "./src/adapters/keyv.js";
        import luatKVDriver from "./src/adapters/unstorage.js";
        const store = (name) => ({ persist: "indexeddb", name, wasm: "/luat_kv.wasm" });
        globalThis.storage = createStorage({ driver: luatKVDriver({ store: store("pages"), namespace: "p" }) });
        globalThis.keyv = new KeyvLuatKV({ store: store("users") });
      `,
      resolveDir: root,
    },
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "silent",
  });
  equal(warnings, []);
  const html = '<!doctype html><link rel=icon href=data:,><script type="module" src="/bundle.js"></script>';
  const { url, close } = await serve({ "/": html, "/bundle.js": outputFiles[0].text });
  const browser = await launch();
  t.after(() => browser.close().then(close));
  const page = await openPage(browser, `${url}/`);
  await page.evaluate(async () => {
    await storage.setItem("a:b", { n: 1 });
    await storage.dispose();
    await keyv.set("k", "v", 1_000_000);
    await keyv.disconnect();
  });
  await page.reload();
  const found = await page.evaluate(async () => [await storage.getItem("a:b"), await storage.getKeys(), await keyv.get("k")]);
  equal([found, page.errors], [[{ n: 1 }, ["a:b"], "v"], []]);
});
