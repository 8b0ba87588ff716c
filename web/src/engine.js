// An instance of one of the two WebAssembly modules: its memory, the calls into it, and its end after a trap.

import { ERRORS, NOMEM } from "./abi.js";
import { LuatKVError } from "./error.js";
import { instantiate } from "./load.js";
import { prepareRandom, random } from "./runtime.js";
import { Slot } from "./slot.js";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const NAME_ROOM = 3 * 4096; // space for the UTF-8 of any string that has as many characters as the longest name
const ROOM = 65536;

/** The offsets of the parts of the scratch memory. */
const LAYOUT = { error: 0, handle: 8, number: 16, second: 24, struct: 32, version: 96, out: 128, slots: 168 };
const SLOTS = { key: NAME_ROOM, start: NAME_ROOM, stop: NAME_ROOM, cursor: NAME_ROOM, metadata: 4096, value: ROOM };

export class Engine {
  /** Views of the memory. They must be renewed after it has grown: see fresh(). After a trap, `words` is empty. */
  bytes;
  words;
  view;
  /** The error that ended the instance; null while it works. */
  death = null;
  /** The core of the store that is in it. */
  core = null;
  /** The time at which its clock is stopped, in seconds; null for the host's clock. See bulk.js. */
  stoppedAt = null;
  /** The latest time that the module or the cache has read from the clock. */
  latest = 0;
  #slots = [];

  /**
   * Loads a module. `file` is its name, for messages. `url` is its address, or a function that returns the address;
   * it is used if there is no `source`. `imports` are the module's further imports, beside those of both modules, as
   * an object or as a function of the engine, which has no memory and no exports before the module is loaded.
   */
  static async load({ file, url, source, maxMemory, imports }) {
    await prepareRandom();
    const engine = new Engine();
    const extra = typeof imports === "function" ? imports(engine) : imports;
    const own = {
      ...extra,
      luat_kv: {
        ...extra?.luat_kv,
        now: () => engine.#now(),
        random: () => random(new BigInt64Array(1))[0],
      },
    };
    const { instance, memory } = await instantiate({ file, url, source, maxMemory, imports: own });
    engine.#begin(file, instance.exports, memory, maxMemory);
    return engine;
  }

  #now() {
    const now = this.stoppedAt ?? Date.now() / 1000;
    if (now > this.latest) this.latest = now;
    return now;
  }

  #begin(file, exports, memory, maxMemory) {
    this.file = file;
    this.memory = memory;
    this.maxMemory = maxMemory;
    /** The exported functions themselves. Code that calls them must pass what they throw to died(). */
    this.raw = exports;
    /** The same functions, by their names without "luat_kv_". A trap in one of them ends the instance. */
    this.call = {};
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value === "function") this.call[name.replace(/^luat_kv_/, "")] = this.#guarded(value);
    }
    this.call._initialize?.();
    this.renew();
    this.#makeScratch();
  }

  #makeScratch() {
    const size = Object.values(SLOTS).reduce((sum, size) => sum + size, LAYOUT.slots);
    const at = (this.alloc(size + 8) + 7) & ~7;
    const start = at >>> 0;
    /** The addresses of the outputs (error object, handle, two numbers, version, entry) and of the options struct. */
    this.ERROR = start + LAYOUT.error;
    this.HANDLE = start + LAYOUT.handle;
    this.NUMBER = start + LAYOUT.number;
    this.SECOND = start + LAYOUT.second;
    this.STRUCT = start + LAYOUT.struct;
    this.VERSION = start + LAYOUT.version;
    this.OUT = start + LAYOUT.out;
    let next = start + LAYOUT.slots;
    for (const [name, size] of Object.entries(SLOTS)) {
      this[name] = new Slot(this, next, size);
      this.#slots.push(this[name]);
      next += size;
    }
    this.renew();
  }

  /** Must be called before the views are used. They are valid until the next call into the module. */
  fresh() {
    if (this.bytes.length === 0) this.renew();
    return this;
  }

  renew() {
    const { buffer } = this.memory;
    this.bytes = new Uint8Array(buffer);
    this.words = this.death === null ? new Uint32Array(buffer) : new Uint32Array(0);
    this.view = new DataView(buffer);
    for (const slot of this.#slots) slot.renew(buffer);
  }

  // ---- Calls

  /** Has a case for each number of arguments, for speed. No frequent call has more than three. */
  #guarded(call) {
    const guard = (run) => {
      try {
        return run();
      } catch (error) {
        throw this.died(error);
      }
    };
    if (call.length === 1) return (a) => guard(() => call(a));
    if (call.length === 2) return (a, b) => guard(() => call(a, b));
    if (call.length === 3) return (a, b, c) => guard(() => call(a, b, c));
    return (...values) => guard(() => call(...values));
  }

  /**
   * Handles an exception from the module. Whether it is a trap or a stack overflow, it has interrupted the module's
   * code, so the instance cannot be used again.
   */
  died(error) {
    if (this.death === null) {
      this.death = error;
      this.words = new Uint32Array(0);
      const refuse = () => {
        throw this.#dead();
      };
      const names = (from) => Object.fromEntries(Object.keys(from).map((name) => [name, refuse]));
      this.raw = names(this.raw);
      this.call = names(this.call);
      this.core?.wake();
      return this.#dead();
    }
    return error instanceof LuatKVError ? error : this.#dead();
  }

  #dead() {
    const message = `the WebAssembly instance has ended: ${this.death?.message ?? this.death}`;
    return new LuatKVError("PANIC", message, { cause: this.death });
  }

  /** Returns a status that is not an error, and throws for an error. */
  checked(status) {
    if (status < 0) throw this.failure(status);
    return status;
  }

  /** Returns the error for a status, with the message of the error object, which it frees. */
  failure(status, what) {
    const code = ERRORS[status] ?? "INTERNAL";
    const object = this.fresh().view.getUint32(this.ERROR, true);
    let message = null;
    if (object !== 0) {
      message = this.cString(this.call.error_message(object));
      this.call.error_free(object);
      this.fresh().view.setUint32(this.ERROR, 0, true);
    }
    if (status === NOMEM) return this.exhausted(what ?? message ?? "out of memory");
    return new LuatKVError(code, message || code);
  }

  exhausted(what) {
    return new LuatKVError("NOMEM", `${what}; maxMemory is ${this.maxMemory} bytes`);
  }

  // ---- Outputs

  outHandle() {
    return this.fresh().view.getUint32(this.HANDLE, true);
  }

  /** A length, of 32 bits. */
  outLength() {
    return this.fresh().view.getUint32(this.NUMBER, true);
  }

  /** A count, of 64 bits. */
  outCount() {
    return Number(this.fresh().view.getBigUint64(this.NUMBER, true));
  }

  /** A signed integer of 64 bits: a Number if that is exact, otherwise a BigInt. */
  outSum() {
    const sum = this.fresh().view.getBigInt64(this.NUMBER, true);
    const number = Number(sum);
    return Number.isSafeInteger(number) ? number : sum;
  }

  outVersion() {
    return this.versionAt(this.VERSION);
  }

  /** The text of a version. It is short and ASCII, for which this is several times as fast as a decoder. */
  versionAt(p) {
    const { bytes: b } = this.fresh();
    return String.fromCharCode(
      b[p], b[p + 1], b[p + 2], b[p + 3], b[p + 4], b[p + 5], b[p + 6], b[p + 7],
      b[p + 8], b[p + 9], b[p + 10], b[p + 11], b[p + 12], b[p + 13], b[p + 14], b[p + 15],
    );
  }

  text(pointer, length) {
    try {
      return decoder.decode(this.fresh().bytes.subarray(pointer, pointer + length));
    } catch (error) {
      const message = `${length} bytes are more than a string can hold here: read them as an ArrayBuffer`;
      throw new LuatKVError("LIMIT", message, { cause: error });
    }
  }

  /** The text whose pointer `read` returns, with its length in NUMBER; null for NULL. */
  textOf(read, object) {
    const pointer = read(object, this.NUMBER) >>> 0;
    return pointer === 0 ? null : this.text(pointer, this.outLength());
  }

  /** A copy of bytes, in a new ArrayBuffer. */
  copy(pointer, length) {
    try {
      return this.fresh().memory.buffer.slice(pointer, pointer + length);
    } catch (error) {
      throw new LuatKVError("NOMEM", `out of memory: the value is ${length} bytes long`, { cause: error });
    }
  }

  cString(pointer) {
    const start = pointer >>> 0;
    const { bytes } = this.fresh();
    return this.text(start, bytes.indexOf(0, start) - start);
  }

  // ---- Memory

  /** Allocates memory in the module. The caller frees it with its length. Throws if there is none. */
  alloc(length, what = "out of memory") {
    const pointer = length > 0xffffffff ? 0 : this.call.wasm_alloc(length) >>> 0;
    if (pointer === 0) throw this.exhausted(`${what}: ${length} bytes`);
    return pointer;
  }

  free(pointer, length) {
    if (this.death === null) this.call.wasm_free(pointer, length);
  }
}
