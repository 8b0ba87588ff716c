import { SyncNamespace } from "./namespace.js";
import { places } from "./core.js";
import { closed } from "./error.js";
import { MAX_VALUE } from "./limits.js";
import * as options from "./options.js";
import * as values from "./values.js";
import { Watch } from "./watch.js";

/** A set of keys within a store, with the methods of Workers KV's KVNamespace and some more. */
export class Namespace {
  #store;
  #core;
  #sync;

  /** Only Store.namespace() calls it. */
  constructor(store, core, name) {
    if (name === undefined) throw new TypeError("a Namespace comes from store.namespace()");
    this.#store = store;
    this.#core = core;
    this.#sync = new SyncNamespace(core, this, name);
    places.set(this, { core, name });
  }

  get name() {
    return this.#sync.name;
  }

  get store() {
    return this.#store;
  }

  get sync() {
    return this.#sync;
  }

  async get(key, type) {
    return this.#sync.get(key, type);
  }

  async getWithMetadata(key, type) {
    return this.#sync.getWithMetadata(key, type);
  }

  async put(key, value, settings) {
    if (typeof value !== "string" && values.isStream(value)) return this.#stream("put", key, value, settings);
    return this.#sync.put(key, value, settings);
  }

  async add(key, value, settings) {
    if (typeof value !== "string" && values.isStream(value)) return this.#stream("add", key, value, settings);
    return this.#sync.add(key, value, settings);
  }

  /** The other arguments are checked before the stream is read. */
  async #stream(method, key, stream, settings) {
    const { limits } = this.#core.open();
    const name = options.key(key, limits);
    const prepared = options.put(settings, limits);
    const bytes = await values.readStream(stream, MAX_VALUE[limits]);
    options.checkValue(bytes, limits);
    return this.#sync[method](name, bytes, prepared ?? undefined);
  }

  async has(key) {
    return this.#sync.has(key);
  }

  async delete(key) {
    return this.#sync.delete(key);
  }

  async take(key, type) {
    return this.#sync.take(key, type);
  }

  async deleteBulk(keys) {
    this.#sync.deleteBulk(keys);
  }

  async touch(key, settings) {
    return this.#sync.touch(key, settings);
  }

  async incr(key, by, settings) {
    return this.#sync.incr(key, by, settings);
  }

  async list(settings) {
    return this.#sync.list(settings);
  }

  each(settings) {
    return pages(this.#sync.each(settings));
  }

  async count(settings) {
    return this.#sync.count(settings);
  }

  async deletePrefix(prefix) {
    return this.#sync.deletePrefix(prefix);
  }

  async clear() {
    return this.#sync.clear();
  }

  async export(settings) {
    return this.#sync.export(settings);
  }

  async import(from, settings) {
    if (typeof from === "string" || !values.isStream(from)) return this.#sync.import(from, settings);
    const replace = options.importReplace(settings);
    if (this.#core.closed) throw closed();
    const bytes = await values.readStream(from, 0xffffffff, "import");
    return this.#sync.import(bytes, { replace });
  }

  atomic() {
    return this.#sync.atomic();
  }

  watch(settings) {
    return new Watch(this.#core.open(), this, settings);
  }
}

async function* pages(entries) {
  yield* entries;
}
