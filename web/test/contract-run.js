// The Lua contract suite on luat_kv_lua.wasm: node test/contract-run.js [node | chromium | firefox | webkit]. Prints TAP.

import { contractFiles } from "./contract-files.js";
import { runContract } from "./contract.js";

const where = process.argv[2] ?? "node";
const files = contractFiles();

async function inNode() {
  const { Lua } = await import("../src/index.js");
  return runContract(Lua, files, (line) => console.log(line));
}

async function inBrowser() {
  const { start } = await import("./browsers.js");
  const browser = await start(where, { "/files.json": JSON.stringify(files) });
  try {
    const page = await browser.open("/");
    const [failures, lines] = await page.evaluate(async () => {
      const { Lua } = await import("/src/index.js");
      const { runContract } = await import("/test/contract.js");
      const lines = [];
      const failures = await runContract(Lua, await (await fetch("/files.json")).json(), (line) => lines.push(line));
      return [failures, lines];
    });
    const messages = await page.messages();
    console.log([`# ${where} ${browser.version}`, ...lines, ...messages.map((message) => `# ${message}`)].join("\n"));
    return failures + messages.length;
  } finally {
    await browser.close();
  }
}

const failures = await (where === "node" ? inNode() : inBrowser());
process.exitCode = failures === 0 ? 0 : 1;
