import * as api from "../src/index.js";
import { runSuites } from "./tap.js";
const suites = [];
for (const n of (globalThis.process.argv[2] ?? "namespace,arguments,bulk,limits,lua,lua-files,lua-stop").split(",")) suites.push((await import(`../test/suites/${n}.js`)).default);
let t = Date.now();
await runSuites(suites, api, (l) => { console.log(l, Date.now() - t); t = Date.now(); });
