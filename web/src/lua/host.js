// The host of an instance with Lua: the imports of the instance, and which Lua state in it is running.

import { Files, wasi } from "../wasi.js";
import { Printer } from "./printer.js";

/** The hosts of engines with Lua. */
const hosts = new WeakMap();

/** The host's side of a Lua state. It outlives the Host and must not refer to it, or it would keep its memory alive. */
function stateOf(print) {
  const printer = new Printer(print);
  const files = new Files((bytes, isError) => printer.write(bytes, isError));
  return { pointer: 0, files, print: printer };
}

export class Host {
  engine;
  imports;
  /** The running Lua state, and its script. */
  #state;
  #run = null;

  constructor(engine) {
    this.engine = engine;
    // The module looks for its file system when it starts. It gets an empty one, which no Lua state uses.
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

  /** Creates a Lua state in this instance, whose KV.namespace uses a store. */
  newState(store, print) {
    const state = stateOf(print);
    state.pointer = this.within(state, null, () => this.engine.call.lua_new(store)) >>> 0;
    if (state.pointer === 0) throw this.engine.exhausted("there is no memory for a Lua");
    return state;
  }

  /** Calls into the module for a Lua state, and returns the result. print() may call it for another state. */
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

  /**
   * Passes printed lines to print(), after others were told that the script may have written: it, or a finalizer. An
   * exception of print() must not unwind through the module.
   */
  #deliver(state, run) {
    const { core } = this.engine;
    if (core !== null && !core.closed) core.wrote();
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
