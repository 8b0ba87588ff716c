// A key-value store in one file, with the API of Cloudflare Workers KV. index.d.ts says what each thing does.

import { Handle } from "./lib/handle.js";
import { native } from "./lib/library.js";
import { ERROR, HANDLE, cString, checked, outHandle } from "./lib/memory.js";
import { openOptions } from "./lib/options.js";
import { Store } from "./lib/store.js";

export { Atomic } from "./lib/atomic.js";
export { LuatKVError } from "./lib/error.js";
export { Namespace } from "./lib/namespace.js";
export { Store };

const opened = () => new Store(new Handle(outHandle(), native.close));

export function open(path, options) {
  const place = cString("the path", path);
  checked(native.open(place, openOptions(options), HANDLE, ERROR));
  return opened();
}

export function openProject(dir, options) {
  const place = dir === undefined || dir === null ? null : cString("the folder", dir);
  checked(native.open_project(place, openOptions(options), HANDLE, ERROR));
  return opened();
}

export function openMemory(options) {
  checked(native.open_memory(openOptions(options), HANDLE, ERROR));
  return opened();
}

/** The version of the C library. */
export const version = native.version();
