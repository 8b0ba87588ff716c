// Wrong modules, instances that end, and stores that are dropped without close().

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import { Engine } from "../src/engine.js";
import { coreOf } from "../src/store.js";
import { serve } from "./browser.js";
import { Store, equal, fails, ok, open, sleep } from "./support.js";

const wasm = new URL("../luat_kv.wasm", import.meta.url);
const good = readFileSync(wasm);

/** A module that exports functions of these names, which return 7. */
function answering7(...names) {
  const text = (name) => [name.length, ...Buffer.from(name)];
  const section = (id, ...content) => [id, (content.length % 128) | 128, content.length >> 7, ...content];
  const exports = names.flatMap((name) => [...text(name), 0, 0]);
  return Uint8Array.from([
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, 1, 0x60, 0, 1, 0x7f),
    ...section(3, 1, 0),
    ...section(7, names.length, ...exports),
    ...section(10, 1, 4, 0, 0x41, 7, 0x0b),
  ]);
}

const NAMES = ["luat_kv_abi_version", "luat_kv_wasm_alloc", "luat_kv_wasm_free", "luat_kv_wasm_load"];

test("a module comes from wherever it is said to", async (t) => {
  const { url, close } = await serve();
  t.after(close);
  const address = `${url}/luat_kv.wasm`;
  const sources = [
    wasm,
    wasm.href,
    fileURLToPath(wasm),
    good,
    good.buffer.slice(good.byteOffset, good.byteOffset + good.length),
    new DataView(good.buffer, good.byteOffset, good.length),
    new WebAssembly.Module(good),
    address,
    new URL(address),
    await fetch(address),
    fetch(address),
    Promise.resolve(good),
    undefined,
  ];
  for (const source of sources) {
    const kv = await open(t, { wasm: source });
    kv.sync.put("a", "1");
    equal(kv.sync.get("a"), "1");
  }
});

test("a wrong module says which it is, and what it was", async (t) => {
  const page = "<!doctype html><title>404</title>";
  const { url, close } = await serve({ "/page.wasm": page, "/good.wasm": good });
  t.after(close);
  const opening = (source) => () => Store.open({ wasm: source });
  await fails(
    opening(`${url}/missing.wasm`),
    "IO",
    /luat_kv\.wasm could not be fetched: .*missing\.wasm answered 404 Not Found; the option wasm sets its address/,
  );
  await fails(opening(`${url}/page.wasm`), "INVALID", /luat_kv\.wasm at .* is not WebAssembly: .*<!doctype html>.*; the option wasm sets its address/);
  await fails(
    opening("http://127.0.0.1:9/x.wasm"),
    "IO",
    "luat_kv.wasm could not be fetched from http://127.0.0.1:9/x.wasm",
  );
  await fails(opening(new URL("missing.wasm", wasm)), "IO", "luat_kv.wasm could not be read: ENOENT");
  await fails(opening("./missing.wasm"), "IO", "ENOENT");
  await fails(opening(good.subarray(0, 1000)), "INVALID", "luat_kv.wasm is damaged");
  await fails(opening(good.subarray(0, 0)), "INVALID", "is not WebAssembly: its 0 bytes");
  const damaged = Buffer.from(good);
  damaged.fill(0xff, 2000, 2100);
  await fails(opening(damaged), "INVALID", "luat_kv.wasm is damaged");
  await fails(opening(answering7("main")), "INVALID", "another WebAssembly module: it has no luat_kv_abi_version");
  await fails(opening(answering7(...NAMES)), "INVALID", "of another version: its ABI is 7");
  await fails(opening(new URL("../luat_kv_lua.wasm", wasm)), "IO");
  await fails(opening(readFileSync(new URL("./luat_kv_lua.wasm", wasm))), "INVALID", "it imports");
  for (const source of [5, {}, [], null, Symbol("a")]) await fails(opening(source), "TypeError", "wasm must be");
  // A failure is not cached.
  const broken = await serve({ "/luat_kv.wasm": page });
  await fails(opening(`${broken.url}/luat_kv.wasm`), "INVALID");
  await broken.close();
  await fails(opening(`${broken.url}/luat_kv.wasm`), "IO");
});

test("too little memory for the module to begin with is a RangeError", async () => {
  const opening = () => Engine.load({ file: "luat_kv.wasm", url: wasm, maxMemory: 2 ** 20 });
  await fails(opening, "RangeError", "maxMemory is 1048576 bytes, too little for luat_kv.wasm to begin with");
});

test("every truncation is an error", async () => {
  for (let length = 0; length < good.length; length += 997) {
    await fails(() => Store.open({ wasm: good.subarray(0, length) }), "INVALID");
  }
});

test("an instance that has ended says so, for ever", async (t) => {
  const kv = await open(t);
  kv.sync.put("a", "1");
  const { engine } = coreOf(kv.store);
  await fails(() => engine.call.page_len(0xfffffff0), "PANIC", "the WebAssembly instance has ended");
  const uses = [
    () => kv.get("a"),
    () => kv.put("a", "1"),
    () => kv.put("a", "x".repeat(100_000)),
    () => kv.list(),
    () => kv.getWithMetadata("a"),
    () => kv.get(["a"]),
    () => kv.atomic().put("a", "1").commit(),
    () => kv.store.stats(),
    () => kv.store.namespace("other"),
    () => kv.clear(),
    () => kv.import('{"key":"a","value":"1"}'),
    () => kv.export(),
    () => kv.incr("a"),
    () => kv.has("a"),
    () => kv.delete("a"),
    () => kv.deleteBulk(["a"]),
    () => kv.store.sweep(),
    () => [...kv.sync.each()],
  ];
  for (const use of uses) await fails(use, "PANIC", "has ended");
  await kv.store.close();
  await fails(() => kv.get("a"), "INVALID", "closed");
});

test("what is thrown out of a call ends the instance too", async (t) => {
  const kv = await open(t);
  kv.sync.put("a", "1");
  const now = Date.now;
  Date.now = () => {
    throw new Error("no time");
  };
  try {
    await fails(() => kv.put("a", "1", { expirationTtl: 100 }), "PANIC", "no time");
  } finally {
    Date.now = now;
  }
  await fails(() => kv.get("a"), "PANIC", "no time");
});

test("the time is asked for at each call, and may be anything", async (t) => {
  const kv = await open(t);
  const now = Date.now;
  t.after(() => (Date.now = now));
  kv.sync.put("a", "1", { expirationTtl: 100 });
  for (const time of [NaN, Infinity, -Infinity, -1, 0, 1e300, -1e300]) {
    Date.now = () => time;
    kv.sync.get("a");
    try {
      kv.sync.put("b", "1", { expirationTtl: 100 });
    } catch (error) {
      equal(error.code, "INVALID", String(error));
    }
  }
  Date.now = () => now() + 101_000;
  equal(kv.sync.get("a"), null);
});

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc");

async function until(what, isSo) {
  for (let turn = 0; turn < 100 && !isSo(); turn++) {
    await sleep(5); // a dereferenced WeakRef keeps its target until the end of the task
    collect();
    await sleep(5);
  }
  ok(isSo(), what);
}

// In a separate function, so that its variables do not keep the store.
async function memoryOfDropped() {
  const store = await Store.open();
  store.namespace("test").sync.put("a", "1");
  return new WeakRef(coreOf(store).engine.memory);
}

test("a store that is dropped is freed, and so is its memory", async () => {
  let kv = (await Store.open()).namespace("test");
  const core = coreOf(kv.store);
  const memory = await memoryOfDropped();
  kv.sync.put("a", "1");
  collect();
  await sleep(20);
  ok(core.pointer !== 0, "a namespace keeps its store");
  kv = null;
  await until("the store is freed", () => core.pointer === 0);
  await until("the memory is freed", () => memory.deref() === undefined);
});

test("namespaces that are dropped are freed, and those that are not stay the same", async (t) => {
  const store = (await open(t)).store;
  const kept = store.namespace("kept");
  const sync = store.namespace("kept by its sync").sync;
  for (let index = 0; index < 3000; index++) store.namespace(`n${index}`).sync.put("a", "1");
  await until("they are freed", () => coreOf(store).namespaces.size < 50);
  ok(store.namespace("kept") === kept && store.namespace("kept by its sync").sync === sync);
  sync.put("a", "1");
  equal([sync.get("a"), store.namespace("n5").sync.get("a")], ["1", "1"]);
});
