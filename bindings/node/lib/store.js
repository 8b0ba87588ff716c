import { Atomic } from "./atomic.js";
import { Handle, closeWith } from "./handle.js";
import { native } from "./library.js";
import { ERROR, HANDLE, Input, NUMBER, cString, checked, kind, outFlag, outHandle, outNumber, wellFormed } from "./memory.js";
import { Namespace } from "./namespace.js";
import * as options from "./options.js";
import * as read from "./read.js";

const nameInput = new Input(4096);

const opened = () => new Store(new Handle(outHandle(), native.close));

/** A database file, or memory, that contains namespaces. */
export class Store {
  #handle;
  #namespaces = new Map();

  /** Only open(), openProject() and openMemory() call it. */
  constructor(handle) {
    if (!(handle instanceof Handle)) throw new TypeError("a Store comes from Store.open(), openProject() or openMemory()");
    this.#handle = closeWith(this, handle);
  }

  static open(path, settings) {
    const place = cString("the path", path);
    checked(native.open(place, options.openOptions(settings), HANDLE, ERROR));
    return opened();
  }

  static openProject(dir, settings) {
    const place = dir === undefined || dir === null ? null : cString("the folder", dir);
    checked(native.open_project(place, options.openOptions(settings), HANDLE, ERROR));
    return opened();
  }

  static openMemory(settings) {
    checked(native.open_memory(options.openOptions(settings), HANDLE, ERROR));
    return opened();
  }

  get closed() {
    return this.#handle.closed;
  }

  /** Returns the same object for the same name, as long as it is referenced. */
  namespace(given) {
    if (typeof given !== "string") throw new TypeError(`the namespace must be a string, not ${kind(given)}`);
    const name = wellFormed(given);
    const store = this.#handle.pointer;
    const there = this.#namespaces.get(name)?.deref();
    if (there) return there;
    nameInput.set("the namespace", name);
    checked(native.namespace_open(store, nameInput.pointer, nameInput.length, HANDLE, ERROR));
    const cache = this.#namespaces;
    const handle = new Handle(outHandle(), (pointer) => {
      if (!cache.get(name)?.deref()) cache.delete(name);
      native.namespace_free(pointer);
    }, this.#handle);
    const namespace = new Namespace(this, handle, name);
    closeWith(namespace, handle);
    cache.set(name, new WeakRef(namespace));
    return namespace;
  }

  atomic() {
    checked(native.batch_open(this.#handle.pointer, HANDLE, ERROR));
    const handle = new Handle(outHandle(), native.batch_free, this.#handle);
    const atomic = new Atomic(this, handle);
    closeWith(atomic, handle);
    return atomic;
  }

  namespaces() {
    checked(native.namespaces(this.#handle.pointer, HANDLE, ERROR));
    const names = [];
    read.eachEntry(outHandle(), (_entry, name) => names.push(name));
    return names;
  }

  stats() {
    checked(native.stats_read(this.#handle.pointer, HANDLE, ERROR));
    return read.stats(outHandle());
  }

  sweep(max) {
    const most = options.atMost(max);
    checked(native.sweep(this.#handle.pointer, most, NUMBER, ERROR));
    return outNumber();
  }

  compact() {
    checked(native.compact(this.#handle.pointer, ERROR));
  }

  async compactAsync() {
    await this.#handle.background("compact", [], 0);
  }

  checkpoint() {
    checked(native.checkpoint(this.#handle.pointer, NUMBER, ERROR));
    return outFlag();
  }

  backup(path) {
    const place = cString("the path", path);
    checked(native.backup(this.#handle.pointer, place, ERROR));
  }

  async backupAsync(path) {
    await this.#handle.background("backup", [cString("the path", path)], 0);
  }

  close() {
    this.#handle.close();
  }

  [Symbol.dispose]() {
    this.close();
  }
}
