// Lua in an instance of luat_kv_lua.wasm, on a store in the same instance.

import { Core } from "./core.js";
import { Engine } from "./engine.js";
import { invalid, kind } from "./error.js";
import { luaAddress } from "./lua/address.js";
import { Host } from "./lua/host.js";
import { LuaError, aborted, failed, results, unreadable } from "./lua/outcome.js";
import { DONE, NO_MEMORY, PAUSING, Run } from "./lua/run.js";
import * as options from "./options.js";
import { pause, registry } from "./runtime.js";
import { Store, coreOf } from "./store.js";
import { checkText } from "./slot.js";
import { bytesOf, storable } from "./values.js";

export { LuaError };

const encoder = new TextEncoder();

const FILE = "luat_kv_lua.wasm";
/** Whether the memory has its maximum size. It never shrinks, but parts of it may be free. */
const isFull = (engine) => engine.memory.buffer.byteLength + PAGE > engine.maxMemory;

const PAGE = 65536;
/** The time limit for the finalizers and closing variables of a script that has ended, in milliseconds. */
const CLOSING = 1000;

/** Frees Lua states that were dropped without close(). */
const dropped = registry(({ host, state, owned }) => {
  free(host, state);
  owned?.close().catch(() => {});
});

/** The bytes of a script or a module, which is given as text or bytes. */
function scriptOf(what, code) {
  const bytes = typeof code === "string" ? null : bytesOf(code);
  if (typeof code === "string") checkText(what, code);
  else if (bytes === null) throw new TypeError(`${what} must be a string, not ${kind(code)}`);
  return bytes ?? encoder.encode(code);
}

const LUA = ["kv", "print", "maxMemory", "wasm"];
/** Options that only Store.open() has. */
const STORE = ["limits", "persist", "name", "onError", "cacheSize"];

function checkedName(what, name) {
  if (typeof name !== "string") throw new TypeError(`${what} must be a string, not ${kind(name)}`);
  checkText(what, name);
  if (name.includes("\0")) throw new TypeError(`${what} has a NUL`);
  return name;
}

function runOptions(given, names, others, why) {
  const { name = "script", timeout, signal } = options.only(given, names, others, why);
  if (timeout !== undefined && (typeof timeout !== "number" || !(timeout >= 0))) {
    const what = typeof timeout === "number" ? timeout : kind(timeout);
    throw new TypeError(`timeout must be a number of milliseconds, not ${what}`);
  }
  return { name: checkedName("name", name), timeout, signal: options.abortSignal(signal) };
}

function free(host, state) {
  if (host.engine.death !== null) return;
  host.within(state, Run.closing(CLOSING), () => host.engine.call.lua_free(state.pointer));
}

/** Returns the host of the instance that contains a store. Moves the store into an instance with Lua if necessary. */
async function hostFor(core, { wasm, maxMemory }) {
  const there = Host.of(core.open().engine);
  if (there !== null) return there;
  const host = await load(wasm, maxMemory ?? core.engine.maxMemory);
  core.open(); // throws if the store was closed meanwhile
  const other = Host.of(core.engine);
  if (other !== null) return other;
  const moved = Core.open(host.engine, core.limits, 0);
  try {
    moved.load(core.everything());
  } catch (error) {
    moved.free();
    throw error;
  }
  core.move(host.engine, moved.pointer);
  return host;
}

async function load(wasm, maxMemory) {
  const imports = (engine) => new Host(engine).imports;
  const engine = await Engine.load({ file: FILE, url: luaAddress, source: wasm, maxMemory, imports });
  if (engine.raw.luat_kv_lua_new === undefined) throw invalid(`the WebAssembly module is not ${FILE}: it has no Lua`);
  return Host.of(engine);
}

export class Lua {
  #host;
  #state;
  #kv;
  #owned;
  #run = null;
  #closed = false;

  /** Only create() calls it. */
  constructor(host, state, kv, owned) {
    if (!(host instanceof Host)) throw new TypeError("a Lua comes from Lua.create()");
    this.#host = host;
    this.#state = state;
    this.#kv = kv;
    this.#owned = owned;
    dropped.register(this, { host, state, owned: owned ? kv : null }, this);
  }

  static async create(given) {
    if (given instanceof Store) throw new TypeError("a store is given as { kv: store }");
    const { kv, print, maxMemory, wasm } = options.only(given, LUA, STORE, "open a store with it, and give that as kv");
    if (kv !== undefined && !(kv instanceof Store)) throw new TypeError(`kv must be a Store, not ${kind(kv)}`);
    if (print !== undefined && typeof print !== "function") {
      throw new TypeError(`print must be a function, not ${kind(print)}`);
    }
    const most = maxMemory === undefined ? undefined : options.maxMemory(maxMemory);
    let store = kv;
    if (store === undefined) {
      const memory = most ?? options.maxMemory(undefined);
      const { engine } = await load(wasm, memory);
      store = new Store(Core.open(engine, 0, options.cacheSize(undefined, memory)));
    }
    const core = coreOf(store);
    const host = await hostFor(core, { wasm, maxMemory: most });
    const state = host.newState(core.pointer, print ?? ((line) => console.log(line)));
    return new Lua(host, state, store, kv === undefined);
  }

  get kv() {
    return this.#kv;
  }

  get closed() {
    return this.#closed;
  }

  /** Returns the core of the store. Throws if no script can run now. */
  #ready() {
    this.#checkOpen();
    if (this.#run !== null) throw invalid("a script is running on this Lua already: one at a time");
    return coreOf(this.#kv).open();
  }

  async run(code, given) {
    const { name, timeout, signal } = runOptions(given, ["name", "timeout", "signal"]);
    const core = this.#ready();
    if (signal?.aborted) throw aborted(signal);
    const run = (this.#run = new Run({ timeout, signal, slices: true, core }));
    try {
      this.#begin(run, code, name);
      while (this.#goOn(run) === PAUSING) {
        await pause();
        if (this.#closed) throw invalid("the Lua was closed");
        core.open();
      }
      return this.#outcome(run, name);
    } finally {
      this.#end(run);
    }
  }

  runSync(code, given) {
    const { name, timeout } = runOptions(given, ["name", "timeout"], ["signal"], "nothing else runs meanwhile");
    const core = this.#ready();
    const run = (this.#run = new Run({ timeout, core }));
    try {
      this.#begin(run, code, name);
      this.#goOn(run);
      return this.#outcome(run, name);
    } finally {
      this.#end(run);
    }
  }

  /** Compiles the script. */
  #begin(run, code, name) {
    const begin = (at, length, nameAt, nameLength) => {
      const { call } = this.#host.engine;
      return this.#host.within(this.#state, run, () => {
        return call.lua_begin(this.#state.pointer, at, length, nameAt, nameLength);
      });
    };
    run.answer = this.#withTexts(scriptOf("the script", code), encoder.encode(name), begin);
  }

  /** Resumes the script until its end or a pause, and returns which of these it is. */
  #goOn(run) {
    if (run.answer !== DONE && run.answer !== PAUSING) return run.answer; // it did not compile
    const { engine } = this.#host;
    run.beginSlice();
    run.answer = this.#host.within(this.#state, run, () => engine.call.lua_go_on(this.#state.pointer));
    return run.answer;
  }

  #outcome(run, name) {
    if (run.answer !== PAUSING) this.#state.print.finish();
    this.#state.print.deliver();
    if (this.#closed) throw invalid("the Lua was closed");
    if (run.failure !== null) throw run.failure.error;
    if (run.reason !== null) coreOf(this.#kv).open(); // the reason may be that the store was closed
    const { engine } = this.#host;
    const pointer = this.#state.pointer;
    const at = engine.call.lua_outcome(pointer, engine.NUMBER) >>> 0;
    const outcome = engine.fresh().bytes.subarray(at, at + engine.outLength());
    if (run.answer === DONE) return results(outcome);
    const exitCode = engine.call.lua_exit_code(pointer);
    if (exitCode === 0) return [];
    if (run.answer === NO_MEMORY && outcome.length === 0) throw unreadable(engine.maxMemory);
    throw failed(outcome, { name, exitCode, reason: run.reason, run });
  }

  #end(run) {
    if (this.#run === run) this.#run = null;
    if (this.#state.pointer === 0) return;
    const { engine } = this.#host;
    if (engine.death !== null) return;
    if (this.#closed) return this.#free();
    engine.call.lua_end(this.#state.pointer);
    if (isFull(engine)) this.#collect();
  }

  /** Runs Lua's garbage collector, to free memory for the store and for scripts. */
  #collect() {
    this.#beside(() => this.#host.engine.call.lua_collect(this.#state.pointer));
  }

  /** Makes a call that may run finalizers. They can print, so meanwhile nothing else may run here or be freed. */
  #beside(call) {
    const outer = this.#run;
    this.#run = Run.closing(CLOSING);
    try {
      return this.#host.within(this.#state, this.#run, call);
    } finally {
      this.#run = outer;
      if (this.#closed && this.#host?.engine.death === null) {
        if (outer === null || !outer.inside) this.#free();
        else outer.close();
      }
    }
  }

  module(name, code) {
    this.#checkOpen();
    const { engine } = this.#host;
    const keep = (at, length, nameAt, nameLength) => {
      return this.#beside(() => engine.call.lua_module(this.#state.pointer, at, length, nameAt, nameLength));
    };
    const named = encoder.encode(checkedName("the module's name", name));
    if (this.#withTexts(scriptOf("the module", code), named, keep) !== DONE) {
      throw engine.exhausted(`the module ${JSON.stringify(name)} does not fit into memory`);
    }
  }

  #checkOpen() {
    if (this.#closed) throw invalid("the Lua is closed");
  }

  /** Copies two texts into memory, calls a function with their addresses and lengths, and frees the memory. */
  #withTexts(first, second, use) {
    const { engine } = this.#host;
    const length = first.length + second.length;
    const at = engine.call.lua_room(length) >>> 0;
    if (at === 0) throw engine.exhausted(`the script does not fit into memory: ${length} bytes`);
    try {
      engine.fresh().bytes.set(first, at);
      engine.bytes.set(second, at + first.length);
      return use(at, first.length, at + first.length, second.length);
    } finally {
      if (engine.death === null) engine.call.lua_leave(at);
    }
  }

  writeFile(path, data) {
    this.#checkOpen();
    const bytes = storable(data);
    this.#state.files.put(checkedName("path", path), typeof bytes === "string" ? encoder.encode(bytes) : bytes);
  }

  readFile(path) {
    this.#checkOpen();
    return this.#state.files.take(checkedName("path", path));
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    dropped.unregister(this);
    if (this.#run === null || !this.#run.inside) this.#free();
    else this.#run.close(); // the call comes from print(): the script is stopped first
  }

  #free() {
    const state = this.#state;
    if (state.pointer === 0) return;
    free(this.#host, state);
    state.pointer = 0;
    this.#host = null; // a reference to this object must not keep the memory alive
    if (this.#owned) this.#kv.close().catch(() => {});
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.close();
  }
}
