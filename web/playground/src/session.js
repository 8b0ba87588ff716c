// The store that the page and its scripts share: in memory, or persisted if the user wants that.

import { Store } from "luat-kv";

const NAME = "playground";
const SETTING = "luat_kv.playground.keep";
/** The memory limit of the store. A script that needs more gets an error, before the tab runs out of memory. */
const MAX_MEMORY = 256 * 1024 * 1024;

/** Whether the store is persisted, as a setting in localStorage. If the browser forbids that, it is not remembered. */
const setting = {
  get on() {
    try {
      return localStorage.getItem(SETTING) === "on";
    } catch {
      return false;
    }
  },
  set on(value) {
    try {
      value ? localStorage.setItem(SETTING, "on") : localStorage.removeItem(SETTING);
    } catch {}
  },
};

export class Session {
  /** The current store. keep() and restart() replace it. */
  store = null;
  /** Whether it is persisted. */
  kept = false;
  #onError;

  /** `onError` is called if the store could not be persisted. */
  constructor(onError) {
    this.#onError = onError;
  }

  async #memory() {
    return Store.open({ maxMemory: MAX_MEMORY });
  }

  async #persisted(options) {
    return Store.open({ persist: "indexeddb", name: NAME, maxMemory: MAX_MEMORY, onError: this.#onError, ...options });
  }

  /** Opens the store. Returns null, or the error because of which it is in memory rather than the persisted one. */
  async open() {
    if (!setting.on) {
      this.store = await this.#memory();
      return null;
    }
    try {
      this.store = await this.#persisted();
      this.kept = true;
      return null;
    } catch (error) {
      this.store = await this.#memory();
      this.kept = false;
      return error;
    }
  }

  /**
   * Starts or stops persisting the store. Its contents are copied. With `recover`, a damaged persisted store is opened
   * in its state before the damage.
   */
  async keep(isKept, { recover = false } = {}) {
    if (isKept === this.kept) return;
    const next = isKept ? await this.#persisted({ recover }) : await this.#memory();
    try {
      copy(this.store, next);
      await next.flush();
    } catch (error) {
      await next.close().catch(() => {});
      throw error;
    }
    const before = this.store;
    this.store = next;
    this.kept = isKept;
    setting.on = isKept;
    // The persisted store is removed.
    if (!isKept) for (const name of before.namespaces()) before.namespace(name).sync.clear();
    await before.close();
  }

  /** Replaces a store whose instance has ended. A persisted store is opened again. Returns the same as open(). */
  async restart() {
    await this.store?.close().catch(() => {});
    this.store = null;
    return this.open();
  }

  /** Deletes a persisted store that cannot be read. */
  async forget() {
    return Store.delete({ persist: "indexeddb", name: NAME });
  }
}

function copy(from, to) {
  for (const name of from.namespaces()) {
    to.namespace(name).sync.import(from.namespace(name).sync.export(), { replace: true });
  }
}
