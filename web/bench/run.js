// `make bench-wasm`: the size of the modules, and their speed in Node and in headless Chromium.

import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { launch, openPage, serve } from "../test/browser.js";
import { measure } from "./measure.js";

async function sizes() {
  console.log(`${"bytes".padEnd(28)} ${"plain".padStart(9)} ${"gzipped".padStart(9)}`);
  for (const file of ["luat_kv.wasm", "luat_kv_lua.wasm"]) {
    const bytes = await readFile(new URL(`../${file}`, import.meta.url));
    const zipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`${file.padEnd(28)} ${String(bytes.length).padStart(9)} ${String(zipped).padStart(9)}`);
  }
}

async function inChromium() {
  const entry = new URL("./measure.js", import.meta.url).pathname;
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: "esm", write: false });
  // The bundle is beside src/, so that it finds the modules.
  const { url, close } = await serve({ "/src/bench.js": outputFiles[0].text });
  const browser = await launch();
  try {
    const page = await openPage(browser, url);
    return await page.evaluate(() => import("/src/bench.js").then(({ measure }) => measure()));
  } finally {
    await browser.close();
    await close();
  }
}

function print(where, results) {
  console.log(`\n${`ns, ${where}`.padEnd(28)} ${"put".padStart(9)} ${"get".padStart(9)}`);
  for (const [name, { put, get }] of Object.entries(results)) {
    console.log(`${name.padEnd(28)} ${put.toFixed(0).padStart(9)} ${get.toFixed(0).padStart(9)}`);
  }
}

await sizes();
print(`Node ${process.versions.node}`, await measure());
print("Chromium", await inChromium());
