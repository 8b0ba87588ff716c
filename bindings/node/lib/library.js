// Finds, loads and checks the C library when the package is imported.

import { existsSync } from "node:fs";
import { loadAddon, prebuilt } from "./addon.js";
import { LuatKVError } from "./error.js";

const names = {
  win32: ["luat_kv.dll"],
  darwin: ["libluat_kv.0.dylib", "libluat_kv.dylib"],
}[process.platform] ?? ["libluat_kv.so.0", "libluat_kv.so"];

/** The package's own library, if it has one for this platform; then what the system's loader finds. */
const places = [prebuilt(names[0])].filter(existsSync).concat(names);

const { constants, load } = loadAddon();

function refuse(message) {
  return Object.assign(new Error(message), { code: "ERR_DLOPEN_FAILED" });
}

function find() {
  const path = process.env.LUAT_KV_LIBRARY;
  const reasons = [];
  for (const name of path ? [path] : places) {
    try {
      return [name, load(name, LuatKVError, Array.prototype.push)];
    } catch (error) {
      reasons.push(`${name}: ${error.message}`);
    }
  }
  const advice = "install it with `make lib && sudo make install` in luat_kv's sources, or set LUAT_KV_LIBRARY to its path";
  const hint = path ? "LUAT_KV_LIBRARY names it" : advice;
  throw refuse(`libluat_kv could not be loaded (${hint}): ${reasons.join("; ")}`);
}

function check(path, { abi, missing, methods, room }) {
  if (abi === undefined) throw refuse(`${path} is not libluat_kv: it has no luat_kv_abi_version`);
  if (abi !== constants.ABI_VERSION) {
    throw refuse(`libluat_kv at ${path} has ABI ${abi}, and this package needs ${constants.ABI_VERSION}`);
  }
  if (missing.length > 0) throw refuse(`libluat_kv at ${path} is too old for this package: it lacks ${missing.join(", ")}`);
  return { native: methods, room };
}

/**
 * The functions of the addon, which src/ describes, and the Buffer in which get_bytes() leaves a value. A failed
 * operation throws a LuatKVError.
 */
export const { native, room } = check(...find());

/** Constants of the header, without "LUAT_KV_". */
export { constants };
