// What a store is underneath: an engine and the store's pointer in it. It may move to another engine, which those who
// use it notice by its epoch.

import * as abi from "./abi.js";
import { closed } from "./error.js";

/** What objects stand for a namespace, and for which: { core, name }. */
export const places = new WeakMap();

export class Core {
  /** Null once it is freed. */
  engine;
  pointer;
  /** 0, or 1 for Cloudflare's. */
  limits;
  /** Goes up when the pointers of namespaces are no longer good. */
  epoch = 1;
  closed = false;
  /** Keeps the store across reloads, where it does. */
  persister = null;
  /** The Namespace objects by name, weakly. */
  namespaces = new Map();
  #handles = new Map();

  constructor(engine, pointer, limits) {
    this.engine = engine;
    this.pointer = pointer;
    this.limits = limits;
  }

  /** Makes a new store in an engine. */
  static open(engine, limits) {
    return new Core(engine, openMemory(engine, limits), limits);
  }

  /** The engine and its pointers, for as long as the store is open. */
  open() {
    if (this.closed) throw closed();
    return this;
  }

  /** The pointer of a namespace. */
  handle(name) {
    const { engine, pointer } = this.open();
    const there = this.#handles.get(name);
    if (there !== undefined) return there;
    engine.key.setText("the namespace", name);
    const { call, key, HANDLE, ERROR } = engine;
    engine.checked(call.namespace_open(pointer, key.pointer, key.length, HANDLE, ERROR));
    const handle = engine.outHandle();
    this.#handles.set(name, handle);
    return handle;
  }

  /** Frees what belongs to a namespace that nobody has any more. */
  forget(name) {
    if (this.namespaces.get(name)?.deref() !== undefined) return;
    this.namespaces.delete(name);
    const handle = this.#handles.get(name);
    this.#handles.delete(name);
    if (handle !== undefined && this.engine?.death === null) this.engine.call.namespace_free(handle);
  }

  /** Returns whether a key is there. */
  has(ns, name) {
    const { engine } = this;
    const { call, key, ERROR } = engine;
    key.setText("the key", name);
    return engine.checked(call.has(ns, key.pointer, key.length, ERROR)) === abi.OK;
  }

  /** Removes a key. Returns whether it was there. */
  remove(ns, name) {
    const { engine } = this;
    const { call, key, ERROR } = engine;
    key.setText("the key", name);
    const isRemoved = engine.checked(call.remove(ns, key.pointer, key.length, ERROR)) === abi.OK;
    this.wrote();
    return isRemoved;
  }

  /** To be called after each call that may have written. */
  wrote() {
    if (this.persister !== null) this.persister.wrote();
  }

  /** Goes on with a store in another engine, which holds the same, and lets go of the one it had. */
  move(engine, pointer) {
    this.open();
    this.#release();
    this.engine = engine;
    this.pointer = pointer;
    this.persister?.moved();
  }

  /**
   * What has changed since the last call, or all that there is, as bytes for load(): a Uint8Array, empty where nothing
   * has. Much that has changed takes several calls. From the first one on, the store keeps track; without `all` that
   * returns nothing.
   */
  changes(all) {
    const { engine, pointer } = this;
    const { call, HANDLE, ERROR } = engine;
    engine.checked(call.wasm_changes(pointer, all ? 1 : 0, HANDLE, ERROR));
    const data = engine.outHandle();
    const length = engine.view.getUint32(HANDLE + abi.BYTES.len, true);
    if (length === 0) return new Uint8Array(0);
    try {
      return new Uint8Array(engine.copy(data, length));
    } catch (error) {
      this.persister?.missed(all); // they are not told again
      throw error;
    } finally {
      engine.free(data, length);
    }
  }

  /** All that the store holds, for another engine. What is kept of it has then to be written anew. */
  everything() {
    this.persister?.taken();
    return this.changes(true);
  }

  /** Applies bytes of changes(), one record after another: all together might not fit beside what comes of them. */
  load(bytes) {
    let start = 0;
    do {
      const end = endOfRecord(bytes, start);
      this.#loadRecord(bytes.subarray(start, end));
      start = end;
    } while (start < bytes.length);
  }

  #loadRecord(bytes) {
    const { engine, pointer } = this;
    const at = engine.alloc(bytes.length, "what was kept does not fit into memory");
    try {
      engine.fresh().bytes.set(bytes, at);
      engine.checked(engine.call.wasm_load(pointer, at, bytes.length, engine.ERROR));
    } finally {
      engine.free(at, bytes.length);
    }
  }

  /** Begins again as an empty store. */
  reset() {
    this.#release();
    this.pointer = 0;
    this.pointer = openMemory(this.engine, this.limits);
  }

  /** From now on, every use is an error. */
  close() {
    this.closed = true;
    this.epoch++;
  }

  /**
   * Gives the memory back, when nobody flushes any more. What the caller still has of the store (its namespaces, say)
   * leads here, and must not keep the memory: browsers have room for some hundred stores only.
   */
  free() {
    this.close();
    this.#release();
    this.pointer = 0;
    this.engine = null;
  }

  #release() {
    this.epoch++;
    const { engine } = this;
    if (this.pointer !== 0 && engine.death === null) {
      for (const handle of this.#handles.values()) engine.call.namespace_free(handle);
      engine.call.close(this.pointer);
    }
    this.#handles.clear();
  }
}

/** Where the record that begins at a place ends: its head is a magic, a length and a checksum. */
function endOfRecord(bytes, start) {
  const { HEAD, LENGTH } = abi.RECORD;
  if (bytes.length - start < HEAD) return bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, HEAD);
  return Math.min(start + HEAD + view.getUint32(LENGTH, true), bytes.length);
}

function openMemory(engine, limits) {
  const { call, STRUCT, HANDLE, ERROR } = engine;
  call.open_options_init(STRUCT, abi.OPEN_OPTIONS.size);
  engine.fresh().view.setUint32(STRUCT + abi.OPEN_OPTIONS.limits, limits, true);
  engine.checked(call.open_memory(STRUCT, HANDLE, ERROR));
  return engine.outHandle();
}
