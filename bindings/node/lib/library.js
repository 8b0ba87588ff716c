// Finds, loads and checks the C library when the package is imported.

import { constants as limits } from "node:buffer";
import koffi from "koffi";
import { constants, functions, structs } from "./declarations.js";

const names = {
  win32: ["luat_kv.dll"],
  darwin: ["libluat_kv.0.dylib", "libluat_kv.dylib"],
}[process.platform] ?? ["libluat_kv.so.0", "libluat_kv.so"];

function refuse(message) {
  return Object.assign(new Error(message), { code: "ERR_DLOPEN_FAILED" });
}

function find() {
  const path = process.env.LUAT_KV_LIBRARY;
  const reasons = [];
  for (const name of path ? [path] : names) {
    try {
      return [name, koffi.load(name)];
    } catch (error) {
      reasons.push(`${name}: ${error.message}`);
    }
  }
  const advice = "install it with `make lib && sudo make install` in luat_kv's sources, or set LUAT_KV_LIBRARY to its path";
  const hint = path ? "LUAT_KV_LIBRARY names it" : advice;
  throw refuse(`libluat_kv could not be loaded (${hint}): ${reasons.join("; ")}`);
}

// Every pointer is void *: koffi's named types are global to the process, so another copy of this package would clash;
// and koffi does not check what a number points to in any case. So arguments are checked before a call.
const typeOf = (type) => (type.endsWith("*") ? "void *" : type.replace("luat_kv_status", "int32_t"));
const resultOf = (type) => (type === "const char *" ? "str" : typeOf(type));

function declare(library, name) {
  const [result, ...parameters] = functions[name];
  return library.func(`luat_kv_${name}`, resultOf(result), parameters.map(typeOf));
}

function bind(path, library) {
  let abi;
  try {
    abi = declare(library, "abi_version")();
  } catch {
    throw refuse(`${path} is not libluat_kv: it has no luat_kv_abi_version`);
  }
  if (abi !== constants.ABI_VERSION) {
    throw refuse(`libluat_kv at ${path} has ABI ${abi}, and this package needs ${constants.ABI_VERSION}`);
  }
  const missing = [];
  const bound = {};
  for (const name in functions) {
    try {
      bound[name] = declare(library, name);
    } catch {
      missing.push(`luat_kv_${name}`);
    }
  }
  if (missing.length > 0) throw refuse(`libluat_kv at ${path} is too old for this package: it lacks ${missing.join(", ")}`);
  return bound;
}

/** The functions of the header, without "luat_kv_". A pointer is passed as a Uint8Array, a BigInt or null. */
export const native = bind(...find());

/** The layouts of the header's structs, from koffi. */
export const layouts = {};
for (const name in structs) {
  const fields = Object.entries(structs[name]).map(([field, type]) => [field, layouts[type] ?? typeOf(type)]);
  layouts[name] = koffi.struct(Object.fromEntries(fields));
}

const libc = koffi.load(process.platform === "win32" ? "ucrtbase.dll" : null);
const memcpy = libc.func("memcpy", "void *", ["void *", "void *", "size_t"]);

/** A Buffer with a copy of native memory. */
export function copy(pointer, length) {
  const buffer = Buffer.allocUnsafe(length);
  // An external ArrayBuffer over the memory (koffi.view) takes ten times as long, and some builds of V8 forbid it.
  if (length > 0) memcpy(buffer, pointer, length);
  return buffer;
}

/** Copies bytes into native memory. */
export function fill(pointer, bytes) {
  memcpy(pointer, bytes, bytes.length);
}

/** The text in native memory. */
export function text(pointer, length) {
  // koffi crashes if a string would be too long for V8; a Buffer throws.
  if (length > limits.MAX_STRING_LENGTH) return copy(pointer, length).toString();
  return length > 0 ? koffi.decode.string(pointer, length) : "";
}
