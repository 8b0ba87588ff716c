// The C library: finding it, its ABI, and its declarations.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { constants, functions, structs } from "../lib/declarations.js";
import { layouts } from "../lib/library.js";
import { declarations } from "../scripts/declare.js";
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

test("lib/declarations.js is what scripts/declare.js makes of the header", () => {
  assert.equal(readFileSync(new URL("../lib/declarations.js", import.meta.url), "utf8"), declarations(header));
});

test("every function, constant and struct of the header is declared", () => {
  const all = (pattern) => [...new Set([...code.matchAll(pattern)].map(([, name]) => name))].sort();
  assert.deepEqual(Object.keys(functions).sort(), all(/\bluat_kv_(\w+)\(/g));
  assert.deepEqual(Object.keys(constants).sort(), all(/^#define LUAT_KV_(\w+) /gm));
  assert.deepEqual(Object.keys(structs).sort(), all(/^typedef struct (\w+) \{/gm));
  assert(Object.keys(functions).length > 60 && Object.keys(constants).length > 20);
});

test("structs and constants are as the C compiler has them", async () => {
  const lines = Object.entries(layouts).flatMap(([name, layout]) => [
    `printf("${name} %zu\\n", sizeof(${name}));`,
    ...Object.keys(layout.members).map((field) => `printf("${field} %zu\\n", offsetof(${name}, ${field}));`),
  ]);
  for (const name in constants) lines.push(`printf("${name} %d\\n", LUAT_KV_${name});`);
  const [file, program] = [scratch("layout.c"), scratch("layout")];
  writeFileSync(file, `#include <luat_kv.h>\n#include <stdio.h>\nint main(void) { ${lines.join("\n")} }`);
  await run("cc", [`-I${join(root, "include")}`, "-o", program, file]);
  const expected = Object.entries(layouts).flatMap(([name, layout]) => [
    `${name} ${layout.size}`,
    ...Object.values(layout.members).map((field) => `${field.name} ${field.offset}`),
  ]);
  for (const name in constants) expected.push(`${name} ${constants[name]}`);
  assert.equal((await run(program)).stdout, expected.join("\n") + "\n");
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
  const rest = Object.keys(functions).filter((name) => !["abi_version", "touch", "page_at"].includes(name));
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
