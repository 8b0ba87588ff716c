// Follows the store: waits for changes of the namespaces that have keys, and for namespaces that are new.

/** The interval in which a running script is asked for new namespaces, in milliseconds: a watch has one namespace. */
const OFTEN = 200;

export class Follower {
  #changed;
  #onError;
  #store = null;
  /** The watches by the names of their namespaces. */
  #watches = new Map();
  #timer = null;

  /** `changed()` is called after keys have changed, `onError(error)` if they cannot be followed any more. */
  constructor({ changed, onError }) {
    this.#changed = changed;
    this.#onError = onError;
  }

  /** Follows exactly these namespaces of a store. */
  follow(store, names) {
    if (store !== this.#store) this.end();
    this.#store = store;
    const wanted = new Set(names);
    for (const [name, watch] of this.#watches) {
      if (wanted.has(name)) continue;
      watch.close();
      this.#watches.delete(name);
    }
    for (const name of names) if (!this.#watches.has(name)) this.#begin(store, name);
  }

  #begin(store, name) {
    const watch = store.namespace(name).watch();
    this.#watches.set(name, watch);
    this.#wait(store, name, watch);
  }

  async #wait(store, name, watch) {
    try {
      while ((await watch.next()).length > 0) this.#changed();
    } catch (error) {
      if (store.closed) return;
      if (this.#watches.get(name) === watch) this.#watches.delete(name); // the next update tries again
      this.#onError(error);
    }
  }

  /** Sets whether a script runs, which may use new namespaces. */
  set busy(isBusy) {
    clearInterval(this.#timer);
    if (isBusy) this.#timer = setInterval(() => this.#look(), OFTEN);
  }

  #look() {
    const store = this.#store;
    if (store === null || store.closed) return;
    try {
      if (store.namespaces().some((name) => !this.#watches.has(name))) this.#changed();
    } catch (error) {
      this.end();
      this.#onError(error);
    }
  }

  end() {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#store = null;
  }
}
