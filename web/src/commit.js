import { OK } from "./abi.js";
import { setIncr, setPut } from "./structs.js";

/** A batch in the module, which exists only during the commit. */
export class Commit {
  #core;
  #engine;
  #batch;

  constructor(core) {
    this.#core = core;
    this.#engine = core.engine;
    const { call, HANDLE, ERROR } = this.#engine;
    this.#engine.checked(call.batch_open(core.pointer, HANDLE, ERROR));
    this.#batch = this.#engine.outHandle();
  }

  step(namespace, key, run) {
    const ns = this.#core.handle(namespace);
    this.#engine.key.setText("the key", key);
    run(this, ns);
  }

  check(ns, version) {
    const { call, key, cursor, ERROR } = this.#engine;
    if (version !== null) cursor.setText("version", version);
    const [pointer, length] = version === null ? [0, 0] : [cursor.pointer, cursor.length];
    this.#engine.checked(call.batch_check(this.#batch, ns, key.pointer, key.length, pointer, length, ERROR));
  }

  put(ns, stored, prepared) {
    const engine = this.#engine;
    const { call, key, value, metadata, ERROR } = engine;
    try {
      if (typeof stored === "string") value.setText("the value", stored);
      else value.setBytes("the value", stored);
      const struct = prepared === null ? 0 : setPut(engine, prepared);
      const { pointer, length } = value;
      engine.checked(call.batch_put(this.#batch, ns, key.pointer, key.length, pointer, length, struct, ERROR));
    } finally {
      value.release();
      metadata.release();
    }
  }

  delete(ns) {
    const { call, key, ERROR } = this.#engine;
    this.#engine.checked(call.batch_delete(this.#batch, ns, key.pointer, key.length, ERROR));
  }

  incr(ns, amount, prepared) {
    const { call, key, ERROR } = this.#engine;
    const struct = prepared === null ? 0 : setIncr(this.#engine, prepared);
    this.#engine.checked(call.batch_incr(this.#batch, ns, key.pointer, key.length, amount, struct, ERROR));
  }

  run() {
    const { call, ERROR } = this.#engine;
    const status = this.#engine.checked(call.batch_commit(this.#batch, ERROR));
    if (status !== OK) return { ok: false };
    return { ok: true, version: this.#engine.textOf(call.batch_version, this.#batch) };
  }

  free() {
    if (this.#engine.death === null) this.#engine.call.batch_free(this.#batch);
  }
}
