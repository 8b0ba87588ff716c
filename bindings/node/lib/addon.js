// Finds the addon, which src/ is the source of.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const inPackage = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Where scripts/build.js writes the addon, when the package is installed. */
export const COMPILED = inPackage("build/luat_kv.node");

/** Where a package that is complete has a file for this platform: the addon or the C library. */
export const prebuilt = (name) => inPackage(`prebuilds/${process.platform}-${process.arch}/${name}`);

const PREBUILT = prebuilt("luat_kv.node");

/** Whether the package has an addon that loads here without being compiled. */
export function hasPrebuilt() {
  try {
    return Boolean(loadAddon([PREBUILT]));
  } catch {
    return false;
  }
}

export function loadAddon(paths = [COMPILED, PREBUILT]) {
  const reasons = [];
  for (const path of paths) {
    if (!existsSync(path)) continue;
    try {
      return require(path);
    } catch (error) {
      reasons.push(error.message);
    }
  }
  const build = `node ${JSON.stringify(inPackage("scripts/build.js"))}`;
  const fault = reasons.length > 0 ? `does not load here (${reasons.join("; ")})` : "was not built at its installation";
  const message = `the native addon of luat-kv-native ${fault}: run ${build}`;
  throw Object.assign(new Error(message), { code: "ERR_DLOPEN_FAILED" });
}
