// The C library: finding it, its ABI, and what the addon uses of it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { constants } from "../lib/library.js";
import { root, run, scratch, script } from "./support.js";

const header = readFileSync(join(root, "include/luat_kv.h"), "utf8");
const code = header.replace(/\/\*[^]*?\*\//g, "");

/** The error of importing the package with a library. */
async function refusal(library, env = {}) {
  return script(`await import("luat-kv-native").catch((error) => console.log(error.code, error.message));`, {
    env: { LUAT_KV_LIBRARY: library, ...env },
  });
}

/** A library that has only these functions. */
async function compiled(source) {
  const [file, library] = [scratch("other.c"), scratch("other.so")];
  writeFileSync(file, source);
  await run("cc", ["-shared", "-fPIC", "-o", library, file]);
  return library;
}

/** What the addon uses of the header, and what it does not need. */
const addon = ["addon.h", "addon.c", "entries.c", "handles.c", "jobs.c", "store.c", "values.c", "watch.c", "writes.c"]
  .map((name) => readFileSync(new URL(`../src/${name}`, import.meta.url), "utf8")).join("");
const functions = [...addon.matchAll(/\bF\((\w+)\)/g)].map(([, name]) => name).filter((name) => name !== "F");
const UNUSED = {
  functions: [
    "put", "add", "delete", // those that return more are called instead
    "take", // Namespace.take() removes the entry only after it was read
    "iter_open", "iter_next", "iter_free", // Namespace.each() reads pages
    "store_path", // stats() has the path
    "store_limits", // an error names the limit
    "error_status", // it is the status that the call returned
  ],
  structs: ["iter", "limits"], // of these functions
};

test("the addon is compiled with the header as it is now", () => {
  assert.equal(readFileSync(new URL("../src/luat_kv.h", import.meta.url), "utf8"), header);
});

test("every function, constant and struct of the header is used, or listed as unused", () => {
  const all = (pattern) => [...new Set([...code.matchAll(pattern)].map(([, name]) => name))].sort();
  assert.deepEqual([...functions, ...UNUSED.functions].sort(), all(/\bluat_kv_(\w+)\(/g));
  for (const name of functions) assert.match(addon, new RegExp(`(kv\\.|kv->)${name}\\b`), `luat_kv_${name} is not called`);
  const used = (name) => new RegExp(`\\bluat_kv_${name}\\b`).test(addon);
  assert.deepEqual(all(/^typedef struct luat_kv_(\w+) /gm).filter((name) => !used(name)), UNUSED.structs);
  const known = ["VERSION_SIZE", "OK", "NOT_FOUND", "TOO_SMALL", "TIMEOUT", ...Object.keys(constants)];
  const statuses = ["CONFLICT", "IO", "BUSY", "READONLY", "LIMIT", "NOMEM", "PANIC", "INTERNAL"]; // by their sign
  assert.deepEqual([...known, ...statuses].sort(), all(/^#define LUAT_KV_(\w+) -?\d/gm));
  for (const name of Object.keys(constants)) assert.match(addon, new RegExp(`CONSTANT\\(${name}\\)`));
});

test("a library that is missing fails the import, which says what to do", async () => {
  assert.match(
    await refusal("/no/such/libluat_kv.so.0"),
    /^ERR_DLOPEN_FAILED libluat_kv could not be loaded \(LUAT_KV_LIBRARY names it\): \/no\/such\/libluat_kv\.so\.0: /,
  );
  // Without the variable, the system's loader looks for both names. It finds these files before installed ones.
  const folder = scratch("lib");
  mkdirSync(folder);
  for (const name of ["libluat_kv.so.0", "libluat_kv.so"]) writeFileSync(join(folder, name), "no library");
  assert.match(
    await refusal("", { LD_LIBRARY_PATH: folder }),
    /\(install it with `make lib && sudo make install` .*, or set LUAT_KV_LIBRARY to its path\): libluat_kv\.so\.0: .*; libluat_kv\.so: /,
  );
});

test("the system's loader finds the library by its name", async () => {
  const names = ["libluat_kv.so.0", "libluat_kv.so"];
  for (const name of names) {
    const folder = scratch("lib");
    mkdirSync(folder);
    // The other file hides an installed library.
    for (const other of names) if (other !== name) writeFileSync(join(folder, other), "no library");
    symlinkSync(process.env.LUAT_KV_LIBRARY, join(folder, name));
    const out = await script(`import { version } from "luat-kv-native"; console.log(version);`, {
      env: { LUAT_KV_LIBRARY: "", LD_LIBRARY_PATH: folder },
    });
    assert.match(out, /^\d+\.\d+\.\d+\n$/);
  }
});

test("a library of another ABI fails the import, which names both", async () => {
  const library = await compiled("unsigned luat_kv_abi_version(void) { return 99; }");
  const message = `libluat_kv at ${library} has ABI 99, and this package needs ${constants.ABI_VERSION}`;
  assert.equal(await refusal(library), `ERR_DLOPEN_FAILED ${message}\n`);
});

test("a library that lacks functions, or is another, fails the import too", async () => {
  const rest = functions.filter((name) => !["abi_version", "touch", "page_at"].includes(name));
  const older = await compiled(
    `unsigned luat_kv_abi_version(void) { return ${constants.ABI_VERSION}; }\n` +
      rest.map((name) => `void luat_kv_${name}(void) {}`).join("\n"),
  );
  assert.match(await refusal(older), /is too old for this package: it lacks luat_kv_touch, luat_kv_page_at\n$/);
  assert.match(await refusal(await compiled("int other;")), /is not libluat_kv: it has no luat_kv_abi_version\n$/);
});

test("a panic within the library is an error with the code PANIC, and the store works on", async () => {
  const hooked = process.env.LUAT_KV_HOOKED_LIBRARY;
  assert(hooked, "set LUAT_KV_HOOKED_LIBRARY to a library with the feature debug-hooks");
  const out = await script(
    `import { Store } from "luat-kv-native";
    const kv = Store.openMemory().namespace("n");
    for (const use of [() => kv.put("boom", "v"), () => kv.get("boom"), () => typeof kv.put("k", "v"), () => kv.get("k")]) {
      try { console.log(use()); } catch (error) { console.log(error.name, error.code, error.status); }
    }`,
    { env: { LUAT_KV_LIBRARY: hooked, LUAT_KV_DEBUG_PANIC_KEY: "boom" } },
  );
  assert.equal(out, "LuatKVError PANIC -8\nLuatKVError PANIC -8\nstring\nv\n");
});
