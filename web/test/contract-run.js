// The Lua contract suite on luat_kv_lua.wasm: node test/contract-run.js [node | chromium]. Prints TAP.

import { contractFiles } from "./contract-files.js";
import { runContract } from "./contract.js";

const where = process.argv[2] ?? "node";
const files = contractFiles();

async function inNode() {
  const { Lua } = await import("../src/index.js");
  return runContract(Lua, files, (line) => console.log(line));
}

async function inChromium() {
  const { launch, openPage, serve } = await import("./browser.js");
  const server = await serve({ "/files.json": JSON.stringify(files) });
  const browser = await launch();
  try {
    const page = await openPage(browser, server.url);
    await page.exposeFunction("tell", (lines) => console.log(lines));
    const failures = await page.evaluate(async () => {
      const { Lua } = await import("/src/index.js");
      const { runContract } = await import("/test/contract.js");
      const told = [];
      const failures = await runContract(Lua, await (await fetch("/files.json")).json(), (line) => told.push(line));
      await window.tell(told.join("\n"));
      return failures;
    });
    for (const error of page.errors) console.log(`# ${error}`);
    return failures + page.errors.length;
  } finally {
    await browser.close();
    await server.close();
  }
}

const failures = await { node: inNode, chromium: inChromium }[where]();
process.exitCode = failures === 0 ? 0 : 1;
