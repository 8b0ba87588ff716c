// Native handles. Each is freed once: when it is closed, or when the object that owns it is collected.

import { isMainThread } from "node:worker_threads";
import koffi from "koffi";
import { fill, native } from "./library.js";
import { failure, invalid } from "./memory.js";

const forgotten = new FinalizationRegistry((handle) => handle.close());

export class Handle {
  #pointer;
  #free;
  #parent;
  #children = new Set();
  #uses = 0;
  #closed = false;

  /** Takes ownership of a pointer, which `free` frees. The handle is closed with its parent. */
  constructor(pointer, free, parent = thread) {
    this.#pointer = pointer;
    this.#free = free;
    this.#parent = parent;
    parent?.#children.add(this);
  }

  get closed() {
    return this.#closed;
  }

  get pointer() {
    if (this.#closed) throw invalid("the store is closed");
    return this.#pointer;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    forgotten.unregister(this);
    this.#parent?.#children.delete(this);
    for (const child of this.#children) child.close();
    this.#freeUnused();
  }

  // A call in progress in another thread still needs the native handle.
  #freeUnused() {
    if (this.#closed && this.#uses === 0) this.#free(this.#pointer);
  }

  /**
   * Calls `name(handle, ...inputs, numbers..., error)` in a thread of libuv's pool, and returns the numbers. The call's
   * memory does not belong to the garbage collector, since a worker can be terminated during the call.
   */
  background(name, inputs, numbers) {
    const pointer = this.pointer;
    const outputs = toNative(Buffer.alloc(8 * (numbers + 1)));
    const places = Array.from({ length: numbers + 1 }, (_, index) => outputs + 8n * BigInt(index));
    const owned = inputs.map((input) => (typeof input === "number" ? input : toNative(input)));
    const release = () => {
      this.#uses--;
      this.#freeUnused();
      koffi.free(outputs);
      for (const input of owned) if (typeof input === "bigint") koffi.free(input);
    };
    this.#uses++;
    return new Promise((resolve, reject) => {
      const done = (error, status) => {
        const results = places.map((place) => koffi.decode.uint64(place));
        release();
        if (error) reject(error);
        else if (status < 0) reject(failure(status, BigInt(results[numbers])));
        else resolve(results);
      };
      try {
        native[name].async(pointer, ...owned, ...places, done);
      } catch (error) {
        release();
        reject(error);
      }
    });
  }
}

function toNative(bytes) {
  const pointer = koffi.alloc("uint8_t", bytes.length);
  fill(pointer, bytes);
  return pointer;
}

// The parent of a worker's handles, which closes them with the worker. The main thread needs none, since the end of the
// process closes everything.
const thread = isMainThread ? undefined : new Handle(null, () => {}, null);
if (thread) process.once("exit", () => thread.close());

/** Closes a handle when its owner is collected. */
export function closeWith(object, handle) {
  forgotten.register(object, handle, handle);
  return handle;
}
