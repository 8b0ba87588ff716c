// Checks that both modules, which make builds, are here for `npm pack`.

import { existsSync } from "node:fs";

const here = (path) => new URL(`../${path}`, import.meta.url);

const lacking = ["luat_kv.wasm", "luat_kv_lua.wasm"].filter((name) => !existsSync(here(name)));
if (lacking.length > 0) {
  console.error(`web/ lacks ${lacking.join(" and ")}: run make wasm first`);
  process.exit(1);
}
