// Runs the suites in this process: in Node, Deno or Bun. With `bare`, runs the smoke test without optional features,
// except those that are named.

import process from "node:process";
import { strip } from "./bare.js";
import smoke from "./smoke.js";
import suites from "./suites.js";
import { runSuites } from "./tap.js";

const [mode, ...kept] = process.argv.slice(2);
const isBare = mode === "bare";
if (isBare) strip(...kept);
const api = await import("../src/index.js");
console.log(`# ${process.title} ${process.version}`);
const failures = await runSuites(isBare ? [smoke] : suites, api, (line) => console.log(line));
process.exitCode = failures === 0 ? 0 : 1;
