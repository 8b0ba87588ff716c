import { Namespace } from "./async.js";
import { Atomic } from "./atomic.js";
import { Core } from "./core.js";
import { Engine } from "./engine.js";
import { kind } from "./error.js";
import { MAX_NAME } from "./limits.js";
import * as options from "./options.js";
import { persist, remove } from "./persist.js";
import { registry, weakly } from "./runtime.js";
import { wellFormed } from "./slot.js";
import { entryKey, eachEntry } from "./values.js";

async function release(core) {
  try {
    await core.persister?.close();
  } finally {
    core.free();
  }
}

/** Frees stores that were dropped without close(). */
const dropped = registry((core) => {
  release(core).catch(() => {}); // onError got the error
});

/** Frees namespaces that were dropped. */
const droppedNamespaces = registry(({ core, name }) => core.forget(name));

/** A store: namespaces of keys, in memory. */
export class Store {
  #core;
  #closing = null;

  /** Only open() and storeOf() call it. */
  constructor(core) {
    if (!(core instanceof Core)) throw new TypeError("a Store comes from Store.open()");
    this.#core = core;
    dropped.register(this, core, core);
  }

  static async open(given) {
    const { limits, maxMemory, cacheSize, wasm, persist: where, ...kept } = options.open(given);
    const url = () => new URL("../luat_kv.wasm", import.meta.url); // undefined in some bundles
    const engine = await Engine.load({ file: "luat_kv.wasm", url, source: wasm, maxMemory });
    const core = Core.open(engine, limits, cacheSize);
    if (where !== null) core.persister = await persist(core, { where, ...kept });
    return new Store(core);
  }

  static async delete(given) {
    await remove(options.remove(given));
  }

  static coreOf(store) {
    return store.#core;
  }

  get closed() {
    return this.#core.closed;
  }

  get damage() {
    return this.#core.persister?.damage ?? null;
  }

  namespace(given) {
    const core = this.#core.open();
    if (typeof given !== "string") throw new TypeError(`the namespace must be a string, not ${kind(given)}`);
    const name = wellFormed(given);
    const there = core.namespaces.get(name)?.deref();
    if (there !== undefined) return there;
    options.text("namespace", name, MAX_NAME[core.limits]);
    core.handle(name); // checks the name
    const namespace = new Namespace(this, core, name);
    core.namespaces.set(name, weakly(namespace));
    droppedNamespaces.register(namespace, { core, name });
    return namespace;
  }

  namespaces() {
    const { engine, pointer } = this.#core.open();
    const { call, HANDLE, ERROR } = engine;
    engine.checked(call.namespaces(pointer, HANDLE, ERROR));
    const names = [];
    eachEntry(engine, engine.outHandle(), (entry) => names.push(entryKey(engine, entry)));
    return names;
  }

  atomic() {
    return new Atomic(this.#core.open(), this);
  }

  stats() {
    const { engine, pointer } = this.#core.open();
    const { call, HANDLE, NUMBER, ERROR } = engine;
    engine.checked(call.stats_read(pointer, HANDLE, ERROR));
    const stats = engine.outHandle();
    try {
      const namespaces = new Map();
      const length = call.stats_len(stats) >>> 0;
      for (let index = 0; index < length; index++) {
        const at = call.stats_name(stats, index, NUMBER) >>> 0;
        namespaces.set(engine.text(at, engine.outLength()), {
          live: Number(call.stats_live(stats, index)),
          expired: Number(call.stats_expired(stats, index)),
        });
      }
      return { namespaces, memory: engine.memory.buffer.byteLength, cache: { size: this.#core.cache.size } };
    } finally {
      if (engine.death === null) call.stats_free(stats);
    }
  }

  sweep(max) {
    const most = options.atMost(max);
    const core = this.#core.open();
    const { engine, pointer } = core;
    const { call, NUMBER, ERROR } = engine;
    engine.checked(core.cache.unchanged(() => call.sweep(pointer, BigInt(most), NUMBER, ERROR)));
    core.wrote();
    return engine.outCount();
  }

  async flush() {
    const core = this.#core.open();
    await core.persister?.flush();
  }

  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    const core = this.#core;
    dropped.unregister(core);
    core.close();
    await release(core);
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    // onError gets the error.
    this.close().catch(() => {});
  }

  [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    return this.close();
  }
}

/** The engine and the pointer of a store, for lua.js. */
export const coreOf = Store.coreOf;
delete Store.coreOf;
