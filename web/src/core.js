// The core of a store: an engine and the store's pointer in it. A store can move to another engine. Its users notice
// that by the epoch.

import { BYTES, OK, OPEN_OPTIONS } from "./abi.js";
import { Cache } from "./cache.js";
import { closed } from "./error.js";

/** Maps Namespace and SyncNamespace objects to their namespace: { core, name }. */
export const places = new WeakMap();

export class Core {
  /** Null after free(). */
  engine;
  pointer;
  /** 0 for the default limits, 1 for Cloudflare's. */
  limits;
  /** Increases when the pointers of namespaces become invalid. */
  epoch = 1;
  closed = false;
  /** Persists the store; null for a store in memory only. */
  persister = null;
  /** Changes with each call that may have changed the store. */
  moment = 0;
  /** A weak reference to the watches that wait for a change: see watch.js. Null if none does. */
  waiting = null;
  /** What was read from the store. */
  cache;
  /** Weak references to the Namespace objects, by name. */
  namespaces = new Map();
  #handles = new Map();

  constructor(engine, pointer, limits, cacheSize) {
    this.engine = engine;
    this.pointer = pointer;
    this.limits = limits;
    this.cache = new Cache(cacheSize);
    this.cache.attach(engine, pointer);
    engine.core = this;
  }

  /** Creates a store in an engine, with a cache of this many bytes. */
  static open(engine, limits, cacheSize) {
    return new Core(engine, openMemory(engine, limits), limits, cacheSize);
  }

  /** Returns this, or throws if the store is closed. */
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

  /** Frees the pointer of a namespace that is no longer referenced. */
  forget(name) {
    if (this.namespaces.get(name)?.deref() !== undefined) return;
    this.namespaces.delete(name);
    const handle = this.#handles.get(name);
    this.#handles.delete(name);
    if (handle !== undefined && this.engine?.death === null) this.engine.call.namespace_free(handle);
  }

  /** Returns whether a key exists. */
  has(ns, name) {
    const { engine } = this;
    const { call, key, ERROR } = engine;
    key.setText("the key", name);
    return engine.checked(call.has(ns, key.pointer, key.length, ERROR)) === OK;
  }

  /** Removes a key. Returns whether it existed. */
  remove(ns, name) {
    const { engine } = this;
    const { call, key, ERROR } = engine;
    key.setText("the key", name);
    const isRemoved = engine.checked(call.remove(ns, key.pointer, key.length, ERROR)) === OK;
    this.wrote();
    return isRemoved;
  }

  /** Must be called after each call that may have written. */
  wrote() {
    this.moment = (this.moment + 1) | 0;
    if (this.persister !== null) this.persister.wrote();
    if (this.waiting !== null) this.wake();
  }

  /** Lets the watches that wait look at the store. */
  wake() {
    this.waiting?.deref()?.wake();
  }

  /** Continues with a store in another engine that has the same contents, and frees the old one. */
  move(engine, pointer) {
    this.open();
    this.#release();
    this.engine = engine;
    this.pointer = pointer;
    this.cache.attach(engine, pointer);
    engine.core = this;
    this.persister?.moved();
  }

  /**
   * Returns what has changed since the last call or, with `all`, the whole contents, as bytes for load(): a
   * Uint8Array, which is empty if nothing has changed. Large changes need several calls. The store tracks changes
   * from the first call on, so a first call without `all` returns no bytes.
   */
  changes(all) {
    const { engine, pointer } = this;
    const { call, HANDLE, ERROR } = engine;
    engine.checked(this.cache.unchanged(() => call.wasm_changes(pointer, all ? 1 : 0, HANDLE, ERROR)));
    const data = engine.outHandle();
    const length = engine.view.getUint32(HANDLE + BYTES.len, true);
    if (length === 0) return new Uint8Array(0);
    try {
      return new Uint8Array(engine.copy(data, length));
    } catch (error) {
      this.persister?.missed(all); // the module does not return them again
      throw error;
    } finally {
      engine.free(data, length);
    }
  }

  /** The store's contents, for another engine. The persister must then write everything again. */
  everything() {
    this.persister?.taken();
    return this.changes(true);
  }

  /** Applies bytes of changes(), record by record: a copy of all of them may not fit in memory with the contents. */
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
    const at = engine.alloc(bytes.length, "the persisted store does not fit into memory");
    try {
      engine.fresh().bytes.set(bytes, at);
      engine.checked(engine.call.wasm_load(pointer, at, bytes.length, engine.ERROR));
    } finally {
      engine.free(at, bytes.length);
    }
  }

  /** Replaces the store by an empty one. */
  reset() {
    this.#release();
    this.pointer = 0;
    this.pointer = openMemory(this.engine, this.limits);
    this.cache.attach(this.engine, this.pointer);
  }

  /** Makes every later use an error. */
  close() {
    this.closed = true;
    this.epoch++;
    this.cache.detach();
    this.wake();
  }

  /**
   * Frees the memory, once no flush is in progress. Objects that the caller still has (such as namespaces) refer to
   * this core, and must not keep the memory alive: a browser's address space holds only some hundred stores.
   */
  free() {
    this.close();
    this.#release();
    this.pointer = 0;
    this.engine = null;
  }

  #release() {
    this.epoch++;
    this.cache.detach();
    const { engine } = this;
    if (this.pointer !== 0 && engine.death === null) {
      for (const handle of this.#handles.values()) engine.call.namespace_free(handle);
      engine.call.close(this.pointer);
    }
    this.#handles.clear();
  }
}

/** The size of a record's header: a magic number, the length of what follows and a checksum, of 4 bytes each. */
const RECORD_HEADER = 12;

/** Returns the end of the record that begins at `start`. src/backend/memory/record.rs writes records. */
function endOfRecord(bytes, start) {
  if (bytes.length - start < RECORD_HEADER) return bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, RECORD_HEADER);
  return Math.min(start + RECORD_HEADER + view.getUint32(4, true), bytes.length);
}

function openMemory(engine, limits) {
  const { call, STRUCT, HANDLE, ERROR } = engine;
  call.open_options_init(STRUCT, OPEN_OPTIONS.size);
  engine.fresh().view.setUint32(STRUCT + OPEN_OPTIONS.limits, limits, true);
  engine.checked(call.open_memory(STRUCT, HANDLE, ERROR));
  return engine.outHandle();
}
