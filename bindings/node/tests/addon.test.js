// The addon: how it is built and found, and calls of it with wrong values.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { here, run, scratch, script } from "./support.js";

/** A copy of the package that has no addon yet. */
function unbuilt() {
  const copy = scratch("package");
  for (const part of ["package.json", "index.js", "lib", "src", "scripts"]) {
    cpSync(join(here, "..", part), join(copy, part), { recursive: true });
  }
  const headers = "node_modules/node-api-headers";
  cpSync(join(here, "..", headers), join(copy, headers), { recursive: true });
  return copy;
}

/** Runs scripts/build.js of a copy, and returns its status and its messages. */
const build = (copy, env = {}) =>
  run(process.execPath, ["scripts/build.js"], { cwd: copy, env: { ...process.env, ...env } }).then(
    ({ stderr }) => [0, stderr],
    ({ code, stderr }) => [code, stderr],
  );

/** Imports a copy: the version of the library, or the error. */
async function imported(copy) {
  const code = `await import(${JSON.stringify(join(copy, "index.js"))}).then(
    ({ version }) => console.log(version), ({ code, message }) => console.log(code, message));`;
  return script(code);
}

const compiled = (copy) => join(copy, "build/luat_kv.node");
const prebuilt = (copy) => join(copy, `prebuilds/${process.platform}-${process.arch}/luat_kv.node`);

test("without an addon the import fails, and names the command that builds it", async () => {
  const copy = unbuilt();
  const message = await imported(copy);
  assert.match(message, /^ERR_DLOPEN_FAILED the native addon of luat-kv-native was not built at its installation: run node "/);
  const [, path] = /run node "(.*)"/.exec(message);
  await run(process.execPath, [path]);
  assert.match(await imported(copy), /^\d+\.\d+\.\d+\n$/);
  assert.deepEqual(readdirSync(join(copy, "build")), ["luat_kv.node"]);
});

test("a prebuilt addon is taken, and no compiler is needed", async () => {
  const copy = unbuilt();
  await build(copy);
  mkdirSync(dirname(prebuilt(copy)), { recursive: true });
  renameSync(compiled(copy), prebuilt(copy));
  assert.deepEqual(await build(copy, { CC: "/no/such/compiler" }), [0, ""]);
  assert(!existsSync(compiled(copy)));
  assert.match(await imported(copy), /^\d+\.\d+\.\d+\n$/);
});

test("a prebuilt addon that does not load here is replaced", async () => {
  const copy = unbuilt();
  mkdirSync(dirname(prebuilt(copy)), { recursive: true });
  writeFileSync(prebuilt(copy), "for another system");
  assert.match(await imported(copy), /^ERR_DLOPEN_FAILED the native addon .* does not load here \(.*\): run node "/);
  assert.deepEqual(await build(copy), [0, ""]);
  assert.match(await imported(copy), /^\d+\.\d+\.\d+\n$/);
});

test("without a compiler, or its header, the build says what to install", async () => {
  const copy = unbuilt();
  const [code, message] = await build(copy, { CC: "/no/such/compiler -m64" });
  assert.equal(code, 1);
  assert.match(message, /^luat-kv-native: there is no prebuilt addon for \S+, and no C compiler \(\/no\/such\/compiler\)/);
  assert.match(message, /apt-get install gcc libc6-dev;/);
  const failed = await build(copy, { CFLAGS: "-Dopen=%" });
  assert.equal(failed[0], 1);
  assert.match(failed[1], /luat-kv-native: the addon could not be compiled: cc failed, see above\n$/);
  assert.deepEqual(readdirSync(join(copy, "build")), []);
  renameSync(join(copy, "node_modules"), join(copy, "elsewhere"));
  assert.match((await build(copy))[1], /^luat-kv-native: the npm package node-api-headers, .* is missing\. npm leaves it out if it makes a link /);
});

test("no value of JavaScript that is passed to the addon crashes it, and handles stay what they are", async () => {
  const out = await script(
    `
    import { native } from "luat-kv-native-library";
    const gone = new Uint8Array(8);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    const some = [
      undefined, null, true, NaN, -1, 1e6, 2 ** 32 + 1, 2 ** 63, 5n, 2n ** 70n, "", "text", "x".repeat(9000), "\\ud800", {}, [],
      ["a", Buffer.from("b")], ["a", 1], Symbol("s"), () => 1, new Uint8Array(3), gone, new Float64Array(9), new ArrayBuffer(4),
      new Uint8Array(new SharedArrayBuffer(5)), new Proxy(new Uint8Array(5), {}), new DataView(new ArrayBuffer(2)),
    ];
    let state = Number(process.argv.at(-1));
    const random = (below) => (state = (state * 48271) % 0x7fffffff) % below;
    const places = ["export", "export_async", "import", "import_async"];
    let [store, ns, batch, watch, thrown, returned, waiting] = [0, 0, 0, 0, 0, 0, []];
    for (let round = 0; round < 30_000; round++) {
      if (round % 50 === 0) {
        for (const handle of [batch, watch, store, ns]) native.close(handle);
        store = native.open_memory(0, 0, 0, 0);
        ns = native.namespace_open(store, "n");
        batch = native.batch_open(store);
        watch = native.watch_open(ns, 0, null, "");
      }
      const names = Object.keys(native);
      const name = names[random(names.length)];
      const args = Array.from({ length: random(9) }, () => (random(3) > 0 ? some[random(some.length)] : [store, ns, batch, watch][random(4)]));
      if (random(3) > 0) args[0] = [store, ns, batch, watch][random(4)];
      // A small number is a descriptor of this process.
      if (places.includes(name) && typeof args[1] === "number") args[1] = 1e6;
      try {
        const result = native[name](...args);
        if (result instanceof Promise) waiting.push(result.catch(() => 0));
        returned++;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        thrown++;
      }
      if (waiting.length > 100) await Promise.all(waiting.splice(0));
    }
    await Promise.all(waiting);
    native.close(watch); // it may keep the process alive
    const last = native.namespace_open(native.open_memory(0, 0, 0, 0), "n");
    native.put(last, "k", "v");
    console.log(thrown > 1000, returned > 1000, native.get_text(last, "k"));`.replace(
      "luat-kv-native-library",
      new URL("../lib/library.js", import.meta.url).href,
    ),
    { args: ["12345"], cwd: scratchFolder() },
  );
  assert.equal(out, "true true v\n");
});

function scratchFolder() {
  const folder = scratch("folder");
  mkdirSync(folder);
  return folder;
}

test("modules that are loaded again have handles of their own", async () => {
  const out = await script(`
    const library = ${JSON.stringify(new URL("../lib/library.js", import.meta.url).href)};
    const [one, two] = [await import(library), await import(library + "?again")];
    const stores = [one, two].map(({ native }) => native.open_memory(0, 0, 0, 0));
    const [first, second] = [one, two].map(({ native }, index) => native.namespace_open(stores[index], "n"));
    one.native.put(first, "k", "1");
    two.native.put(second, "k", "2");
    one.native.close(first);
    console.log(one !== two, two.native.get_text(second, "k"));`);
  assert.equal(out, "true 2\n");
});
