import { Atomic } from "./atomic.js";
import { Handle, closeWith } from "./handle.js";
import { kind, pathInput, wellFormed } from "./input.js";
import { native } from "./library.js";
import { Namespace } from "./namespace.js";
import * as options from "./options.js";
import * as read from "./read.js";

const opened = (number) => new Store(new Handle(number));

/** A database file, a PostgreSQL database, or memory, that contains namespaces. */
export class Store {
  #handle;
  #namespaces = new Map();

  /** Only open(), openProject() and openMemory() call it. */
  constructor(handle) {
    if (!(handle instanceof Handle)) throw new TypeError("a Store comes from Store.open(), openProject() or openMemory()");
    this.#handle = closeWith(this, handle);
  }

  /** A string or a URL is a URL; bytes, which may be no UTF-8, and what a file: URL stands for in Node are a path. */
  static open(urlOrPath, settings) {
    const isFile = urlOrPath instanceof URL && urlOrPath.protocol === "file:";
    const given = urlOrPath instanceof URL && !isFile ? urlOrPath.href : urlOrPath;
    const place = pathInput("the URL or path", given, "a URL");
    const open = typeof given === "string" ? native.open_url : native.open;
    return opened(open(place, ...options.openOptions(settings)));
  }

  static openProject(dir, settings) {
    const place = dir === undefined || dir === null ? null : pathInput("the folder", dir);
    return opened(native.open_project(place, ...options.openOptions(settings)));
  }

  static openMemory(settings) {
    return opened(native.open_memory(...options.openOptions(settings)));
  }

  get closed() {
    return this.#handle.closed;
  }

  /** Returns the same object for the same name, as long as it is referenced. */
  namespace(given) {
    if (typeof given !== "string") throw new TypeError(`the namespace must be a string, not ${kind(given)}`);
    const name = wellFormed(given);
    const store = this.#handle.number;
    const cache = this.#namespaces;
    const there = cache.get(name)?.deref();
    if (there) return there;
    const handle = new Handle(native.namespace_open(store, name), this.#handle, () => {
      if (!cache.get(name)?.deref()) cache.delete(name);
    });
    const namespace = new Namespace(this, handle, name);
    cache.set(name, new WeakRef(namespace));
    return namespace;
  }

  atomic() {
    return new Atomic(this, new Handle(native.batch_open(this.#handle.number), this.#handle));
  }

  namespaces() {
    return read.names(native.namespaces(this.#handle.number));
  }

  stats() {
    return read.stats(native.stats(this.#handle.number));
  }

  sweep(max) {
    const most = options.atMost(max);
    return native.sweep(this.#handle.number, most);
  }

  compact() {
    native.compact(this.#handle.number);
  }

  async compactAsync() {
    await native.compact_async(this.#handle.number);
  }

  checkpoint() {
    return native.checkpoint(this.#handle.number);
  }

  backup(path) {
    const place = pathInput("the path", path);
    native.backup(this.#handle.number, place);
  }

  async backupAsync(path) {
    const place = pathInput("the path", path);
    await native.backup_async(this.#handle.number, place);
  }

  close() {
    this.#handle.close();
  }

  [Symbol.dispose]() {
    this.close();
  }
}
