// What an instance with Lua has of JavaScript: its imports, and which Lua of the instance is running.

import { Files, wasi } from "../wasi.js";
import { Printer } from "./printer.js";

/** The hosts of engines that have Lua. */
const hosts = new WeakMap();

/** A Lua as its Host sees it. It outlives the Host, whose memory it must not keep: nothing in here leads to that. */
function stateOf(print) {
  const printer = new Printer(print);
  const files = new Files((bytes, isError) => printer.write(bytes, isError));
  return { pointer: 0, files, print: printer };
}

export class Host {
  engine;
  imports;
  /** The Lua that runs, and its script. */
  #state;
  #run = null;

  constructor(engine) {
    this.engine = engine;
    // The module looks for its file system when it starts, and finds that of nobody.
    this.#state = { files: new Files(() => {}), print: new Printer(() => {}) };
    this.imports = {
      luat_kv: { proceed: () => this.#proceed() },
      wasi_snapshot_preview1: wasi(engine, () => this.#state.files),
    };
    hosts.set(engine, this);
  }

  static of(engine) {
    return hosts.get(engine) ?? null;
  }

  /** A new Lua in this instance, whose KV.namespace is on a store. */
  newState(store, print) {
    const state = stateOf(print);
    state.pointer = this.within(state, null, () => this.engine.call.lua_new(store)) >>> 0;
    if (state.pointer === 0) throw this.engine.exhausted("there is no memory for a Lua");
    return state;
  }

  /** Calls into the module for a Lua, and returns what that returns; it may be called from print(), for another one. */
  within(state, run, call) {
    const before = [this.#state, this.#run];
    [this.#state, this.#run] = [state, run];
    if (run !== null) run.inside = true;
    try {
      return call();
    } finally {
      if (run !== null) run.inside = false;
      [this.#state, this.#run] = before;
      if (run !== null) this.#deliver(state, run);
    }
  }

  /** Hands on what was printed. What print() throws must not go through the module. */
  #deliver(state, run) {
    try {
      state.print.deliver();
    } catch (error) {
      run.failure ??= { error };
    }
  }

  #proceed() {
    const run = this.#run;
    if (run === null) return 0;
    this.#deliver(this.#state, run);
    return run.proceed();
  }
}
