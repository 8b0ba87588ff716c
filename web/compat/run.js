// Runs the suites in a runtime: node compat/run.js node | deno | bun | workerd. Prints TAP, in several parts.

import process from "node:process";
import { fileURLToPath } from "node:url";
import { programOf } from "./programs.js";
import { exitOf, runWorkers } from "./workerd.js";

const fileOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Compatibility dates: an old one, the first with which Workers can create streams, and a current one. */
const [OLD, EARLY, LATE] = ["2021-01-01", "2022-11-30", "2026-11-01"];

const WORKERS = [
  { name: "suites", file: fileOf("workers/suites.js"), date: LATE },
  { name: "bare", file: fileOf("workers/bare.js"), date: EARLY },
  { name: "scope", file: fileOf("workers/scope.js"), date: LATE },
  { name: "old-scope", file: fileOf("workers/scope.js"), date: OLD },
];

async function inProcesses(name, options, kept = []) {
  const statuses = [];
  for (const mode of [[], ["bare", ...kept]]) {
    statuses.push(await exitOf(programOf(name), [...options, fileOf("main.js"), ...mode]));
  }
  return Math.max(...statuses);
}

const RUNTIMES = {
  node: () => inProcesses("node", []),
  deno: () => inProcesses("deno", ["run", "--no-prompt", `--allow-read=${fileOf("..")}`]),
  bun: () => inProcesses("bun", [], ["crypto"]), // without crypto, Bun's node:crypto fails
  workerd: () => runWorkers(WORKERS),
};

process.exitCode = await RUNTIMES[process.argv[2]]();
