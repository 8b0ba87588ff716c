// Finds, checks and instantiates a WebAssembly module, with an error that says what is wrong with it.

import { ABI_VERSION } from "./abi.js";
import { LuatKVError, invalid, kind } from "./error.js";

const PAGE = 65536;
/** The initial memory that is tried first, in pages. Both modules need at least this. */
const LEAST_PAGES = 16;
/** The limit for the initial memory, in pages. Neither module needs more to start. */
const MOST_PAGES = 1024;

/** The advice for a module that was not found at its address. */
function advice(file) {
  const option = "; the option wasm sets its address";
  return file === "luat_kv_lua.wasm" ? `${option}, and bundlers find it where luat-kv/lua is imported` : option;
}

/** Compiled modules by their address, so that a second store does not compile again. */
const compiled = new Map();

async function moduleOf(file, url, source) {
  if (source instanceof WebAssembly.Module || isOf(source, "WebAssembly.Module")) return source;
  const given = await source;
  if (given === undefined) return byAddress(file, addressOf(file, url));
  if (given instanceof URL || typeof given === "string") return byAddress(file, given);
  if (typeof given?.arrayBuffer === "function") return compile(file, await fromResponse(file, given), given.url);
  if (ArrayBuffer.isView(given) || isOf(given, "ArrayBuffer")) return compile(file, given, "");
  if (isOf(given, "WebAssembly.Module")) return given;
  throw new TypeError(`wasm must be a URL, a Response, bytes or a WebAssembly.Module, not ${kind(given)}`);
}

function addressOf(file, url) {
  try {
    return typeof url === "function" ? url() : url;
  } catch (error) {
    const example = `as in: import wasm from "luat-kv/${file}"`;
    const message = `this bundle does not know the address of ${file}: pass it as the option wasm, ${example}`;
    throw invalid(message, { cause: error });
  }
}

const isOf = (value, name) =>
  typeof value === "object" && value !== null && Object.prototype.toString.call(value) === `[object ${name}]`;

function byAddress(file, address) {
  const key = String(address);
  let module = compiled.get(key);
  if (module === undefined) {
    module = fetched(file, address).then((bytes) => compile(file, bytes, key));
    compiled.set(key, module);
    module.catch(() => compiled.delete(key));
  }
  return module;
}

async function fetched(file, address) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const isPath = typeof address === "string" && base === undefined && !/^[a-z][a-z0-9+.-]+:/i.test(address);
  if (isPath || /^file:/i.test(address)) {
    const local = await fromDisk(file, isPath ? address : new URL(address));
    if (local) return local;
  }
  let response;
  try {
    response = await fetch(typeof address === "string" && base !== undefined ? new URL(address, base) : address);
  } catch (error) {
    const message = `${file} could not be fetched from ${address}: ${error.message}${advice(file)}`;
    throw new LuatKVError("IO", message, { cause: error });
  }
  return fromResponse(file, response);
}

/** Node's fetch does not support file: URLs. Bundlers for browsers must not resolve this import. */
async function fromDisk(file, path) {
  if (globalThis.process?.versions?.node === undefined) return null;
  const name = "node:fs/promises";
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  try {
    return await readFile(path);
  } catch (error) {
    throw new LuatKVError("IO", `${file} could not be read: ${error.message}${advice(file)}`, { cause: error });
  }
}

async function fromResponse(file, response) {
  if (!response.ok) {
    const what = `${response.status} ${response.statusText}`.trim();
    throw new LuatKVError("IO", `${file} could not be fetched: ${response.url} answered ${what}${advice(file)}`);
  }
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new LuatKVError("IO", `${file} could not be fetched: ${error.message}`, { cause: error });
  }
}

async function compile(file, given, where) {
  const bytes = ArrayBuffer.isView(given)
    ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    : new Uint8Array(given);
  const place = where ? ` at ${where}` : "";
  if (bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    const beginning = JSON.stringify(new TextDecoder().decode(bytes.subarray(0, 40)));
    const message = `${file}${place} is not WebAssembly: its ${bytes.length} bytes begin with ${beginning}`;
    throw invalid(message + advice(file));
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    // A page's Content-Security-Policy may forbid compiling. A Worker cannot compile at run time.
    const isGood = WebAssembly.validate(bytes);
    const what = isGood ? "may not be compiled here" : "is damaged";
    const isForbidden = isGood && /unsafe-eval|security policy/i.test(error.message);
    const hint = isForbidden ? "; the page's policy needs 'wasm-unsafe-eval' in its script-src" : "";
    throw invalid(`${file}${place} ${what}: ${error.message}${hint}`, { cause: error });
  }
}

/** Throws unless the module is one of this package. Another module could do anything when it starts. */
function check(file, module, imports) {
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  for (const name of ["luat_kv_abi_version", "luat_kv_wasm_alloc", "luat_kv_wasm_free", "luat_kv_wasm_load"]) {
    if (!exported.has(name)) throw invalid(`${file} is another WebAssembly module: it has no ${name}`);
  }
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const there = (from === "env" && name === "memory") || typeof imports[from]?.[name] === "function";
    if (there) continue;
    const other = exported.has("luat_kv_lua_new") ? ", and is luat_kv_lua.wasm, which Lua.create() takes" : "";
    throw invalid(`${file} is of another version or kind: it imports ${from}.${name}${other}`);
  }
}

function makeMemory(maximum) {
  try {
    return new WebAssembly.Memory({ initial: Math.min(LEAST_PAGES, maximum), maximum });
  } catch (error) {
    const message = `the system has no ${maximum * PAGE} bytes to give: ${error.message}`;
    throw new LuatKVError("NOMEM", message, { cause: error });
  }
}

/**
 * Instantiates a module with a new memory. JavaScript cannot read the minimum that the module declares for its memory,
 * so the memory grows until the module accepts it.
 */
export async function instantiate({ file, url, source, maxMemory, imports }) {
  const module = await moduleOf(file, url, source);
  check(file, module, imports);
  const memory = makeMemory(Math.floor(maxMemory / PAGE));
  const all = { ...imports, env: { ...imports.env, memory } };
  for (;;) {
    let instance;
    try {
      instance = await WebAssembly.instantiate(module, all);
    } catch (error) {
      const small = error instanceof WebAssembly.LinkError && /memory/i.test(error.message);
      if (!small || memory.buffer.byteLength >= MOST_PAGES * PAGE) {
        throw invalid(`${file} cannot be started: ${error.message}`, { cause: error });
      }
      grow(file, memory, maxMemory, error);
      continue;
    }
    const version = instance.exports.luat_kv_abi_version();
    if (version !== ABI_VERSION) {
      throw invalid(`${file} is of another version: its ABI is ${version}, and this package is for ${ABI_VERSION}`);
    }
    return { instance, memory };
  }
}

function grow(file, memory, maxMemory, why) {
  try {
    memory.grow(1);
  } catch {
    throw new RangeError(`maxMemory is ${maxMemory} bytes, too little for ${file} to begin with`, { cause: why });
  }
}
