// `make bench-wasm`: the size of the modules, and their speed in Node and in headless Chromium. With --json it prints
// the speeds as a JSON object a line.

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

/** What may be missed: a ratio to a peer, a time more than a peer's, or a time, both in nanoseconds. */
const GOALS = [
  { operation: "get", subject: "luat-kv, sync", peer: "a Map with the same work", mostMore: 150 },
  { operation: "get", subject: "luat-kv", peer: "unstorage, memory", mostRatio: 1 / 3 },
  { operation: "put", subject: "luat-kv", peer: "unstorage, memory", mostRatio: 1 },
  { operation: "get", subject: "luat_kv in Lua", most: 400 },
];

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** The lines of `--json`, from the times of the rounds. */
function* lines(host, rounds) {
  for (const operation of ["put", "get"]) {
    for (const [subject, times] of Object.entries(rounds)) {
      yield { host, operation, subject, microseconds: median(times[operation]) / 1000 };
    }
  }
  for (const { operation, subject, peer, mostMore, mostRatio, most } of GOALS) {
    const ours = rounds[subject][operation];
    const theirs = rounds[peer]?.[operation];
    const line = { host, operation, subject, peer };
    const each = (compare) => median(ours.map((time, at) => compare(time, theirs?.[at])));
    if (most !== undefined) yield { ...line, microseconds: median(ours) / 1000, goal: most / 1000 };
    else if (mostRatio !== undefined) yield { ...line, ratio: each((a, b) => a / b), goal: mostRatio };
    else yield { ...line, more: each((a, b) => a - b) / 1000, goal: mostMore / 1000 };
  }
}

function show({ operation, subject, peer, microseconds, ratio, more, goal }) {
  const start = `${operation} ${subject.padEnd(26)}`;
  const missed = goal !== undefined && (ratio ?? more ?? microseconds) > goal ? " MISSED" : "";
  const end = `, goal ${ratio === undefined ? 1000 * goal : goal.toFixed(2)}${missed}`;
  if (ratio !== undefined) return `${start} ${ratio.toFixed(2).padStart(7)} × ${peer}${end}`;
  const time = `${start} ${(1000 * (more ?? microseconds)).toFixed(0).padStart(7)} ns`;
  if (goal === undefined) return time;
  return `${time}${more === undefined ? "" : ` more than ${peer}`}${end}`;
}

const isJSON = process.argv.includes("--json");
if (!isJSON) await sizes();
for (const [host, run] of [
  [`Node ${process.versions.node}`, measure],
  ["Chromium", inChromium],
]) {
  if (!isJSON) console.log(`\n${host}`);
  const found = lines(`JavaScript in ${host}`, await run());
  for (const line of found) console.log(isJSON ? JSON.stringify(line) : show(line));
}
